//! `niphas cache diff`

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use binary_cache::Closure;
use niphas_cache_args::CacheArgs;
use niphas_terminal::{OutputFormat, say, size};
use serde_json::json;

use super::installables::InstallableArgs;
use super::runtime;
use super::sources::closure;
use crate::failure::Failure;

/// Compare two closures, package by package: versions and sizes
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas cache diff --cache https://cache.example.org --key-file cache.public /nix/store/…-app-1 /nix/store/…-app-2
A line is a package: its versions before and after (∅: none, ε: no version), and the change of its size if it is 8 KiB or more.
Exit codes: 0 the closures are the same; 1 they differ; 2 something went wrong.")]
pub(crate) struct Args {
    /// The path before: a store path, a link to one, or an output of a flake such as .#api
    before: String,
    /// The path after
    after: String,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    installables: InstallableArgs,
}

/// Smaller changes of size alone are not worth a line.
const WORTH_TELLING: u64 = 8 * 1024;

/// A package: its versions, and the bytes of all its paths.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Package {
    versions: BTreeSet<String>,
    size: u64,
}

/// A package that is not the same before and after.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    name: String,
    before: Package,
    after: Package,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = self.caches.open()?;
        let paths = |path: &String| {
            let paths = std::slice::from_ref(path);
            self.installables.store_paths(caches.store_dir(), paths)
        };
        let (before, after) = (paths(&self.before)?, paths(&self.after)?);
        let (before, after) = runtime()?.block_on(async {
            let before = closure(&caches, &before).await?;
            Ok::<_, Failure>((before, closure(&caches, &after).await?))
        })?;
        let same = before
            .paths
            .iter()
            .map(|found| (&found.info.path, found.info.nar_hash))
            .eq(after
                .paths
                .iter()
                .map(|found| (&found.info.path, found.info.nar_hash)));
        let changes = compare(packages(&before), packages(&after));
        match self.output {
            OutputFormat::Json => {
                let changes: Vec<_> = changes
                    .iter()
                    .map(|change| {
                        let package = |package: &Package| json!({ "versions": package.versions, "narSize": package.size });
                        json!({
                            "name": change.name,
                            "before": package(&change.before),
                            "after": package(&change.after),
                        })
                    })
                    .collect();
                say!(
                    "{}",
                    json!({
                        "same": same,
                        "before": { "paths": before.paths.len(), "narSize": before.nar_size() },
                        "after": { "paths": after.paths.len(), "narSize": after.nar_size() },
                        "changes": changes,
                    })
                );
            }
            OutputFormat::Text => {
                for change in &changes {
                    say!("{}", line(change));
                }
                say!(
                    "{} paths, {} → {} paths, {} ({})",
                    before.paths.len(),
                    size(before.nar_size()),
                    after.paths.len(),
                    size(after.nar_size()),
                    difference(before.nar_size(), after.nar_size())
                );
            }
        }
        Ok(if same {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn packages(closure: &Closure) -> BTreeMap<String, Package> {
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for found in &closure.paths {
        let (name, version) = split(found.info.path.name());
        let package = packages.entry(name.to_owned()).or_default();
        package.versions.insert(version.to_owned());
        package.size = package.size.saturating_add(found.info.nar_size);
    }
    packages
}

/// A name's package and version, as Nix splits them: the version starts at the
/// first dash that no letter follows. Outputs other than the first have
/// endings, which belong to the version there.
fn split(name: &str) -> (&str, &str) {
    let bytes = name.as_bytes();
    let dash = (0..bytes.len()).find(|&index| {
        bytes[index] == b'-'
            && bytes
                .get(index + 1)
                .is_some_and(|next| !next.is_ascii_alphabetic())
    });
    dash.map_or((name, ""), |dash| (&name[..dash], &name[dash + 1..]))
}

fn compare(before: BTreeMap<String, Package>, mut after: BTreeMap<String, Package>) -> Vec<Change> {
    let mut changes: Vec<Change> = before
        .into_iter()
        .map(|(name, before)| Change {
            after: after.remove(&name).unwrap_or_default(),
            name,
            before,
        })
        .collect();
    changes.extend(after.into_iter().map(|(name, after)| Change {
        name,
        before: Package::default(),
        after,
    }));
    changes.retain(|change| {
        change.before.versions != change.after.versions
            || change.before.size.abs_diff(change.after.size) >= WORTH_TELLING
    });
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

fn line(change: &Change) -> String {
    let versions = |package: &Package| -> String {
        if package.versions.is_empty() {
            return "∅".to_owned();
        }
        let versions = package.versions.iter();
        let shown = versions.map(|version| if version.is_empty() { "ε" } else { version });
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut parts = Vec::new();
    if change.before.versions != change.after.versions {
        parts.push(format!(
            "{} → {}",
            versions(&change.before),
            versions(&change.after)
        ));
    }
    if change.before.size.abs_diff(change.after.size) >= WORTH_TELLING {
        parts.push(difference(change.before.size, change.after.size));
    }
    format!("{}: {}", change.name, parts.join(", "))
}

fn difference(before: u64, after: u64) -> String {
    let sign = if after < before { "-" } else { "+" };
    format!("{sign}{}", size(before.abs_diff(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(versions: &[&str], size: u64) -> Package {
        Package {
            versions: versions.iter().map(|&version| version.to_owned()).collect(),
            size,
        }
    }

    #[test]
    fn names_are_split_as_nix_does() {
        assert_eq!(split("hello-2.12.1"), ("hello", "2.12.1"));
        assert_eq!(split("glibc-2.39-52-bin"), ("glibc", "2.39-52-bin"));
        assert_eq!(split("font-awesome"), ("font-awesome", ""));
    }

    #[test]
    fn packages_are_compared_by_version_and_size() {
        let before = BTreeMap::from([
            ("bash".to_owned(), package(&["5.1"], 1 << 20)),
            ("gone".to_owned(), package(&[""], 100)),
            ("grown".to_owned(), package(&["1"], 10)),
            ("same".to_owned(), package(&["1"], 5)),
        ]);
        let after = BTreeMap::from([
            ("bash".to_owned(), package(&["5.2", "5.1"], 3 << 20)),
            ("grown".to_owned(), package(&["1"], 10_000)),
            ("new".to_owned(), package(&["1"], 5)),
            ("same".to_owned(), package(&["1"], 6)),
        ]);
        let lines: Vec<_> = compare(before, after).iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "bash: 5.1 → 5.1, 5.2, +2.0 MiB",
                "gone: ε → ∅",
                "grown: +9.8 KiB",
                "new: ∅ → 1",
            ]
        );
    }
}
