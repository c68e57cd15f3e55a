//! Names with a grammar.

use std::fmt;
use std::str::FromStr;

use nix_formats::store_path::StorePathError;
use nix_formats::{StoreDir, StorePath};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What Kubernetes asks of most names (RFC 1123 subdomain).
pub(crate) const SUBDOMAIN: &str =
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// What Kubernetes asks of namespaces (RFC 1123 label).
pub(super) const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Names of hosts that routes serve; a `*` can stand for the first part.
pub(super) const HOST: &str =
    "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A rule of the CRD for annotations.
pub(super) const ANNOTATION_KEYS: (&str, &str) = (
    "self.all(key, size(key) <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
    "keys of annotations are names of at most 63 letters, digits, '-', '_' and '.', with a domain and '/' before them or not",
);

/// The same for labels.
pub(super) const LABEL_KEYS: (&str, &str) = (
    "self.all(key, size(key) <= 317 && key != 'niphas.io/workload' && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
    "keys of labels are names of at most 63 letters, digits, '-', '_' and '.', with a domain and '/' before them or not; niphas.io/workload is niphas' own",
);

/// The schema of labels.
pub(super) fn label_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        },
    })
}

/// A system as Nix names it: `<cpu>-<os>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct System(String);

/// A text that is no [`System`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a system: expected '<cpu>-<os>', like 'x86_64-linux'")]
pub struct BadSystem(pub String);

impl System {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for System {
    type Err = BadSystem;

    fn from_str(text: &str) -> Result<Self, BadSystem> {
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        match text.split_once('-') {
            Some((cpu, os)) if part(cpu) && part(os) && text.len() <= 64 => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(BadSystem(text.to_owned())),
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for System {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for System {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "System".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 64, "pattern": "^[a-z0-9_]+-[a-z0-9_]+$" })
    }
}

/// A store path under `/nix/store`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root(StorePath);

impl Root {
    /// The path.
    pub fn path(&self) -> &StorePath {
        &self.0
    }
}

impl From<StorePath> for Root {
    fn from(path: StorePath) -> Self {
        Self(path)
    }
}

impl FromStr for Root {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, StorePathError> {
        StoreDir::default().parse_canonical(text).map(Self)
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", StoreDir::default(), self.0)
    }
}

impl Serialize for Root {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Root {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Root".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 255,
            "pattern": "^/nix/store/[0-9a-df-np-sv-z]{32}-[0-9a-zA-Z+._?=-]{1,211}$",
        })
    }
}
