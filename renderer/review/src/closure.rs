//! A closure as it was and as it will be.

use std::collections::{HashMap, HashSet};

use niphas_api::ClosureLines;

use crate::package::compare_closures;
use crate::review::{ClosureChange, ClosureSize, NewPaths};

/// The lines of a closure, unless they are not what niphas writes.
pub(crate) fn read(bytes: Option<&[u8]>) -> Option<ClosureLines> {
    str::from_utf8(bytes?).ok()?.parse().ok()
}

pub(crate) fn compare(
    before: Option<&ClosureLines>,
    after: Option<&ClosureLines>,
) -> ClosureChange {
    let size = |lines: &ClosureLines| ClosureSize {
        paths: lines.path_count(),
        nar_size: lines.nar_size(),
    };
    let packages = match (before, after) {
        (Some(before), Some(after)) => compare_closures(before, after),
        _ => Vec::new(),
    };
    ClosureChange {
        before: before.map(size),
        after: after.map(size),
        packages,
    }
}

/// The store paths of one system in all changed closures.
#[derive(Default)]
pub(crate) struct Paths {
    before: HashSet<[u8; 20]>,
    after: HashMap<[u8; 20], u64>,
}

impl Paths {
    pub(crate) fn add(&mut self, before: Option<&ClosureLines>, after: Option<&ClosureLines>) {
        let before = before.map_or(&[][..], ClosureLines::as_slice);
        let after = after.map_or(&[][..], ClosureLines::as_slice);
        self.before
            .extend(before.iter().map(|line| line.path.hash_bytes()));
        self.after.extend(
            after
                .iter()
                .map(|line| (line.path.hash_bytes(), line.nar_size)),
        );
    }

    /// Those that come.
    pub(crate) fn new_paths(&self) -> NewPaths {
        let mut new = NewPaths::default();
        for (path, nar_size) in &self.after {
            if !self.before.contains(path) {
                new.paths += 1;
                new.nar_size = new.nar_size.saturating_add(*nar_size);
            }
        }
        new
    }
}
