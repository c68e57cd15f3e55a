//! Builtins that steer evaluation: errors, strictness, messages, imports.

use super::{Global, Row};
use crate::attrs::{Attr, Attrs};
use crate::context::ContextBuilder;
use crate::error::{ErrorKind, EvalError, Trace};
use crate::eval::{Coercion, Evaluator, Result};
use crate::position::PosIdx;
use crate::print::PrintOptions;
use crate::value::{Bool, NixString, Slot, Value};

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::{Bare, Underscored};
    vec![
        ("abort", 1, Bare, abort),
        ("addErrorContext", 2, Underscored, add_error_context),
        ("break", 1, Bare, |e, args, _| e.force(args[0], NONE)),
        ("deepSeq", 2, Underscored, deep_seq),
        ("import", 1, Bare, import),
        ("scopedImport", 2, Bare, scoped_import),
        ("seq", 2, Underscored, seq),
        ("throw", 1, Bare, throw),
        ("toString", 1, Bare, to_string),
        ("trace", 2, Underscored, trace),
        ("traceVerbose", 2, Underscored, trace_verbose),
        ("tryEval", 1, Underscored, try_eval),
        ("warn", 2, Underscored, warn),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

impl<'a> Evaluator<'a> {
    /// A string without context whose bytes are kept once.
    pub(crate) fn interned(&mut self, text: &str) -> &'a NixString<'a> {
        let symbol = self.symbols.intern(text.as_bytes());
        self.symbols.string(symbol)
    }
}

/// `derivation` is written in Nix; its cell is filled by [`read_derivation`].
pub(super) fn install_derivation<'a>(
    evaluator: &mut Evaluator<'a>,
    attrs: &mut Vec<Attr<'a>>,
) -> &'a Slot<'a> {
    let slot: &'a Slot<'a> = evaluator.arena.alloc(Slot::new(Value::Null));
    super::add(
        evaluator,
        attrs,
        "derivation",
        Global::Bare,
        Value::Thunk(slot),
    );
    slot
}

/// Reads the source of `derivation`, once all that it refers to is there.
pub(super) fn read_derivation<'a>(evaluator: &mut Evaluator<'a>, slot: &'a Slot<'a>) {
    let derivation = evaluator.internal_source("derivation-internal.nix", DERIVATION);
    let Ok(derivation) = derivation else {
        unreachable!("the source of 'derivation' is a function")
    };
    slot.set(derivation);
}

const DERIVATION: &str = include_str!("derivation.nix");

fn message<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    what: &'static str,
    how: Coercion,
) -> Result<String> {
    let text =
        evaluator.coerce_to_string(value, NONE, &mut ContextBuilder::default(), what, how)?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn abort<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the error message passed to builtins.abort";
    let text = message(evaluator, args[0], what, Coercion::INTERPOLATION)?;
    Err(EvalError::new(
        ErrorKind::Abort,
        format!("evaluation aborted with the following error message: '{text}'"),
    ))
}

fn throw<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the error message passed to builtin.throw";
    let text = message(evaluator, args[0], what, Coercion::INTERPOLATION)?;
    Err(EvalError::new(ErrorKind::Thrown, text))
}

fn add_error_context<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let mut error = match evaluator.force(args[1], NONE) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let what = "while evaluating the error message passed to builtins.addErrorContext";
    let text = message(evaluator, args[0], what, Coercion::PLAIN)?;
    error.traces.push(Trace {
        position: NONE,
        text,
        always: true,
    });
    Err(error)
}

fn seq<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    evaluator.force(args[0], NONE)?;
    evaluator.force(args[1], NONE)
}

fn deep_seq<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    evaluator.force_deep(args[0])?;
    evaluator.force(args[1], NONE)
}

fn try_eval<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let (value, success) = match evaluator.force(args[0], NONE) {
        Ok(value) => (value, true),
        Err(error) if error.is_catchable() => {
            evaluator.keep_failure(error);
            (Value::Bool(Bool::False), false)
        }
        Err(error) => return Err(error),
    };
    let names = evaluator.names;
    let attrs = vec![
        Attr::new(
            evaluator.symbols.intern(b"success"),
            NONE,
            Value::from(success),
        ),
        Attr::new(names.value, NONE, value),
    ];
    Ok(Value::Attrs(Attrs::from_unsorted(evaluator.arena, attrs)))
}

fn shown_message<'a>(evaluator: &mut Evaluator<'a>, value: Value<'a>) -> Result<String> {
    Ok(match evaluator.force(value, NONE)? {
        Value::String(string) => String::from_utf8_lossy(string.bytes).into_owned(),
        value => {
            let text = evaluator.print(value, PrintOptions::INSTANTIATE)?;
            String::from_utf8_lossy(&text).into_owned()
        }
    })
}

fn trace<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let text = shown_message(evaluator, args[0])?;
    evaluator.io.message(&format!("trace: {text}"));
    evaluator.force(args[1], NONE)
}

fn trace_verbose<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    position: PosIdx,
) -> Result<Value<'a>> {
    if evaluator.settings.trace_verbose {
        return trace(evaluator, args, position);
    }
    evaluator.force(args[1], NONE)
}

fn warn<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the first argument; the message passed to builtins.warn";
    let text = evaluator.expect_string(args[0], NONE, what)?;
    let text = String::from_utf8_lossy(text.bytes).into_owned();
    let warning = EvalError::new(ErrorKind::Eval, text);
    let warning = warning.report_as("evaluation warning: ", &evaluator.positions, true);
    evaluator.io.message(&warning);
    if evaluator
        .io
        .env_var(b"NIX_ABORT_ON_WARN")
        .is_some_and(|value| !matches!(&value[..], b"" | b"0"))
    {
        return Err(EvalError::new(
            ErrorKind::Abort,
            "aborting to reveal stack trace of warning, as abort-on-warn is set",
        ));
    }
    evaluator.force(args[1], NONE)
}

fn to_string<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let mut context = ContextBuilder::default();
    let what = "while evaluating the first argument passed to builtins.toString";
    let text =
        evaluator.coerce_to_string(args[0], NONE, &mut context, what, Coercion::TO_STRING)?;
    let context = evaluator.contexts.finish(context);
    Ok(Value::string_in(evaluator.arena, text, context))
}

fn import<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let path = evaluator.realise_path(args[0], None)?;
    match evaluator.import_derivation(&path)? {
        Some(value) => Ok(value),
        None => evaluator.eval_file(&path),
    }
}

fn scoped_import<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let path = evaluator.realise_path(args[1], None)?;
    if let Some(value) = evaluator.import_derivation(&path)? {
        return Ok(value);
    }
    let what = "while evaluating the first argument passed to builtins.scopedImport";
    let variables = evaluator.expect_attrs(args[0], NONE, what)?;
    evaluator.eval_file_in(&path, variables)
}
