//! The roots of a closure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter::{Chain, Once, once};
use std::slice;

use nix_formats::StorePath;
use nix_formats::store_path::StorePathError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::view_name::ViewName;

/// The store paths that a closure is asked for by: at least one, the program's first; and names that the view has for some of
/// them. In files they are a list of base names, each with `<name>=` before it or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Roots {
    first: StorePath,
    others: Vec<StorePath>,
    names: BTreeMap<ViewName, StorePath>,
}

/// A text that is no root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoot {
    /// Not a store path's base name, with a name before it or not.
    #[error("{0}")]
    Path(#[from] StorePathError),
    /// Two roots have one name.
    #[error("two roots have the name {0}")]
    NameTwice(ViewName),
    /// There is none.
    #[error(transparent)]
    NoRoots(#[from] NoRoots),
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

    /// The same roots with names for some of them in the view; a path that is no root becomes one.
    #[must_use]
    pub fn with_names(mut self, names: BTreeMap<ViewName, StorePath>) -> Self {
        let is_named = |path: &StorePath| names.values().any(|named| named == path);
        self.others.retain(|path| !is_named(path));
        // As they are read again.
        for path in names.values() {
            if !self.iter().any(|root| root == path) {
                self.others.push(path.clone());
            }
        }
        self.names = names;
        self
    }

    /// The roots that have names in the view: `/nix/roots/<name>` leads to them.
    pub fn names(&self) -> impl Iterator<Item = (&ViewName, &StorePath)> {
        self.names.iter()
    }

    /// What tells the view of these roots from others of the same closure, in one text: the first root's base name, and the
    /// names with theirs.
    pub fn view(&self) -> Cow<'_, str> {
        let first = self.first.base_name();
        if self.names.is_empty() {
            return first.into();
        }
        let names = self.names.iter();
        let named = names.map(|(name, path)| format!(" {name}={}", path.base_name()));
        format!("{first}{}", named.collect::<String>()).into()
    }

    /// Each root as a text: `<base name>`, or `<name>=<base name>` for each of its names.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = vec![self.first.base_name().to_owned()];
        for root in &self.others {
            if !self.names.values().any(|path| path == root) {
                texts.push(root.base_name().to_owned());
            }
        }
        let names = self.names.iter();
        texts.extend(names.map(|(name, path)| format!("{name}={}", path.base_name())));
        texts
    }

    /// Reads such texts. On an error, says at which.
    pub(crate) fn parse<'t>(
        texts: impl Iterator<Item = &'t str>,
    ) -> Result<Self, (&'t str, BadRoot)> {
        let mut paths: Vec<StorePath> = Vec::new();
        let mut names = BTreeMap::new();
        for text in texts {
            // A hash is longer than a name, so what stands before a `=` is one or the other.
            let (name, base_name) = match text.split_once('=') {
                Some((name, base_name)) => match name.parse::<ViewName>() {
                    Ok(name) => (Some(name), base_name),
                    Err(_) => (None, text),
                },
                None => (None, text),
            };
            let path =
                StorePath::from_base_name(base_name).map_err(|error| (text, error.into()))?;
            let is_plain = name.is_none();
            if let Some(name) = name
                && names.insert(name.clone(), path.clone()).is_some()
            {
                return Err((text, BadRoot::NameTwice(name)));
            }
            if is_plain || !paths.contains(&path) {
                paths.push(path);
            }
        }
        let roots = Self::try_from(paths).map_err(|error| ("", error.into()))?;
        Ok(Self { names, ..roots })
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
            names: BTreeMap::new(),
        }
    }
}

impl TryFrom<Vec<StorePath>> for Roots {
    type Error = NoRoots;

    fn try_from(roots: Vec<StorePath>) -> Result<Self, NoRoots> {
        let mut roots = roots.into_iter();
        let first = roots.next().ok_or(NoRoots)?;
        let others = roots.collect();
        Ok(Self {
            first,
            others,
            names: BTreeMap::new(),
        })
    }
}

impl Serialize for Roots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.texts())
    }
}

impl<'de> Deserialize<'de> for Roots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Self::parse(texts.iter().map(String::as_str))
            .map_err(|(_, error)| serde::de::Error::custom(error))
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

    #[test]
    fn names_stand_before_the_roots_that_they_lead_to() {
        let [web, conf] = [WEB, CONF].map(|name| StorePath::from_base_name(name).unwrap());
        let name = |text: &str| text.parse::<ViewName>().unwrap();
        let names = [(name("conf"), conf.clone()), (name("self"), web.clone())];
        let roots = Roots::from(web.clone()).with_names(names.into());
        assert!(roots.iter().eq([&web, &conf]));
        let text = serde_json::to_string(&roots).unwrap();
        assert_eq!(text, format!(r#"["{WEB}","conf={CONF}","self={WEB}"]"#));
        assert_eq!(serde_json::from_str::<Roots>(&text).unwrap(), roots);
        assert_eq!(roots.view(), format!("{WEB} conf={CONF} self={WEB}"));
        assert_eq!(Roots::from(web).view(), WEB);

        let twice = format!("a={CONF} a={WEB}");
        let error = Roots::parse(twice.split(' ')).unwrap_err();
        assert_eq!(error.1, BadRoot::NameTwice(name("a")));
        for wrong in ["A=", "a-=", "=", "a=b="] {
            let text = format!("{wrong}{WEB}");
            assert!(
                matches!(
                    Roots::parse([text.as_str()].into_iter()),
                    Err((_, BadRoot::Path(_)))
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn store_paths_with_an_equals_sign_have_no_name() {
        let odd = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-a=b";
        let roots = Roots::parse([odd].into_iter()).unwrap();
        assert_eq!(roots.first().base_name(), odd);
        assert_eq!(roots.names().count(), 0);
    }
}
