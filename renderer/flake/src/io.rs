//! The evaluator's view of fetched trees: they lie at their store paths, though there is no store.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix_evaluator::io::{
    EntryKind, EvalIo, FetchAttribute, FetchAttributes, FetchBuiltin, FetchInput, FetchRequest,
    Fetched, FileType, HashMismatch, ParsedFlakeRef, StoreObject, WantedOutput,
};
use nix_formats::hash::HashFormat;

use crate::attrs::{Attr, Attrs};
use crate::error::{FlakeError, RefError};
use crate::fetch::{Fetcher, TreeAttrOptions, Turn};
use crate::flake_ref::{FlakeRef, ParseOptions};
use crate::input::Input;
use crate::registry::UseRegistries;
use crate::tree::{FileKind, SourceTree};
use crate::url::Url;

/// What a pure evaluation sees of a folder that holds the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Empty,
    Absent,
}

/// What an evaluation of flakes sees: what `base` shows, the trees of a fetcher at their store
/// paths, and the fetcher behind the builtins that fetch.
pub struct FlakeIo<'f, B> {
    fetcher: &'f Fetcher,
    base: B,
    pure: bool,
}

impl<'f, B: EvalIo> FlakeIo<'f, B> {
    /// In a `pure` evaluation nothing outside the store can be seen.
    pub fn new(fetcher: &'f Fetcher, base: B, pure: bool) -> Self {
        Self {
            fetcher,
            base,
            pure,
        }
    }

    /// Which of the folders that hold the store `path` is. As in Nix, a pure evaluation sees nothing of this machine in them:
    /// `/` and the store are empty, and those between are not there.
    fn above(&self, path: &[u8]) -> Option<Above> {
        let store_dir = Path::new(self.fetcher.settings().store_dir.as_str());
        let path = Path::new(OsStr::from_bytes(path));
        if !self.pure || !store_dir.starts_with(path) {
            None
        } else if path == store_dir || path == Path::new("/") {
            Some(Above::Empty)
        } else {
            Some(Above::Absent)
        }
    }

    /// The tree that `path` is in, if it is in one of the fetcher's, and where.
    fn find<'p>(&self, path: &'p [u8]) -> io::Result<Option<(Arc<SourceTree>, &'p Path)>> {
        let store_dir = &self.fetcher.settings().store_dir;
        if !store_dir.contains(path) {
            if self.pure && self.above(path).is_none() {
                let path = String::from_utf8_lossy(path);
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!(
                        "access to absolute path '{path}' is forbidden in pure evaluation mode (use '--impure' to override)"
                    ),
                ));
            }
            return Ok(None);
        }
        Ok(self.fetcher.tree_at(path))
    }

    /// The place on this machine of a path that is in a tree.
    fn locate(&self, path: &[u8]) -> io::Result<Option<PathBuf>> {
        match self.find(path)? {
            None => Ok(None),
            Some((tree, rest)) => match tree.locate(rest) {
                Some(place) => Ok(Some(place)),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }

    fn fetch_tree(
        &self,
        builtin: FetchBuiltin,
        input: &FetchInput,
        pure: bool,
    ) -> Result<Fetched, FlakeError> {
        let mut input = input_of(builtin, input)?;
        if !pure && !input.is_direct() {
            let registries = match builtin {
                FetchBuiltin::LookUp => UseRegistries::All,
                _ => UseRegistries::Limited,
            };
            input = self.fetcher.look_up(&input, registries)?.0;
        }
        if pure && !input.is_locked()? {
            if input.nar_hash()?.is_none() {
                return Err(FlakeError::UnlockedFetch {
                    fetcher: builtin.name(),
                    input: input.to_string(),
                });
            }
            tracing::warn!(
                "Input '{input}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. This is not reproducible and will break after garbage collection or when shared."
            );
        }
        let fetched = self.fetcher.fetch(&input, UseRegistries::No)?.fetched;
        let store_dir = &self.fetcher.settings().store_dir;
        let options = TreeAttrOptions {
            empty_rev_fallback: builtin == FetchBuiltin::Git,
            force_dirty: false,
        };
        let mut attrs = fetched.tree_attrs(store_dir, options)?;
        attrs.remove("outPath");
        Ok(Fetched {
            store_path: store_dir.print(&fetched.store_path),
            attributes: to_attributes(attrs),
        })
    }

    fn fetch_in_turn(&self, request: &FetchRequest) -> Result<Fetched, FlakeError> {
        let work = || self.fetch_request(request);
        self.fetcher.in_turn(Turn::Fetch(request.clone()), work)
    }

    fn fetch_request(&self, request: &FetchRequest) -> Result<Fetched, FlakeError> {
        match request {
            FetchRequest::Tree {
                builtin,
                input,
                pure,
            } => self.fetch_tree(*builtin, input, *pure),
            FetchRequest::Url {
                url,
                name,
                unpack,
                expected,
            } => {
                let file = if *unpack {
                    self.fetcher.fetch_tarball(url, name, expected.as_ref())?
                } else {
                    self.fetcher.fetch_url(url, name, expected.as_ref())?
                };
                let mut attributes = FetchAttributes::new();
                if *unpack {
                    let hash = file.tree.nar_hash()?.to_string(HashFormat::Sri, true);
                    attributes.insert("narHash".to_owned(), FetchAttribute::String(hash));
                }
                Ok(Fetched {
                    store_path: self.fetcher.settings().store_dir.print(&file.store_path),
                    attributes,
                })
            }
        }
    }

    /// Hands a tree that lies at a store path to the base, with its real place.
    fn add_tree(
        &self,
        path: &str,
        source: &[u8],
        included: Option<&BTreeSet<Vec<u8>>>,
    ) -> io::Result<()> {
        let Some((tree, rest)) = self.find(source)? else {
            return self
                .base
                .add_to_store(path, StoreObject::Tree { source, included });
        };
        let place = tree.join(rest);
        let real_source = place.as_os_str().as_bytes();
        let real = |path: &Vec<u8>| {
            let below = path.strip_prefix(source).unwrap_or_default();
            [real_source, below].concat()
        };
        let included: Option<BTreeSet<Vec<u8>>> = match included {
            Some(included) => Some(included.iter().map(real).collect()),
            None if tree.tracked_files().is_some() => {
                Some(all_below(&tree, rest).map_err(io::Error::other)?)
            }
            None => None,
        };
        let object = StoreObject::Tree {
            source: real_source,
            included: included.as_ref(),
        };
        self.base.add_to_store(path, object)
    }
}

fn input_of(builtin: FetchBuiltin, input: &FetchInput) -> Result<Input, FlakeError> {
    let mut input = match input {
        FetchInput::Attributes(attributes) => Input::from_attrs(to_attrs(attributes))?,
        FetchInput::Reference(text) if builtin == FetchBuiltin::LookUp => {
            FlakeRef::parse(text, &ParseOptions::absolute())?.input
        }
        FetchInput::Reference(text) => {
            Input::from_url(&Url::parse(text).map_err(RefError::from)?, true)?
        }
    };
    if builtin == FetchBuiltin::FinalTree {
        input.set_final();
    } else if input.is_final() {
        return Err(FlakeError::FinalNotAllowed(input.to_string()));
    }
    Ok(input)
}

/// The real places of all that a tree shows at and below `path`.
fn all_below(tree: &SourceTree, path: &Path) -> Result<BTreeSet<Vec<u8>>, FlakeError> {
    let mut all = BTreeSet::new();
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        all.insert(tree.join(&path).as_os_str().as_bytes().to_vec());
        if tree.kind(&path)? == Some(FileKind::Directory) {
            let names = tree.names(&path)?;
            pending.extend(names.iter().map(|name| path.join(OsStr::from_bytes(name))));
        }
    }
    Ok(all)
}

/// The input's attributes for the fetcher. What is negative was refused before.
fn to_attrs(attributes: &FetchAttributes) -> Attrs {
    attributes
        .iter()
        .map(|(name, value)| {
            let value = match value {
                FetchAttribute::String(text) => Attr::String(text.clone()),
                FetchAttribute::Int(number) => Attr::Int(number.unsigned_abs()),
                FetchAttribute::Bool(flag) => Attr::Bool(*flag),
            };
            (name.clone(), value)
        })
        .collect()
}

fn to_attributes(attrs: Attrs) -> FetchAttributes {
    attrs
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                Attr::String(text) => FetchAttribute::String(text),
                Attr::Int(number) => FetchAttribute::Int(number as i64),
                Attr::Bool(flag) => FetchAttribute::Bool(flag),
            };
            (name, value)
        })
        .collect()
}

/// The error with its causes, as one message.
pub(crate) fn to_io_error(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        messages.push(cause.to_string());
        source = cause.source();
    }
    io::Error::other(messages.join(": "))
}

/// An error with the step that it happened in, which Nix tells apart.
#[derive(Debug, thiserror::Error)]
#[error("while fetching the input '{input}'")]
struct FetchingInput {
    input: String,
    #[source]
    cause: io::Error,
}

fn fetch_error(error: FlakeError) -> io::Error {
    match error {
        FlakeError::Fetching { input, source } => io::Error::other(FetchingInput {
            input,
            cause: fetch_error(*source),
        }),
        error if error.is_hash_mismatch() => io::Error::other(HashMismatch(error.to_string())),
        error => to_io_error(&error),
    }
}

/// A larger file is not read.
const MOST_BYTES: u64 = 1 << 30;

/// The contents of a regular file.
fn read_regular(place: &Path) -> io::Result<Vec<u8>> {
    let mut file = regular_file::open(place)?;
    let size = file.metadata()?.len();
    if size > MOST_BYTES {
        let message = format!("it is larger than {} MiB", MOST_BYTES >> 20);
        return Err(io::Error::other(message));
    }
    let mut contents = Vec::with_capacity(size as usize);
    file.read_to_end(&mut contents)?;
    Ok(contents)
}

fn kind_of(kind: FileKind) -> FileType {
    match kind {
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Regular { executable, .. } => FileType::Regular { executable },
    }
}

impl<B: EvalIo> EvalIo for FlakeIo<'_, B> {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        match self.locate(path)? {
            None if self.above(path) == Some(Above::Absent) => Err(io::ErrorKind::NotFound.into()),
            Some(place) => read_regular(&place),
            None => self.base.read_file(path),
        }
    }

    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        match self.find(path)? {
            None => match self.above(path) {
                Some(Above::Empty) => Ok(Some(FileType::Directory)),
                Some(Above::Absent) => Ok(None),
                None => self.base.file_type(path),
            },
            Some((tree, rest)) => match tree.kind(rest) {
                Ok(kind) => Ok(kind.map(kind_of)),
                Err(FlakeError::FileType(_)) => Ok(Some(FileType::Unknown)),
                Err(error) => Err(to_io_error(&error)),
            },
        }
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        let Some((tree, rest)) = self.find(path)? else {
            return match self.above(path) {
                Some(Above::Empty) => Ok(Vec::new()),
                Some(Above::Absent) => Err(io::ErrorKind::NotFound.into()),
                None => self.base.read_dir(path),
            };
        };
        tree.entries(rest)?
            .into_iter()
            .map(|(name, kind)| {
                let kind = if kind.is_dir() {
                    EntryKind::Directory
                } else if kind.is_symlink() {
                    EntryKind::Symlink
                } else if kind.is_file() {
                    EntryKind::Regular
                } else {
                    EntryKind::Unknown
                };
                Ok((name, kind))
            })
            .collect()
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        match self.locate(path)? {
            None if self.above(path).is_some() => Err(io::ErrorKind::InvalidInput.into()),
            Some(place) => Ok(std::fs::read_link(place)?.as_os_str().as_bytes().to_vec()),
            None => self.base.read_link(path),
        }
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.base.env_var(name)
    }

    fn current_time(&self) -> i64 {
        self.base.current_time()
    }

    fn add_to_store(&self, path: &str, object: StoreObject<'_>) -> io::Result<()> {
        match object {
            StoreObject::Tree { source, included } => self.add_tree(path, source, included),
            StoreObject::Text { .. } => self.base.add_to_store(path, object),
        }
    }

    fn store_path_exists(&self, path: &str) -> bool {
        match self.find(path.as_bytes()) {
            Ok(Some(_)) => true,
            _ => self.base.store_path_exists(path),
        }
    }

    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Option<Vec<String>>> {
        self.base.build(wanted)
    }

    fn references(&self, path: &[u8]) -> Option<Vec<String>> {
        self.base.references(path)
    }

    fn fetch(&self, request: &FetchRequest) -> io::Result<Fetched> {
        self.fetch_in_turn(request).map_err(fetch_error)
    }

    fn parse_flake_ref(&self, reference: &str) -> io::Result<ParsedFlakeRef> {
        let parsed = FlakeRef::parse(reference, &ParseOptions::absolute())
            .map_err(|error| to_io_error(&error))?;
        Ok(ParsedFlakeRef {
            attributes: to_attributes(parsed.to_attrs()),
            locked: parsed
                .input
                .is_locked()
                .map_err(|error| to_io_error(&error))?,
        })
    }

    fn flake_ref_to_string(&self, attributes: &FetchAttributes) -> io::Result<String> {
        FlakeRef::from_attrs(to_attrs(attributes))
            .and_then(|reference| reference.to_url())
            .map(|url| url.expose())
            .map_err(|error| to_io_error(&error))
    }

    fn shown_path(&self, path: &[u8]) -> String {
        self.fetcher.shown_path(path)
    }

    fn why_missing(&self, path: &[u8]) -> Option<String> {
        let (tree, rest) = self.fetcher.tree_at(path)?;
        tree.untracked(rest).map(|error| error.to_string())
    }

    fn message(&self, text: &str) {
        self.base.message(text);
    }
}
