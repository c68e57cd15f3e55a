//! Patterns of names.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// A pattern of derivations' names, in which `*` stands for any characters, also none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pattern(String);

/// A text that is no [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no pattern of names: expected at most 211 letters, digits, '+-._?=' and '*'")]
pub struct BadPattern(String);

impl Pattern {
    /// Whether a name is one of those. Takes time in proportion to both lengths at most.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=*".contains(&byte);
        if text.is_empty()
            || text.len() > nix_formats::store_path::MAX_NAME_LEN
            || !text.bytes().all(legal)
        {
            return Err(BadPattern(nix_formats::shortened(text, 64).into_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_star_stands_for_any_characters() {
        let matches = |pattern: &str, name| pattern.parse::<Pattern>().unwrap().matches(name);
        for (pattern, name) in [
            ("*", "x"),
            ("gcc-*", "gcc-14.2"),
            ("*-vm", "test-vm"),
            ("a*b*c", "abc"),
            ("a*b*c", "a1b2b3c"),
            ("gcc", "gcc"),
            ("*gcc*", "gcc"),
            ("a*a", "aa"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("gcc-*", "xgcc-1"),
            ("gcc", "gcc-1"),
            ("*-vm", "vm"),
            ("a*b*c", "acb"),
            ("a*a", "a"),
            ("a*bb*b", "abb"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        for wrong in ["", "a b", "a/b", &"a".repeat(212)] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }
}
