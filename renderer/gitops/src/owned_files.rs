//! Applies an environment's files to the tree of a commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository, Tree};
use niphas_api::{ENVIRONMENT_ANNOTATION, to_yaml};
use niphas_render::{EnvironmentName, FileHash, Lock, RenderedEnvironment};

use crate::error::Error;
use crate::generated::{ATTRIBUTES, ATTRIBUTES_FILE, with_header};
use crate::owner::Owner;
use crate::repository::Request;
use crate::review::Replaced;

/// Of other environments' locks this much is read. Those of a thousand environments with a hundred workloads each take less.
const LOCKS_LIMIT: usize = 256 * 1024 * 1024;

/// The folder of the locks.
pub(crate) const LOCKS: &str = ".niphas";

/// Ours are far smaller. What is larger was not written by us.
pub(crate) const FILE_LIMIT: usize = 16 * 1024 * 1024;

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
    /// Environments of the flake that it has no more, sorted.
    pub(crate) gone: Vec<String>,
    /// The files that differ, and what was in their places.
    pub(crate) replaced: Vec<Replaced>,
}

/// Puts environments' files into a tree, and takes out those that they no longer have.
pub(crate) fn apply(
    repository: &Repository,
    tip: &Tree<'_>,
    request: &Request<'_>,
) -> Result<Applied, Error> {
    let mut update = TreeUpdateBuilder::new();
    let (mut changes, mut replaced) = (Vec::new(), Vec::new());
    let mut files = Files::new(repository, tip);
    let owner = &request.provenance.owner;
    let gone = match &request.all_environments {
        Some(names) => files.gone(owner, names)?,
        None => Vec::new(),
    };
    let emptied = gone.iter().filter(|_| request.prune).map(|name| {
        let files = BTreeMap::new();
        let name = name.clone();
        RenderedEnvironment { name, files }
    });
    let emptied: Vec<_> = emptied.collect();
    for environment in request.environments.values().chain(&emptied) {
        let owned = Owned::read(&mut files, &environment.name)?;
        owned.check_owner(owner, request.allow.other_owner)?;
        let may_be_empty = request.allow.empty || gone.contains(&environment.name);
        if environment.files.is_empty() && !owned.lock.files.is_empty() && !may_be_empty {
            let files = owned.lock.files.len();
            return Err(Error::Empties {
                environment: environment.name.clone(),
                files,
            });
        }
        for (path, wanted) in owned.wanted(environment, owner) {
            let there = files.find(&path)?;
            let before = there;
            let wanted_id = wanted
                .as_deref()
                .map(|bytes| Oid::hash_object(ObjectType::Blob, bytes));
            // Most files are as they should be, and are not read.
            if there == wanted_id.transpose()? {
                continue;
            }
            let there = there.map(|id| files.read(&path, id)).transpose()?;
            owned.check_untouched(&path, there.as_deref())?;
            let kind = match (there, wanted) {
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
            replaced.push(Replaced::new(&environment.name, &path, before));
            changes.push(FileChange { path, kind });
        }
    }
    if let Some(kind) = files.change_of_attributes(&changes)? {
        let path = format!("{LOCKS}/{ATTRIBUTES_FILE}");
        match kind {
            ChangeKind::Removed => update.remove(&path),
            _ => update.upsert(&path, repository.blob(ATTRIBUTES)?, FileMode::Blob),
        };
        changes.push(FileChange { path, kind });
    }
    changes.sort();
    let tree = if changes.is_empty() {
        tip.id()
    } else {
        update.create_updated(repository, tip)?
    };
    Ok(Applied {
        tree,
        changes,
        gone,
        replaced,
    })
}

/// The environments that have a lock.
pub(crate) fn environments(repository: &Repository, tip: &Tree<'_>) -> Result<Vec<String>, Error> {
    let locks = Files::new(repository, tip).locks()?;
    Ok(locks.into_iter().map(|(name, _)| name).collect())
}

/// The environments that were rendered from a flake, and that are not among its own, sorted.
pub(crate) fn gone(
    repository: &Repository,
    tip: &Tree<'_>,
    owner: &Owner,
    names: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    Files::new(repository, tip).gone(owner, names)
}

/// The files that belong to an environment now.
struct Owned<'a> {
    environment: &'a str,
    lock_path: String,
    lock: Lock,
}

impl<'a> Owned<'a> {
    fn read(files: &mut Files<'_>, environment: &'a str) -> Result<Self, Error> {
        let lock_path = Lock::path(environment);
        let lock = match files.find(&lock_path)? {
            Some(id) => {
                let bytes = files.read(&lock_path, id)?;
                Lock::parse(&bytes).map_err(|source| Error::Lock {
                    path: lock_path.clone(),
                    source,
                })?
            }
            None => Lock::of(&BTreeMap::new()),
        };
        Ok(Self {
            environment,
            lock_path,
            lock,
        })
    }

    /// Whether the environment may be this flake's.
    fn check_owner(&self, ours: &Owner, take_over: bool) -> Result<(), Error> {
        match &self.lock.owner {
            Some(theirs) if !ours.is(theirs) && !take_over => Err(Error::OtherOwner {
                environment: self.environment.to_owned(),
                theirs: theirs.clone(),
                ours: ours.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Every path to look at, and what belongs there.
    fn wanted(
        &self,
        rendered: &RenderedEnvironment,
        owner: &Owner,
    ) -> BTreeMap<String, Option<Vec<u8>>> {
        // Once recorded, the owner's spelling stays: it stands in each file.
        let recorded = self.lock.owner.clone().filter(|theirs| owner.is(theirs));
        let owner = recorded.unwrap_or_else(|| owner.to_string());
        let files = rendered.files.iter().map(|(path, bytes)| {
            let bytes = with_header(path, bytes, &owner).into_owned();
            (path.clone(), bytes)
        });
        let files: BTreeMap<_, _> = files.collect();
        let mut lock = Lock::of(&files);
        lock.owner = Some(owner);
        let lock = (!files.is_empty()).then(|| lock.to_bytes());
        let owned = self.lock.files.keys().map(|path| (path.clone(), None));
        let mut wanted: BTreeMap<_, _> = owned.collect();
        wanted.extend(files.into_iter().map(|(path, bytes)| (path, Some(bytes))));
        wanted.insert(self.lock_path.clone(), lock);
        wanted
    }

    /// Whether a file that differs from the rendered one is as we left it.
    fn check_untouched(&self, path: &str, there: Option<&[u8]>) -> Result<(), Error> {
        if path == self.lock_path {
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
            (None, Some(_)) => Err(in_the_way(path)),
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
    // Where the object itself must not change.
    let comment = format!("# {}", annotation.trim_end());
    let comments = yaml.lines().take_while(|line| line.starts_with('#'));
    if comments.into_iter().any(|line| line == comment) {
        return true;
    }
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

/// The files of a commit.
pub(crate) struct Files<'r> {
    repository: &'r Repository,
    /// The folders that were looked into, by path; `None` where nothing is. libgit2 itself keeps only small ones.
    folders: HashMap<String, Option<Tree<'r>>>,
}

impl<'r> Files<'r> {
    pub(crate) fn new(repository: &'r Repository, tip: &Tree<'r>) -> Self {
        Self {
            repository,
            folders: HashMap::from([(String::new(), Some(tip.clone()))]),
        }
    }

    /// The blob of a file; `None` if nothing is there.
    pub(crate) fn find(&mut self, path: &str) -> Result<Option<Oid>, Error> {
        const SYMLINK: i32 = 0o120_000;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(folder) = self.folder(folder)? else {
            return Ok(None);
        };
        match folder.get_name(name) {
            None => Ok(None),
            Some(entry)
                if entry.kind() == Some(ObjectType::Blob) && entry.filemode() != SYMLINK =>
            {
                Ok(Some(entry.id()))
            }
            Some(_) => Err(in_the_way(path)),
        }
    }

    /// What becomes of the attributes of the folder of locks: they are there beside the first lock, and go with the last, unless
    /// others changed them.
    fn change_of_attributes(
        &mut self,
        changes: &[FileChange],
    ) -> Result<Option<ChangeKind>, Error> {
        let removed: BTreeSet<&str> = changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Removed)
            .map(|change| change.path.as_str())
            .collect();
        let there = match self.folder(LOCKS)? {
            Some(folder) => folder.get_name(ATTRIBUTES_FILE).map(|entry| entry.id()),
            None => None,
        };
        let Some(there) = there else {
            let writes = removed.len() < changes.len();
            return Ok(writes.then_some(ChangeKind::Added));
        };
        let locks = self.locks()?;
        let is_gone = |(name, _): &(String, Oid)| removed.contains(Lock::path(name).as_str());
        let is_last =
            !locks.is_empty() && removed.len() == changes.len() && locks.iter().all(is_gone);
        let is_ours = there == Oid::hash_object(ObjectType::Blob, ATTRIBUTES)?;
        Ok((is_last && is_ours).then_some(ChangeKind::Removed))
    }

    /// The environments that have a lock, and the locks' blobs.
    fn locks(&mut self) -> Result<Vec<(String, Oid)>, Error> {
        let Some(folder) = self.folder(LOCKS)? else {
            return Ok(Vec::new());
        };
        let locks = folder.iter().filter_map(|entry| {
            let name = entry.name().ok()?.strip_suffix(".lock")?;
            // Others may have put files of any name there.
            let name: EnvironmentName = name.parse().ok()?;
            (entry.kind() == Some(ObjectType::Blob)).then(|| (name.to_string(), entry.id()))
        });
        Ok(locks.collect())
    }

    fn gone(&mut self, owner: &Owner, names: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        let (mut gone, mut read) = (Vec::new(), 0);
        for (name, id) in self.locks()? {
            if names.contains(&name) {
                continue;
            }
            // Other flakes' locks keep nothing from being rendered: one that cannot be read is reported when its own environment is.
            let Ok(bytes) = self.read(&Lock::path(&name), id) else {
                continue;
            };
            read += bytes.len();
            if read > LOCKS_LIMIT {
                break;
            }
            let lock = Lock::parse(&bytes).ok();
            if lock
                .and_then(|lock| lock.owner)
                .is_some_and(|theirs| owner.is(&theirs))
            {
                gone.push(name);
            }
        }
        Ok(gone)
    }

    fn folder(&mut self, path: &str) -> Result<Option<&Tree<'r>>, Error> {
        if !self.folders.contains_key(path) {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            let repository = self.repository;
            let above = self.folder(above)?;
            let entry = above.and_then(|tree| {
                let entry = tree.get_name(name)?;
                Some((entry.id(), entry.kind()))
            });
            let tree = match entry {
                None => None,
                Some((id, Some(ObjectType::Tree))) => Some(repository.find_tree(id)?),
                // A file where a folder is needed.
                Some(_) => return Err(in_the_way(path)),
            };
            self.folders.insert(path.to_owned(), tree);
        }
        Ok(self.folders[path].as_ref())
    }

    /// The bytes of the blob at a path.
    pub(crate) fn read(&self, path: &str, id: Oid) -> Result<Vec<u8>, Error> {
        let (size, _) = self.repository.odb()?.read_header(id)?;
        if size > FILE_LIMIT {
            return Err(in_the_way(path));
        }
        Ok(self.repository.find_blob(id)?.content().to_vec())
    }
}

fn in_the_way(path: &str) -> Error {
    Error::InTheWay {
        path: path.to_owned(),
    }
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
