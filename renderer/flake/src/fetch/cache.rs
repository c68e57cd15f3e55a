//! The cache folder: trees under the hash of their contents, and an index that says which
//! source gave which tree.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use nix_formats::hash::{Hash, HashAlgorithm, HashFormat};

use super::lock;
use crate::attrs::Attrs;
use crate::error::FlakeError;
use crate::tree::SourceTree;

/// The folder of the index. Its name changes when the meaning of keys does, so that entries under older keys are not read.
const INDEX: &str = "index-2";

/// What an entry of the index is about.
///
/// A key names the whole source that answered: scheme, host, repository and commit, or the URL. A server says what it likes
/// about another server's commit, so a part of the source is never enough. Only a hash that the contents are checked
/// against may stand alone, as Git does for the objects that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    /// `kind` tells apart what is asked of one source. The parts are kept apart whatever they hold.
    pub(super) fn new(kind: &str, parts: &[&str]) -> Self {
        Self(serde_json::json!([kind, parts]).to_string())
    }
}

/// What the index holds for a key.
pub(super) struct Entry {
    pub(super) attrs: Attrs,
    age: Duration,
}

impl Entry {
    pub(super) fn is_fresh(&self, ttl: Duration) -> bool {
        self.age < ttl
    }
}

#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
    /// Trees whose contents were checked by this process.
    checked: Mutex<BTreeSet<String>>,
}

impl Cache {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            checked: Mutex::default(),
        }
    }

    /// The folder `name`, which is made.
    #[expect(clippy::disallowed_methods, reason = "the cache's own folders")]
    fn folder(&self, name: &str) -> Result<PathBuf, FlakeError> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder).map_err(FlakeError::io("creating directory", &folder))?;
        Ok(folder)
    }

    /// A folder to work in, on the same disk as the trees. It goes when it is dropped.
    pub(super) fn scratch(&self) -> Result<tempfile::TempDir, FlakeError> {
        let folder = self.folder("tmp")?;
        sweep(&folder);
        tempfile::tempdir_in(&folder).map_err(FlakeError::io("creating directory in", folder))
    }

    fn tree_place(&self, hash: &str) -> PathBuf {
        self.root.join("trees").join(hash)
    }

    /// The tree with this NAR hash, if it is there. Its contents are checked; a tree that was
    /// changed is removed.
    pub(super) fn tree(&self, hash: &Hash) -> Result<Option<SourceTree>, FlakeError> {
        let key = hash.to_string(HashFormat::Nix32, false);
        let place = self.tree_place(&key);
        if place.symlink_metadata().is_err() {
            return Ok(None);
        }
        let tree = SourceTree::new(&place);
        if !lock(&self.checked).contains(&key) {
            if tree.nar_hash()? != *hash {
                tracing::warn!(
                    "the cached tree '{}' was changed; fetching it again",
                    place.display()
                );
                remove(&place)?;
                return Ok(None);
            }
            lock(&self.checked).insert(key);
        }
        Ok(Some(tree))
    }

    /// Takes over what is at `path`, which must be in a scratch folder.
    pub(super) fn adopt(&self, path: &Path) -> Result<(Hash, SourceTree), FlakeError> {
        let hash = SourceTree::new(path).nar_hash()?;
        Ok((hash, self.adopt_hashed(path, &hash)?))
    }

    /// Takes over what this process wrote to `path`, in a scratch folder, and hashed on the way.
    #[expect(clippy::disallowed_methods, reason = "a place named by a hash")]
    pub(super) fn adopt_hashed(&self, path: &Path, hash: &Hash) -> Result<SourceTree, FlakeError> {
        if let Some(tree) = self.tree(hash)? {
            return Ok(tree);
        }
        self.folder("trees")?;
        let key = hash.to_string(HashFormat::Nix32, false);
        let place = self.tree_place(&key);
        match fs::rename(path, &place) {
            // Another process was faster: its tree is as good.
            Err(_) if place.symlink_metadata().is_ok() => {}
            result => result.map_err(FlakeError::io("creating", &place))?,
        }
        lock(&self.checked).insert(key);
        Ok(SourceTree::new(place))
    }

    /// The key's hash, because a URL may hold a password.
    fn index_place(&self, key: &Key) -> PathBuf {
        let digest = HashAlgorithm::Sha256.digest(key.0.as_bytes());
        let name = digest.to_string(HashFormat::Nix32, false);
        self.root.join(INDEX).join(format!("{name}.json"))
    }

    /// What the index holds for `key`. A broken entry counts as none.
    pub(super) fn look_up(&self, key: &Key) -> Option<Entry> {
        let place = self.index_place(key);
        let modified = fs::metadata(&place).ok()?.modified().ok()?;
        let attrs = serde_json::from_str(&regular_file::read_to_string(&place).ok()?).ok()?;
        let age = SystemTime::now()
            .duration_since(modified)
            .unwrap_or_default();
        Some(Entry { attrs, age })
    }

    /// Puts `attrs` into the index.
    #[expect(clippy::disallowed_methods, reason = "a place named by a hash")]
    pub(super) fn remember(&self, key: &Key, attrs: &Attrs) -> Result<(), FlakeError> {
        let place = self.index_place(key);
        self.folder(INDEX)?;
        let scratch = self.scratch()?;
        let file = scratch.path().join("entry");
        let entry = serde_json::to_vec(attrs).map_err(std::io::Error::other);
        entry
            .and_then(|entry| fs::write(&file, entry))
            .map_err(FlakeError::io("writing file", &file))?;
        fs::rename(&file, &place).map_err(FlakeError::io("writing file", place))
    }

    /// Where the file of Git LFS with this SHA-256 is, if it is there.
    pub(super) fn large_file(&self, oid: &str) -> PathBuf {
        self.root.join("lfs").join(oid)
    }

    /// Takes over the file of Git LFS at `path`, in a scratch folder. It must have been checked.
    #[expect(clippy::disallowed_methods, reason = "a place named by a hash")]
    pub(super) fn adopt_large_file(&self, path: &Path, oid: &str) -> Result<(), FlakeError> {
        self.folder("lfs")?;
        let place = self.large_file(oid);
        fs::rename(path, &place).map_err(FlakeError::io("creating", place))
    }

    /// The folder of a repository's clone, locked against other processes while the returned
    /// file is held.
    #[expect(clippy::disallowed_methods, reason = "a place named by a hash")]
    pub(super) fn repository(
        &self,
        url: &str,
        shallow: bool,
    ) -> Result<(PathBuf, File), FlakeError> {
        let digest = HashAlgorithm::Sha256.digest(url.as_bytes());
        let name = digest.to_string(HashFormat::Nix32, false);
        let suffix = if shallow { "-shallow" } else { "" };
        let folder = self.folder("git")?;
        let lock_place = folder.join(format!("{name}{suffix}.lock"));
        let lock = File::create(&lock_place).map_err(FlakeError::io("creating", &lock_place))?;
        lock.lock().map_err(FlakeError::io("locking", lock_place))?;
        Ok((folder.join(format!("{name}{suffix}")), lock))
    }
}

/// No process works in its scratch folder this long: what is older was left by one that was killed.
const LEFT: Duration = Duration::from_hours(24);

/// Removes the scratch folders that processes left. What cannot be removed is of no harm.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        if age.is_some_and(|age| age > LEFT) {
            let _ = remove(&entry.path());
        }
    }
}

fn remove(path: &Path) -> Result<(), FlakeError> {
    let is_dir = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_dir {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.map_err(FlakeError::io("removing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_under_the_keys_of_older_versions_are_not_read() {
        let root = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(root.path().to_owned());
        let rev = "a".repeat(40);
        let digest = HashAlgorithm::Sha256.digest(rev.as_bytes());
        let name = digest.to_string(HashFormat::Nix32, false);
        let index = root.path().join("index");
        fs::create_dir(&index).expect("a folder");
        for kind in ["commit", "git", "archive", "file"] {
            fs::write(index.join(format!("{kind}-{name}.json")), "{}").expect("a file");
            assert!(cache.look_up(&Key::new(kind, &[&rev])).is_none(), "{kind}");
        }
    }

    #[test]
    fn parts_of_keys_do_not_run_into_each_other() {
        let key = |parts: &[&str]| Key::new("commit", parts);
        assert_ne!(key(&["a", "b/c"]), key(&["a/b", "c"]));
        assert_ne!(key(&["a\",\"b"]), key(&["a", "b"]));
        assert_ne!(key(&["a", ""]), key(&["a"]));
    }

    #[test]
    fn what_killed_processes_left_is_removed_after_a_day() {
        let root = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(root.path().to_owned());
        let (old, new) = (root.path().join("tmp/old"), root.path().join("tmp/new"));
        for folder in [&old, &new] {
            fs::create_dir_all(folder).expect("a folder");
            fs::write(folder.join("file"), "half a tree").expect("a file");
        }
        let two_days_ago = SystemTime::now() - 2 * LEFT;
        let old_folder = File::open(&old).expect("the folder");
        old_folder.set_modified(two_days_ago).expect("a time");
        let scratch = cache.scratch().expect("a folder");
        assert!(!old.exists() && new.exists() && scratch.path().exists());
    }
}
