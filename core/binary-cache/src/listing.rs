//! `.ls` listings: what files a path has, without its NAR.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use crate::caches::{Caches, Found};
use crate::error::FetchError;

/// Larger than any is: half a million files.
const MAX_SIZE: usize = 48 << 20;

/// What a cache says is in a path. It is not signed: it is for people to look at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Listing {
    /// A folder, and what is in it by name.
    Directory {
        /// By name.
        entries: BTreeMap<String, Listing>,
    },
    /// A file.
    Regular {
        /// Its size in bytes.
        #[serde(default)]
        size: u64,
        /// Whether it is executable.
        #[serde(default)]
        executable: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
    },
}

#[derive(Deserialize)]
struct File {
    root: Listing,
    version: u64,
}

/// A listing can't be had.
#[derive(Debug, Error)]
pub enum ListingError {
    /// The file.
    #[error("cannot get the listing of '{path}' from {cache}")]
    Fetch {
        /// The path.
        path: String,
        /// The cache.
        cache: String,
        /// Why.
        source: FetchError,
    },
    /// It is none.
    #[error("the listing of '{path}' from {cache} is damaged")]
    Malformed {
        /// The path.
        path: String,
        /// The cache.
        cache: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl Caches {
    /// The listing of a path from the cache that it was found in; `None` if that has none.
    pub async fn listing(&self, found: &Found) -> Result<Option<Listing>, ListingError> {
        let cache = &self.members.caches[found.index];
        let path = || found.info.path.base_name().to_owned();
        let name = format!("{}.ls", found.info.path.hash_part());
        let got = cache.transport.get(&name, MAX_SIZE, &self.members.limits);
        let failed = |source| ListingError::Fetch {
            path: path(),
            cache: cache.name.clone(),
            source,
        };
        let Some(bytes) = got.await.map_err(failed)? else {
            return Ok(None);
        };
        let listing = parse(&bytes).map_err(|source| ListingError::Malformed {
            path: path(),
            cache: cache.name.clone(),
            source,
        });
        listing.map(Some)
    }
}

fn parse(bytes: &[u8]) -> Result<Listing, serde_json::Error> {
    let File { root, version } = serde_json::from_slice(bytes)?;
    let other = |version| serde::de::Error::custom(format!("it has the version {version}, not 1"));
    if version == 1 {
        Ok(root)
    } else {
        Err(other(version))
    }
}

impl Listing {
    /// Calls `visit` with the name of everything below, relative to the path itself, whose name is empty; folders before what
    /// is in them.
    pub fn walk(&self, visit: &mut impl FnMut(&str, &Listing)) {
        fn below(listing: &Listing, name: &mut String, visit: &mut impl FnMut(&str, &Listing)) {
            visit(name, listing);
            let Listing::Directory { entries } = listing else {
                return;
            };
            let length = name.len();
            for (entry, listing) in entries {
                if length > 0 {
                    name.push('/');
                }
                name.push_str(entry);
                below(listing, name, visit);
                name.truncate(length);
            }
        }
        below(self, &mut String::new(), visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nix_lists_is_walked_in_order() {
        let text = r#"{"root":{"entries":{"bin":{"entries":{"tool":{"executable":true,"narOffset":400,"size":52,"type":"regular"}},
            "type":"directory"},"link":{"target":"bin/tool","type":"symlink"},"empty":{"type":"regular"}},"type":"directory"},"version":1}"#;
        let listing = parse(text.as_bytes()).unwrap();
        let mut seen = Vec::new();
        listing.walk(&mut |name, listing| {
            seen.push(match listing {
                Listing::Directory { .. } => format!("{name}/"),
                Listing::Regular { size, executable } => format!("{name} {size} {executable}"),
                Listing::Symlink { target } => format!("{name} -> {target}"),
            });
        });
        let expected = [
            "/",
            "bin/",
            "bin/tool 52 true",
            "empty 0 false",
            "link -> bin/tool",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_no_listing_is_refused_however_deep() {
        let nested = format!(
            r#"{{"version":1,"root":{}{}}}"#,
            r#"{"type":"directory","entries":{"a":"#.repeat(100_000),
            "}}".repeat(100_000)
        );
        for text in [
            "",
            "{}",
            "[]",
            r#"{"root":{"type":"device"},"version":1}"#,
            r#"{"root":{"type":"regular"},"version":2}"#,
            &nested,
        ] {
            assert!(parse(text.as_bytes()).is_err());
        }
    }
}
