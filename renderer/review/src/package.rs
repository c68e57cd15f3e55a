//! What two closures have of each package.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use niphas_api::{ClosureLine, ClosureLines};
use serde::Serialize;

use crate::words::{size_change, versions};

/// Smaller changes of size alone are not worth a line.
const WORTH_TELLING: u64 = 8 * 1024;

/// Endings of the store paths of outputs other than the first, in nixpkgs.
const OUTPUTS: [&str; 15] = [
    "bin", "debug", "dev", "devdoc", "devman", "dist", "doc", "info", "lib", "lib32", "lib64",
    "man", "out", "py", "static",
];

/// A package: its versions, and the bytes of all its paths.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// The versions, sorted; an empty one for names without.
    pub versions: BTreeSet<String>,
    /// The sum of the NAR sizes in bytes.
    pub nar_size: u64,
}

/// A package that is not the same before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// The name, without the version.
    pub name: String,
    /// Before; without versions if the package came.
    pub before: Package,
    /// After; without versions if the package went.
    pub after: Package,
}

impl PackageChange {
    /// Whether there is another version, not just another size.
    pub fn is_of_versions(&self) -> bool {
        self.before.versions != self.after.versions
    }

    /// Whether the size differs by enough to say so.
    pub fn is_of_size(&self) -> bool {
        self.before.nar_size.abs_diff(self.after.nar_size) >= WORTH_TELLING
    }
}

/// A line: the name, the versions before and after (`∅`: none, `ε`: no version), and by how much the size changes.
impl fmt::Display for PackageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.is_of_versions() {
            let (before, after) = (
                versions(&self.before.versions),
                versions(&self.after.versions),
            );
            parts.push(format!("{before} → {after}"));
        }
        if self.is_of_size() {
            parts.push(size_change(self.before.nar_size, self.after.nar_size));
        }
        write!(f, "{}: {}", self.name, parts.join(", "))
    }
}

/// The name's package and version, as Nix splits them: the version starts at the first dash that no letter follows. The ending of
/// an output is no part of the version.
pub fn split_name(name: &str) -> (&str, &str) {
    let bytes = name.as_bytes();
    let dash = (0..bytes.len()).find(|&index| {
        bytes[index] == b'-'
            && bytes
                .get(index + 1)
                .is_some_and(|next| !next.is_ascii_alphabetic())
    });
    let Some(dash) = dash else {
        return (name, "");
    };
    let (package, version) = (&name[..dash], &name[dash + 1..]);
    match version.rsplit_once('-') {
        Some((version, output)) if OUTPUTS.contains(&output) => (package, version),
        _ => (package, version),
    }
}

/// The packages that two closures differ in, sorted by name: those with other versions, and those whose size differs by 8 KiB or more.
pub fn compare_closures(before: &ClosureLines, after: &ClosureLines) -> Vec<PackageChange> {
    let mut touched = HashSet::new();
    differences(before, after, |line, _| {
        touched.insert(split_name(line.path.name()).0);
    });
    let before = packages(before, &touched);
    let mut after = packages(after, &touched);
    let mut changes: Vec<PackageChange> = before
        .into_iter()
        .map(|(name, before)| PackageChange {
            after: after.remove(name).unwrap_or_default(),
            name: name.to_owned(),
            before,
        })
        .collect();
    changes.extend(after.into_iter().map(|(name, after)| PackageChange {
        name: name.to_owned(),
        before: Package::default(),
        after,
    }));
    changes.retain(|change| change.is_of_versions() || change.is_of_size());
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

/// On which side a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// Says which lines are on one side alone.
fn differences<'a>(
    before: &'a ClosureLines,
    after: &'a ClosureLines,
    mut say: impl FnMut(&'a ClosureLine, Side),
) {
    let (mut before, mut after) = (before.as_slice(), after.as_slice());
    loop {
        match (before, after) {
            ([old, rest_before @ ..], [new, rest_after @ ..]) => match old.path.cmp(&new.path) {
                std::cmp::Ordering::Less => {
                    say(old, Side::Before);
                    before = rest_before;
                }
                std::cmp::Ordering::Greater => {
                    say(new, Side::After);
                    after = rest_after;
                }
                std::cmp::Ordering::Equal => {
                    if old != new {
                        say(old, Side::Before);
                        say(new, Side::After);
                    }
                    (before, after) = (rest_before, rest_after);
                }
            },
            ([old, rest @ ..], []) => {
                say(old, Side::Before);
                before = rest;
            }
            ([], [new, rest @ ..]) => {
                say(new, Side::After);
                after = rest;
            }
            ([], []) => return,
        }
    }
}

/// The packages of a closure, of those that are touched.
fn packages<'a>(closure: &'a ClosureLines, touched: &HashSet<&str>) -> BTreeMap<&'a str, Package> {
    let mut packages: BTreeMap<&str, Package> = BTreeMap::new();
    for line in closure.as_slice() {
        let (name, version) = split_name(line.path.name());
        if !touched.contains(name) {
            continue;
        }
        let package = packages.entry(name).or_default();
        if !package.versions.contains(version) {
            package.versions.insert(version.to_owned());
        }
        // The sum of a closure fits.
        package.nar_size = package.nar_size.saturating_add(line.nar_size);
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_nix_does_and_outputs_left_out() {
        assert_eq!(split_name("hello-2.12.1"), ("hello", "2.12.1"));
        assert_eq!(split_name("glibc-2.39-52-bin"), ("glibc", "2.39-52"));
        assert_eq!(split_name("font-awesome"), ("font-awesome", ""));
        assert_eq!(split_name("busybox-static"), ("busybox-static", ""));
        assert_eq!(split_name("linux-6.1-rc3"), ("linux", "6.1-rc3"));
        assert_eq!(split_name("x-1-"), ("x", "1-"));
        assert_eq!(split_name("-"), ("-", ""));
    }
}
