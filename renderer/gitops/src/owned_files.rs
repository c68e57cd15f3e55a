//! Applies an environment's files to the tree of a commit.

use std::collections::BTreeMap;
use std::path::Path;

use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, ObjectType, Oid, Repository, Tree};
use niphas_api::{ENVIRONMENT_ANNOTATION, to_yaml};
use niphas_render::{FileHash, Lock, RenderedEnvironment};

use crate::error::Error;

/// Ours are far smaller. What is larger was not written by us.
const FILE_LIMIT: usize = 16 * 1024 * 1024;

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content is another.
    Changed,
    /// It is no longer needed.
    Removed,
}

/// A file that a run changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileChange {
    /// Its path from the repository's root.
    pub path: String,
    /// What happens to it.
    pub kind: ChangeKind,
}

/// A tree with an environment's files in it.
pub(crate) struct Applied {
    /// The new tree.
    pub(crate) tree: Oid,
    /// What differs from the old one, sorted by path.
    pub(crate) changes: Vec<FileChange>,
}

/// Puts environments' files into a tree, and takes out those that they no longer have.
pub(crate) fn apply<'a>(
    repository: &Repository,
    tip: &Tree<'_>,
    environments: impl IntoIterator<Item = &'a RenderedEnvironment>,
    allow_empty: bool,
) -> Result<Applied, Error> {
    let mut update = TreeUpdateBuilder::new();
    let mut changes = Vec::new();
    for environment in environments {
        let owned = Owned::read(repository, tip, &environment.name)?;
        if environment.files.is_empty() && !owned.lock.files.is_empty() && !allow_empty {
            let files = owned.lock.files.len();
            return Err(Error::Empties {
                environment: environment.name.clone(),
                files,
            });
        }
        for (path, wanted) in owned.wanted(environment) {
            let there = read_file(repository, tip, &path)?;
            owned.check_untouched(&path, there.as_deref(), wanted.as_deref())?;
            let kind = match (there, wanted) {
                (Some(there), Some(wanted)) if there == wanted => continue,
                (None, None) => continue,
                (Some(there), None) => {
                    if !owned.may_remove(&path, &there) {
                        continue;
                    }
                    update.remove(&path);
                    ChangeKind::Removed
                }
                (there, Some(wanted)) => {
                    update.upsert(&path, repository.blob(&wanted)?, FileMode::Blob);
                    if there.is_some() {
                        ChangeKind::Changed
                    } else {
                        ChangeKind::Added
                    }
                }
            };
            changes.push(FileChange { path, kind });
        }
    }
    changes.sort();
    let tree = if changes.is_empty() {
        tip.id()
    } else {
        update.create_updated(repository, tip)?
    };
    Ok(Applied { tree, changes })
}

/// The files that belong to an environment now.
struct Owned<'a> {
    environment: &'a str,
    lock_path: String,
    lock: Lock,
}

impl<'a> Owned<'a> {
    fn read(repository: &Repository, tip: &Tree<'_>, environment: &'a str) -> Result<Self, Error> {
        let lock_path = Lock::path(environment);
        let lock = match read_file(repository, tip, &lock_path)? {
            Some(bytes) => Lock::parse(&bytes).map_err(|source| Error::Lock {
                path: lock_path.clone(),
                source,
            })?,
            None => Lock::of(&BTreeMap::new()),
        };
        Ok(Self {
            environment,
            lock_path,
            lock,
        })
    }

    /// Every path to look at, and what is to be there.
    fn wanted(&self, rendered: &RenderedEnvironment) -> BTreeMap<String, Option<Vec<u8>>> {
        let owned = self.lock.files.keys().map(|path| (path.clone(), None));
        let mut wanted: BTreeMap<_, _> = owned.collect();
        let files = &rendered.files;
        wanted.extend(
            files
                .iter()
                .map(|(path, bytes)| (path.clone(), Some(bytes.clone()))),
        );
        let lock = (!files.is_empty()).then(|| rendered.lock().to_bytes());
        wanted.insert(self.lock_path.clone(), lock);
        wanted
    }

    /// Whether a file is as we left it. One that is as we want it is fine too.
    fn check_untouched(
        &self,
        path: &str,
        there: Option<&[u8]>,
        wanted: Option<&[u8]>,
    ) -> Result<(), Error> {
        if there == wanted || path == self.lock_path {
            return Ok(());
        }
        let edited = |how| {
            Err(Error::EditedByHand {
                path: path.to_owned(),
                how,
            })
        };
        match (self.lock.files.get(path), there) {
            (Some(hash), Some(there)) if *hash == FileHash::of(there) => Ok(()),
            (Some(_), Some(_)) => edited("edited"),
            (Some(_), None) => edited("removed"),
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Error::InTheWay {
                path: path.to_owned(),
            }),
        }
    }

    /// A lock may be forged: what is removed must look like ours, too.
    fn may_remove(&self, path: &str, bytes: &[u8]) -> bool {
        path == self.lock_path
            || path.starts_with(&format!(".niphas/{}/", self.environment))
            || carries_marker(bytes, self.environment)
    }
}

/// Whether a manifest as we write it has the environment's annotation.
fn carries_marker(yaml: &[u8], environment: &str) -> bool {
    let annotation = BTreeMap::from([(ENVIRONMENT_ANNOTATION, environment)]);
    let (Ok(yaml), Ok(annotation)) = (str::from_utf8(yaml), to_yaml(&annotation)) else {
        return false;
    };
    let annotation = format!("    {}", annotation.trim_end());
    yaml.lines()
        .skip_while(|line| *line != "metadata:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .skip_while(|line| *line != "  annotations:")
        .skip(1)
        .take_while(|line| line.starts_with("    "))
        .any(|line| line == annotation)
}

/// A file's bytes; `None` if nothing is there.
fn read_file(
    repository: &Repository,
    tree: &Tree<'_>,
    path: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let in_the_way = |path: &str| {
        Err(Error::InTheWay {
            path: path.to_owned(),
        })
    };
    // A file where a folder is needed.
    for (slash, _) in path.match_indices('/') {
        match tree.get_path(Path::new(&path[..slash])) {
            Ok(entry) if entry.kind() == Some(ObjectType::Tree) => {}
            Ok(_) => return in_the_way(&path[..slash]),
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    let entry = match tree.get_path(Path::new(path)) {
        Ok(entry) => entry,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    const SYMLINK: i32 = 0o120_000;
    if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == SYMLINK {
        return in_the_way(path);
    }
    let (size, _) = repository.odb()?.read_header(entry.id())?;
    if size > FILE_LIMIT {
        return in_the_way(path);
    }
    Ok(Some(repository.find_blob(entry.id())?.content().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_is_seen_only_in_the_metadata_s_annotations() {
        let marked = "kind: X\nmetadata:\n  annotations:\n    a: b\n    niphas.io/environment: prod\n  name: x\n";
        assert!(carries_marker(marked.as_bytes(), "prod"));
        assert!(!carries_marker(marked.as_bytes(), "staging"));
        for unmarked in [
            "",
            "kind: X\nmetadata:\n  name: x\n",
            "kind: X\nmetadata:\n  labels:\n    niphas.io/environment: prod\n",
            "spec:\n  annotations:\n    niphas.io/environment: prod\n",
            "metadata:\n  name: x\nspec:\n  annotations:\n    niphas.io/environment: prod\n",
        ] {
            assert!(!carries_marker(unmarked.as_bytes(), "prod"), "{unmarked}");
        }
        let quoted = "metadata:\n  annotations:\n    niphas.io/environment: \"no\"\n";
        assert!(carries_marker(quoted.as_bytes(), "no"));
    }
}
