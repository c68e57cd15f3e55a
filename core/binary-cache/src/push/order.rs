//! In which order a cache gets to know paths.

use std::collections::{HashMap, HashSet};

use nix_formats::{NarInfo, StorePath};

use crate::source::PathInfo;

/// Which narinfos may be written: those of paths whose references are all in the cache. Paths may be told in any order.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The paths in the cache.
    there: HashSet<StorePath>,
    /// For each path that is on its way, how many of its references are not there yet.
    waits_for: HashMap<StorePath, usize>,
    referrers: HashMap<StorePath, Vec<StorePath>>,
    /// Those whose NAR is there.
    uploaded: HashMap<StorePath, NarInfo>,
}

impl Order {
    /// A path is on its way.
    pub(super) fn expect(&mut self, info: &PathInfo) {
        let mut count = 0;
        for reference in &info.references {
            if *reference != info.path && !self.there.contains(reference) {
                count += 1;
                let referrers = self.referrers.entry(reference.clone()).or_default();
                referrers.push(info.path.clone());
            }
        }
        self.waits_for.insert(info.path.clone(), count);
    }

    /// A path's NAR is in the cache: its narinfo, if it may be written.
    pub(super) fn uploaded(&mut self, narinfo: NarInfo) -> Option<NarInfo> {
        if self.waits_for.get(&narinfo.path) == Some(&0) {
            return Some(narinfo);
        }
        self.uploaded.insert(narinfo.path.clone(), narinfo);
        None
    }

    /// A path is in the cache: the narinfos that may be written now.
    pub(super) fn there(&mut self, path: &StorePath) -> Vec<NarInfo> {
        let mut ready = Vec::new();
        for referrer in self.referrers.remove(path).unwrap_or_default() {
            if let Some(count) = self.waits_for.get_mut(&referrer) {
                *count -= 1;
                if *count == 0 {
                    ready.extend(self.uploaded.remove(&referrer));
                }
            }
        }
        self.there.insert(path.clone());
        ready
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::{Compression, NarHash};

    use super::*;

    fn path(name: &str) -> StorePath {
        StorePath::from_base_name(format!("{}-{name}", "0".repeat(32))).unwrap()
    }

    fn info(name: &str, references: &[&str]) -> PathInfo {
        PathInfo {
            path: path(name),
            nar_hash: NarHash::of(b""),
            nar_size: 0,
            references: references.iter().map(|name| path(name)).collect(),
            deriver: None,
            signatures: Vec::new(),
            ca: None,
        }
    }

    fn narinfo(info: &PathInfo) -> NarInfo {
        NarInfo {
            path: info.path.clone(),
            url: String::new(),
            compression: Compression::None,
            file_hash: None,
            file_size: None,
            nar_hash: info.nar_hash,
            nar_size: 0,
            references: info.references.clone(),
            deriver: None,
            signatures: Vec::new(),
            ca: None,
        }
    }

    fn names(narinfos: impl IntoIterator<Item = NarInfo>) -> Vec<String> {
        let name = |narinfo: NarInfo| narinfo.path.name().to_owned();
        let mut names: Vec<String> = narinfos.into_iter().map(name).collect();
        names.sort();
        names
    }

    /// A refers to itself, B and C, and B to C, which may be there before or after the others are told.
    #[test]
    fn a_narinfo_waits_for_those_of_its_references() {
        let (a, b, c) = (
            info("a", &["a", "b", "c"]),
            info("b", &["c"]),
            info("c", &[]),
        );
        for late in [false, true] {
            let mut order = Order::default();
            if !late {
                assert_eq!(names(order.there(&c.path)), [""; 0]);
            }
            order.expect(&a);
            assert_eq!(names(order.uploaded(narinfo(&a))), [""; 0]);
            order.expect(&b);
            if late {
                assert_eq!(names(order.uploaded(narinfo(&b))), [""; 0]);
                order.expect(&c);
                assert_eq!(names(order.uploaded(narinfo(&c))), ["c"]);
                assert_eq!(names(order.there(&c.path)), ["b"]);
            } else {
                assert_eq!(names(order.uploaded(narinfo(&b))), ["b"]);
            }
            assert_eq!(names(order.there(&b.path)), ["a"]);
        }
    }
}
