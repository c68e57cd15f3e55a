//! Where a tree from outside goes: into the hash of its NAR, and into files.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix_formats::hash::{Hash, HashAlgorithm, Hasher};
use nix_formats::nar::{Writer, WriterError};
use tree_writer::{Budget, Limits, Modes, TreeFile, TreeWriter};

use crate::error::FlakeError;

/// Takes a tree in the order of its NAR, hashes it and, if it has a folder, writes its files.
pub(super) struct Output {
    nar: Writer<Hasher>,
    files: Option<TreeWriter>,
    budget: Budget,
    /// Where the open folder is in the tree; for messages.
    place: PathBuf,
}

impl Output {
    /// Hashes only.
    pub(super) fn hash(limits: Limits) -> Result<Self, FlakeError> {
        let mut output = Self {
            nar: Writer::new(Hasher::new(HashAlgorithm::Sha256)),
            files: None,
            budget: Budget::new(limits),
            place: PathBuf::new(),
        };
        output.archive(b"", Writer::begin_directory)?;
        Ok(output)
    }

    /// Hashes, and writes the files to the new folder `root`.
    pub(super) fn files(root: &Path, limits: Limits) -> Result<Self, FlakeError> {
        let mut output = Self::hash(limits)?;
        output.files = Some(TreeWriter::new(root, Modes::Writable, limits)?);
        Ok(output)
    }

    /// Starts a folder.
    pub(super) fn enter(&mut self, name: &[u8]) -> Result<(), FlakeError> {
        self.entry(name)?;
        self.archive(name, Writer::begin_directory)?;
        if let Some(files) = &mut self.files {
            files.enter(name)?;
        }
        self.place.push(OsStr::from_bytes(name));
        Ok(())
    }

    /// Ends the folder that was started last.
    pub(super) fn leave(&mut self) -> Result<(), FlakeError> {
        self.archive(b"", Writer::end_directory)?;
        if let Some(files) = &mut self.files {
            files.leave()?;
        }
        self.place.pop();
        Ok(())
    }

    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), FlakeError> {
        self.entry(name)?;
        self.archive(name, |nar| nar.symlink(target))?;
        if let Some(files) = &mut self.files {
            files.symlink(name, target)?;
        }
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        name: &[u8],
        executable: bool,
        contents: &[u8],
    ) -> Result<(), FlakeError> {
        let file = self.begin_file(name, executable, contents.len() as u64)?;
        self.end_file(name, file, |put| put(contents))
    }

    /// A file of `size` bytes, which are read from `contents`.
    pub(super) fn file_from(
        &mut self,
        name: &[u8],
        executable: bool,
        size: u64,
        contents: &mut impl Read,
    ) -> Result<(), FlakeError> {
        let file = self.begin_file(name, executable, size)?;
        let place = self.place.join(OsStr::from_bytes(name));
        self.end_file(name, file, |put| {
            let mut chunk = vec![0; size.clamp(1, 128 << 10) as usize];
            loop {
                match contents.read(&mut chunk) {
                    Ok(0) => return Ok(()),
                    Ok(count) => put(&chunk[..count])?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(FlakeError::io("reading file", &place)(error)),
                }
            }
        })
    }

    /// Ends the tree, and gives the hash of its NAR.
    pub(super) fn finish(mut self) -> Result<Hash, FlakeError> {
        self.archive(b"", Writer::end_directory)?;
        if let Some(files) = self.files.take() {
            files.finish()?;
        }
        let finished = self.nar.finish();
        let hasher = finished.map_err(|error| FlakeError::Archiving {
            place: self.place,
            source: error,
        })?;
        Ok(hasher.finish())
    }

    fn entry(&mut self, name: &[u8]) -> Result<(), FlakeError> {
        self.budget.take_entry()?;
        self.archive(name, |nar| nar.entry(name))
    }

    fn begin_file(
        &mut self,
        name: &[u8],
        executable: bool,
        size: u64,
    ) -> Result<Option<TreeFile>, FlakeError> {
        self.entry(name)?;
        self.budget.take_bytes(size)?;
        self.archive(name, |nar| nar.begin_file(executable, size))?;
        match &mut self.files {
            Some(files) => Ok(Some(files.file(name, executable, size)?)),
            None => Ok(None),
        }
    }

    /// Puts what `write` puts into a file, and ends it.
    fn end_file(
        &mut self,
        name: &[u8],
        mut file: Option<TreeFile>,
        write: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), FlakeError>) -> Result<(), FlakeError>,
    ) -> Result<(), FlakeError> {
        write(&mut |piece| {
            self.archive(name, |nar| nar.contents(piece))?;
            if let Some(file) = &mut file {
                file.write(piece)?;
            }
            Ok(())
        })?;
        self.archive(name, Writer::end_file)?;
        if let Some(file) = file {
            file.finish()?;
        }
        Ok(())
    }

    fn archive(
        &mut self,
        name: &[u8],
        step: impl FnOnce(&mut Writer<Hasher>) -> Result<(), WriterError>,
    ) -> Result<(), FlakeError> {
        step(&mut self.nar).map_err(|source| FlakeError::Archiving {
            place: self.place.join(OsStr::from_bytes(name)),
            source,
        })
    }
}
