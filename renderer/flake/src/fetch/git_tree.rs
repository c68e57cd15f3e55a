//! Writing a commit's tree out as files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use git2::{
    AttrCheckFlags, AttrValue, Commit, ObjectType, Repository, RepositoryInitOptions, Tree,
};

use crate::error::FlakeError;
use crate::tree::{FileKind, SourceTree};

/// As deep as a NAR may be.
const MAX_DEPTH: usize = 64;

pub(super) struct Written {
    /// Whether some .gitattributes speaks of `export-ignore`.
    pub(super) has_export_ignore: bool,
}

/// Writes the tree of `commit` to the new folder `root`. Submodules are empty folders.
pub(super) fn write(
    repository: &Repository,
    commit: &Commit<'_>,
    root: &Path,
) -> Result<Written, FlakeError> {
    let tree = commit.tree().map_err(FlakeError::git(format!(
        "looking up the tree of {}",
        commit.id()
    )))?;
    let mut written = Written {
        has_export_ignore: false,
    };
    write_tree(repository, &tree, root, 0, &mut written)?;
    Ok(written)
}

fn write_tree(
    repository: &Repository,
    tree: &Tree<'_>,
    folder: &Path,
    depth: usize,
    written: &mut Written,
) -> Result<(), FlakeError> {
    if depth > MAX_DEPTH {
        return Err(FlakeError::git("writing a tree that is nested too deeply")(
            git2::Error::from_str("more than 64 folders"),
        ));
    }
    fs::create_dir(folder).map_err(FlakeError::io("creating directory", folder))?;
    for entry in tree {
        let name = entry.name_bytes();
        let path = folder.join(OsStr::from_bytes(name));
        if name.is_empty()
            || name.contains(&b'/')
            || name == b"."
            || name == b".."
            || name.eq_ignore_ascii_case(b".git")
        {
            return Err(FlakeError::git(format!(
                "writing the Git tree entry '{}'",
                String::from_utf8_lossy(name)
            ))(git2::Error::from_str(
                "no file can have this name",
            )));
        }
        let failed = || FlakeError::git(format!("looking up '{}'", path.display()));
        match entry.kind() {
            Some(ObjectType::Commit) => {
                fs::create_dir(&path).map_err(FlakeError::io("creating directory", &path))?;
            }
            Some(ObjectType::Tree) => {
                let child = repository.find_tree(entry.id()).map_err(failed())?;
                write_tree(repository, &child, &path, depth + 1, written)?;
            }
            Some(ObjectType::Blob) => {
                let blob = repository.find_blob(entry.id()).map_err(failed())?;
                let contents = blob.content();
                if entry.filemode() == 0o120_000 {
                    symlink(OsStr::from_bytes(contents), &path)
                        .map_err(FlakeError::io("creating symbolic link", &path))?;
                    continue;
                }
                if name == b".gitattributes" {
                    let needle = b"export-ignore";
                    written.has_export_ignore |= contents
                        .windows(needle.len())
                        .any(|window| window == needle);
                }
                fs::write(&path, contents).map_err(FlakeError::io("writing file", &path))?;
                if entry.filemode() == 0o100_755 {
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                        .map_err(FlakeError::io("changing permissions of", &path))?;
                }
            }
            _ => return Err(FlakeError::FileType(path)),
        }
    }
    Ok(())
}

/// Removes what `export-ignore` in the tree's .gitattributes says. `scratch` is a place for a
/// repository with nothing in it, so that no other attributes than the tree's count.
pub(super) fn drop_ignored(root: &Path, scratch: &Path) -> Result<(), FlakeError> {
    let failed = || FlakeError::git("reading Git attributes");
    let repository = Repository::init_opts(
        scratch,
        RepositoryInitOptions::new()
            .bare(true)
            .external_template(false),
    )
    .map_err(failed())?;
    repository.set_workdir(root, false).map_err(failed())?;
    let tree = SourceTree::new(root);
    drop_ignored_in(&repository, &tree, Path::new(""))
}

fn drop_ignored_in(
    repository: &Repository,
    tree: &SourceTree,
    folder: &Path,
) -> Result<(), FlakeError> {
    for name in tree.names(folder)? {
        let path = folder.join(OsStr::from_bytes(&name));
        let place = tree.root().join(&path);
        let is_dir = tree.kind(&path)? == Some(FileKind::Directory);
        let flags = AttrCheckFlags::FILE_THEN_INDEX | AttrCheckFlags::NO_SYSTEM;
        if is_export_ignored(repository, &path, flags)? {
            let removed = if is_dir {
                fs::remove_dir_all(&place)
            } else {
                fs::remove_file(&place)
            };
            removed.map_err(FlakeError::io("removing", place))?;
        } else if is_dir {
            drop_ignored_in(repository, tree, &path)?;
        }
    }
    Ok(())
}

pub(super) fn is_export_ignored(
    repository: &Repository,
    path: &Path,
    flags: AttrCheckFlags,
) -> Result<bool, FlakeError> {
    let value = repository
        .get_attr(path, "export-ignore", flags)
        .map_err(FlakeError::git(format!(
            "looking up the Git attributes of '{}'",
            path.display()
        )))?;
    Ok(matches!(AttrValue::from_string(value), AttrValue::True))
}
