//! A derivation in the making: what each attribute adds to it.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use nix_formats::derivation::{Derivation, DerivationOutput, hash_placeholder};
use nix_formats::{ContentAddress, ContentAddressMethod, HashAlgorithm, StorePath};

use super::super::failure;
use super::NONE;
use crate::attrs::AttrRef;
use crate::context::{ContextBuilder, ContextElement};
use crate::eval::{Coercion, Evaluator, Result};
use crate::feature::Feature;
use crate::json::JsonOptions;
use crate::value::Value;

/// Errors in attributes get their trace from the loop over them; this text is left out of it.
const TRACED_ABOVE: &str = "";

/// A derivation in the making.
pub(super) struct Draft {
    pub(super) derivation: Derivation,
    context: ContextBuilder,
    outputs: BTreeSet<String>,
    content_addressed: bool,
    impure: bool,
    hash: Option<String>,
    algorithm: Option<HashAlgorithm>,
    method: Option<ContentAddressMethod>,
    /// The object of the attributes, open at its end.
    pub(super) structured: Option<Vec<u8>>,
}

pub(super) type Env = Vec<(Vec<u8>, Vec<u8>)>;

impl Draft {
    /// One that has a name, and no attributes yet.
    pub(super) fn new(name: &str, is_structured: bool) -> Self {
        Self {
            derivation: Derivation {
                name: name.to_owned(),
                ..Derivation::default()
            },
            context: ContextBuilder::default(),
            outputs: BTreeSet::from(["out".to_owned()]),
            content_addressed: false,
            impure: false,
            hash: None,
            algorithm: None,
            method: None,
            structured: is_structured.then(|| b"{".to_vec()),
        }
    }

    pub(super) fn add<'a>(
        &mut self,
        evaluator: &mut Evaluator<'a>,
        attr: AttrRef<'a>,
        env: &mut Env,
    ) -> Result<()> {
        let names = evaluator.names;
        let value = attr.value.share();
        if attr.name == names.content_addressed {
            if evaluator.expect_bool(value, NONE, TRACED_ABOVE)? {
                self.content_addressed = true;
                evaluator.require(Feature::CaDerivations)?;
            }
            Ok(())
        } else if attr.name == names.impure {
            if evaluator.expect_bool(value, NONE, TRACED_ABOVE)? {
                self.impure = true;
                evaluator.require(Feature::ImpureDerivations)?;
            }
            Ok(())
        } else if attr.name == names.args {
            for item in evaluator.expect_list(value, NONE, TRACED_ABOVE)? {
                let argument = evaluator.coerce_to_string(
                    item.share(),
                    NONE,
                    &mut self.context,
                    "while evaluating an element of the argument list",
                    Coercion::DERIVATION,
                )?;
                self.derivation.args.push(argument.to_vec());
            }
            Ok(())
        } else if self.structured.is_none() {
            self.add_variable(evaluator, attr, env)
        } else if attr.name != names.structured_attrs {
            self.add_structured(evaluator, attr)
        } else {
            Ok(())
        }
    }

    /// An attribute that becomes a variable of the builder's environment.
    fn add_variable<'a>(
        &mut self,
        evaluator: &mut Evaluator<'a>,
        attr: AttrRef<'a>,
        env: &mut Env,
    ) -> Result<()> {
        let names = evaluator.names;
        let text = evaluator.coerce_to_string(
            attr.value.share(),
            NONE,
            &mut self.context,
            TRACED_ABOVE,
            Coercion::DERIVATION,
        )?;
        if attr.name == names.json {
            let name = &self.derivation.name;
            evaluator.io.message(&format!(
                "warning: In derivation '{name}': setting structured attributes via '__json' is deprecated, and may be disallowed in future versions of Nix. Set '__structuredAttrs = true' instead."
            ));
            self.derivation.structured_attrs = Some(structured_text(evaluator, text)?);
            return Ok(());
        }
        let key = evaluator.symbols.bytes(attr.name);
        env.push((key.to_vec(), text.to_vec()));
        if attr.name == names.builder {
            self.derivation.builder = text.to_vec();
        } else if attr.name == names.system {
            self.derivation.platform = text.to_vec();
        } else if attr.name == names.outputs {
            let words = text.split(|byte| b" \t\n\r".contains(byte));
            self.set_outputs(words.filter(|word| !word.is_empty()))?;
        } else {
            self.set_fixed_output(evaluator, attr, text)?;
        }
        Ok(())
    }

    /// The attributes that say which contents the output is to have.
    fn set_fixed_output<'a>(
        &mut self,
        evaluator: &Evaluator<'a>,
        attr: AttrRef<'a>,
        text: &[u8],
    ) -> Result<()> {
        let names = evaluator.names;
        let text = || String::from_utf8_lossy(text);
        if attr.name == names.output_hash {
            self.hash = Some(text().into_owned());
        } else if attr.name == names.output_hash_algo {
            self.algorithm = text().parse().ok();
            if self.algorithm == Some(HashAlgorithm::Blake3) {
                evaluator.require(Feature::Blake3Hashes)?;
            }
        } else if attr.name == names.output_hash_mode {
            self.set_method(evaluator, &text())?;
        }
        Ok(())
    }

    /// An attribute that becomes part of the builder's JSON file.
    fn add_structured<'a>(
        &mut self,
        evaluator: &mut Evaluator<'a>,
        attr: AttrRef<'a>,
    ) -> Result<()> {
        let names = evaluator.names;
        let value = attr.value.share();
        if let Some(object) = &mut self.structured {
            if object.len() > 1 {
                object.push(b',');
            }
            let key = Value::String(evaluator.symbols.string(attr.name));
            let context = &mut self.context;
            object.extend(evaluator.to_json(key, JsonOptions::TO_JSON, context)?);
            object.push(b':');
            object.extend(evaluator.to_json(value, JsonOptions::TO_JSON, context)?);
        }
        if attr.name == names.builder {
            let builder = evaluator.expect_string(value, NONE, TRACED_ABOVE)?;
            self.context.add(builder.context);
            self.derivation.builder = builder.bytes.to_vec();
        } else if attr.name == names.system {
            let system = evaluator.expect_string_no_context(value, NONE, TRACED_ABOVE)?;
            self.derivation.platform = system.to_vec();
        } else if attr.name == names.outputs {
            let mut outputs = Vec::new();
            for item in evaluator.expect_list(value, NONE, TRACED_ABOVE)? {
                outputs.push(evaluator.expect_string_no_context(
                    item.share(),
                    NONE,
                    TRACED_ABOVE,
                )?);
            }
            self.set_outputs(outputs.into_iter())?;
        } else if [
            names.output_hash,
            names.output_hash_algo,
            names.output_hash_mode,
        ]
        .contains(&attr.name)
        {
            let text = evaluator.expect_string_no_context(value, NONE, TRACED_ABOVE)?;
            self.set_fixed_output(evaluator, attr, text)?;
        } else if [
            names.allowed_references,
            names.allowed_requisites,
            names.disallowed_references,
            names.disallowed_requisites,
            names.max_size,
            names.max_closure_size,
        ]
        .contains(&attr.name)
        {
            let (name, key) = (&self.derivation.name, evaluator.symbols.text(attr.name));
            evaluator.io.message(&format!(
                "warning: In a derivation named '{name}', 'structuredAttrs' disables the effect of the derivation attribute '{key}'; use 'outputChecks.<output>.{key}' instead"
            ));
        }
        Ok(())
    }

    fn set_outputs<'o>(&mut self, names: impl Iterator<Item = &'o [u8]>) -> Result<()> {
        self.outputs.clear();
        for name in names {
            let name = String::from_utf8_lossy(name).into_owned();
            if name == "drvPath" {
                let message = "invalid derivation output name 'drvPath'";
                return Err(failure(message));
            }
            if self.outputs.contains(&name) {
                let message = format!("duplicate derivation output '{name}'");
                return Err(failure(message));
            }
            self.outputs.insert(name);
        }
        if self.outputs.is_empty() {
            let message = "derivation cannot have an empty set of outputs";
            return Err(failure(message));
        }
        Ok(())
    }

    fn set_method(&mut self, evaluator: &Evaluator<'_>, mode: &str) -> Result<()> {
        let method = match mode {
            "recursive" => ContentAddressMethod::Recursive,
            mode => mode.parse().map_err(|_| {
                let message = format!("invalid value '{mode}' for 'outputHashMode' attribute");
                failure(message)
            })?,
        };
        match method {
            ContentAddressMethod::Text => {
                let name = &self.derivation.name;
                let what = format!("text-hashed derivation '{name}', outputHashMode = \"text\"");
                evaluator.require_for(Feature::DynamicDerivations, &what)?;
            }
            ContentAddressMethod::Git => evaluator.require(Feature::GitHashing)?,
            _ => {}
        }
        self.method = Some(method);
        Ok(())
    }

    /// What the strings refer to becomes what the derivation depends on.
    pub(super) fn add_inputs(&mut self, evaluator: &mut Evaluator<'_>) -> Result<()> {
        for element in evaluator.contexts.elements_of(&self.context) {
            match element {
                ContextElement::Opaque(path) => {
                    let path = evaluator.store_path(path)?;
                    self.derivation.input_sources.insert(path);
                }
                ContextElement::Built { drv_path, output } => {
                    let path = evaluator.store_path(drv_path)?;
                    let outputs = self.derivation.input_derivations.entry(path);
                    outputs.or_default().names.insert(output.to_owned());
                }
                ContextElement::DrvDeep(path) => {
                    let path = evaluator.store_path(path)?;
                    self.add_closure(evaluator, &path)?;
                }
            }
        }
        Ok(())
    }

    /// The builder may look at the whole graph of a derivation: all of it becomes an input, with all outputs.
    fn add_closure(&mut self, evaluator: &mut Evaluator<'_>, path: &StorePath) -> Result<()> {
        for path in evaluator.derivation_closure(path)? {
            if path.is_derivation() {
                let known = evaluator.derivation(&path)?;
                let outputs = known.outputs.iter().map(|(name, _)| name.clone());
                let outputs: BTreeSet<String> = outputs.collect();
                match self.derivation.input_derivations.entry(path.clone()) {
                    Entry::Occupied(mut entry) => entry.get_mut().names = outputs,
                    Entry::Vacant(entry) => {
                        entry.insert(outputs.into());
                    }
                }
            }
            self.derivation.input_sources.insert(path);
        }
        Ok(())
    }

    pub(super) fn add_outputs(&mut self, evaluator: &Evaluator<'_>) -> Result<()> {
        if self.derivation.builder.is_empty() {
            return Err(failure("required attribute 'builder' missing"));
        }
        if self.derivation.platform.is_empty() {
            return Err(failure("required attribute 'system' missing"));
        }
        let only_out = self.outputs.len() == 1 && self.outputs.contains("out");
        let single_text = only_out && self.method == Some(ContentAddressMethod::Text);
        if self.derivation.name.as_bytes().ends_with(b".drv") && !single_text {
            let message = "derivation names are allowed to end in '.drv' only if they produce a single derivation file";
            return Err(failure(message));
        }
        if let Some(hash) = self.hash.take() {
            if !only_out {
                let message = "multiple outputs are not supported in fixed-output derivations";
                return Err(failure(message));
            }
            let address = ContentAddress {
                method: self.method.unwrap_or(ContentAddressMethod::Flat),
                hash: evaluator.hash_or_empty(&hash, self.algorithm)?,
            };
            let output = DerivationOutput::FixedOutput(address);
            self.derivation.outputs.insert("out".to_owned(), output);
            return Ok(());
        }
        if !self.content_addressed && !self.impure {
            let outputs = std::mem::take(&mut self.outputs).into_iter();
            self.derivation.outputs = outputs
                .map(|name| (name, DerivationOutput::Deferred))
                .collect();
            return Ok(());
        }
        if self.content_addressed && self.impure {
            let message = "derivation cannot be both content-addressed and impure";
            return Err(failure(message));
        }
        let algorithm = self.algorithm.unwrap_or(HashAlgorithm::Sha256);
        let method = self.method.unwrap_or(ContentAddressMethod::Recursive);
        for name in std::mem::take(&mut self.outputs) {
            let placeholder = hash_placeholder(&name).into_bytes();
            let variable = name.as_bytes().to_vec();
            self.derivation.env.insert(variable, placeholder);
            let output = if self.impure {
                DerivationOutput::Impure { method, algorithm }
            } else {
                DerivationOutput::Floating { method, algorithm }
            };
            self.derivation.outputs.insert(name, output);
        }
        Ok(())
    }
}

/// The text of an object, as it is written in derivations.
fn structured_text<'a>(evaluator: &mut Evaluator<'a>, text: &'a [u8]) -> Result<String> {
    let cannot = |reason: &str| failure(format!("cannot process __json attribute: {reason}"));
    let value = evaluator
        .from_json(text)
        .map_err(|error| cannot(&error.message))?;
    let found = match value {
        Value::Attrs(_) => None,
        Value::List(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Null => Some("null"),
        _ => Some("number"),
    };
    if let Some(found) = found {
        return Err(cannot(&format!(
            "[json.exception.type_error.302] type must be object, but is {found}"
        )));
    }
    let mut context = ContextBuilder::default();
    let text = evaluator.to_json(value, JsonOptions::TO_JSON, &mut context)?;
    String::from_utf8(text).map_err(|_| cannot("it is not UTF-8"))
}
