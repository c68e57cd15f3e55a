//! `match` and `split`.

use std::rc::Rc;

use super::{Global, Row};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::regex::{Groups, Regex, RegexError};
use crate::value::{Slot, Value};

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    vec![
        ("match", 2, Global::Underscored, match_),
        ("split", 2, Global::Underscored, split),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

#[cold]
fn failure(error: RegexError, pattern: &[u8]) -> Box<EvalError> {
    let pattern = String::from_utf8_lossy(pattern);
    let what = match error {
        RegexError::Invalid => "invalid regular expression",
        RegexError::TooLarge => "memory limit exceeded by regular expression",
    };
    EvalError::new(ErrorKind::Eval, format!("{what} '{pattern}'"))
}

fn compiled<'a>(
    evaluator: &mut Evaluator<'a>,
    pattern: Value<'a>,
    what: &'static str,
) -> Result<(&'a [u8], Rc<Regex>)> {
    let pattern = evaluator.expect_string_no_context(pattern, NONE, what)?;
    let regex = evaluator.regexes.get(pattern);
    Ok((pattern, regex.map_err(|error| failure(error, pattern))?))
}

fn match_<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.match";
    let (pattern, regex) = compiled(evaluator, args[0], what)?;
    let what = "while evaluating the second argument passed to builtins.match";
    let text = evaluator.expect_string(args[1], NONE, what)?.bytes;
    let arena = evaluator.arena;
    let found = regex
        .match_all(text, &mut evaluator.regexes.scratch)
        .map_err(|error| failure(error, pattern))?;
    Ok(match found {
        Some(groups) => group_list(arena, text, groups),
        None => Value::Null,
    })
}

fn group_list<'a>(arena: &'a bumpalo::Bump, text: &'a [u8], groups: &Groups) -> Value<'a> {
    let items = arena.alloc_slice_fill_with(groups.len(), |index| {
        Slot::new(match groups[index] {
            Some((start, end)) => Value::string_in(arena, &text[start..end], None),
            None => Value::Null,
        })
    });
    Value::list(arena, items)
}

fn split<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.split";
    let (pattern, regex) = compiled(evaluator, args[0], what)?;
    let what = "while evaluating the second argument passed to builtins.split";
    let string = evaluator.expect_string(args[1], NONE, what)?;
    let (arena, text) = (evaluator.arena, string.bytes);
    let no_groups = (regex.groups() == 0).then(|| Value::list(arena, &[]));
    let (mut parts, mut end) = (Vec::new(), 0);
    regex
        .for_each_match(text, &mut evaluator.regexes.scratch, |found| {
            parts.push(Value::string_in(arena, &text[end..found.start], None));
            parts.push(no_groups.unwrap_or_else(|| group_list(arena, text, found.groups)));
            end = found.end;
        })
        .map_err(|error| failure(error, pattern))?;
    parts.push(if parts.is_empty() {
        Value::String(string)
    } else {
        Value::string_in(arena, &text[end..], None)
    });
    Ok(evaluator.list_of(&parts))
}
