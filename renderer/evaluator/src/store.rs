//! The evaluation's side of the store: sources that are copied to it, and paths that come from it.

use std::collections::BTreeSet;
use std::io::Write;

use nix_formats::derivation::Placeholder;
use nix_formats::nar::{self, Writer, WriterError};
use nix_formats::{ContentAddressMethod, FixedOutput, Hash, HashAlgorithm, StorePath};
use rustc_hash::FxHashMap;

use crate::builtins::outside_error;
use crate::context::{ContextBuilder, ContextElement};
use crate::derivations::KnownDerivation;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::feature::Feature;
use crate::files::{self, Links};
use crate::io::{EntryKind, FileType, StoreObject, WantedOutput};
use crate::path;
use crate::position::PosIdx;
use crate::value::Value;

/// What one evaluation knows of the store.
#[derive(Default)]
pub(crate) struct StoreState<'a> {
    /// Store paths of sources that were copied whole, under their own names.
    copied: FxHashMap<Vec<u8>, StorePath>,
    /// Derivations that were made or read.
    pub(crate) derivations: FxHashMap<StorePath, KnownDerivation>,
    /// Where folders are once symbolic links are followed.
    pub(crate) folders: FxHashMap<Vec<u8>, Vec<u8>>,
    /// What `readDir` gave for folders.
    pub(crate) listings: FxHashMap<Vec<u8>, Value<'a>>,
    /// Where entries of the look-up path are; nothing for those that are nowhere.
    pub(crate) look_up: FxHashMap<Vec<u8>, Option<Vec<u8>>>,
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
    /// Which symbolic links in the path are followed.
    pub links: Links,
}

/// What stands in texts for outputs whose paths are known only once they are built, and those paths.
#[derive(Default)]
pub(crate) struct Placeholders(Vec<(String, String)>);

/// Says for a path and its type whether it belongs to the tree.
pub(crate) type PathFilter<'f, 'a> =
    dyn FnMut(&mut Evaluator<'a>, &[u8], EntryKind) -> Result<bool> + 'f;

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
        self.observe_name(path);
        let base_name = path::base_name(files::text(path));
        if base_name.ends_with(b".drv") {
            let message = "file names are not allowed to end in '.drv'";
            return Err(EvalError::new(ErrorKind::Eval, message));
        }
        let name = String::from_utf8_lossy(base_name).into_owned();
        let source = Source {
            path,
            name: &name,
            method: ContentAddressMethod::Recursive,
            links: Links::OnTheWay,
        };
        let copied = self.copy_source(&source, None)?;
        self.store.copied.insert(path.to_vec(), copied.clone());
        Ok(copied)
    }

    /// The store path of a copy of a tree, or of what `filter` leaves of it.
    pub(crate) fn copy_source(
        &mut self,
        source: &Source<'_>,
        filter: Option<&mut PathFilter<'_, 'a>>,
    ) -> Result<StorePath> {
        let path = self.resolve(source.path, source.links)?;
        let io = self.io;
        let mut walk = Walk {
            evaluator: self,
            filter,
            included: BTreeSet::new(),
        };
        let hash = if source.method == ContentAddressMethod::Flat {
            walk.hash_flat(&path)?
        } else {
            nar::hash(HashAlgorithm::Sha256, |writer| walk.write(&path, writer))
                .map_err(|error| error.into_eval_error(io, &path))?
                .0
        };
        let included = walk.filter.is_some().then_some(walk.included);
        let store_path = self.fixed_path(source.method, hash, source.name)?;
        let object = StoreObject::Tree {
            source: &path,
            included: included.as_ref(),
        };
        self.put(&store_path, object)?;
        Ok(store_path)
    }

    /// The store path of contents with this hash.
    pub(crate) fn fixed_path(
        &self,
        method: ContentAddressMethod,
        hash: Hash,
        name: &str,
    ) -> Result<StorePath> {
        let fixed = FixedOutput {
            method,
            hash,
            references: BTreeSet::new(),
            self_reference: false,
        };
        let store_dir = &self.settings.store_dir;
        store_dir
            .make_fixed_output_path(&fixed, name)
            .map_err(|error| EvalError::new(ErrorKind::Eval, error.to_string()))
    }

    /// Hands an object to the keeper of the store.
    pub(crate) fn put(&self, path: &StorePath, object: StoreObject<'_>) -> Result<()> {
        let path = self.settings.store_dir.print(path);
        self.io.add_to_store(&path, object).map_err(|error| {
            EvalError::new(
                ErrorKind::Io,
                format!("cannot add '{path}' to the store: {error}"),
            )
        })
    }

    /// A path to be read now: what has to be built first is built.
    pub(crate) fn realise_path(
        &mut self,
        value: Value<'a>,
        links: Option<Links>,
    ) -> Result<Vec<u8>> {
        let mut context = ContextBuilder::default();
        let what = "while realising the context of a path";
        let mut path = self.coerce_to_path(value, PosIdx::NONE, &mut context, what)?;
        let realised = self.realise_context(&context).and_then(|built| {
            path = built.rewrite(std::mem::take(&mut path));
            match links {
                Some(links) => self.resolve(&path, links),
                None => Ok(path.clone()),
            }
        });
        realised.map_err(|error| {
            let path = self.io.shown_path(&path);
            let text = format!("while realising the context of path '{path}'");
            error.trace(PosIdx::NONE, text)
        })
    }

    /// Makes sure that everything is there that a string refers to, and builds what has to be built.
    pub(crate) fn realise_context(&self, context: &ContextBuilder) -> Result<Placeholders> {
        let mut wanted = Vec::new();
        for element in self.contexts.elements_of(context) {
            let path = match element {
                ContextElement::Opaque(path) | ContextElement::DrvDeep(path) => path,
                ContextElement::Built { drv_path, output } => {
                    wanted.push((drv_path, output));
                    drv_path
                }
            };
            let known = self.store.derivations.contains_key(path)
                || self
                    .io
                    .store_path_exists(&format!("{}/{path}", self.store_dir()));
            if !known {
                let message = format!("path '{path}' is not valid");
                return Err(EvalError::new(ErrorKind::InvalidPath, message));
            }
        }
        match wanted.first() {
            None => Ok(Placeholders::default()),
            Some(first) => self.build(first, &wanted),
        }
    }

    /// Builds outputs of derivations, or fetches them: `first` is the first of them.
    fn build(&self, first: &(&str, &str), outputs: &[(&str, &str)]) -> Result<Placeholders> {
        let store_dir = self.store_dir();
        let wanted = outputs.iter().map(|(drv_path, output)| WantedOutput {
            drv_path: format!("{store_dir}/{drv_path}"),
            output: (*output).to_owned(),
        });
        let wanted: Vec<_> = wanted.collect();
        let built = self.io.build(&wanted);
        let Some(built) = built.map_err(|error| outside_error(&error))? else {
            let shown = format!("{store_dir}/{}^{}", first.0, first.1);
            let message = format!(
                "cannot build '{shown}' during evaluation because the option 'allow-import-from-derivation' is disabled"
            );
            return Err(EvalError::new(ErrorKind::ImportFromDerivation, message));
        };
        let mut placeholders = Placeholders::default();
        if self.settings.features.contains(&Feature::CaDerivations) {
            for ((drv_path, output), path) in outputs.iter().zip(built) {
                let drv_path = self.store_path(drv_path)?;
                let placeholder = Placeholder::unknown_ca_output(&drv_path, output);
                placeholders.0.push((placeholder.render(), path));
            }
        }
        Ok(placeholders)
    }

    /// `builtins.nixPath`: nothing in pure evaluation.
    pub(crate) fn search_path_value(&mut self) -> Value<'a> {
        let names = self.names;
        let entries = if self.settings.pure {
            Vec::new()
        } else {
            self.settings.search_path.clone()
        };
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

impl Placeholders {
    /// A text with paths in place of what stands for them.
    pub(crate) fn rewrite(&self, text: Vec<u8>) -> Vec<u8> {
        self.0.iter().fold(text, |text, (placeholder, path)| {
            let mut rewritten = Vec::with_capacity(text.len());
            let mut end = 0;
            for start in memchr::memmem::find_iter(&text, placeholder) {
                rewritten.extend_from_slice(&text[end..start]);
                rewritten.extend_from_slice(path.as_bytes());
                end = start + placeholder.len();
            }
            rewritten.extend_from_slice(&text[end..]);
            rewritten
        })
    }
}

/// A tree being written, and what of it was taken.
struct Walk<'w, 'f, 'a> {
    evaluator: &'w mut Evaluator<'a>,
    filter: Option<&'w mut PathFilter<'f, 'a>>,
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
    fn into_eval_error(self, io: &dyn crate::io::EvalIo, path: &[u8]) -> Box<EvalError> {
        match self {
            WalkError::Eval(error) => error,
            WalkError::Archive(error) => {
                let path = io.shown_path(path);
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
        if self.evaluator.existing_type(path)?.kind() != EntryKind::Regular {
            let path = self.evaluator.io.shown_path(path);
            let message = format!("file '{path}' is not a regular file");
            return Err(EvalError::new(ErrorKind::Io, message));
        }
        let contents = self.evaluator.read_file(path)?;
        Ok(HashAlgorithm::Sha256.digest(&contents))
    }

    fn write<W: Write>(
        &mut self,
        path: &[u8],
        writer: &mut Writer<W>,
    ) -> std::result::Result<(), WalkError> {
        match self.evaluator.existing_type(path)? {
            FileType::Regular { executable } => {
                writer.file(executable, &self.evaluator.read_file(path)?)?;
            }
            FileType::Symlink => self.write_symlink(path, writer)?,
            FileType::Directory => self.write_directory(path, writer)?,
            FileType::Unknown => {
                let path = self.evaluator.io.shown_path(path);
                let message = format!("file '{path}' has an unsupported type");
                return Err(EvalError::new(ErrorKind::Io, message).into());
            }
        }
        Ok(())
    }

    fn write_symlink<W: Write>(
        &mut self,
        path: &[u8],
        writer: &mut Writer<W>,
    ) -> std::result::Result<(), WalkError> {
        let target = self.evaluator.io.read_link(path);
        let target = target.map_err(|error| self.evaluator.io_error(path, &error))?;
        Ok(writer.symlink(&target)?)
    }

    fn write_directory<W: Write>(
        &mut self,
        path: &[u8],
        writer: &mut Writer<W>,
    ) -> std::result::Result<(), WalkError> {
        writer.begin_directory()?;
        let entries = self.evaluator.io.read_dir(path);
        let mut entries = entries.map_err(|error| self.evaluator.io_error(path, &error))?;
        entries.sort_unstable();
        for (name, kind) in entries {
            let path = path::join(path, &name);
            if let Some(filter) = &mut self.filter {
                if !filter(self.evaluator, &path, kind)? {
                    continue;
                }
                self.included.insert(path.clone());
            }
            writer.entry(&name)?;
            match kind {
                EntryKind::Directory => self.write_directory(&path, writer)?,
                EntryKind::Symlink => self.write_symlink(&path, writer)?,
                EntryKind::Regular | EntryKind::Unknown => self.write(&path, writer)?,
            }
        }
        Ok(writer.end_directory()?)
    }
}
