//! Paths of inputs, as in `follows` and `--override-input`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::RefError;
use crate::flake_ref::is_flake_id;

/// Which input of which input …, from the top flake.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputPath(pub Vec<String>);

impl InputPath {
    /// Parses `a/b`.
    pub fn parse(text: &str) -> Result<Self, RefError> {
        text.split('/')
            .filter(|element| !element.is_empty())
            .map(|element| {
                if is_flake_id(element) {
                    Ok(element.to_owned())
                } else {
                    Err(RefError::InputPathElement(element.to_owned()))
                }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// This path and one step more.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut elements = self.0.clone();
        elements.push(name.to_owned());
        Self(elements)
    }

    /// This path, then that.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The path without its last step, and that step.
    pub(crate) fn split_last(&self) -> Option<(&[String], &str)> {
        self.0
            .split_last()
            .map(|(last, rest)| (rest, last.as_str()))
    }
}

impl fmt::Display for InputPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}
