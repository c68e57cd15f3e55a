//! Builtins on strings, and the hashes of strings.

use std::str::FromStr;

use nix_formats::{Hash, HashAlgorithm, HashFormat};

use super::{Global, Row};
use crate::attrs::{AttrRef, Attrs};
use crate::context::ContextBuilder;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coercion, Evaluator, Result};
use crate::position::PosIdx;
use crate::value::{Slot, Value};

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::Underscored;
    vec![
        ("concatStringsSep", 2, Underscored, concat_strings_sep),
        ("convertHash", 1, Underscored, convert_hash),
        ("hashString", 2, Underscored, hash_string),
        ("replaceStrings", 3, Underscored, replace_strings),
        ("stringLength", 1, Underscored, string_length),
        ("substring", 3, Underscored, substring),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

fn substring<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let start = evaluator.expect_int(
        args[0],
        NONE,
        "while evaluating the first argument (the start offset) passed to builtins.substring",
    )?;
    let Ok(start) = usize::try_from(start) else {
        return Err(EvalError::new(
            ErrorKind::Eval,
            "negative start position in 'substring'",
        ));
    };
    let len = evaluator.expect_int(
        args[1],
        NONE,
        "while evaluating the second argument (the substring length) passed to builtins.substring",
    )?;
    if let Value::String(string) = evaluator.force(args[2], NONE)? {
        let part = part_of(string.bytes, start, len);
        return Ok(Value::string_in(evaluator.arena, part, string.context));
    }
    let mut context = ContextBuilder::default();
    let what = "while evaluating the third argument (the string) passed to builtins.substring";
    let text =
        evaluator.coerce_to_string(args[2], NONE, &mut context, what, Coercion::INTERPOLATION)?;
    let context = evaluator.contexts.finish(context);
    let part = part_of(text, start, len);
    Ok(Value::string_in(evaluator.arena, part, context))
}

/// At most `len` bytes from `start` on; all of them if `len` is negative.
fn part_of(bytes: &[u8], start: usize, len: i64) -> &[u8] {
    let rest = bytes.get(start..).unwrap_or_default();
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    &rest[..len.min(rest.len())]
}

fn string_length<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.stringLength";
    let mut context = ContextBuilder::default();
    let text =
        evaluator.coerce_to_string(args[0], NONE, &mut context, what, Coercion::INTERPOLATION)?;
    Ok(Value::Int(text.len() as i64))
}

fn concat_strings_sep<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument (the separator string) passed to builtins.concatStringsSep";
    let separator = evaluator.expect_string(args[0], NONE, what)?;
    let what = "while evaluating the second argument (the list of strings to concat) passed to \
                builtins.concatStringsSep";
    let items = evaluator.expect_list(args[1], NONE, what)?;
    let what = "while evaluating one element of the list of strings to concat passed to builtins.concatStringsSep";
    let mut context = ContextBuilder::default();
    context.add(separator.context);
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        parts.push(evaluator.coerce_to_string(
            item.share(),
            NONE,
            &mut context,
            what,
            Coercion::INTERPOLATION,
        )?);
    }
    let text = match parts[..] {
        [] => &[][..],
        [only] => only,
        _ => join(evaluator, &parts, separator.bytes)?,
    };
    let context = evaluator.contexts.finish(context);
    Ok(Value::string_in(evaluator.arena, text, context))
}

fn join<'a>(evaluator: &Evaluator<'a>, parts: &[&[u8]], separator: &[u8]) -> Result<&'a [u8]> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let len = len + separator.len() * parts.len().saturating_sub(1);
    evaluator.make_room(len)?;
    let mut text = bumpalo::collections::Vec::with_capacity_in(len, evaluator.arena);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            text.extend_from_slice_copy(separator);
        }
        text.extend_from_slice_copy(part);
    }
    Ok(text.into_bump_slice())
}

fn replace_strings<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.replaceStrings";
    let from_items = evaluator.expect_list(args[0], NONE, what)?;
    let what = "while evaluating the second argument passed to builtins.replaceStrings";
    let to = evaluator.expect_list(args[1], NONE, what)?;
    if from_items.len() != to.len() {
        return Err(EvalError::new(
            ErrorKind::Eval,
            "'from' and 'to' arguments passed to builtins.replaceStrings have different lengths",
        ));
    }
    let what = "while evaluating one of the strings to replace passed to builtins.replaceStrings";
    let mut from = Vec::with_capacity(from_items.len());
    for item in from_items {
        from.push(evaluator.expect_string(item.share(), NONE, what)?.bytes);
    }
    let what = "while evaluating the third argument passed to builtins.replaceStrings";
    let string = evaluator.expect_string(args[2], NONE, what)?;
    let mut context = ContextBuilder::default();
    context.add(string.context);
    let mut replacements = Replacements {
        to,
        known: vec![None; to.len()],
        context,
    };
    let Some(text) = replaced(evaluator, string.bytes, &from, &mut replacements)? else {
        return Ok(Value::String(string));
    };
    evaluator.make_room(text.len())?;
    let text = evaluator.arena.alloc_slice_copy(&text);
    let context = evaluator.contexts.finish(replacements.context);
    Ok(Value::string_in(evaluator.arena, text, context))
}

/// The second list of `replaceStrings`: an element is forced, and its context taken, when it is first used.
struct Replacements<'a> {
    to: &'a [Slot<'a>],
    known: Vec<Option<&'a [u8]>>,
    context: ContextBuilder,
}

impl<'a> Replacements<'a> {
    fn get(&mut self, evaluator: &mut Evaluator<'a>, index: usize) -> Result<&'a [u8]> {
        if let Some(bytes) = self.known[index] {
            return Ok(bytes);
        }
        let what =
            "while evaluating one of the replacement strings passed to builtins.replaceStrings";
        let string = evaluator.expect_string(self.to[index].share(), NONE, what)?;
        self.context.add(string.context);
        self.known[index] = Some(string.bytes);
        Ok(string.bytes)
    }
}

/// The text with all occurrences replaced; `None` if there are none. An empty pattern matches before every byte that
/// no earlier pattern matches at, and at the end.
fn replaced<'a>(
    evaluator: &mut Evaluator<'a>,
    text: &[u8],
    from: &[&[u8]],
    replacements: &mut Replacements<'a>,
) -> Result<Option<Vec<u8>>> {
    // The first pattern that can match at a byte; the last entry: at the end.
    let mut first = [from.len(); 257];
    for (index, pattern) in from.iter().enumerate().rev() {
        match pattern.first() {
            Some(&byte) => first[usize::from(byte)] = index,
            None => first.fill(index),
        }
    }
    let (mut out, mut copied, mut place) = (None, 0, 0);
    while place <= text.len() {
        evaluator.look_after_if_due()?;
        let byte = text.get(place).map_or(256, |&byte| usize::from(byte));
        let start = first[byte];
        let found = (start..from.len()).find(|&index| text[place..].starts_with(from[index]));
        let Some(index) = found else {
            place += 1;
            continue;
        };
        let replacement = replacements.get(evaluator, index)?;
        let out = out.get_or_insert_with(|| Vec::with_capacity(text.len() + replacement.len()));
        out.extend_from_slice(&text[copied..place]);
        out.extend_from_slice(replacement);
        evaluator.make_room(out.len())?;
        copied = place + from[index].len();
        place = copied.max(place + 1);
    }
    Ok(out.map(|mut out| {
        out.extend_from_slice(&text[copied..]);
        out
    }))
}

/// The algorithm of that name, if it is one that needs no experimental feature.
pub(super) fn hash_algorithm(name: &[u8]) -> Result<HashAlgorithm> {
    let algorithm = HashAlgorithm::from_str(&String::from_utf8_lossy(name))
        .map_err(|error| EvalError::new(ErrorKind::Eval, error.to_string()))?;
    stable_algorithm(algorithm)?;
    Ok(algorithm)
}

fn stable_algorithm(algorithm: HashAlgorithm) -> Result<()> {
    if algorithm == HashAlgorithm::Blake3 {
        return Err(EvalError::new(
            ErrorKind::Eval,
            "experimental Nix feature 'blake3-hashes' is disabled; add '--extra-experimental-features blake3-hashes' \
             to enable it",
        ));
    }
    Ok(())
}

fn hash_string<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.hashString";
    let name = evaluator.expect_string_no_context(args[0], NONE, what)?;
    let algorithm = hash_algorithm(name)?;
    let what = "while evaluating the second argument passed to builtins.hashString";
    let string = evaluator.expect_string(args[1], NONE, what)?;
    let hash = algorithm.digest(string.bytes);
    let text = hash.to_string(HashFormat::Base16, false);
    Ok(Value::string(evaluator.arena, text.as_bytes()))
}

fn convert_hash<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.convertHash";
    let attrs = evaluator.expect_attrs(args[0], NONE, what)?;
    let text = required_text(
        evaluator,
        attrs,
        b"hash",
        "while locating the attribute 'hash'",
        "while evaluating the attribute 'hash'",
    )?;
    let name = evaluator.symbols.intern(b"hashAlgo");
    let algorithm = match attrs.get(name) {
        None => None,
        Some(attr) => {
            let what = "while evaluating the attribute 'hashAlgo'";
            let name = evaluator.expect_string_no_context(attr.value.share(), NONE, what)?;
            Some(hash_algorithm(name)?)
        }
    };
    let format = required_text(
        evaluator,
        attrs,
        b"toHashFormat",
        "while locating the attribute 'toHashFormat'",
        "while evaluating the attribute 'toHashFormat'",
    )?;
    if format == b"base32" {
        evaluator
            .io
            .message("warning: \"base32\" is a deprecated alias for hash format \"nix32\".");
    }
    let fail =
        |error: nix_formats::hash::HashError| EvalError::new(ErrorKind::Eval, error.to_string());
    let format = HashFormat::from_str(&String::from_utf8_lossy(format)).map_err(fail)?;
    let hash = Hash::parse_any(&String::from_utf8_lossy(text), algorithm).map_err(fail)?;
    stable_algorithm(hash.algorithm())?;
    let text = hash.to_string(format, format == HashFormat::Sri);
    Ok(Value::string(evaluator.arena, text.as_bytes()))
}

fn required_text<'a>(
    evaluator: &mut Evaluator<'a>,
    attrs: &'a Attrs<'a>,
    name: &[u8],
    locating: &'static str,
    evaluating: &'static str,
) -> Result<&'a [u8]> {
    let name = evaluator.symbols.intern(name);
    let attr: AttrRef<'a> = evaluator.required_attr(attrs, name, locating)?;
    evaluator.expect_string_no_context(attr.value.share(), NONE, evaluating)
}
