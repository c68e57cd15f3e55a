//! Repositories on this machine: libgit2 opens what it finds, and would wait for ever for a pipe.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use git2::{Error, ErrorClass, ErrorCode, Repository};

/// The longest path on this machine.
const MAX_PATH: u64 = 4096;

/// Opens the repository in a folder, if none of the files is a pipe that Git reads in it: those of its own folder, and those in the
/// work tree that say what belongs to it.
pub fn open(path: &Path) -> Result<Repository, Error> {
    refuse_pipes(path)?;
    let repository = Repository::open(path)?;
    if let Some(work_tree) = repository.workdir() {
        let index = repository.index()?;
        let mut folders = BTreeSet::from([PathBuf::new()]);
        for entry in index.iter() {
            let file = Path::new(OsStr::from_bytes(&entry.path)).to_owned();
            for folder in file.ancestors().skip(1) {
                if !folders.insert(folder.to_owned()) {
                    break;
                }
            }
        }
        for folder in folders {
            for name in [".gitattributes", ".gitignore", ".gitmodules"] {
                refuse_pipe(&work_tree.join(&folder).join(name))?;
            }
        }
    }
    Ok(repository)
}

/// Opens the repository that a folder is in, on the terms of [`refuse_pipes`].
pub fn discover(folder: &Path) -> Result<Repository, Error> {
    let path = Repository::discover_path(folder, [] as [&Path; 0])?;
    refuse_pipes(&path)?;
    Repository::open(path)
}

/// Refuses a repository that has a pipe in its own folder. Folders that it links to are not looked into.
pub fn refuse_pipes(path: &Path) -> Result<(), Error> {
    let dot_git = path.join(".git");
    refuse_pipe(&dot_git)?;
    let mut folders = vec![if dot_git.is_dir() {
        dot_git
    } else {
        // A linked work tree has a file here that says where its repository is.
        linked(&dot_git, "gitdir:").unwrap_or_else(|| path.to_owned())
    }];
    refuse_pipe(&folders[0].join("commondir"))?;
    folders.extend(linked(&folders[0].join("commondir"), ""));
    while let Some(folder) = folders.pop() {
        // What can't be read is libgit2's to tell.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if !kind.is_file() => refuse_pipe(&entry.path())?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// The folder that the text of a file names after `prefix`.
fn linked(file: &Path, prefix: &str) -> Option<PathBuf> {
    let mut text = Vec::new();
    let opened = regular_file::open(file).ok()?;
    opened.take(MAX_PATH).read_to_end(&mut text).ok()?;
    let target = text.strip_prefix(prefix.as_bytes())?.trim_ascii();
    Some(file.parent()?.join(OsStr::from_bytes(target)))
}

fn refuse_pipe(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(about) if about.file_type().is_fifo() => {
            let path = path.display();
            let message =
                format!("expected a regular file, found a pipe at '{path}'; remove the pipe");
            Err(Error::new(ErrorCode::Invalid, ErrorClass::Os, message))
        }
        _ => Ok(()),
    }
}
