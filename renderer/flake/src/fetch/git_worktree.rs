//! Work trees: the files that Git tracks, as they are now.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{AttrCheckFlags, ErrorCode, Oid, Repository, Status, StatusOptions};

use super::git::{head_ref, open};
use super::git_size::Part;
use super::git_tree::is_export_ignored;
use super::{Fetcher, Found, short_rev, submodules};
use crate::attrs::Attrs;
use crate::error::FlakeError;
use crate::input::{Input, NULL_REV};
use crate::tree::{SourceTree, TrackedFiles};

impl Fetcher {
    pub(super) fn find_worktree(
        &self,
        path: &Path,
        input: &Input,
        part: Part<'_>,
    ) -> Result<Found, FlakeError> {
        let repository = open(path)?;
        let head = head_commit(&repository)?;
        let (files, mut dirty) = status(&repository, path)?;
        let mut tracked = TrackedFiles::default();
        let mut ignored = IgnoredPaths::new(&repository, input.flag("exportIgnore")?);
        for file in &files {
            if !ignored.contains(Path::new(OsStr::from_bytes(file)))? {
                tracked.add(file);
            }
        }
        if input.flag("submodules")? {
            for submodule in submodules::of_worktree(path)? {
                let tree = self.find_submodule_worktree(path, &submodule.path, input, part)?;
                dirty |= tree.input.rev()?.is_none();
                if let Some(files) = tree.tree.tracked_files() {
                    tracked.mount(submodule.path.as_bytes(), files);
                }
            }
        }
        let mut input = input.clone();
        if dirty {
            let name = path.display().to_string();
            if !self.settings.allow_dirty {
                return Err(FlakeError::Dirty(name));
            }
            tracing::warn!("Git tree '{name}' is dirty");
            if let Some(head) = head {
                let rev = head.to_string();
                let attrs = input.attrs_mut();
                attrs.set("dirtyShortRev", format!("{}-dirty", short_rev(&rev)));
                attrs.set("dirtyRev", format!("{rev}-dirty"));
            }
        } else {
            if let Some(reference) = head_ref(&repository)? {
                input.attrs_mut().set("ref", reference);
            }
            let rev = head.map_or_else(|| NULL_REV.to_owned(), |head| head.to_string());
            input.attrs_mut().set("rev", rev);
            if !input.flag("shallow")? {
                let count = match head {
                    Some(head) => self.rev_count(&repository, head)?,
                    None => 0,
                };
                input.attrs_mut().set("revCount", count);
            }
        }
        let last_modified = match head {
            None => 0,
            Some(head) => repository
                .find_commit(head)
                .map_err(FlakeError::git(format!("looking up the commit {head}")))?
                .time()
                .seconds()
                .unsigned_abs(),
        };
        input.attrs_mut().set("lastModified", last_modified);
        Ok(Found {
            input,
            tree: SourceTree::tracked(path.to_owned(), tracked),
            nar_hash: None,
        })
    }

    fn find_submodule_worktree(
        &self,
        parent: &Path,
        path: &str,
        input: &Input,
        part: Part<'_>,
    ) -> Result<Found, FlakeError> {
        let mut on_the_way = parent.to_owned();
        for part in path.split('/') {
            on_the_way.push(part);
            if on_the_way.is_symlink() {
                return Err(FlakeError::SubmoduleBehindLink {
                    path: path.to_owned(),
                });
            }
        }
        let mut attrs = Attrs::new();
        attrs.set("type", "git");
        let place: PathBuf = parent.join(path);
        let place = place
            .to_str()
            .ok_or_else(|| FlakeError::FileName(place.clone()))?;
        attrs.set("url", place);
        attrs.set("exportIgnore", input.flag("exportIgnore")?);
        attrs.set("submodules", true);
        self.find_git(&Input::from_attrs(attrs)?, part.submodule()?)
    }
}

fn head_commit(repository: &Repository) -> Result<Option<Oid>, FlakeError> {
    match repository.refname_to_id("HEAD") {
        Ok(head) => Ok(Some(head)),
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::UnbornBranch) => {
            Ok(None)
        }
        Err(error) => Err(FlakeError::git("resolving HEAD")(error)),
    }
}

/// The tracked files that are there, and whether anything differs from the commit.
fn status(repository: &Repository, path: &Path) -> Result<(Vec<Vec<u8>>, bool), FlakeError> {
    let mut options = StatusOptions::new();
    options
        .include_untracked(false)
        .include_ignored(false)
        .recurse_untracked_dirs(false)
        .include_unmodified(true)
        .exclude_submodules(true);
    let statuses = repository
        .statuses(Some(&mut options))
        .map_err(FlakeError::git(format!(
            "getting the status of Git repository '{}'",
            path.display()
        )))?;
    let mut files = Vec::with_capacity(statuses.len());
    let mut dirty = false;
    for entry in &statuses {
        let status = entry.status();
        dirty |= status != Status::CURRENT;
        if !status.intersects(Status::INDEX_DELETED | Status::WT_DELETED) {
            files.push(entry.path_bytes().to_owned());
        }
    }
    Ok((files, dirty))
}

/// The paths that `export-ignore` hides, those below hidden folders included.
struct IgnoredPaths<'a> {
    repository: &'a Repository,
    known: HashMap<PathBuf, bool>,
    active: bool,
}

impl<'a> IgnoredPaths<'a> {
    fn new(repository: &'a Repository, export_ignore: bool) -> Self {
        Self {
            repository,
            known: HashMap::new(),
            active: export_ignore && has_attributes(repository),
        }
    }

    fn contains(&mut self, path: &Path) -> Result<bool, FlakeError> {
        if !self.active || path.as_os_str().is_empty() {
            return Ok(false);
        }
        if let Some(&known) = self.known.get(path) {
            return Ok(known);
        }
        let flags = AttrCheckFlags::INDEX_ONLY | AttrCheckFlags::NO_SYSTEM;
        let ignored = match path.parent() {
            Some(parent) if self.contains(parent)? => true,
            _ => is_export_ignored(self.repository, path, flags)?,
        };
        self.known.insert(path.to_owned(), ignored);
        Ok(ignored)
    }
}

fn has_attributes(repository: &Repository) -> bool {
    repository.path().join("info/attributes").exists()
        || repository.index().is_ok_and(|index| {
            index.iter().any(|entry| {
                entry
                    .path
                    .rsplit(|&b| b == b'/')
                    .next()
                    .is_some_and(|name| name == b".gitattributes")
            })
        })
}
