//! `derivationStrict`: from a set of attributes to a derivation.

mod draft;

use nix_formats::derivation::{Derivation, DerivationError, DerivationOutput};
use nix_formats::{Hash, HashAlgorithm, HashFormat, StorePath, check_name};

use super::{Global, Row, failure};
use crate::attrs::{Attr, AttrRef, Attrs};
use crate::context::ContextElement;
use crate::derivations::{KnownDerivation, derivation_error};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::feature::Feature;
use crate::io::StoreObject;
use crate::position::PosIdx;
use crate::value::Value;
use draft::Draft;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    vec![("derivationStrict", 1, Global::Bare, derivation_strict)]
}

const NONE: PosIdx = PosIdx::NONE;

fn derivation_strict<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let attrs = evaluator.expect_attrs(
        args[0],
        NONE,
        "while evaluating the argument passed to builtins.derivationStrict",
    )?;
    let name_attr = evaluator.required_attr(
        attrs,
        evaluator.names.name,
        "in the attrset passed as argument to builtins.derivationStrict",
    )?;
    let name = evaluator
        .expect_string_no_context(
            name_attr.value.share(),
            NONE,
            "while evaluating the `name` attribute passed to builtins.derivationStrict",
        )
        .map_err(|error| {
            error.trace(
                name_attr.position,
                "while evaluating the derivation attribute 'name'",
            )
        })?;
    let name = String::from_utf8_lossy(name);
    instantiate(evaluator, &name, attrs).map_err(|error| {
        let place = evaluator.describe_position(name_attr.position);
        let text = format!(
            "while evaluating derivation '{name}'\n  whose name attribute is located at {place}"
        );
        error.trace(NONE, text)
    })
}

fn instantiate<'a>(
    evaluator: &mut Evaluator<'a>,
    name: &str,
    attrs: &'a Attrs<'a>,
) -> Result<Value<'a>> {
    check_name(name).map_err(|error| {
        let message = format!("invalid derivation name: {error}. Please pass a different 'name'.");
        EvalError::new(ErrorKind::Eval, message)
    })?;
    let names = evaluator.names;
    let structured = flag(
        evaluator,
        attrs.get(names.structured_attrs),
        "while evaluating the `__structuredAttrs` attribute passed to builtins.derivationStrict",
    )?;
    let ignore_nulls = flag(
        evaluator,
        attrs.get(names.ignore_nulls),
        "while evaluating the `__ignoreNulls` attribute passed to builtins.derivationStrict",
    )?;
    let mut draft = Draft::new(name, structured);
    let mut env = Vec::with_capacity(64);
    for attr in evaluator.sorted_attrs(attrs) {
        if attr.name == names.ignore_nulls {
            continue;
        }
        let done = if ignore_nulls {
            match evaluator.force_slot(attr.value, NONE) {
                Ok(Value::Null) => continue,
                Ok(_) => draft.add(evaluator, attr, &mut env),
                Err(error) => Err(error),
            }
        } else {
            draft.add(evaluator, attr, &mut env)
        };
        done.map_err(|error| {
            let key = evaluator.symbols.text(attr.name);
            let text = format!("while evaluating attribute '{key}' of derivation '{name}'");
            error.trace(attr.position, text)
        })?;
    }
    draft.derivation.env = env.into_iter().collect();
    if let Some(mut json) = draft.structured.take() {
        json.push(b'}');
        let json = String::from_utf8(json).map_err(|_| failure("invalid UTF-8 string"))?;
        draft.derivation.structured_attrs = Some(json);
    }
    draft.add_inputs(evaluator)?;
    draft.add_outputs(evaluator)?;
    finish(evaluator, draft.derivation)
}

fn flag<'a>(
    evaluator: &mut Evaluator<'a>,
    attr: Option<AttrRef<'a>>,
    what: &'static str,
) -> Result<bool> {
    attr.map_or(Ok(false), |attr| {
        evaluator.expect_bool(attr.value.share(), NONE, what)
    })
}

/// Computes the paths, and makes the derivation known.
fn finish<'a>(evaluator: &mut Evaluator<'a>, mut derivation: Derivation) -> Result<Value<'a>> {
    let is_deferred = |output: &DerivationOutput| *output == DerivationOutput::Deferred;
    if derivation.outputs.values().any(is_deferred) {
        for input in derivation.input_derivations.keys() {
            evaluator.derivation(input)?;
        }
    }
    let (store_dir, known) = (&evaluator.settings.store_dir, &evaluator.store.derivations);
    let done = derivation
        .instantiate::<DerivationError>(store_dir, |input| Ok(known[input].modulo))
        .map_err(|error| derivation_error(&error))?;
    let mut outputs = Vec::with_capacity(derivation.outputs.len());
    for (name, output) in &derivation.outputs {
        let path = output.path(store_dir, &derivation.name, name);
        outputs.push((
            name.clone(),
            path.map_err(|error| derivation_error(&error.into()))?,
        ));
    }
    let mut attrs = Vec::with_capacity(outputs.len() + 1);
    let path = evaluator.printed(&done.path);
    let context = ContextElement::DrvDeep(done.path.base_name());
    let context = evaluator.contexts.single(context);
    let path = Value::string_in(evaluator.arena, path, Some(context));
    attrs.push(Attr::new(evaluator.names.drv_path, NONE, path));
    for (name, path) in &outputs {
        let value = evaluator.output_string(&done.path, name, path.as_ref())?;
        let symbol = evaluator.symbols.intern(name.as_bytes());
        attrs.push(Attr::new(symbol, NONE, value));
    }
    let known = KnownDerivation::new(&derivation, done.modulo, outputs);
    if evaluator.settings.write_store {
        let object = StoreObject::Text {
            contents: &done.aterm,
            references: &known.references,
        };
        evaluator.put(&done.path, object)?;
    }
    evaluator.store.derivations.insert(done.path, known);
    Ok(Value::Attrs(Attrs::from_unsorted(evaluator.arena, attrs)))
}

impl Evaluator<'_> {
    /// The store path of a context element.
    pub(crate) fn store_path(&self, base_name: &str) -> Result<StorePath> {
        if let Some((path, _)) = self.store.derivations.get_key_value(base_name) {
            return Ok(path.clone());
        }
        StorePath::from_base_name(base_name)
            .map_err(|error| EvalError::new(ErrorKind::Eval, error.to_string()))
    }

    /// A hash as a text; an empty text stands for a hash of zeros, to be replaced when the build tells the right one.
    pub(crate) fn hash_or_empty(
        &self,
        text: &str,
        algorithm: Option<HashAlgorithm>,
    ) -> Result<Hash> {
        let hash = if !text.is_empty() {
            Hash::parse_any(text, algorithm).map_err(|error| failure(error.to_string()))?
        } else if let Some(algorithm) = algorithm {
            let zeros = vec![0; algorithm.size()];
            let hash =
                Hash::from_bytes(algorithm, &zeros).ok_or_else(|| failure("invalid hash"))?;
            let shown = hash.to_string(HashFormat::Sri, true);
            self.io
                .message(&format!("warning: found empty hash, assuming '{shown}'"));
            hash
        } else {
            let message = "empty hash requires explicit hash algorithm";
            return Err(failure(message));
        };
        if hash.algorithm() == HashAlgorithm::Blake3 {
            self.require(Feature::Blake3Hashes)?;
        }
        Ok(hash)
    }
}
