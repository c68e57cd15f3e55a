//! Names that stand in names of objects and in paths that GitOps tools read.

use std::fmt;
use std::str::FromStr;

/// The name of an environment: also that of its folder in the GitOps repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentName(String);

/// A text that is no [`EnvironmentName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be the name of an environment: {reason}")]
pub struct BadEnvironmentName {
    name: String,
    reason: &'static str,
}

impl FromStr for EnvironmentName {
    type Err = BadEnvironmentName;

    fn from_str(name: &str) -> Result<Self, BadEnvironmentName> {
        let name = name.to_owned();
        match why_bad_name(&name) {
            None => Ok(Self(name)),
            Some(reason) => Err(BadEnvironmentName { name, reason }),
        }
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name of at most 63 lower-case letters, digits and `-`, as Kubernetes wants it of namespaces (RFC 1123).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

/// A text that is no [`Label`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be a name: {reason}")]
pub struct BadLabel {
    name: String,
    reason: &'static str,
}

impl FromStr for Label {
    type Err = BadLabel;

    fn from_str(name: &str) -> Result<Self, BadLabel> {
        let name = name.to_owned();
        match why_no_label(&name) {
            None => Ok(Self(name)),
            Some(reason) => Err(BadLabel { name, reason }),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name cannot stand in names of objects and in paths that GitOps tools read.
pub(crate) fn why_bad_name(name: &str) -> Option<&'static str> {
    match name {
        "templates" => Some("Fleet reads a folder of this name as Helm templates"),
        _ => why_no_label(name),
    }
}

pub(crate) fn why_no_label(name: &str) -> Option<&'static str> {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let label = bytes.len() <= 63
        && bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric)
        && bytes.iter().all(|&b| alphanumeric(b) || b == b'-');
    (!label).then_some(
        "expected at most 63 lower-case letters, digits and '-', the latter not at its ends",
    )
}
