//! Writing lock files into flakes.

use std::fs;
use std::path::{Path, PathBuf};

use git2::build::TreeUpdateBuilder;
use git2::{Commit, ErrorCode, FileMode, IndexEntry, IndexEntryExtendedFlag, IndexTime};

use super::{LockOptions, LockedFlake, Reader, lock_read};
use crate::decl::ReadFlake;
use crate::error::FlakeError;
use crate::fetch::Fetcher;
use crate::input::Scheme;
use crate::registry::UseRegistries;

/// What writing a lock file did.
#[derive(Debug)]
pub struct WrittenLock {
    /// The flake as it is now.
    pub locked: LockedFlake,
    /// The file, if it had to be written.
    pub written: Option<PathBuf>,
}

impl LockedFlake {
    /// Writes the lock file into the flake's folder, if it has changed. In a Git repository a
    /// new one is also made known to Git, as Nix does, for else the flake would not see it.
    pub fn write(
        self,
        fetcher: &Fetcher,
        read: &ReadFlake<'_>,
        options: &LockOptions,
    ) -> Result<WrittenLock, FlakeError> {
        if !self.is_changed() {
            return Ok(WrittenLock {
                locked: self,
                written: None,
            });
        }
        let name = self.flake.resolved.to_string();
        if let Some(input) = self.lock_file.unlocked_input(false)? {
            return Err(FlakeError::UnlockedInput {
                flake: name,
                input: input.to_string(),
            });
        }
        let Some(root) = self.source_folder() else {
            return Err(FlakeError::CannotWriteLock(name));
        };
        let is_in_git = self.flake.resolved.input.scheme() == Some(Scheme::Git);
        if options.commit && !is_in_git {
            return Err(FlakeError::CannotCommitLock(name));
        }
        let relative = self.flake.place.file("flake.lock");
        let file = root.join(&relative);
        replace(&file, &format!("{}\n", self.lock_file.to_json()))?;
        if is_in_git {
            make_known(&root, &relative)?;
        }
        if options.commit {
            let changes = self.lock_file.diff(&self.old_lock_file);
            commit(&root, &relative, &changes)?;
        }
        // The flake's tree is another one now.
        fetcher.forget_folder(&root);
        let reader = Reader { fetcher, read };
        let registries = if options.use_registries {
            UseRegistries::All
        } else {
            UseRegistries::No
        };
        let flake = reader.flake(&self.flake.original, registries)?;
        let mut again = options.clone();
        // Its lock file says it all.
        again.recreate = false;
        again.updates.clear();
        again.overrides.clear();
        again.reference_lock_file = None;
        let locked = lock_read(&reader, &flake, &again)?;
        Ok(WrittenLock {
            locked,
            written: Some(file),
        })
    }

    /// The folder of this machine that the flake's files can be changed in, if there is one.
    pub fn source_folder(&self) -> Option<PathBuf> {
        let input = &self.flake.resolved.input;
        let tree = &self.flake.place.fetched.tree;
        match input.scheme()? {
            Scheme::Path => Some(tree.root().to_owned()),
            Scheme::Git if tree.tracked_files().is_some() => Some(tree.root().to_owned()),
            _ => None,
        }
    }
}

/// Writes a file in one step, so that no reader sees half of it.
fn replace(file: &Path, contents: &str) -> Result<(), FlakeError> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut temporary = tempfile::Builder::new()
        .prefix(".flake.lock.")
        .permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(FlakeError::io("creating a file in", folder))?;
    std::io::Write::write_all(&mut temporary, contents.as_bytes())
        .map_err(FlakeError::io("writing file", file))?;
    temporary
        .persist(file)
        .map(drop)
        .map_err(|error| FlakeError::io("writing file", file)(error.error))
}

/// Commits a lock file on top of `HEAD`, and nothing else, with the message that Nix gives it.
fn commit(root: &Path, file: &Path, changes: &str) -> Result<(), FlakeError> {
    let failed = || {
        FlakeError::git(format!(
            "committing '{}' in '{}'",
            file.display(),
            root.display()
        ))
    };
    let repository = niphas_git::open(root).map_err(failed())?;
    let parent = match repository.head() {
        Ok(head) => Some(head.peel_to_commit().map_err(failed())?),
        Err(error) if error.code() == ErrorCode::UnbornBranch => None,
        Err(error) => return Err(failed()(error)),
    };
    let before = if let Some(parent) = &parent {
        parent.tree().map_err(failed())?
    } else {
        let empty = repository.treebuilder(None).and_then(|tree| tree.write());
        let tree = empty.and_then(|id| repository.find_tree(id));
        tree.map_err(failed())?
    };
    let verb = if before.get_path(file).is_ok() {
        "Update"
    } else {
        "Add"
    };
    let changes = changes.trim_end();
    let message = format!(
        "{}: {verb}\n\nFlake lock file updates:\n\n{changes}\n",
        file.display()
    );
    let mut index = repository.index().map_err(failed())?;
    index.add_path(file).map_err(failed())?;
    let blob = index.get_path(file, 0).map(|entry| entry.id);
    let mut update = TreeUpdateBuilder::new();
    if let Some(blob) = blob {
        update.upsert(file, blob, FileMode::Blob);
    }
    let tree = update
        .create_updated(&repository, &before)
        .and_then(|id| repository.find_tree(id))
        .map_err(failed())?;
    let author = repository.signature().map_err(failed())?;
    let parents: Vec<&Commit<'_>> = parent.iter().collect();
    repository
        .commit(Some("HEAD"), &author, &author, &message, &tree, &parents)
        .map_err(failed())?;
    index.write().map_err(failed())
}

/// What `git add --intent-to-add` does, unless the file is known or ignored.
fn make_known(root: &Path, file: &Path) -> Result<(), FlakeError> {
    let failed = || {
        FlakeError::git(format!(
            "adding '{}' to the index of '{}'",
            file.display(),
            root.display()
        ))
    };
    niphas_git::limit_memory(niphas_git::MAX_OBJECT);
    let repository = niphas_git::open(root).map_err(failed())?;
    let mut index = repository.index().map_err(failed())?;
    if index.get_path(file, 0).is_some() || repository.is_path_ignored(file).map_err(failed())? {
        return Ok(());
    }
    let empty = repository.blob(b"").map_err(failed())?;
    let time = IndexTime::new(0, 0);
    index
        .add(&IndexEntry {
            ctime: time,
            mtime: time,
            dev: 0,
            ino: 0,
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            file_size: 0,
            id: empty,
            flags: 0,
            flags_extended: IndexEntryExtendedFlag::INTENT_TO_ADD.bits(),
            path: std::os::unix::ffi::OsStrExt::as_bytes(file.as_os_str()).to_owned(),
        })
        .map_err(failed())?;
    index.write().map_err(failed())
}
