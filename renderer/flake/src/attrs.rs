//! Attributes of an input: the flat, typed map that a flake reference is made of.

use std::collections::BTreeMap;
use std::fmt;

use niphas_http::redacted;
use serde::{Deserialize, Serialize};

use crate::error::RefError;

/// One attribute's value. Lock files, `fetchTree` and flake references know no other kinds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Attr {
    /// `"…"`
    String(String),
    /// A number that is not negative.
    Int(u64),
    /// `true` or `false`
    Bool(bool),
}

impl fmt::Debug for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => fmt::Debug::fmt(&redacted(text), f),
            Self::Int(number) => fmt::Debug::fmt(number, f),
            Self::Bool(flag) => fmt::Debug::fmt(flag, f),
        }
    }
}

impl From<&str> for Attr {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Attr {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<u64> for Attr {
    fn from(value: u64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Attr {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// A map of attributes, sorted by name: its JSON is what lock files hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attrs(BTreeMap<String, Attr>);

impl Attrs {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name`, whatever it was.
    pub fn set(&mut self, name: &str, value: impl Into<Attr>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets `name` unless it is there.
    pub(crate) fn set_if_absent(&mut self, name: &str, value: impl Into<Attr>) {
        self.0
            .entry(name.to_owned())
            .or_insert_with(|| value.into());
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Attr> {
        self.0.remove(name)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.0.get(name)
    }

    /// Whether `name` is there.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attr)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// `name` as a string, if it is there.
    pub fn string(&self, name: &str) -> Result<Option<&str>, RefError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Attr::String(value)) => Ok(Some(value)),
            Some(_) => Err(RefError::AttrNotString {
                name: name.to_owned(),
                attrs: self.to_json(),
            }),
        }
    }

    /// `name` as a string, which must be there.
    pub fn required_string(&self, name: &str) -> Result<&str, RefError> {
        self.string(name)?
            .ok_or_else(|| RefError::AttrMissing(name.to_owned()))
    }

    /// `name` as a number, if it is there.
    pub fn int(&self, name: &str) -> Result<Option<u64>, RefError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Attr::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(RefError::AttrNotInt(name.to_owned())),
        }
    }

    /// `name` as a Boolean, if it is there.
    pub fn bool(&self, name: &str) -> Result<Option<bool>, RefError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Attr::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(RefError::AttrNotBool(name.to_owned())),
        }
    }

    /// Compact JSON for messages: what is secret in URLs is left out. To keep attributes, serialise them.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string(self);
        redacted(&json.expect("a map of strings, numbers and Booleans is JSON"))
    }
}

impl<K: Into<String>, V: Into<Attr>> FromIterator<(K, V)> for Attrs {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        Self(
            iter.into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl IntoIterator for Attrs {
    type Item = (String, Attr);
    type IntoIter = std::collections::btree_map::IntoIter<String, Attr>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
