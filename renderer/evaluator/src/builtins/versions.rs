//! Builtins on names and versions of packages.

use std::cmp::Ordering;

use super::{Global, Row};
use crate::attrs::{Attr, Attrs};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::Underscored;
    vec![
        ("compareVersions", 2, Underscored, compare_versions),
        ("parseDrvName", 1, Underscored, parse_drv_name),
        ("splitVersion", 1, Underscored, split_version),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

fn parse_drv_name<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.parseDrvName";
    let text = evaluator.expect_string_no_context(args[0], NONE, what)?;
    let (name, version) = split_drv_name(text);
    let arena = evaluator.arena;
    let version_name = evaluator.symbols.intern(b"version");
    let attrs = vec![
        Attr::new(
            evaluator.names.name,
            NONE,
            Value::string_in(arena, name, None),
        ),
        Attr::new(version_name, NONE, Value::string_in(arena, version, None)),
    ];
    Ok(Value::Attrs(Attrs::from_unsorted(arena, attrs)))
}

/// The version starts after the first dash that no letter follows.
fn split_drv_name(text: &[u8]) -> (&[u8], &[u8]) {
    let dash = text
        .windows(2)
        .position(|pair| pair[0] == b'-' && !pair[1].is_ascii_alphabetic());
    match dash {
        Some(dash) => (&text[..dash], &text[dash + 1..]),
        None => (text, &[]),
    }
}

fn split_version<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.splitVersion";
    let version = evaluator.expect_string_no_context(args[0], NONE, what)?;
    let arena = evaluator.arena;
    let parts: Vec<_> = Components(version)
        .map(|part| Value::string_in(arena, part, None))
        .collect();
    Ok(evaluator.list_of(&parts))
}

fn compare_versions<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.compareVersions";
    let left = evaluator.expect_string_no_context(args[0], NONE, what)?;
    let what = "while evaluating the second argument passed to builtins.compareVersions";
    let right = evaluator.expect_string_no_context(args[1], NONE, what)?;
    Ok(Value::Int(compare(left, right) as i64))
}

/// A version's components: longest runs of digits, and of what is neither digit, dot nor dash.
struct Components<'v>(&'v [u8]);

impl<'v> Iterator for Components<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        let is_separator = |byte: &u8| matches!(byte, b'.' | b'-');
        let start = self.0.iter().position(|byte| !is_separator(byte))?;
        let rest = &self.0[start..];
        let digits = rest[0].is_ascii_digit();
        let len = rest
            .iter()
            .position(|byte| byte.is_ascii_digit() != digits || is_separator(byte))
            .unwrap_or(rest.len());
        let (component, rest) = rest.split_at(len);
        self.0 = rest;
        Some(component)
    }
}

fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (Components(left), Components(right));
    loop {
        let (l, r) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (l, r) => (l.unwrap_or_default(), r.unwrap_or_default()),
        };
        if l == r {
            continue;
        }
        if is_less(l, r) {
            return Ordering::Less;
        }
        if is_less(r, l) {
            return Ordering::Greater;
        }
    }
}

/// `pre` is before everything, letters are before numbers, the end is before a number.
fn is_less(left: &[u8], right: &[u8]) -> bool {
    let (l, r) = (number(left), number(right));
    match (l, r) {
        (Some(l), Some(r)) => l < r,
        (None, Some(_)) if left.is_empty() => true,
        _ if left == b"pre" && right != b"pre" => true,
        _ if right == b"pre" => false,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (None, None) => left < right,
    }
}

/// A component that is a number of 32 bits.
fn number(component: &[u8]) -> Option<i32> {
    if !component.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(component).ok()?.parse().ok()
}
