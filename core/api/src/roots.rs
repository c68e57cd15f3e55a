//! The roots of a closure.

use std::iter::{Chain, Once, once};
use std::slice;

use nix_formats::StorePath;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The store paths that a closure is asked for by: at least one, the program's first. In files they are a list of base names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Roots {
    first: StorePath,
    others: Vec<StorePath>,
}

/// A list of roots is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a closure needs at least one root")]
pub struct NoRoots;

impl Roots {
    /// The program's path, which [`VIEW_ROOT`](crate::VIEW_ROOT) leads to.
    pub fn first(&self) -> &StorePath {
        &self.first
    }

    /// All roots, the program's first.
    pub fn iter(&self) -> impl Iterator<Item = &StorePath> {
        self.into_iter()
    }

    /// How many roots there are.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }
}

impl<'a> IntoIterator for &'a Roots {
    type Item = &'a StorePath;
    type IntoIter = Chain<Once<&'a StorePath>, slice::Iter<'a, StorePath>>;

    fn into_iter(self) -> Self::IntoIter {
        once(&self.first).chain(&self.others)
    }
}

impl From<StorePath> for Roots {
    fn from(first: StorePath) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }
}

impl TryFrom<Vec<StorePath>> for Roots {
    type Error = NoRoots;

    fn try_from(roots: Vec<StorePath>) -> Result<Self, NoRoots> {
        let mut roots = roots.into_iter();
        let first = roots.next().ok_or(NoRoots)?;
        let others = roots.collect();
        Ok(Self { first, others })
    }
}

impl Serialize for Roots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(StorePath::base_name))
    }
}

impl<'de> Deserialize<'de> for Roots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let paths = names.iter().map(StorePath::from_base_name);
        let paths: Vec<_> = paths
            .collect::<Result<_, _>>()
            .map_err(serde::de::Error::custom)?;
        Self::try_from(paths).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
    const CONF: &str = "9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-web.conf";

    #[test]
    fn roots_keep_their_order_and_are_never_none() {
        let paths = [CONF, WEB].map(|name| StorePath::from_base_name(name).unwrap());
        let roots = Roots::try_from(paths.to_vec()).unwrap();
        assert_eq!(roots.first(), &paths[0]);
        assert!(roots.iter().eq(&paths));
        assert_eq!(roots.count(), 2);
        assert_eq!(Roots::try_from(Vec::new()), Err(NoRoots));

        let text = serde_json::to_string(&roots).unwrap();
        assert_eq!(text, format!(r#"["{CONF}","{WEB}"]"#));
        assert_eq!(serde_json::from_str::<Roots>(&text).unwrap(), roots);
        let error = serde_json::from_str::<Roots>("[]").unwrap_err();
        assert_eq!(error.to_string(), NoRoots.to_string());
    }
}
