//! Files as an evaluation sees them: those of the world outside, and those that are part of the language.

use std::io;

use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::io::{EntryKind, FileType};
use crate::path;

/// How far symbolic links in a path are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Those on the way, but not what the path itself names.
    OnTheWay,
    /// All.
    All,
}

/// As many links a path may lead over.
const MOST_LINKS: usize = 1024;

/// The contents of a path that is part of the language (`<nix/fetchurl.nix>`); such a path is written in brackets.
fn internal(path: &[u8]) -> Option<&'static [u8]> {
    (path == b"<nix/fetchurl.nix>").then_some(include_bytes!("builtins/fetchurl.nix"))
}

/// Whether a path value names something that is part of the language, there or not.
pub(crate) fn is_internal(path: &[u8]) -> bool {
    path.starts_with(b"<")
}

/// A path as a string.
pub(crate) fn text(path: &[u8]) -> &[u8] {
    let inner = path.strip_prefix(b"<nix");
    inner
        .and_then(|inner| inner.strip_suffix(b">"))
        .unwrap_or(path)
}

impl Evaluator<'_> {
    /// The contents of a file.
    pub(crate) fn read_file(&self, path: &[u8]) -> Result<Vec<u8>> {
        let contents = match internal(path) {
            Some(contents) => Ok(contents.to_vec()),
            None if is_internal(path) => Err(io::ErrorKind::NotFound.into()),
            None => self.io.read_file(path),
        };
        contents.map_err(|error| match error.kind() {
            // As Nix says it, which reads in portions.
            io::ErrorKind::IsADirectory => {
                EvalError::new(ErrorKind::Io, "read of 4096 bytes: Is a directory")
            }
            _ => self.io_error(path, &error),
        })
    }

    /// What lies at a path; `None` if nothing does.
    pub(crate) fn file_type(&self, path: &[u8]) -> Result<Option<FileType>> {
        if is_internal(path) {
            let file = FileType::Regular { executable: false };
            return Ok(internal(path).map(|_| file));
        }
        let found = self.io.file_type(path);
        match found.map_err(|error| self.io_error(path, &error))? {
            None if self.is_store(path) => Ok(Some(FileType::Directory)),
            found => Ok(found),
        }
    }

    /// What lies in a folder.
    pub(crate) fn read_dir(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, EntryKind)>> {
        match self.io.read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_store(path) => {
                Ok(Vec::new())
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let path = self.io.shown_path(path);
                let message = format!("cannot read directory \"{path}\": Not a directory");
                Err(EvalError::new(ErrorKind::Io, message))
            }
            entries => entries.map_err(|error| self.io_error(path, &error)),
        }
    }

    /// Whether a path is the store's, which exists though its folder was not made yet.
    fn is_store(&self, path: &[u8]) -> bool {
        path == self.settings.store_dir.as_str().as_bytes()
    }

    /// What lies at a path, where there must be something.
    pub(crate) fn existing_type(&self, path: &[u8]) -> Result<FileType> {
        self.file_type(path)?
            .ok_or_else(|| self.io_error(path, &io::ErrorKind::NotFound.into()))
    }

    /// What lies at a path; nothing where the evaluation must not look.
    pub(crate) fn visible_type(&self, path: &[u8]) -> Result<Option<FileType>> {
        match self.file_type(path) {
            Err(error) if error.kind == ErrorKind::Restricted => Ok(None),
            result => result,
        }
    }

    /// Follows symbolic links. What does not exist leads to nowhere else.
    pub(crate) fn resolve(&mut self, path: &[u8], links: Links) -> Result<Vec<u8>> {
        if is_internal(path) || path == b"/" {
            return Ok(path.to_vec());
        }
        if links == Links::All {
            return self.resolve_folder(path);
        }
        let name = path::base_name(path);
        let directory = path::parent(path);
        if let Some(resolved) = self.store.folders.get(directory) {
            return Ok(path::join(resolved, name));
        }
        Ok(path::join(&self.resolve_folder(directory)?, name))
    }

    /// Follows all links, and remembers for every folder on the way where it is.
    fn resolve_folder(&mut self, path: &[u8]) -> Result<Vec<u8>> {
        let mut known = path;
        let mut resolved = loop {
            if let Some(resolved) = self.store.folders.get(known) {
                break resolved.clone();
            }
            if known == b"/" {
                break known.to_vec();
            }
            known = path::parent(known);
        };
        let mut end = if known == b"/" { 0 } else { known.len() };
        while end < path.len() {
            let name = &path[end + 1..];
            let length = memchr::memchr(b'/', name).unwrap_or(name.len());
            end += 1 + length;
            resolved = path::join(&resolved, &name[..length]);
            let mut found = self.visible_type(&resolved)?;
            if found == Some(FileType::Symlink) {
                resolved = self.follow(&resolved)?;
                found = self.visible_type(&resolved)?;
            }
            if found == Some(FileType::Directory) {
                let folders = &mut self.store.folders;
                folders.insert(path[..end].to_vec(), resolved.clone());
            }
        }
        Ok(resolved)
    }

    fn follow(&self, path: &[u8]) -> Result<Vec<u8>> {
        let mut resolved = b"/".to_vec();
        let mut rest = parts(path);
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match &part[..] {
                b"." => continue,
                b".." => {
                    resolved = path::parent(&resolved).to_vec();
                    continue;
                }
                _ => {}
            }
            let here = path::join(&resolved, &part);
            if self.visible_type(&here)? != Some(FileType::Symlink) {
                resolved = here;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                let path = self.io.shown_path(path);
                let message = format!("infinite symlink recursion in path '{path}'");
                return Err(EvalError::new(ErrorKind::Io, message));
            }
            let target = self.io.read_link(&here);
            let target = target.map_err(|error| self.io_error(&here, &error))?;
            if target.starts_with(b"/") {
                resolved = b"/".to_vec();
            }
            rest.extend(parts(&target));
        }
        Ok(resolved)
    }
}

/// The names in a path, last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/');
    let parts = parts.filter(|part| !part.is_empty());
    parts.rev().map(<[u8]>::to_vec).collect()
}
