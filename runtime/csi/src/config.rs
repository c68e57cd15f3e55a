//! The driver's configuration file: which caches are asked, and whom to believe, node-wide and by namespace.
//!
//! YAML, as a ConfigMap carries it. `docs/reference/csi.md` describes it for those who write one.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;
use thiserror::Error;

/// No file is larger than this; a ConfigMap holds 1 MiB.
const MAX_SIZE: u64 = 1 << 20;

/// The configuration cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// A file cannot be read: the configuration or one it names.
    #[error("cannot read '{path}'")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is too large.
    #[error("'{0}' is larger than 1 MiB")]
    TooLarge(PathBuf),
    /// Not YAML, or not what is expected.
    #[error("'{path}' is no configuration")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<serde_saphyr::Error>,
    },
    /// Caches or keys.
    #[error("{section}: {what}")]
    Caches {
        /// Which part of the file.
        section: String,
        /// What in it.
        what: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Config {
    /// What holds where no namespace says otherwise. None: nothing is asked and nothing believed.
    #[serde(default)]
    pub defaults: Section,
    /// Namespaces of their own. What stands here replaces the defaults wholly: nothing of them is added.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Section>,
}

/// Caches and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Section {
    /// Where to ask.
    #[serde(default)]
    pub caches: Vec<CacheEntry>,
    /// Public keys, as `name:base64`.
    #[serde(default)]
    pub trusted_keys: Vec<String>,
    /// How many different keys must have signed a path; 1 if not given.
    #[serde(default)]
    pub required_signatures: Option<NonZeroUsize>,
    /// A file in netrc's format with the caches' user names and passwords, as a rule from a mounted Secret.
    #[serde(default)]
    pub netrc_file: Option<PathBuf>,
}

/// A cache: its URL, or more about it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum CacheEntry {
    /// The URL.
    Url(String),
    /// The URL, and how to get in.
    WithToken(CacheWithToken),
}

/// A cache that wants a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CacheWithToken {
    /// The URL.
    pub url: String,
    /// A file with a bearer token, read anew when it changes.
    pub token_file: PathBuf,
}

impl Config {
    /// Reads the file's text.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        // An empty file is an empty configuration.
        if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

/// A small file as text.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let error = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(error)?.len() > MAX_SIZE {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    fs::read_to_string(path).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_read() {
        let text = "
defaults:
  caches: [https://cache.example.org]
  trustedKeys: ['cache.example.org-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']
namespaces:
  shop:
    caches:
      - https://shop.example.org
      - url: https://private.example.org
        tokenFile: /etc/niphas/secrets/token
    trustedKeys: []
    requiredSignatures: 2
    netrcFile: /etc/niphas/secrets/netrc
";
        let config = Config::parse(Path::new("csi.yaml"), text).unwrap();
        let url = |url: &str| CacheEntry::Url(url.to_owned());
        assert_eq!(config.defaults.caches, [url("https://cache.example.org")]);
        assert_eq!(
            config.namespaces["shop"],
            Section {
                caches: vec![
                    url("https://shop.example.org"),
                    CacheEntry::WithToken(CacheWithToken {
                        url: "https://private.example.org".to_owned(),
                        token_file: "/etc/niphas/secrets/token".into(),
                    }),
                ],
                trusted_keys: vec![],
                required_signatures: NonZeroUsize::new(2),
                netrc_file: Some("/etc/niphas/secrets/netrc".into()),
            }
        );
    }

    #[test]
    fn nothing_configured_is_nothing_believed() {
        for text in ["", "# later\n", "{}"] {
            assert_eq!(
                Config::parse(Path::new("csi.yaml"), text).unwrap(),
                Config::default()
            );
        }
    }

    #[test]
    fn misspelt_settings_are_refused() {
        let error =
            Config::parse(Path::new("csi.yaml"), "defaults: { trustedkeys: [] }").unwrap_err();
        assert!(
            nix_formats::chain(&error).contains("trustedkeys"),
            "{error:?}"
        );
    }
}
