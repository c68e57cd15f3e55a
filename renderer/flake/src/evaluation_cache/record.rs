//! What an evaluation reads.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;

use nix_evaluator::io::{
    EntryKind, EvalIo, FetchAttributes, FetchInput, FetchRequest, Fetched, FileType,
    ParsedFlakeRef, StoreObject, WantedOutput,
};
use serde::{Deserialize, Serialize};

use super::{Digest, digest};
use crate::fetch::Fetcher;

/// The flake's own tree.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// Its store path, which changes with every file in it.
    pub(super) path: Vec<u8>,
    /// Of all that the flake can tell of it without reading: store path, revision, time …
    pub(super) identity: Digest,
}

impl Root {
    /// The rest of a path that is in the tree.
    pub(super) fn below<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(&self.path[..])?;
        (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum What {
    File,
    Type,
    Folder,
    Link,
    Variable,
    Exists,
    /// Where the flake's own tree is, or which revision.
    Identity,
    /// Nothing was asked: this is what was said.
    Message,
}

/// Something that an evaluation read, and what it found there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Read {
    what: What,
    /// The path is in the flake's own tree, and counts from there.
    in_root: bool,
    path: Vec<u8>,
    found: Digest,
}

impl Read {
    /// Reading again gives the same.
    pub(super) fn is_same(&self, io: &dyn EvalIo, root: &Root) -> bool {
        let path = if self.in_root {
            [&root.path[..], &self.path].concat()
        } else {
            self.path.clone()
        };
        let now = match self.what {
            What::File => of_file(&io.read_file(&path)),
            What::Type => of_type(&io.file_type(&path)),
            What::Folder => of_folder(&io.read_dir(&path)),
            What::Link => of_file(&io.read_link(&path)),
            What::Variable => of_variable(io.env_var(&path).as_deref()),
            What::Exists => of_existence(io.store_path_exists(&String::from_utf8_lossy(&path))),
            What::Identity => root.identity,
            What::Message => return true,
        };
        now == self.found
    }

    pub(super) fn message(&self) -> Option<String> {
        (self.what == What::Message).then(|| String::from_utf8_lossy(&self.path).into_owned())
    }
}

fn of_error(error: &io::Error) -> Digest {
    digest(&[b"error", error.to_string().as_bytes()])
}

fn of_file(result: &io::Result<Vec<u8>>) -> Digest {
    match result {
        Ok(contents) => digest(&[b"file", contents]),
        Err(error) => of_error(error),
    }
}

fn of_type(result: &io::Result<Option<FileType>>) -> Digest {
    match result {
        Ok(kind) => digest(&[b"type", type_name(*kind).as_bytes()]),
        Err(error) => of_error(error),
    }
}

fn type_name(kind: Option<FileType>) -> &'static str {
    match kind {
        None => "nothing",
        Some(FileType::Regular { executable: true }) => "executable",
        Some(kind) => kind.kind().name(),
    }
}

fn of_folder(result: &io::Result<Vec<(Vec<u8>, EntryKind)>>) -> Digest {
    match result {
        Ok(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable();
            let mut text = Vec::new();
            for (name, kind) in entries {
                text.extend_from_slice(name);
                text.push(0);
                text.extend_from_slice(kind.name().as_bytes());
                text.push(0);
            }
            digest(&[b"folder", &text])
        }
        Err(error) => of_error(error),
    }
}

fn of_variable(value: Option<&[u8]>) -> Digest {
    digest(&[
        b"variable",
        &[u8::from(value.is_some())],
        value.unwrap_or_default(),
    ])
}

fn of_existence(exists: bool) -> Digest {
    digest(&[b"exists", &[u8::from(exists)]])
}

/// A world in which everything that is read is recorded.
pub struct RecordingIo<'f, I> {
    inner: I,
    root: Root,
    /// What it brought is known from the lock file, or from a hash in the source.
    fetcher: &'f Fetcher,
    log: RefCell<Log>,
}

#[derive(Default)]
struct Log {
    reads: Vec<Read>,
    seen: HashSet<(What, Vec<u8>)>,
    /// Something was asked whose answer may be another the next time.
    unsteady: bool,
}

impl<'f, I: EvalIo> RecordingIo<'f, I> {
    pub(super) fn new(inner: I, root: Root, fetcher: &'f Fetcher) -> Self {
        Self {
            inner,
            root,
            fetcher,
            log: RefCell::default(),
        }
    }

    /// How much was read so far.
    pub fn count(&self) -> usize {
        self.log.borrow().reads.len()
    }

    /// What was read; nothing where something was asked whose answer may be another the next time.
    pub fn into_reads(self) -> Option<Vec<Read>> {
        let log = self.log.into_inner();
        (!log.unsteady).then_some(log.reads)
    }

    fn note(&self, what: What, path: &[u8], found: impl FnOnce() -> Digest) {
        let mut log = self.log.borrow_mut();
        if !log.seen.insert((what, path.to_vec())) {
            return;
        }
        let below = self.root.below(path);
        if below.is_none() && (self.is_locked(path) || self.is_built(path)) {
            return;
        }
        log.reads.push(Read {
            what,
            in_root: below.is_some(),
            path: below.unwrap_or(path).to_vec(),
            found: found(),
        });
    }

    fn is_locked(&self, path: &[u8]) -> bool {
        let store_path = self.fetcher.settings().store_dir.parse_subpath(path);
        store_path.is_ok_and(|(store_path, _)| self.fetcher.source(&store_path).is_some())
    }
}

impl<I: EvalIo> RecordingIo<'_, I> {
    /// What was built for the evaluation follows from the derivation, and so from what else was read.
    fn is_built(&self, path: &[u8]) -> bool {
        self.inner.references(path).is_some()
    }
}

impl<I: EvalIo> EvalIo for RecordingIo<'_, I> {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let result = self.inner.read_file(path);
        self.note(What::File, path, || of_file(&result));
        result
    }

    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        let result = self.inner.file_type(path);
        self.note(What::Type, path, || of_type(&result));
        result
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        let result = self.inner.read_dir(path);
        self.note(What::Folder, path, || of_folder(&result));
        result
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let result = self.inner.read_link(path);
        self.note(What::Link, path, || of_file(&result));
        result
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        let value = self.inner.env_var(name);
        self.note(What::Variable, name, || of_variable(value.as_deref()));
        value
    }

    fn current_time(&self) -> i64 {
        self.log.borrow_mut().unsteady = true;
        self.inner.current_time()
    }

    fn add_to_store(&self, path: &str, object: StoreObject<'_>) -> io::Result<()> {
        self.inner.add_to_store(path, object)
    }

    fn store_path_exists(&self, path: &str) -> bool {
        let exists = self.inner.store_path_exists(path);
        self.note(What::Exists, path.as_bytes(), || of_existence(exists));
        exists
    }

    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Option<Vec<String>>> {
        self.inner.build(wanted)
    }

    fn references(&self, path: &[u8]) -> Option<Vec<String>> {
        self.inner.references(path)
    }

    fn fetch(&self, request: &FetchRequest) -> io::Result<Fetched> {
        // Pure evaluation fetches only what is locked, by a hash or a revision; but a folder of this machine may be in
        // whatever state it is.
        if let FetchRequest::Tree {
            input: FetchInput::Reference(_),
            ..
        } = request
        {
            self.log.borrow_mut().unsteady = true;
        }
        self.inner.fetch(request)
    }

    fn parse_flake_ref(&self, reference: &str) -> io::Result<ParsedFlakeRef> {
        self.inner.parse_flake_ref(reference)
    }

    fn flake_ref_to_string(&self, attributes: &FetchAttributes) -> io::Result<String> {
        self.inner.flake_ref_to_string(attributes)
    }

    fn shown_path(&self, path: &[u8]) -> String {
        self.inner.shown_path(path)
    }

    fn why_missing(&self, path: &[u8]) -> Option<String> {
        self.inner.why_missing(path)
    }

    fn message(&self, text: &str) {
        self.note(What::Message, text.as_bytes(), || [0; 32]);
        self.inner.message(text);
    }

    fn observed(&self, path: &[u8]) {
        if self.root.below(path).is_some() {
            self.note(What::Identity, &self.root.path, || self.root.identity);
        }
        self.inner.observed(path);
    }

    fn is_observed(&self) -> bool {
        true
    }
}
