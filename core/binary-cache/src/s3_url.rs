//! `s3://bucket?region=…&endpoint=…`, as Nix has it.

use url::Url;

/// A bucket and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3Url {
    pub(crate) bucket: String,
    /// Empty, or what names start with, with a slash at its end.
    pub(crate) prefix: String,
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    endpoint: Option<String>,
    scheme: Option<String>,
}

/// The settings that are read.
pub(crate) const SETTINGS: [&str; 4] = ["region", "profile", "endpoint", "scheme"];

impl S3Url {
    /// `None` if there is no bucket.
    pub(crate) fn new(url: &Url) -> Option<Self> {
        let bucket = url.host_str().filter(|host| !host.is_empty())?.to_owned();
        let prefix = url.path().trim_matches('/');
        let setting = |wanted| {
            url.query_pairs()
                .find(|(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| value.into_owned())
        };
        Some(Self {
            bucket,
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
            region: setting("region"),
            profile: setting("profile"),
            endpoint: setting("endpoint"),
            scheme: setting("scheme"),
        })
    }

    /// The server's URL, if it is not Amazon's own.
    pub(crate) fn endpoint(&self) -> Option<String> {
        let endpoint = self.endpoint.as_deref()?;
        Some(match self.scheme.as_deref() {
            _ if endpoint.contains("://") => endpoint.trim_end_matches('/').to_owned(),
            Some("http") => format!("http://{endpoint}"),
            _ => format!("https://{endpoint}"),
        })
    }
}

/// With the settings that tell one bucket from another of the same name.
impl std::fmt::Display for S3Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix.trim_end_matches('/'))?;
        }
        if let Some(endpoint) = self.endpoint() {
            write!(f, "?endpoint={endpoint}")?;
        }
        Ok(())
    }
}
