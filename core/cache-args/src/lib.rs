//! How every program names binary caches, logins for them, and the keys it trusts: the same options, environment variables
//! and files everywhere.

mod error;
mod hint;
mod login;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use binary_cache::{CacheUrl, Caches, Limits, TrustPolicy, read_keys};
use nix_formats::{PublicKey, StoreDir};

pub use error::CacheArgsError;
pub use hint::{login_hint, unavailable_hint};
pub use login::LoginArgs;

/// The caches to read, and what to believe of them.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Binary caches")]
pub struct CacheArgs {
    /// Read this binary cache; repeatable
    ///
    /// At https://…, http://…, s3://… or file:///….
    ///
    /// Variable: `NIPHAS_CACHES`, with spaces between several.
    #[arg(
        long = "cache",
        value_name = "URL",
        env = "NIPHAS_CACHES",
        value_delimiter = ' ',
        hide_env = true
    )]
    caches: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    login: LoginArgs,
}

/// The keys whose signatures count.
#[derive(Clone, Debug, clap::Args)]
struct TrustArgs {
    /// Trust the signatures of a key, NAME:BASE64; repeatable
    ///
    /// Variable: `NIPHAS_TRUSTED_PUBLIC_KEYS`, with spaces between several.
    #[arg(
        long = "trusted-public-key",
        value_name = "KEY",
        env = "NIPHAS_TRUSTED_PUBLIC_KEYS",
        value_delimiter = ' ',
        hide_env = true
    )]
    keys: Vec<String>,
    /// Trust the keys in a file, one on a line; repeatable
    #[arg(long = "key-file", value_name = "FILE")]
    key_files: Vec<PathBuf>,
    /// Require signatures of this many of the keys
    ///
    /// Variable: `NIPHAS_REQUIRED_SIGNATURES`.
    #[arg(
        long,
        value_name = "N",
        env = "NIPHAS_REQUIRED_SIGNATURES",
        default_value = "1",
        hide_env = true,
        hide_short_help = true
    )]
    required_signatures: NonZeroUsize,
}

impl CacheArgs {
    /// The caches, at least one.
    pub fn open(&self) -> Result<Caches, CacheArgsError> {
        if self.urls().is_empty() {
            return Err(CacheArgsError::NoCache);
        }
        self.open_any()
    }

    /// The caches, of which there may be none.
    pub fn open_any(&self) -> Result<Caches, CacheArgsError> {
        self.open_with(None)
    }

    /// The caches, of which there may be none, for a machine whose store signs what the machine itself makes with this key.
    pub fn open_with_own(&self, own: PublicKey) -> Result<Caches, CacheArgsError> {
        self.open_with(Some(own))
    }

    fn open_with(&self, own: Option<PublicKey>) -> Result<Caches, CacheArgsError> {
        if words(&self.caches).any(has_several_urls) {
            return Err(CacheArgsError::Commas { what: "caches" });
        }
        if self.trust.keys.iter().any(|key| key.contains(',')) {
            let what = "trusted public keys";
            return Err(CacheArgsError::Commas { what });
        }
        let urls = words(&self.caches).map(str::parse);
        let urls = urls.collect::<Result<Vec<CacheUrl>, _>>()?;
        let urls = self.login.with_logins(urls)?;
        let trust = &self.trust;
        let words: Vec<String> = words(&trust.keys).map(str::to_owned).collect();
        let keys = read_keys(&words, &trust.key_files)?;
        let mut policy = TrustPolicy::new(keys, trust.required_signatures)?;
        if let Some(own) = own {
            policy = policy.with_own(own);
        }
        let limits = Limits::default();
        Ok(Caches::new(StoreDir::default(), urls, policy, limits)?)
    }

    /// A URL with the login for its server, if there is one.
    pub fn with_login(&self, url: CacheUrl) -> Result<CacheUrl, CacheArgsError> {
        self.login.with_login(url)
    }

    /// The same, and another cache, if it is not one of them.
    #[must_use]
    pub fn with(&self, url: &str) -> Self {
        let mut all = self.clone();
        if !words(&self.caches).any(|known| known == url) {
            all.caches.push(url.to_owned());
        }
        all
    }

    /// The caches' URLs, as given: passwords can be among them.
    pub fn urls(&self) -> Vec<String> {
        words(&self.caches).map(str::to_owned).collect()
    }
}

/// The values of an option, which variables have with spaces between them.
fn words(values: &[String]) -> impl Iterator<Item = &str> {
    let values = values.iter().map(|value| value.trim());
    values.filter(|value| !value.is_empty())
}

/// Whether there is another URL after a comma: commas alone may be in one.
fn has_several_urls(text: &str) -> bool {
    text.split(',').skip(1).any(|part| part.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_one_space_between_values_is_one() {
        let values = ["a", "", "b ", " "].map(str::to_owned);
        assert_eq!(words(&values).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn urls_after_commas_are_seen_and_commas_in_urls_are_not() {
        assert!(has_several_urls("https://a.example,https://b.example"));
        assert!(!has_several_urls("https://a.example/x,y"));
        assert!(!has_several_urls("s3://bucket?region=a"));
    }
}
