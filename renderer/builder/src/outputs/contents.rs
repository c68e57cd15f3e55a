//! The contents of one output, before its path is known.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use niphas_store::Packed;
use nix_formats::{Hash, HashAlgorithm, NarHash, StorePath};

use super::Case;
use super::error::OutputError;
use super::pass::{Watched, hash};
use super::rewrite::{HashPart, NO_HASH, Rewrites, Rewriting};
use super::tree::failed;

/// Where the contents of an output are, to be read as often as is needed.
pub(super) trait Source {
    /// What errors call it.
    fn shown(&self) -> &Path;

    /// Its size, if it is a plain file without any execute bit.
    fn plain_file(&self) -> Option<u64>;

    /// Its NAR.
    fn nar(&self) -> Result<Box<dyn Read + '_>, OutputError>;

    /// The bytes of the plain file.
    fn file(&self) -> Result<Box<dyn Read + '_>, OutputError>;

    /// Reads its NAR to the end: one that [`Source::nar`] gave, as it is or with hash parts rewritten.
    fn take(&self, nar: &mut dyn Read) -> Result<Nar, OutputError>;
}

/// An output that was looked at.
pub(super) struct Contents<'a> {
    case: &'a Case<'a>,
    name: &'a str,
    pub(super) scratch: &'a StorePath,
    source: Box<dyn Source + 'a>,
    /// The paths that it names, without those that it should not be searched for.
    pub(super) references: BTreeSet<StorePath>,
    /// The paths of outputs that it names.
    pub(super) outputs: BTreeSet<StorePath>,
    /// The NAR as the builder left it, if it was read to its end.
    read: Option<Nar>,
    /// The hash of the bytes of the file, by which algorithm.
    file_hash: Option<Hash>,
}

/// A NAR that was read.
pub(super) struct Nar {
    pub(super) hash: NarHash,
    pub(super) size: u64,
    /// It is in the store, as a path to be.
    pub(super) packed: Option<Packed>,
}

impl Nar {
    /// One that nothing is kept of.
    pub(super) fn hashed((hash, size): (Hash, u64)) -> Self {
        Self {
            hash: NarHash::try_from(hash).expect("it is a SHA-256"),
            size,
            packed: None,
        }
    }
}

/// What of an output should be known once it is looked at.
pub(super) struct Wanted<'a> {
    /// The algorithm by which the bytes of the file are hashed.
    pub(super) file_hash: Option<HashAlgorithm>,
    /// Paths that will not be those of the outputs: what names them is written again later.
    pub(super) passing: &'a BTreeSet<StorePath>,
}

impl<'a> Contents<'a> {
    /// Reads an output.
    pub(super) fn look(
        case: &'a Case<'a>,
        name: &'a str,
        scratch: &'a StorePath,
        source: Box<dyn Source + 'a>,
        wanted: &Wanted<'_>,
    ) -> Result<Self, OutputError> {
        let mut contents = Self {
            case,
            name,
            scratch,
            source,
            references: BTreeSet::new(),
            outputs: BTreeSet::new(),
            read: None,
            file_hash: None,
        };
        contents.first_pass(wanted)?;
        Ok(contents)
    }

    fn first_pass(&mut self, wanted: &Wanted<'_>) -> Result<(), OutputError> {
        let case = self.case;
        let paths = || case.inputs.iter().chain(case.scratch.values()).cloned();
        let mut nar = Watched::new(self.source.nar()?, paths(), wanted.passing);
        if let (Some(algorithm), Some(size)) = (wanted.file_hash, self.source.plain_file()) {
            nar.hash_contents(algorithm, size);
        }
        let read = self.source.take(&mut nar);
        let has_stopped = nar.has_stopped();
        let (mut found, file_hash) = nar.finish();
        if has_stopped {
            let nothing = BTreeSet::new();
            let mut nar = Watched::new(self.source.nar()?, paths(), &nothing);
            let read = io::copy(&mut nar, &mut io::sink());
            found = nar.finish().0;
            read.map_err(|error| unread(self.shown(), error))?;
        } else {
            (self.read, self.file_hash) = (Some(read?), file_hash);
        }
        let is_output = |path: &&StorePath| case.scratch.values().any(|other| other == *path);
        self.outputs = found.iter().filter(is_output).cloned().collect();
        let discards = &case.options.unsafe_discard_references;
        if discards.get(self.name) != Some(&true) {
            self.references = found;
        }
        Ok(())
    }

    /// What errors call it.
    pub(super) fn shown(&self) -> &Path {
        self.source.shown()
    }

    /// Whether it is a file without any execute bit.
    pub(super) fn is_plain_file(&self) -> bool {
        self.source.plain_file().is_some()
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
        self.hash_modulo(algorithm, rewrites, self.source.nar()?)
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
        self.hash_modulo(algorithm, rewrites, self.source.file()?)
    }

    fn hash_modulo(
        &self,
        algorithm: HashAlgorithm,
        rewrites: &Rewrites,
        bytes: impl Read,
    ) -> Result<Hash, OutputError> {
        let itself = [(hash_part(self.scratch), NO_HASH)];
        let bytes = Rewriting::new(Rewriting::new(bytes, rewrites), &itself);
        let hashed = hash(algorithm, bytes).map_err(|error| unread(self.shown(), error))?;
        Ok(hashed.0)
    }

    /// The NAR once hash parts are rewritten.
    pub(super) fn into_nar(mut self, rewrites: &Rewrites) -> Result<Nar, OutputError> {
        match self.read.take() {
            Some(read) if !self.names_any(rewrites) => Ok(read),
            // What was written goes before the same is written again.
            read => {
                drop(read);
                let nar = self.source.nar()?;
                self.source.take(&mut Rewriting::new(nar, rewrites))
            }
        }
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
}

/// What the reader says itself is not wrapped twice.
pub(super) fn unread(shown: &Path, error: io::Error) -> OutputError {
    match error.downcast::<OutputError>() {
        Ok(error) => error,
        Err(error) => failed("read", shown, error),
    }
}

/// The hash part of a path.
pub(super) fn hash_part(path: &StorePath) -> HashPart {
    let mut part = NO_HASH;
    part.copy_from_slice(path.hash_part().as_bytes());
    part
}
