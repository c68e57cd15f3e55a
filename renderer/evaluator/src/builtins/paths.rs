//! Builtins on paths, files and the store.

use std::collections::BTreeSet;

use nix_formats::{ContentAddressMethod, Hash, HashAlgorithm, HashFormat, StorePath};

use super::{Global, Row, failure};
use crate::attrs::{Attr, Attrs};
use crate::context::{ContextBuilder, ContextElement};
use crate::error::ErrorKind;
use crate::eval::{Coercion, Evaluator, Result};
use crate::feature::Feature;
use crate::files::{self, Links};
use crate::io::{EntryKind, StoreObject};
use crate::path::{base_name, parent};
use crate::position::PosIdx;
use crate::store::Source;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::{Bare, Underscored};
    vec![
        ("baseNameOf", 1, Bare, base_name_of),
        ("dirOf", 1, Bare, dir_of),
        ("filterSource", 2, Underscored, filter_source),
        ("getEnv", 1, Underscored, get_env),
        ("hashFile", 2, Underscored, hash_file),
        ("path", 1, Underscored, add_path),
        ("pathExists", 1, Underscored, path_exists),
        ("readDir", 1, Underscored, read_dir),
        ("readFile", 1, Underscored, read_file),
        ("readFileType", 1, Underscored, read_file_type),
        ("storePath", 1, Underscored, store_path),
        ("toFile", 2, Underscored, to_file),
        ("toPath", 1, Underscored, to_path),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

fn base_name_of<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.baseNameOf";
    if let Value::Path(path) = evaluator.force(args[0], NONE)? {
        evaluator.observe_name(path.bytes);
        let name = base_name(files::text(path.bytes));
        return Ok(Value::string_in(evaluator.arena, name, None));
    }
    let mut context = ContextBuilder::default();
    let text = evaluator.coerce_to_string(args[0], NONE, &mut context, what, Coercion::PLAIN)?;
    // One slash at the end does not count, unless it is all there is.
    let path = match text {
        [.., b'/'] if text.len() > 1 => &text[..text.len() - 1],
        text => text,
    };
    let context = evaluator.contexts.finish(context);
    Ok(Value::string_in(evaluator.arena, base_name(path), context))
}

fn dir_of<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let value = evaluator.force(args[0], NONE)?;
    if let Value::Path(path) = value {
        return Ok(Value::path_in(evaluator.arena, parent(path.bytes)));
    }
    let what = "while evaluating the first argument passed to 'builtins.dirOf'";
    let mut context = ContextBuilder::default();
    let text = evaluator.coerce_to_string(value, NONE, &mut context, what, Coercion::PLAIN)?;
    let directory = match text.iter().rposition(|&byte| byte == b'/') {
        None => b".",
        Some(0) => b"/".as_slice(),
        Some(slash) => &text[..slash],
    };
    let context = evaluator.contexts.finish(context);
    Ok(Value::string_in(evaluator.arena, directory, context))
}

fn to_path<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.toPath";
    let mut context = ContextBuilder::default();
    let path = evaluator.coerce_to_path(args[0], NONE, &mut context, what)?;
    evaluator.io.observed(&path);
    let path = evaluator.arena.alloc_slice_copy(&path);
    let context = evaluator.contexts.finish(context);
    Ok(Value::string_in(evaluator.arena, path, context))
}

fn get_env<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.getEnv";
    let name = evaluator.expect_string_no_context(args[0], NONE, what)?;
    // Nothing in pure evaluation, whatever the world would tell.
    let value = if evaluator.settings.pure {
        None
    } else {
        evaluator.io.env_var(name)
    };
    let value = value.unwrap_or_default();
    Ok(Value::string(evaluator.arena, &value))
}

fn path_exists<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let value = evaluator.force(args[0], NONE)?;
    // A slash at the end asks for a folder, behind links if need be.
    let folder = matches!(value, Value::String(text)
        if text.bytes.ends_with(b"/") || text.bytes.ends_with(b"/."));
    let links = if folder { Links::All } else { Links::OnTheWay };
    let found = evaluator
        .realise_path(value, Some(links))
        .and_then(|path| evaluator.visible_type(&path));
    let exists = match found {
        Ok(found) => found.is_some_and(|found| !folder || found.kind() == EntryKind::Directory),
        Err(error) if error.kind == ErrorKind::Restricted => false,
        Err(error) => return Err(error),
    };
    Ok(Value::from(exists))
}

fn read_file<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let path = evaluator.realise_path(args[0], Some(Links::All))?;
    let contents = evaluator.read_file(&path)?;
    if memchr::memchr(0, &contents).is_some() {
        let path = evaluator.io.shown_path(&path);
        let message =
            format!("the contents of the file '{path}' cannot be represented as a Nix string");
        return Err(failure(message));
    }
    let context = evaluator.references_in(&path, &contents);
    let context = evaluator.contexts.finish(context);
    let contents = evaluator.arena.alloc_slice_copy(&contents);
    Ok(Value::string_in(evaluator.arena, contents, context))
}

fn hash_file<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.hashFile";
    let name = evaluator.expect_string_no_context(args[0], NONE, what)?;
    let algorithm: HashAlgorithm = String::from_utf8_lossy(name)
        .parse()
        .map_err(|error: nix_formats::hash::HashError| failure(error.to_string()))?;
    if algorithm == HashAlgorithm::Blake3 {
        evaluator.require(Feature::Blake3Hashes)?;
    }
    let path = evaluator.realise_path(args[1], Some(Links::All))?;
    let hash = algorithm.digest(&evaluator.read_file(&path)?);
    let text = hash.to_string(HashFormat::Base16, false);
    Ok(Value::string(evaluator.arena, text.as_bytes()))
}

fn read_file_type<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let path = evaluator.realise_path(args[0], None)?;
    let kind = evaluator.existing_type(&path)?.kind();
    Ok(Value::String(evaluator.interned(kind.name())))
}

fn read_dir<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let path = evaluator.realise_path(args[0], Some(Links::All))?;
    if let Some(&listing) = evaluator.store.listings.get(&path) {
        return Ok(listing);
    }
    let entries = evaluator.read_dir(&path)?;
    let mut attrs = Vec::with_capacity(entries.len());
    for (name, kind) in entries {
        let name = evaluator.symbols.intern(&name);
        let kind = Value::String(evaluator.interned(kind.name()));
        attrs.push(Attr::new(name, NONE, kind));
    }
    let listing = Value::Attrs(Attrs::from_unsorted(evaluator.arena, attrs));
    evaluator.store.listings.insert(path, listing);
    Ok(listing)
}

fn store_path<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    if evaluator.settings.pure {
        let message = "'builtins.storePath' is not allowed in pure evaluation mode";
        return Err(failure(message));
    }
    let what = "while evaluating the first argument passed to 'builtins.storePath'";
    let mut context = ContextBuilder::default();
    let mut path = evaluator.coerce_to_path(args[0], NONE, &mut context, what)?;
    if evaluator.settings.store_dir.parse_canonical(&path).is_err() {
        path = evaluator.resolve(&path, Links::All)?;
    }
    let store_path = evaluator.settings.store_dir.parse_subpath(&path);
    let (store_path, _) = store_path.map_err(|error| failure(error.to_string()))?;
    evaluator.add_context(&mut context, &store_path, ContextElement::Opaque);
    let context = evaluator.contexts.finish(context);
    let path = evaluator.arena.alloc_slice_copy(&path);
    Ok(Value::string_in(evaluator.arena, path, context))
}

fn to_file<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.toFile";
    let name = evaluator.expect_string_no_context(args[0], NONE, what)?;
    let name = String::from_utf8_lossy(name);
    let what = "while evaluating the second argument passed to builtins.toFile";
    let contents = evaluator.expect_string(args[1], NONE, what)?;
    let mut references = BTreeSet::new();
    for element in evaluator.contexts.elements(contents.context) {
        let derivation = match element {
            ContextElement::Opaque(path) => {
                references.insert(evaluator.store_path(path)?);
                continue;
            }
            ContextElement::DrvDeep(path) => format!("={path}"),
            ContextElement::Built { drv_path, output } => format!("!{output}!{drv_path}"),
        };
        let message = format!(
            "files created by builtins.toFile may not reference derivations, but {name} references {derivation}"
        );
        return Err(failure(message));
    }
    let path = evaluator
        .settings
        .store_dir
        .make_text_path(&name, contents.bytes, &references)
        .map_err(|error| failure(error.to_string()))?;
    let references: Vec<_> = references.into_iter().collect();
    let object = StoreObject::Text {
        contents: contents.bytes,
        references: &references,
    };
    evaluator.put(&path, object)?;
    if !references.is_empty() {
        evaluator.store.references.insert(path.clone(), references);
    }
    Ok(evaluator.store_path_value(&path))
}

fn filter_source<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the second argument (the path to filter) passed to 'builtins.filterSource'";
    let mut context = ContextBuilder::default();
    let path = evaluator.coerce_to_path(args[1], NONE, &mut context, what)?;
    let what = "while evaluating the first argument passed to builtins.filterSource";
    let filter = evaluator.expect_function(args[0], NONE, what)?;
    Addition {
        name: base_name(&path),
        path: &path,
        filter: Some(filter),
        method: ContentAddressMethod::Recursive,
        expected: None,
    }
    .add(evaluator, &context)
}

fn add_path<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to 'builtins.path'";
    let attrs = evaluator.expect_attrs(args[0], NONE, what)?;
    let mut context = ContextBuilder::default();
    let (mut path, mut name, mut filter, mut expected) = (None, b"".as_slice(), None, None);
    let mut method = ContentAddressMethod::Recursive;
    for attr in evaluator.sorted_attrs(attrs) {
        let (value, at) = (attr.value.share(), attr.position);
        match evaluator.symbols.bytes(attr.name) {
            b"path" => {
                let what = "while evaluating the 'path' attribute passed to 'builtins.path'";
                path = Some(evaluator.coerce_to_path(value, at, &mut context, what)?);
            }
            b"name" => {
                let what = "while evaluating the `name` attribute passed to builtins.path";
                name = evaluator.expect_string_no_context(value, at, what)?;
            }
            b"filter" => {
                let what = "while evaluating the `filter` parameter passed to builtins.path";
                filter = Some(evaluator.expect_function(value, at, what)?);
            }
            b"recursive" => {
                let what = "while evaluating the `recursive` attribute passed to builtins.path";
                if !evaluator.expect_bool(value, at, what)? {
                    method = ContentAddressMethod::Flat;
                }
            }
            b"sha256" => {
                let what = "while evaluating the `sha256` attribute passed to builtins.path";
                let text = evaluator.expect_string_no_context(value, at, what)?;
                let text = String::from_utf8_lossy(text);
                expected = Some(evaluator.hash_or_empty(&text, Some(HashAlgorithm::Sha256))?);
            }
            _ => {
                let other = evaluator.shown_name(attr.name);
                let message = format!("unsupported argument '{other}' to 'builtins.path'");
                return Err(failure(message).at(at));
            }
        }
    }
    let Some(path) = path else {
        let message = "missing required 'path' attribute in the first argument to 'builtins.path'";
        return Err(failure(message));
    };
    Addition {
        name: if name.is_empty() {
            evaluator.observe_name(&path);
            base_name(&path)
        } else {
            name
        },
        path: &path,
        filter,
        method,
        expected,
    }
    .add(evaluator, &context)
}

/// Something to copy to the store.
struct Addition<'p, 'a> {
    name: &'p [u8],
    path: &'p [u8],
    filter: Option<Value<'a>>,
    method: ContentAddressMethod,
    expected: Option<Hash>,
}

impl<'a> Addition<'_, 'a> {
    fn add(&self, evaluator: &mut Evaluator<'a>, context: &ContextBuilder) -> Result<Value<'a>> {
        // A placeholder for a path that is known only once it is built is not in the store: Nix finds nothing there.
        let added = if evaluator.settings.store_dir.contains(self.path) {
            evaluator
                .realise_context(context)
                .and_then(|_| self.store_path(evaluator))
        } else {
            self.store_path(evaluator)
        };
        let path = added.map_err(|error| {
            let path = evaluator.io.shown_path(self.path);
            error.trace(NONE, format!("while adding path '{path}'"))
        })?;
        Ok(evaluator.store_path_value(&path))
    }

    fn store_path(&self, evaluator: &mut Evaluator<'a>) -> Result<StorePath> {
        let name = String::from_utf8_lossy(self.name);
        let mut expected = None;
        if let Some(hash) = self.expected {
            let path = evaluator.fixed_path(self.method, hash, &name)?;
            if evaluator
                .io
                .store_path_exists(&evaluator.settings.store_dir.print(&path))
            {
                return Ok(path);
            }
            expected = Some(path);
        }
        let source = Source {
            path: self.path,
            name: &name,
            method: self.method,
            links: Links::All,
        };
        let added = match self.filter {
            None => evaluator.copy_source(&source, None)?,
            Some(function) => {
                let mut filter = move |evaluator: &mut Evaluator<'a>, path: &[u8], kind| {
                    call_filter(evaluator, function, path, kind)
                };
                evaluator.copy_source(&source, Some(&mut filter))?
            }
        };
        if expected.is_some_and(|expected| expected != added) {
            let path = evaluator.io.shown_path(self.path);
            let message =
                format!("store path mismatch in (possibly filtered) path added from '{path}'");
            return Err(failure(message));
        }
        Ok(added)
    }
}

fn call_filter<'a>(
    evaluator: &mut Evaluator<'a>,
    function: Value<'a>,
    path: &[u8],
    kind: EntryKind,
) -> Result<bool> {
    evaluator.io.observed(path);
    let path = Value::string(evaluator.arena, path);
    let kind = Value::String(evaluator.interned(kind.name()));
    let result = evaluator.call(function, &[path, kind], NONE)?;
    let what = "while evaluating the return value of the path filter function";
    evaluator.expect_bool(result, NONE, what)
}

impl Evaluator<'_> {
    /// The evaluation can tell the last part of a path: that of a whole tree in the store has its hash.
    pub(crate) fn observe_name(&self, path: &[u8]) {
        if parent(path) == self.store_dir().as_bytes() {
            self.io.observed(path);
        }
    }

    /// What a file of the store refers to, as far as its contents still say so.
    fn references_in(&mut self, path: &[u8], contents: &[u8]) -> ContextBuilder {
        let mut context = ContextBuilder::default();
        let Ok((store_path, _)) = self.settings.store_dir.parse_subpath(path) else {
            return context;
        };
        let references = if let Some(references) = self.store.references.get(&store_path) {
            references.clone()
        } else {
            let store_dir = &self.settings.store_dir;
            let references = self.io.references(path).unwrap_or_default();
            let parsed = references.iter().map(|path| store_dir.parse(path).ok());
            parsed.flatten().collect()
        };
        for reference in references {
            let hash = reference.hash_part().as_bytes();
            if memchr::memmem::find(contents, hash).is_some() {
                self.add_context(&mut context, &reference, ContextElement::Opaque);
            }
        }
        context
    }
}
