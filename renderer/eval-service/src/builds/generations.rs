//! What the last commits of sources need: it stays in the cache, also when no workload of this cluster runs it.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use niphas_cache_service::gc::newest_generations;
use nix_formats::StorePath;
use serde::{Deserialize, Serialize};

use super::durations::write;
use super::records::{folders, keep_only};
use crate::queue::Key;

/// The most bytes of a file.
const MOST_BYTES: u64 = 16 << 20;

/// The generations of all sources: a file for each.
#[derive(Debug)]
pub(crate) struct Generations {
    folder: PathBuf,
    /// How many of each source stay.
    keep: usize,
    writing: Mutex<()>,
}

/// What one source rendered, the newest first: the base names of paths.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfSource {
    generations: Vec<BTreeSet<String>>,
}

impl Generations {
    pub(super) fn new(folder: PathBuf, keep: usize) -> Self {
        Self {
            folder,
            keep,
            writing: Mutex::default(),
        }
    }

    fn file(&self, source: &Key) -> PathBuf {
        self.folder.join(&source.namespace).join(&source.name)
    }

    /// Notes what a run of a source renders. One that was there before becomes the newest. Blocks.
    pub(crate) fn note(&self, source: &Key, roots: &BTreeSet<StorePath>) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let roots: BTreeSet<String> = roots.iter().map(|it| it.base_name().to_owned()).collect();
        let file = self.file(source).join(FILE);
        let OfSource { mut generations } = read(&file)?;
        if generations.first() == Some(&roots) {
            return Ok(());
        }
        generations.retain(|generation| *generation != roots);
        generations.insert(0, roots);
        generations.truncate(self.keep);
        fs::create_dir_all(self.file(source))?;
        let text = serde_json::to_string(&OfSource { generations })?;
        write(&file, &text)
    }

    /// All that the last generations of all sources need. An error if one cannot be read: what it needs is not known. Blocks.
    pub(super) fn roots(&self) -> io::Result<BTreeSet<StorePath>> {
        let mut roots = BTreeSet::new();
        for (_, of_namespace) in folders(&self.folder)? {
            for (_, of_source) in folders(&of_namespace)? {
                let OfSource { generations } = read(&of_source.join(FILE))?;
                let mut paths = Vec::with_capacity(generations.len());
                for generation in generations {
                    let names = generation.into_iter().map(StorePath::from_base_name);
                    let names = names.collect::<Result<Vec<_>, _>>();
                    paths.push(names.map_err(io::Error::other)?);
                }
                roots.extend(newest_generations(&paths, self.keep));
            }
        }
        Ok(roots)
    }

    /// Forgets all sources but these. Blocks.
    pub(crate) fn keep_only(&self, sources: &HashSet<Key>) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        keep_only(&self.folder, sources)
    }
}

/// The file of a source, in a folder of its own.
const FILE: &str = "generations.json";

fn read(file: &Path) -> io::Result<OfSource> {
    let mut text = Vec::new();
    match regular_file::open_no_follow(file) {
        Ok(file) => file.take(MOST_BYTES).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(OfSource::default()),
        Err(error) => return Err(error),
    };
    let of_source = serde_json::from_slice(&text);
    of_source.map_err(|error| {
        let message = format!("failed to read '{}': {error}", file.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use niphas_cache_service::gc::{Options, collect};
    use nix_formats::{SecretKey, StoreDir};

    use super::*;
    use crate::builds::push::Target;
    use crate::builds::push::tests::text;

    fn key(name: &str) -> Key {
        Key {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn path(name: &str) -> StorePath {
        let hash = nix_formats::HashAlgorithm::Sha256.digest(name.as_bytes());
        let bytes: [u8; 20] = hash.as_bytes()[..20].try_into().unwrap();
        StorePath::from_parts(bytes, name).unwrap()
    }

    /// The names of what a cache has.
    fn names(cache: &Path, all: &[&str]) -> Vec<String> {
        let is_there = |name: &&&str| {
            let file = format!("{}.narinfo", path(name).hash_part());
            cache.join(file).exists()
        };
        all.iter()
            .filter(is_there)
            .map(ToString::to_string)
            .collect()
    }

    #[tokio::test]
    async fn the_last_generations_stay_and_the_rest_goes_by_size() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        let target = Target {
            url: format!("file://{}", cache.display()).parse().unwrap(),
            keys: Arc::new([SecretKey::from_seed("builds-1", [7; 32])]),
        };
        target.begin().await.unwrap();
        let all = ["a-1", "a-2", "a-3", "a-4", "b-1", "old", "older"];
        for name in all {
            let (source, info) = text(&path(name), 4096);
            target.push(source, vec![info]).await.unwrap();
            let file = cache.join(format!("{}.narinfo", path(name).hash_part()));
            let age = if name == "older" { 7200 } else { 3600 };
            let then = std::time::SystemTime::now() - Duration::from_secs(age);
            let file = fs::File::options().append(true).open(file).unwrap();
            file.set_modified(then).unwrap();
        }
        let generations = Generations::new(folder.path().join("generations"), 2);
        for name in ["a-1", "a-2", "a-3", "a-4", "a-3"] {
            generations.note(&key("a"), &[path(name)].into()).unwrap();
        }
        generations.note(&key("b"), &[path("b-1")].into()).unwrap();
        let garbage = |keep_bytes| {
            let options = Options {
                min_age: Duration::ZERO,
                patience: Duration::from_secs(2),
                ..Options::new(StoreDir::default(), keep_bytes)
            };
            collect(&cache, &generations.roots().unwrap(), &options).unwrap()
        };
        assert_eq!(garbage(1 << 20).removed_paths, 0, "there is room for all");
        // Room for three of those that nothing needs: the oldest goes.
        let nars = fs::read_dir(cache.join("nar")).unwrap();
        let sizes = nars.map(|nar| nar.unwrap().metadata().unwrap().len());
        garbage(3 * sizes.max().unwrap());
        assert_eq!(
            names(&cache, &all),
            ["a-1", "a-2", "a-3", "a-4", "b-1", "old"]
        );
        garbage(0);
        assert_eq!(names(&cache, &all), ["a-3", "a-4", "b-1"]);
        // A source that is gone needs nothing.
        generations.keep_only(&[key("b")].into()).unwrap();
        garbage(0);
        assert_eq!(names(&cache, &all), ["b-1"]);
        // What cannot be read might need anything.
        fs::write(folder.path().join("generations/shop/b").join(FILE), "{").unwrap();
        let error = generations.roots().unwrap_err().to_string();
        assert!(error.contains("generations.json': EOF"), "{error}");
    }
}
