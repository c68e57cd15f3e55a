//! The contents of one output, before its path is known.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use niphas_store::{PackError, Packed};
use nix_formats::nar::ReaderError;
use nix_formats::{Hash, HashAlgorithm, NarHash, StorePath};

use super::Build;
use super::error::OutputError;
use super::pass::{Watched, hash};
use super::rewrite::{HashPart, NO_HASH, Rewrites, Rewriting};
use super::survey::{Survey, survey};
use super::tree::{Place, TreeReader, failed};

/// The largest NAR: the contents of a pack of the store end there.
const MAX_NAR_SIZE: u64 = 2 << 40;

/// An output that was looked at.
pub(super) struct Contents<'a> {
    build: &'a Build<'a>,
    name: &'a str,
    pub(super) scratch: &'a StorePath,
    folder: OwnedFd,
    /// Where it is.
    pub(super) shown: PathBuf,
    survey: Survey,
    /// The paths that it names, without those that it should not be searched for.
    pub(super) references: BTreeSet<StorePath>,
    /// The paths of outputs that it names.
    pub(super) outputs: BTreeSet<StorePath>,
    /// The NAR as the builder left it, if it was read to its end.
    read: Option<Nar>,
    /// The hash of the bytes of the file, by which algorithm.
    file_hash: Option<Hash>,
    stores: bool,
}

/// A NAR that was read.
pub(super) struct Nar {
    pub(super) hash: NarHash,
    pub(super) size: u64,
    /// It is in the store, as a path to be.
    pub(super) packed: Option<Packed>,
}

/// What of an output should be known once it is looked at.
pub(super) struct Wanted<'a> {
    /// Its contents are written to the store.
    pub(super) stores: bool,
    /// The algorithm by which the bytes of the file are hashed.
    pub(super) file_hash: Option<HashAlgorithm>,
    /// Paths that will not be those of the outputs: what names them is written again later.
    pub(super) passing: &'a BTreeSet<StorePath>,
}

impl<'a> Contents<'a> {
    /// Looks at an output, and reads it.
    pub(super) fn look(
        build: &'a Build<'a>,
        name: &'a str,
        scratch: &'a StorePath,
        wanted: &Wanted<'_>,
    ) -> Result<Self, OutputError> {
        let shown = build.left.folder.join(scratch.base_name());
        let folder = open_folder(build)?;
        let root = Place {
            folder: folder.as_fd(),
            name: OsStr::new(scratch.base_name()),
        };
        let stat = match root.stat() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OutputError::Missing {
                    derivation: build.print(build.path),
                    output: name.to_owned(),
                    path: shown,
                });
            }
            stat => stat.map_err(|error| failed("read", &shown, error))?,
        };
        let is_symlink = stat.st_mode & 0o170_000 == 0o120_000;
        let is_writable_for_others = stat.st_mode & 0o022 != 0;
        if !is_symlink && is_writable_for_others || stat.st_uid != *build.left.owners.start() {
            return Err(OutputError::Suspicious {
                output: name.to_owned(),
                path: shown,
            });
        }
        let survey = survey(root, &shown, &build.left.owners)?;
        // Holes take no space, and may have more bytes than can ever be read.
        if survey.nar_size > MAX_NAR_SIZE {
            return Err(OutputError::TooManyBytes {
                path: shown,
                size: survey.nar_size,
                limit: MAX_NAR_SIZE,
            });
        }
        let mut contents = Self {
            build,
            name,
            scratch,
            folder,
            shown,
            survey,
            references: BTreeSet::new(),
            outputs: BTreeSet::new(),
            read: None,
            file_hash: None,
            stores: wanted.stores,
        };
        contents.first_pass(wanted)?;
        Ok(contents)
    }

    fn first_pass(&mut self, wanted: &Wanted<'_>) -> Result<(), OutputError> {
        let left = self.build.left;
        let paths = || left.inputs.iter().chain(left.scratch.values()).cloned();
        let mut nar = Watched::new(self.tree(), paths(), wanted.passing);
        if let (Some(algorithm), Some(size)) = (wanted.file_hash, self.survey.plain_file) {
            nar.hash_contents(algorithm, size);
        }
        let read = self.consume(&mut nar);
        let has_stopped = nar.has_stopped();
        let (mut found, file_hash) = nar.finish();
        if has_stopped {
            let nothing = BTreeSet::new();
            let mut nar = Watched::new(self.tree(), paths(), &nothing);
            let read = io::copy(&mut nar, &mut io::sink());
            found = nar.finish().0;
            read.map_err(|error| self.unread(error))?;
        } else {
            (self.read, self.file_hash) = (Some(read?), file_hash);
        }
        let is_output = |path: &&StorePath| left.scratch.values().any(|other| other == *path);
        self.outputs = found.iter().filter(is_output).cloned().collect();
        let discards = &self.build.options.unsafe_discard_references;
        if discards.get(self.name) != Some(&true) {
            self.references = found;
        }
        Ok(())
    }

    /// Whether it is a file without any execute bit.
    pub(super) fn is_plain_file(&self) -> bool {
        self.survey.plain_file.is_some()
    }

    /// The hash of the NAR once hash parts are rewritten; its own is hashed as zeros.
    pub(super) fn nar_hash_modulo(
        &self,
        algorithm: HashAlgorithm,
        rewrites: &Rewrites,
    ) -> Result<Hash, OutputError> {
        if let Some(read) = &self.read
            && algorithm == HashAlgorithm::Sha256
            && !self.names_itself()
            && !self.names_any(rewrites)
        {
            return Ok(read.hash.into());
        }
        self.hash_modulo(algorithm, rewrites, self.tree())
    }

    /// The same of the bytes of a file.
    pub(super) fn file_hash_modulo(
        &self,
        algorithm: HashAlgorithm,
        rewrites: &Rewrites,
    ) -> Result<Hash, OutputError> {
        if let Some(hash) = self.file_hash
            && hash.algorithm() == algorithm
            && !self.names_itself()
            && !self.names_any(rewrites)
        {
            return Ok(hash);
        }
        let file = self.root().open_file();
        let (file, _) = file.map_err(|error| failed("read", &self.shown, error))?;
        self.hash_modulo(algorithm, rewrites, file)
    }

    fn hash_modulo(
        &self,
        algorithm: HashAlgorithm,
        rewrites: &Rewrites,
        bytes: impl Read,
    ) -> Result<Hash, OutputError> {
        let itself = [(hash_part(self.scratch), NO_HASH)];
        let bytes = Rewriting::new(Rewriting::new(bytes, rewrites), &itself);
        let hashed = hash(algorithm, bytes).map_err(|error| self.unread(error))?;
        Ok(hashed.0)
    }

    /// The NAR once hash parts are rewritten.
    pub(super) fn into_nar(mut self, rewrites: &Rewrites) -> Result<Nar, OutputError> {
        match self.read.take() {
            Some(read) if !self.names_any(rewrites) => Ok(read),
            // What was written goes before the same is written again.
            read => {
                drop(read);
                self.consume(Rewriting::new(self.tree(), rewrites))
            }
        }
    }

    fn consume(&self, nar: impl Read) -> Result<Nar, OutputError> {
        if !self.stores {
            let hashed = hash(HashAlgorithm::Sha256, nar).map_err(|error| self.unread(error))?;
            return Ok(Nar {
                hash: NarHash::try_from(hashed.0).expect("it is a SHA-256"),
                size: hashed.1,
                packed: None,
            });
        }
        let packed = self.build.store.pack(nar, Some(self.survey.nar_size));
        let packed = packed.map_err(|error| match error {
            PackError::Read(error) => self.unread(error),
            PackError::Nar(ReaderError::NotSorted { .. }) => OutputError::NotSorted,
            source => OutputError::Pack {
                output: self.name.to_owned(),
                source,
            },
        })?;
        Ok(Nar {
            hash: packed.nar_hash,
            size: packed.nar_size,
            packed: Some(packed),
        })
    }

    fn names_itself(&self) -> bool {
        self.outputs.contains(self.scratch)
    }

    fn names_any(&self, rewrites: &Rewrites) -> bool {
        let outputs = || self.outputs.iter().map(hash_part);
        rewrites
            .iter()
            .any(|(from, _)| outputs().any(|it| it == *from))
    }

    fn root(&self) -> Place<'_> {
        Place {
            folder: self.folder.as_fd(),
            name: OsStr::new(self.scratch.base_name()),
        }
    }

    fn tree(&self) -> TreeReader<'_> {
        TreeReader::new(self.root(), &self.shown)
    }

    /// What the reader of the tree says itself is not wrapped twice.
    fn unread(&self, error: io::Error) -> OutputError {
        match error.downcast::<OutputError>() {
            Ok(error) => error,
            Err(error) => failed("read", &self.shown, error),
        }
    }
}

/// The folder with the outputs. It is ours, and so is its name.
pub(super) fn open_folder(build: &Build<'_>) -> Result<OwnedFd, OutputError> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let folder = &build.left.folder;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, folder, flags, Mode::empty());
    opened.map_err(|error| failed("read", folder, error.into()))
}

/// The hash part of a path.
pub(super) fn hash_part(path: &StorePath) -> HashPart {
    let mut part = NO_HASH;
    part.copy_from_slice(path.hash_part().as_bytes());
    part
}
