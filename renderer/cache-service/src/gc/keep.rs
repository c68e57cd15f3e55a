//! Which paths stay. Pure.

use std::collections::BTreeSet;
use std::time::SystemTime;

use nix_formats::StorePath;

use super::Options;
use super::index::Index;

/// For each entry whether it stays; and roots that the cache does not have.
pub(super) fn kept(
    index: &Index,
    roots: &BTreeSet<StorePath>,
    options: &Options,
    now: SystemTime,
) -> (Vec<bool>, Vec<StorePath>) {
    let mut kept = vec![false; index.entries.len()];
    let mut missing = Vec::new();
    for root in roots {
        match index.find(root) {
            Some(number) => drop(mark(index, number, &mut kept)),
            None => missing.push(root.clone()),
        }
    }
    let mut by_age = Vec::new();
    for (number, entry) in index.entries.iter().enumerate() {
        let Some(file) = &entry.file else { continue };
        // A clock that was set back makes nothing old.
        let age = now.duration_since(file.modified).unwrap_or_default();
        if age < options.min_age {
            mark(index, number as u32, &mut kept);
        } else {
            by_age.push((age, number as u32));
        }
    }
    by_age.sort_unstable();
    let mut left = options.keep_bytes;
    for (_, number) in by_age {
        if kept[number as usize] {
            continue;
        }
        let mut with_this = Vec::new();
        let needed = mark_into(index, number, &mut kept, &mut with_this);
        let Some(rest) = left.checked_sub(needed) else {
            // The newest stay; what is older than the first that does not fit goes.
            for number in with_this {
                kept[number as usize] = false;
            }
            break;
        };
        left = rest;
    }
    (kept, missing)
}

/// A path stays with all that it refers to. Gives the bytes of what did not stay before.
fn mark(index: &Index, number: u32, kept: &mut [bool]) -> u64 {
    mark_into(index, number, kept, &mut Vec::new())
}

fn mark_into(index: &Index, number: u32, kept: &mut [bool], marked: &mut Vec<u32>) -> u64 {
    let (mut bytes, mut left) = (0_u64, vec![number]);
    while let Some(number) = left.pop() {
        if std::mem::replace(&mut kept[number as usize], true) {
            continue;
        }
        marked.push(number);
        let entry = &index.entries[number as usize];
        let size = entry.file.as_ref().map_or(0, |file| file.file_size);
        bytes = bytes.saturating_add(size);
        left.extend(&entry.references);
    }
    bytes
}
