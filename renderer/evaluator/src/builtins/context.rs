//! Builtins on string contexts.

use std::collections::BTreeMap;

use nix_formats::StorePath;
use nix_formats::derivation::hash_placeholder;

use super::{Global, Row, failure};
use crate::attrs::{Attr, AttrRef, Attrs};
use crate::context::{ContextBuilder, ContextElement};
use crate::eval::{Coercion, Evaluator, Result};
use crate::position::PosIdx;
use crate::value::{Bool, Value};

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::{Bare, Underscored};
    vec![
        (
            "addDrvOutputDependencies",
            1,
            Underscored,
            add_drv_output_dependencies,
        ),
        ("appendContext", 2, Underscored, append_context),
        ("getContext", 1, Underscored, get_context),
        ("hasContext", 1, Underscored, has_context),
        ("placeholder", 1, Bare, placeholder),
        (
            "unsafeDiscardOutputDependency",
            1,
            Underscored,
            discard_output_dependency,
        ),
        (
            "unsafeDiscardStringContext",
            1,
            Underscored,
            discard_string_context,
        ),
    ]
}

const NONE: PosIdx = PosIdx::NONE;
const ALL_OUTPUTS: &[u8] = b"allOutputs";

fn placeholder<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.placeholder";
    let output = evaluator.expect_string_no_context(args[0], NONE, what)?;
    let text = hash_placeholder(&String::from_utf8_lossy(output));
    Ok(Value::string(evaluator.arena, text.as_bytes()))
}

fn has_context<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.hasContext";
    let string = evaluator.expect_string(args[0], NONE, what)?;
    Ok(Value::from(string.context.is_some()))
}

fn discard_string_context<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.unsafeDiscardStringContext";
    let mut context = ContextBuilder::default();
    let text =
        evaluator.coerce_to_string(args[0], NONE, &mut context, what, Coercion::INTERPOLATION)?;
    Ok(Value::string_in(evaluator.arena, text, None))
}

fn discard_output_dependency<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.unsafeDiscardOutputDependency";
    let mut context = ContextBuilder::default();
    let text =
        evaluator.coerce_to_string(args[0], NONE, &mut context, what, Coercion::INTERPOLATION)?;
    let mut kept = ContextBuilder::default();
    for element in evaluator.contexts.elements_of(&context) {
        let element = match element {
            ContextElement::DrvDeep(path) => ContextElement::Opaque(path),
            other => other,
        };
        evaluator.contexts.add(&mut kept, element);
    }
    let kept = evaluator.contexts.finish(kept);
    Ok(Value::string_in(evaluator.arena, text, kept))
}

fn add_drv_output_dependencies<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.addDrvOutputDependencies";
    let mut context = ContextBuilder::default();
    let text =
        evaluator.coerce_to_string(args[0], NONE, &mut context, what, Coercion::INTERPOLATION)?;
    let elements = evaluator.contexts.elements_of(&context);
    let [element] = elements[..] else {
        let message = format!(
            "context of string '{}' must have exactly one element, but has {}",
            String::from_utf8_lossy(text),
            elements.len()
        );
        return Err(failure(message));
    };
    let path = match element {
        ContextElement::DrvDeep(path) => path,
        ContextElement::Opaque(path) if path.as_bytes().ends_with(b".drv") => path,
        ContextElement::Opaque(path) => {
            let message = format!(
                "path '{}/{path}' is not a derivation",
                evaluator.store_dir()
            );
            return Err(failure(message));
        }
        ContextElement::Built { output, .. } => {
            let message = format!(
                "`addDrvOutputDependencies` can only act on derivations, not on a derivation output such as '{output}'"
            );
            return Err(failure(message));
        }
    };
    let context = evaluator.contexts.single(ContextElement::DrvDeep(path));
    Ok(Value::string_in(evaluator.arena, text, Some(context)))
}

/// What a context says of one store path.
#[derive(Default)]
struct Mention<'a> {
    path: bool,
    all_outputs: bool,
    outputs: Vec<&'a str>,
}

fn get_context<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.getContext";
    let string = evaluator.expect_string(args[0], NONE, what)?;
    let mut mentions: BTreeMap<&'a str, Mention<'a>> = BTreeMap::new();
    for element in evaluator.contexts.elements(string.context) {
        match element {
            ContextElement::Opaque(path) => mentions.entry(path).or_default().path = true,
            ContextElement::DrvDeep(path) => mentions.entry(path).or_default().all_outputs = true,
            ContextElement::Built { drv_path, output } => {
                mentions.entry(drv_path).or_default().outputs.push(output);
            }
        }
    }
    let (names, arena) = (evaluator.names, evaluator.arena);
    let mut attrs = Vec::with_capacity(mentions.len());
    for (path, mention) in mentions {
        let mut inner = Vec::with_capacity(3);
        if mention.path {
            inner.push(Attr::new(names.path, NONE, Value::Bool(Bool::True)));
        }
        if mention.all_outputs {
            inner.push(Attr::new(
                evaluator.symbols.intern(ALL_OUTPUTS),
                NONE,
                Value::Bool(Bool::True),
            ));
        }
        if !mention.outputs.is_empty() {
            let outputs = mention.outputs.iter();
            let outputs: Vec<_> = outputs
                .map(|output| Value::string(arena, output.as_bytes()))
                .collect();
            inner.push(Attr::new(names.outputs, NONE, evaluator.list_of(&outputs)));
        }
        let key = format!("{}/{path}", evaluator.store_dir());
        let key = evaluator.symbols.intern(key.as_bytes());
        let inner = Value::Attrs(Attrs::from_unsorted(arena, inner));
        attrs.push(Attr::new(key, NONE, inner));
    }
    Ok(Value::Attrs(Attrs::from_unsorted(arena, attrs)))
}

fn append_context<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.appendContext";
    let string = evaluator.expect_string(args[0], NONE, what)?;
    let what = "while evaluating the second argument passed to builtins.appendContext";
    let additions = evaluator.expect_attrs(args[1], NONE, what)?;
    let mut context = ContextBuilder::default();
    context.add(string.context);
    for attr in additions.entries(evaluator.arena) {
        append_mention(evaluator, attr, &mut context)?;
    }
    let context = evaluator.contexts.finish(context);
    Ok(Value::string_in(evaluator.arena, string.bytes, context))
}

fn append_mention<'a>(
    evaluator: &mut Evaluator<'a>,
    attr: AttrRef<'a>,
    context: &mut ContextBuilder,
) -> Result<()> {
    let names = evaluator.names;
    let name = evaluator.symbols.bytes(attr.name);
    let shown = evaluator.shown_name(attr.name);
    let Ok(path) = evaluator.settings.store_dir.parse_canonical(name) else {
        let message = format!("context key '{shown}' is not a store path");
        return Err(failure(message).at(attr.position));
    };
    let not_a_derivation = |what: &str| {
        let message = format!(
            "tried to add {what} context of {shown}, which is not a derivation, to a string"
        );
        failure(message).at(attr.position)
    };
    let what = "while evaluating the value of a string context";
    let mention = evaluator.expect_attrs(attr.value.share(), attr.position, what)?;
    if let Some(attr) = mention.get(names.path) {
        let what = "while evaluating the `path` attribute of a string context";
        if evaluator.expect_bool(attr.value.share(), attr.position, what)? {
            evaluator.add_context(context, &path, ContextElement::Opaque);
        }
    }
    if let Some(attr) = mention.get(evaluator.symbols.intern(ALL_OUTPUTS)) {
        let what = "while evaluating the `allOutputs` attribute of a string context";
        if evaluator.expect_bool(attr.value.share(), attr.position, what)? {
            if !path.is_derivation() {
                return Err(not_a_derivation("all-outputs"));
            }
            evaluator.add_context(context, &path, ContextElement::DrvDeep);
        }
    }
    if let Some(attr) = mention.get(names.outputs) {
        let what = "while evaluating the `outputs` attribute of a string context";
        let outputs = evaluator.expect_list(attr.value.share(), attr.position, what)?;
        if !outputs.is_empty() && !path.is_derivation() {
            return Err(not_a_derivation("derivation output"));
        }
        let what = "while evaluating an output name within a string context";
        for output in outputs {
            let output = evaluator.expect_string_no_context(output.share(), attr.position, what)?;
            let output = String::from_utf8_lossy(output);
            evaluator.add_context(context, &path, |drv_path| ContextElement::Built {
                drv_path,
                output: &output,
            });
        }
    }
    Ok(())
}

impl Evaluator<'_> {
    /// Adds what `element` makes of a store path to a context in the making.
    pub(crate) fn add_context<'p>(
        &mut self,
        context: &mut ContextBuilder,
        path: &'p StorePath,
        element: impl FnOnce(&'p str) -> ContextElement<'p>,
    ) {
        self.contexts.add(context, element(path.base_name()));
    }
}
