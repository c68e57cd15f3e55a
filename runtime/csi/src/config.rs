//! The driver's configuration file: which caches are asked, and whom to believe, node-wide and by namespace.
//!
//! YAML, as a ConfigMap carries it. The page docs/reference/csi-yaml.md is made from the types here: their documentation is its text.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::{fs, io};

use niphas_store::{Watermark, WatermarkError};
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

/// Keys that are not listed here are errors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Config {
    /// The caches and keys of all namespaces without a section of their own.
    #[serde(default)]
    pub defaults: Section,
    /// Sections for namespaces, by name. A namespace's section replaces `defaults`: an empty one trusts nothing.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Section>,
    /// How much pods may ask for, where their section has no such limit.
    #[serde(default)]
    pub limits: LimitsEntry,
    /// The mesh of the node, which is asked before each cache that needs no credentials. It carries bytes, and is believed no
    /// more than a cache.
    #[serde(default)]
    pub mesh: Option<CacheWithToken>,
}

/// Without a key no signature counts, and without a cache nothing is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Section {
    /// The binary caches, in order of preference where their own priorities are equal.
    #[serde(default)]
    pub caches: Vec<CacheEntry>,
    /// Public keys whose signatures count: `NAME:BASE64`.
    #[serde(default)]
    pub trusted_keys: Vec<String>,
    /// How many different keys must have signed each path.
    #[serde(default)]
    pub required_signatures: Option<NonZeroUsize>,
    /// A file in netrc's format with user names and passwords for the caches, usually from a mounted Secret.
    #[serde(default)]
    pub netrc_file: Option<PathBuf>,
    /// Limits for the pods of each namespace with this section. Those that are not given are the file's own.
    #[serde(default)]
    pub limits: LimitsEntry,
}

/// A publish that exceeds a limit fails before anything is fetched. The defaults are those of the file's own `limits`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Limits"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LimitsEntry {
    /// Roots of a closure.
    pub roots: Option<NonZeroUsize>,
    /// Paths of a closure.
    pub paths: Option<NonZeroUsize>,
    /// NARs of a closure together.
    pub closure_size: Option<Amount>,
    /// One NAR.
    pub nar_size: Option<Amount>,
    /// Realisations of one namespace at the same time; others wait.
    pub realisations: Option<NonZeroUsize>,
    /// NARs of all closures that the volumes of one namespace hold on a node, each path counted once.
    pub disk: Option<Amount>,
}

/// A size like `20GiB`, or a share of the store's file system like `80%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(
    test,
    schemars(
        with = "String",
        title = "size (`20GiB`, bytes), or share of the store's file system (`80%`)"
    )
)]
#[serde(try_from = "AmountText")]
pub(crate) struct Amount(pub(crate) Watermark);

/// YAML takes digits alone for a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum AmountText {
    Number(u64),
    Text(String),
}

impl TryFrom<AmountText> for Amount {
    type Error = WatermarkError;

    fn try_from(text: AmountText) -> Result<Self, WatermarkError> {
        match text {
            AmountText::Number(bytes) => Ok(Self(Watermark::Bytes(bytes))),
            AmountText::Text(text) => text.parse().map(Self),
        }
    }
}

impl Amount {
    /// The bytes that this share is of a file system of this size.
    pub(crate) fn bytes(self, size: u64) -> u64 {
        match self.0 {
            Watermark::Bytes(bytes) | Watermark::Free(bytes) => bytes,
            Watermark::Percent(share) => size / 100 * u64::from(share),
        }
    }
}

/// Limits, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SectionLimits {
    pub(crate) roots: usize,
    pub(crate) paths: usize,
    pub(crate) closure_size: Amount,
    pub(crate) nar_size: Amount,
    pub(crate) realisations: usize,
    pub(crate) disk: Amount,
}

impl Default for SectionLimits {
    fn default() -> Self {
        let gib = |number: u64| Amount(Watermark::Bytes(number << 30));
        Self {
            roots: 64,
            paths: 20_000,
            closure_size: gib(64),
            nar_size: gib(32),
            realisations: 8,
            disk: Amount(Watermark::Percent(80)),
        }
    }
}

impl SectionLimits {
    /// These, but for what is given.
    pub(crate) fn with(self, given: &LimitsEntry) -> Self {
        Self {
            roots: given.roots.map_or(self.roots, NonZeroUsize::get),
            paths: given.paths.map_or(self.paths, NonZeroUsize::get),
            closure_size: given.closure_size.unwrap_or(self.closure_size),
            nar_size: given.nar_size.unwrap_or(self.nar_size),
            realisations: given
                .realisations
                .map_or(self.realisations, NonZeroUsize::get),
            disk: given.disk.unwrap_or(self.disk),
        }
    }
}

/// A cache: its URL, or more about it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum CacheEntry {
    /// The URL.
    Url(String),
    /// The URL, and how to get in.
    WithToken(CacheWithToken),
}

/// A cache that expects a bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Cache"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CacheWithToken {
    /// The URL, as `caches` has it.
    pub url: String,
    /// A file with the token, read again when it changes.
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
    limits: { closureSize: 8GiB, disk: 20%, realisations: 2 }
limits: { paths: 5000, narSize: 1000000 }
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
                limits: LimitsEntry {
                    closure_size: Some(Amount(Watermark::Bytes(8 << 30))),
                    disk: Some(Amount(Watermark::Percent(20))),
                    realisations: NonZeroUsize::new(2),
                    ..LimitsEntry::default()
                },
            }
        );
        let limits = SectionLimits::default().with(&config.limits);
        assert_eq!(
            limits.with(&config.namespaces["shop"].limits),
            SectionLimits {
                paths: 5000,
                closure_size: Amount(Watermark::Bytes(8 << 30)),
                nar_size: Amount(Watermark::Bytes(1_000_000)),
                realisations: 2,
                disk: Amount(Watermark::Percent(20)),
                ..SectionLimits::default()
            }
        );
    }

    #[test]
    fn nothing_configured_is_nothing_believed() {
        for text in [
            "defaults: { limits: { disk: 120% } }",
            "limits: { roots: 0 }",
        ] {
            assert!(
                Config::parse(Path::new("csi.yaml"), text).is_err(),
                "{text}"
            );
        }
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
    const INTRODUCTION: &str = "\
# The configuration of `niphas-csi`

A test makes this page of the types that read `csi.yaml`, the file that `--config` names. An example, and what follows from it:
[csi.md](csi.md#configuration).
";

    #[test]
    fn the_reference_page_lists_all_keys() {
        let text = |amount: Amount| match amount.0 {
            Watermark::Percent(share) => format!("{share}%"),
            Watermark::Bytes(bytes) | Watermark::Free(bytes) => format!("{}GiB", bytes >> 30),
        };
        let SectionLimits {
            roots,
            paths,
            closure_size,
            nar_size,
            realisations,
            disk,
        } = SectionLimits::default();
        let unsigned = binary_cache::TrustPolicy::from(nix_formats::PublicKeys::default());
        let defaults = [
            (
                "Section.requiredSignatures",
                unsigned.required().to_string(),
            ),
            ("Limits.roots", roots.to_string()),
            ("Limits.paths", paths.to_string()),
            ("Limits.closureSize", text(closure_size)),
            ("Limits.narSize", text(nar_size)),
            ("Limits.realisations", realisations.to_string()),
            ("Limits.disk", text(disk)),
        ];
        let schema = schemars::schema_for!(Config);
        let page = niphas_reference::settings_page(INTRODUCTION, &schema, &defaults);
        niphas_reference::assert_page("csi-yaml.md", &page);
    }
}
