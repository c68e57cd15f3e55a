//! The evaluation's side of the store: sources that are copied to it, and paths that come from it.

use nix_formats::nar::{self, Writer, WriterError};
use nix_formats::{ContentAddressMethod, FixedOutput, Hash, HashAlgorithm, Hasher, StorePath};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::io::Write;

use crate::context::{ContextBuilder, ContextElement};
use crate::derivations::KnownDerivation;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::io::{FileType, StoreObject};
use crate::path;
use crate::position::PosIdx;
use crate::value::Value;

/// What one evaluation knows of the store.
#[derive(Default)]
pub(crate) struct StoreState {
    /// Store paths of sources that were copied whole, under their own names.
    copied: FxHashMap<Vec<u8>, StorePath>,
    /// Derivations that were made or read.
    pub(crate) derivations: FxHashMap<StorePath, KnownDerivation>,
    /// What texts refer to that `toFile` made.
    pub(crate) references: FxHashMap<StorePath, Vec<StorePath>>,
}

/// A tree to be copied to the store.
pub(crate) struct Source<'s> {
    /// Where it is.
    pub path: &'s [u8],
    /// The name that it is to have there.
    pub name: &'s str,
    /// What is hashed.
    pub method: ContentAddressMethod,
    /// The hash that it must have.
    pub expected: Option<Hash>,
}

/// Says for a path and its type whether it belongs to the tree.
pub(crate) type PathFilter<'a> = dyn FnMut(&mut Evaluator<'a>, &[u8], FileType) -> Result<bool>;

impl<'a> Evaluator<'a> {
    /// The store's folder.
    pub(crate) fn store_dir(&self) -> &str {
        self.settings.store_dir.as_str()
    }

    /// A whole store path as a string of the arena.
    pub(crate) fn printed(&self, path: &StorePath) -> &'a [u8] {
        self.arena
            .alloc_str(&self.settings.store_dir.print(path))
            .as_bytes()
    }

    /// A string that is a store path and refers to it.
    pub(crate) fn store_path_value(&mut self, path: &StorePath) -> Value<'a> {
        let context = self
            .contexts
            .single(ContextElement::Opaque(path.base_name()));
        Value::string_in(self.arena, self.printed(path), Some(context))
    }

    /// The store path of a copy of what lies at `path`, under its own name. The context gets it.
    pub(crate) fn copy_path_to_store(
        &mut self,
        path: &[u8],
        context: &mut ContextBuilder,
    ) -> Result<&'a [u8]> {
        let copied = match self.store.copied.get(path) {
            Some(copied) => copied.clone(),
            None => self.copy_whole(path)?,
        };
        self.contexts
            .add(context, ContextElement::Opaque(copied.base_name()));
        Ok(self.printed(&copied))
    }

    fn copy_whole(&mut self, path: &[u8]) -> Result<StorePath> {
        let base_name = path::base_name(path);
        if base_name.ends_with(b".drv") {
            let message = "file names are not allowed to end in '.drv'";
            return Err(EvalError::new(ErrorKind::Eval, message));
        }
        let name = String::from_utf8_lossy(base_name).into_owned();
        let source = Source {
            path,
            name: &name,
            method: ContentAddressMethod::Recursive,
            expected: None,
        };
        let copied = self.copy_source(&source, None)?;
        self.store.copied.insert(path.to_vec(), copied.clone());
        Ok(copied)
    }

    /// The store path of a copy of a tree, or of what `filter` leaves of it.
    pub(crate) fn copy_source(
        &mut self,
        source: &Source<'_>,
        filter: Option<&mut PathFilter<'a>>,
    ) -> Result<StorePath> {
        let path = self.resolve_ancestors(source.path)?;
        let mut walk = Walk {
            evaluator: self,
            filter,
            included: BTreeSet::new(),
        };
        let hash = match source.method {
            ContentAddressMethod::Flat => walk.hash_flat(&path)?,
            _ => {
                let (hash, _) =
                    nar::hash(HashAlgorithm::Sha256, |writer| walk.write(&path, writer))
                        .map_err(|error| error.into_eval_error(&path))?;
                hash
            }
        };
        let included = walk.filter.is_some().then_some(walk.included);
        let hash = self.settle_hash(source, hash)?;
        let fixed = FixedOutput {
            method: source.method,
            hash,
            references: BTreeSet::new(),
            self_reference: false,
        };
        let store_path = self
            .settings
            .store_dir
            .make_fixed_output_path(&fixed, source.name)
            .map_err(|error| EvalError::new(ErrorKind::Eval, error.to_string()))?;
        if self.settings.write_store {
            let object = StoreObject::Tree {
                source: &path,
                included: included.as_ref(),
            };
            self.put(&store_path, object)?;
        }
        Ok(store_path)
    }

    fn settle_hash(&self, source: &Source<'_>, hash: Hash) -> Result<Hash> {
        match &source.expected {
            Some(expected) if *expected != hash => {
                let path = String::from_utf8_lossy(source.path);
                let show = |hash: &Hash| hash.to_string(nix_formats::HashFormat::Sri, true);
                let message = format!(
                    "hash mismatch for path '{path}':\n  specified: {}\n  got:       {}",
                    show(expected),
                    show(&hash)
                );
                Err(EvalError::new(ErrorKind::Eval, message))
            }
            _ => Ok(hash),
        }
    }

    /// Hands an object to whoever keeps the store.
    pub(crate) fn put(&self, path: &StorePath, object: StoreObject<'_>) -> Result<()> {
        let path = self.settings.store_dir.print(path);
        self.io.add_to_store(&path, object).map_err(|error| {
            EvalError::new(
                ErrorKind::Io,
                format!("cannot add '{path}' to the store: {error}"),
            )
        })
    }

    /// A path to be read now. What has to be built first is an error.
    pub(crate) fn realise_path(&mut self, value: Value<'a>, what: &'static str) -> Result<Vec<u8>> {
        let mut context = ContextBuilder::default();
        let path = self.coerce_to_path(value, PosIdx::NONE, &mut context, what)?;
        self.realise_context(&context)?;
        Ok(path)
    }

    /// Everything that a string refers to must be there without a build.
    pub(crate) fn realise_context(&self, context: &ContextBuilder) -> Result<()> {
        for element in self.contexts.elements_of(context) {
            let ContextElement::Built { drv_path, output } = element else {
                continue;
            };
            let built = format!("{}/{drv_path}^{output}", self.store_dir());
            let message = format!(
                "cannot build '{built}' during evaluation because the option 'allow-import-from-derivation' is disabled"
            );
            return Err(EvalError::new(ErrorKind::ImportFromDerivation, message));
        }
        Ok(())
    }

    /// The path with all symbolic links on the way to it followed, but not itself.
    fn resolve_ancestors(&self, path: &[u8]) -> Result<Vec<u8>> {
        let mut resolved = Vec::new();
        let mut rest: Vec<Vec<u8>> = path
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty())
            .rev()
            .map(<[u8]>::to_vec)
            .collect();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            let here = path::normalise(&[&resolved[..], b"/", &part].concat());
            if rest.is_empty() {
                return Ok(here);
            }
            let found = self
                .io
                .file_type(&here)
                .map_err(|error| self.io_error(&here, &error))?;
            if found != Some(FileType::Symlink) {
                resolved = here;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                let path = String::from_utf8_lossy(path);
                let message = format!(
                    "too many symbolic links encountered while traversing the path '{path}'"
                );
                return Err(EvalError::new(ErrorKind::Io, message));
            }
            let target = self
                .io
                .read_link(&here)
                .map_err(|error| self.io_error(&here, &error))?;
            if target.starts_with(b"/") {
                resolved.clear();
            }
            let parts = target
                .split(|&byte| byte == b'/')
                .filter(|part| !part.is_empty());
            rest.extend(parts.rev().map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
        Ok(if resolved.is_empty() {
            b"/".to_vec()
        } else {
            resolved
        })
    }

    /// `builtins.nixPath`
    pub(crate) fn search_path_value(&mut self) -> Value<'a> {
        let names = self.names;
        let entries = self.settings.search_path.clone();
        let mut items = Vec::with_capacity(entries.len());
        for (prefix, location) in entries {
            let attrs = vec![
                crate::attrs::Attr::new(
                    names.prefix,
                    PosIdx::NONE,
                    Value::string(self.arena, &prefix),
                ),
                crate::attrs::Attr::new(
                    names.path,
                    PosIdx::NONE,
                    Value::string(self.arena, &location),
                ),
            ];
            items.push(Value::Attrs(crate::attrs::Attrs::from_unsorted(
                self.arena, attrs,
            )));
        }
        self.list_of(&items)
    }
}

/// As many links a path may lead over.
const MOST_LINKS: usize = 1024;

/// A tree being written, and what of it was taken.
struct Walk<'w, 'f, 'a> {
    evaluator: &'w mut Evaluator<'a>,
    filter: Option<&'f mut PathFilter<'a>>,
    included: BTreeSet<Vec<u8>>,
}

/// What can stop a walk.
enum WalkError {
    Archive(WriterError),
    Eval(Box<EvalError>),
}

impl From<WriterError> for WalkError {
    fn from(error: WriterError) -> Self {
        WalkError::Archive(error)
    }
}

impl From<Box<EvalError>> for WalkError {
    fn from(error: Box<EvalError>) -> Self {
        WalkError::Eval(error)
    }
}

impl WalkError {
    fn into_eval_error(self, path: &[u8]) -> Box<EvalError> {
        match self {
            WalkError::Eval(error) => error,
            WalkError::Archive(error) => {
                let path = String::from_utf8_lossy(path);
                EvalError::new(
                    ErrorKind::Io,
                    format!("cannot copy '{path}' to the store: {error}"),
                )
            }
        }
    }
}

impl Walk<'_, '_, '_> {
    fn hash_flat(&mut self, path: &[u8]) -> Result<Hash> {
        let found = self
            .evaluator
            .io
            .file_type(path)
            .map_err(|error| self.evaluator.io_error(path, &error))?;
        if !matches!(found, Some(FileType::Regular { .. })) {
            let path = String::from_utf8_lossy(path);
            return Err(EvalError::new(
                ErrorKind::Io,
                format!("file '{path}' is not a regular file"),
            ));
        }
        let contents = self.read(path)?;
        Ok(HashAlgorithm::Sha256.digest(&contents))
    }

    fn read(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.evaluator
            .io
            .read_file(path)
            .map_err(|error| self.evaluator.io_error(path, &error))
    }

    fn write(
        &mut self,
        path: &[u8],
        writer: &mut Writer<Hasher>,
    ) -> std::result::Result<(), WalkError> {
        let found = self
            .evaluator
            .io
            .file_type(path)
            .map_err(|error| self.evaluator.io_error(path, &error))?;
        let Some(kind) = found else {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(self.evaluator.io_error(path, &missing).into());
        };
        self.write_kind(path, kind, writer)
    }

    fn write_kind<W: Write>(
        &mut self,
        path: &[u8],
        kind: FileType,
        writer: &mut Writer<W>,
    ) -> std::result::Result<(), WalkError> {
        match kind {
            FileType::Regular { executable } => writer.file(executable, &self.read(path)?)?,
            FileType::Symlink => {
                let target = self.evaluator.io.read_link(path);
                let target = target.map_err(|error| self.evaluator.io_error(path, &error))?;
                writer.symlink(&target)?;
            }
            FileType::Directory => {
                writer.begin_directory()?;
                let entries = self.evaluator.io.read_dir(path);
                let mut entries = entries.map_err(|error| self.evaluator.io_error(path, &error))?;
                entries.sort();
                for (name, kind) in entries {
                    let path = path::normalise(&[path, b"/", &name].concat());
                    if let Some(filter) = &mut self.filter {
                        if !filter(self.evaluator, &path, kind)? {
                            continue;
                        }
                        self.included.insert(path.clone());
                    }
                    writer.entry(&name)?;
                    self.write_kind(&path, kind, writer)?;
                }
                writer.end_directory()?;
            }
            FileType::Unknown => {
                let path = String::from_utf8_lossy(path);
                return Err(EvalError::new(
                    ErrorKind::Io,
                    format!("file '{path}' has an unsupported type"),
                )
                .into());
            }
        }
        Ok(())
    }
}
