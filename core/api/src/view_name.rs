//! Names of roots in the view.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// The longest name: shorter than a store path's hash, so that the two cannot be taken for each other.
const MAX_LENGTH: usize = 31;

/// What a root is called in the view: `/nix/roots/<name>` leads to it. It is also the name of the container that it runs in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ViewName(String);

/// A text that is no [`ViewName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a root: expected at most {MAX_LENGTH} lower-case letters, digits and '-', the first and last no '-'"
)]
pub struct BadViewName(pub String);

impl ViewName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ViewName {
    type Err = BadViewName;

    fn from_str(text: &str) -> Result<Self, BadViewName> {
        let is_alphanumeric = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        let bytes = text.as_bytes();
        let fits = text.len() <= MAX_LENGTH
            && bytes.first().copied().is_some_and(is_alphanumeric)
            && bytes.last().copied().is_some_and(is_alphanumeric)
            && bytes
                .iter()
                .all(|&byte| is_alphanumeric(byte) || byte == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadViewName(text.to_owned()))
        }
    }
}

impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ViewName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ViewName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ViewName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": MAX_LENGTH, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" })
    }
}
