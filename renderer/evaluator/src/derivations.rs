//! The derivations that an evaluation knows: those it made, and those it found in the store.

use std::collections::BTreeSet;

use nix_formats::derivation::{DerivationError, HashModulo, Placeholder};
use nix_formats::{Derivation, StorePath};

use crate::attrs::{Attr, Attrs};
use crate::context::ContextElement;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::feature::Feature;
use crate::position::PosIdx;
use crate::value::Value;

/// What must be known of a derivation that others depend on.
pub(crate) struct KnownDerivation {
    /// Stands for it where the output paths of others are computed.
    pub modulo: HashModulo,
    /// Its outputs by name, with their paths where those are known without a build.
    pub outputs: Vec<(String, Option<StorePath>)>,
    /// What its file refers to.
    pub references: Vec<StorePath>,
    /// The variable `name` of its environment.
    pub name: Vec<u8>,
}

impl KnownDerivation {
    /// What is kept of a derivation whose output paths are filled in.
    pub(crate) fn new(
        derivation: &Derivation,
        modulo: HashModulo,
        outputs: Vec<(String, Option<StorePath>)>,
    ) -> Self {
        let inputs = derivation.input_derivations.keys();
        Self {
            modulo,
            outputs,
            references: inputs.chain(&derivation.input_sources).cloned().collect(),
            name: derivation
                .env
                .get(b"name".as_slice())
                .cloned()
                .unwrap_or_default(),
        }
    }
}

/// A derivation's own error as one of the evaluation.
pub(crate) fn derivation_error(error: &DerivationError) -> Box<EvalError> {
    EvalError::new(ErrorKind::Eval, error.to_string())
}

impl<'a> Evaluator<'a> {
    /// A derivation that a string refers to. It must be there.
    pub(crate) fn derivation(&mut self, path: &StorePath) -> Result<&KnownDerivation> {
        if !self.load_derivation(path, 0)? {
            let path = self.settings.store_dir.print(path);
            let message = format!("derivation '{path}' is not valid");
            return Err(EvalError::new(ErrorKind::Eval, message));
        }
        Ok(&self.store.derivations[path])
    }

    /// Whether there is such a derivation; it is known then. One that this evaluation did not make is read from the
    /// store, with all that it depends on.
    pub(crate) fn load_derivation(&mut self, path: &StorePath, depth: usize) -> Result<bool> {
        if self.store.derivations.contains_key(path) {
            return Ok(true);
        }
        self.check_depth(depth)?;
        let file = self.settings.store_dir.print(path).into_bytes();
        let text = match self.io.read_file(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.io_error(&file, &error)),
        };
        let store_dir = self.settings.store_dir.clone();
        let parse_error = |error: DerivationError| {
            let message = format!(
                "error parsing derivation '{}': {error}",
                store_dir.print(path)
            );
            EvalError::new(ErrorKind::Eval, message)
        };
        let name = path.name().strip_suffix(".drv").unwrap_or(path.name());
        let derivation = Derivation::parse_aterm(&store_dir, name, &text).map_err(parse_error)?;
        for input in derivation.input_derivations.keys() {
            if !self.load_derivation(input, depth + 1)? {
                let message = format!("derivation '{}' is not valid", store_dir.print(input));
                return Err(EvalError::new(ErrorKind::Eval, message));
            }
        }
        let known = &self.store.derivations;
        let modulo = derivation
            .hash_modulo::<DerivationError>(&store_dir, |input| Ok(known[input].modulo))
            .map_err(parse_error)?;
        let mut outputs = Vec::with_capacity(derivation.outputs.len());
        for (output, value) in &derivation.outputs {
            let path = value.path(&store_dir, name, output);
            outputs.push((
                output.clone(),
                path.map_err(|error| parse_error(error.into()))?,
            ));
        }
        let known = KnownDerivation::new(&derivation, modulo, outputs);
        self.store.derivations.insert(path.clone(), known);
        Ok(true)
    }

    /// A derivation's file and everything that it refers to, directly or not.
    pub(crate) fn derivation_closure(&mut self, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        let mut closure = BTreeSet::new();
        let mut pending = vec![path.clone()];
        while let Some(path) = pending.pop() {
            if closure.contains(&path) {
                continue;
            }
            if path.is_derivation() {
                if !self.load_derivation(&path, 0)? {
                    let path = self.settings.store_dir.print(&path);
                    let message = format!("path '{path}' is not valid");
                    return Err(EvalError::new(ErrorKind::Eval, message));
                }
                pending.extend_from_slice(&self.store.derivations[&path].references);
            } else if let Some(references) = self.store.references.get(&path) {
                pending.extend_from_slice(references);
            }
            closure.insert(path);
        }
        Ok(closure)
    }

    /// The string that stands for an output: its path, or else a placeholder. It refers to the output.
    pub(crate) fn output_string(
        &mut self,
        derivation: &StorePath,
        output: &str,
        path: Option<&StorePath>,
    ) -> Result<Value<'a>> {
        let text = if let Some(path) = path {
            self.printed(path)
        } else {
            self.require(Feature::CaDerivations)?;
            let placeholder = Placeholder::unknown_ca_output(derivation, output);
            self.arena.alloc_str(&placeholder.render()).as_bytes()
        };
        let context = self.contexts.single(ContextElement::Built {
            drv_path: derivation.base_name(),
            output,
        });
        Ok(Value::string_in(self.arena, text, Some(context)))
    }
}

impl<'a> Evaluator<'a> {
    /// What importing `path` gives if it is a derivation of the store.
    pub(crate) fn import_derivation(&mut self, path: &[u8]) -> Result<Option<Value<'a>>> {
        if !path.ends_with(b".drv") {
            return Ok(None);
        }
        let Ok(drv_path) = self.settings.store_dir.parse_canonical(path) else {
            return Ok(None);
        };
        if !self.load_derivation(&drv_path, 0)? {
            return Ok(None);
        }
        let known = &self.store.derivations[&drv_path];
        let (outputs, name) = (known.outputs.clone(), known.name.clone());
        let names = self.names;
        let mut attrs = Vec::with_capacity(outputs.len() + 3);
        let mut output_names = Vec::with_capacity(outputs.len());
        for (output, path) in &outputs {
            let value = self.output_string(&drv_path, output, path.as_ref())?;
            let symbol = self.symbols.intern(output.as_bytes());
            attrs.push(Attr::new(symbol, PosIdx::NONE, value));
            output_names.push(Value::String(self.symbols.string(symbol)));
        }
        let context = ContextElement::DrvDeep(drv_path.base_name());
        let context = self.contexts.single(context);
        let text = Value::string_in(self.arena, self.printed(&drv_path), Some(context));
        attrs.push(Attr::new(names.drv_path, PosIdx::NONE, text));
        let name = Value::string(self.arena, &name);
        attrs.push(Attr::new(names.name, PosIdx::NONE, name));
        let output_names = self.list_of(&output_names);
        attrs.push(Attr::new(names.outputs, PosIdx::NONE, output_names));
        let attrs = Value::Attrs(Attrs::from_unsorted(self.arena, attrs));
        let function = self.internal_source("imported-drv-to-derivation.nix", IMPORTED)?;
        self.call(function, &[attrs], PosIdx::NONE).map(Some)
    }
}

const IMPORTED: &str = include_str!("builtins/imported-derivation.nix");
