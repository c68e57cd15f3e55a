//! `niphas cache why-depends`

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::process::ExitCode;

use niphas_cache_args::CacheArgs;
use niphas_terminal::{OutputFormat, say};
use nix_formats::StorePath;
use serde_json::json;

use super::installables::InstallableArgs;
use super::runtime;
use super::sources::closure;
use crate::failure::Failure;

/// Show why a path needs another: the shortest way through its references
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas cache why-depends --cache https://cache.example.org --key-file cache.public ./result /nix/store/…-perl
  niphas cache why-depends --cache file:///srv/cache --key-file cache.public ./result perl
Exit codes: 0 it does; 1 it does not; 2 something went wrong.")]
pub(crate) struct Args {
    /// The path whose closure is looked at: a store path, a link to one, or an output of a flake such as .#api
    path: String,
    /// What it may need: a store path, an output of a flake, or a part of the name of a path
    dependency: String,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    installables: InstallableArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = self.caches.open()?;
        let store_dir = caches.store_dir();
        let root = self.installables.store_path(store_dir, &self.path)?;
        let found = runtime()?.block_on(closure(&caches, std::slice::from_ref(&root)))?;
        let references: BTreeMap<&StorePath, Vec<&StorePath>> = found
            .paths
            .iter()
            .map(|found| (&found.info.path, found.info.references.iter().collect()))
            .collect();
        let is_wanted: Box<dyn Fn(&StorePath) -> bool> = if self.dependency.contains(['/', '#']) {
            let dependency = self.installables.store_path(store_dir, &self.dependency)?;
            Box::new(move |path| *path == dependency)
        } else {
            Box::new(|path| path.name().contains(&self.dependency))
        };
        let way = shortest(&root, &references, &*is_wanted);
        match self.output {
            OutputFormat::Json => {
                let way = way.as_ref().map(|way| {
                    let way = way.iter().map(|path| store_dir.print(path));
                    way.collect::<Vec<_>>()
                });
                say!("{}", json!({ "depends": way.is_some(), "path": way }));
            }
            OutputFormat::Text => match &way {
                Some(way) => {
                    for (depth, path) in way.iter().enumerate() {
                        let arrow = if depth == 0 { "" } else { "└─ " };
                        let indent = "   ".repeat(depth.saturating_sub(1));
                        say!("{indent}{arrow}{}", store_dir.print(path));
                    }
                }
                None => say!(
                    "'{}' does not depend on '{}'",
                    store_dir.print(&root),
                    self.dependency
                ),
            },
        }
        Ok(if way.is_some() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// The shortest way from `root` to one of the paths, both ends included;
/// of several the first by name.
fn shortest<'a>(
    root: &'a StorePath,
    references: &BTreeMap<&'a StorePath, Vec<&'a StorePath>>,
    is_wanted: &dyn Fn(&StorePath) -> bool,
) -> Option<Vec<&'a StorePath>> {
    let mut came_from: HashMap<&StorePath, Option<&StorePath>> = HashMap::from([(root, None)]);
    let mut queue = VecDeque::from([root]);
    while let Some(path) = queue.pop_front() {
        if is_wanted(path) {
            let steps = std::iter::successors(Some(path), |path| came_from[path]);
            let mut way: Vec<_> = steps.collect();
            way.reverse();
            return Some(way);
        }
        for reference in references.get(path).into_iter().flatten() {
            came_from.entry(reference).or_insert_with(|| {
                queue.push_back(reference);
                Some(path)
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        StorePath::from_parts([name.as_bytes()[0]; 20], name).unwrap()
    }

    #[test]
    fn the_shortest_way_is_found() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(path);
        let references = BTreeMap::from([
            (&a, vec![&a, &b, &c]),
            (&b, vec![&c]),
            (&c, vec![&d]),
            (&d, vec![]),
        ]);
        let to = |wanted: &StorePath| shortest(&a, &references, &|path| path == wanted);
        assert_eq!(to(&d), Some(vec![&a, &c, &d]));
        assert_eq!(to(&a), Some(vec![&a]));
        assert_eq!(to(&path("e")), None);
    }
}
