//! What can go wrong, with where and on which way it was reached.

use std::fmt::{self, Write as _};

use crate::position::{PosIdx, Positions};

/// What sort of error it is. Only [`ErrorKind::Thrown`] and [`ErrorKind::Assertion`] are caught by `tryEval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The text is not a Nix expression.
    Parse,
    /// No such variable.
    UndefinedVariable,
    /// A value of another type was needed.
    Type,
    /// Everything else that goes wrong while evaluating.
    Eval,
    /// `assert`
    Assertion,
    /// `throw`
    Thrown,
    /// `abort`
    Abort,
    /// A top-level function lacks an argument.
    MissingArgument,
    /// A value needs itself.
    InfiniteRecursion,
    /// Calls or values are nested too deeply.
    StackOverflow,
    /// Pure or restricted evaluation does not allow it.
    Restricted,
    /// A build would have to run first, and evaluation does not build.
    ImportFromDerivation,
    /// A build that evaluation needs failed.
    Build {
        /// The status that Nix's programs exit with, such as 100.
        status: u8,
    },
    /// A store path that a string refers to is not there.
    InvalidPath,
    /// It takes more time or memory than it may.
    Limit,
    /// A file, store or fetch could not be read.
    Io,
    /// What was fetched has another hash than asked for.
    HashMismatch,
}

/// One step of the way to an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Where.
    pub position: PosIdx,
    /// What was being done, such as "while calling 'f'".
    pub text: String,
    /// Shown even where the trace is cut short (`addErrorContext`).
    pub always: bool,
}

/// An error of the evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// Its sort.
    pub kind: ErrorKind,
    /// What is wrong, in the words of C++ Nix.
    pub message: String,
    /// Where.
    pub position: PosIdx,
    /// The way to it, innermost first.
    pub traces: Vec<Trace>,
    /// Names that may have been meant.
    pub suggestions: Vec<String>,
    /// Number of the failure, once a value has failed for it.
    pub(crate) failure: Option<u32>,
}

impl EvalError {
    /// An error without a position.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            kind,
            message: message.into(),
            position: PosIdx::NONE,
            traces: Vec::new(),
            suggestions: Vec::new(),
            failure: None,
        })
    }

    /// The error at a position.
    #[must_use]
    pub fn at(mut self: Box<Self>, position: PosIdx) -> Box<Self> {
        self.position = position;
        self
    }

    /// The error, reached on one more step.
    #[cold]
    #[must_use]
    pub fn trace(mut self: Box<Self>, position: PosIdx, text: impl Into<String>) -> Box<Self> {
        self.traces.push(Trace {
            position,
            text: text.into(),
            always: false,
        });
        self
    }

    /// The error, reached on a step of the embedding program's, which is shown even where the trace is cut short.
    #[cold]
    #[must_use]
    pub fn context(mut self: Box<Self>, text: impl Into<String>) -> Box<Self> {
        self.traces.push(Trace {
            position: PosIdx::NONE,
            text: text.into(),
            always: true,
        });
        self
    }

    /// The error with names that may have been meant instead of `wanted`.
    #[must_use]
    pub fn suggest<'n>(
        mut self: Box<Self>,
        wanted: &[u8],
        names: impl Iterator<Item = &'n [u8]>,
    ) -> Box<Self> {
        self.suggestions = best_matches(wanted, names);
        self
    }

    /// `tryEval` turns it into a value.
    pub fn is_catchable(&self) -> bool {
        matches!(self.kind, ErrorKind::Thrown | ErrorKind::Assertion)
    }

    /// The whole report as C++ Nix prints it, "error: …" with source lines and the trace (`full`: not cut short), without
    /// a line feed at the end.
    pub fn report(&self, positions: &Positions<'_>, full: bool) -> String {
        self.report_as("error: ", positions, full)
    }

    /// The report with source lines byte for byte, even where they are not UTF-8.
    pub fn report_bytes(&self, positions: &Positions<'_>, full: bool) -> Vec<u8> {
        let report = self.report_with("error: ", positions, full);
        let mut bytes = Vec::with_capacity(report.len());
        for char in report.chars() {
            match held_byte(char) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        bytes
    }

    /// The report with another word than "error: ".
    pub(crate) fn report_as(&self, prefix: &str, positions: &Positions<'_>, full: bool) -> String {
        let report = self.report_with(prefix, positions, full);
        report.replace(|char| held_byte(char).is_some(), "\u{fffd}")
    }

    fn report_with(&self, prefix: &str, positions: &Positions<'_>, full: bool) -> String {
        let mut out = String::new();
        let traced = self.write_traces(&mut out, positions, full);
        if traced {
            let _ = write!(out, "\n{prefix}");
        }
        out.push_str(&self.message);
        out.push('\n');
        write_place(&mut out, "", positions, self.position);
        if let Some(text) = did_you_mean(&self.suggestions) {
            out.push_str(&text);
            out.push('\n');
        }
        let mut text = indent(prefix, out.trim_end_matches(['\n', '\r', ' ', '\t']));
        // C++ Nix colours what it puts into a message, so that a line feed at its end is not the report's last byte.
        if self.message.ends_with('\n') && self.kind != ErrorKind::Thrown && !self.has_more() {
            let _ = write!(text, "\n{}", " ".repeat(prefix.len()));
        }
        text
    }

    /// Something follows the message.
    fn has_more(&self) -> bool {
        self.position.is_some() || !self.suggestions.is_empty()
    }

    /// Returns whether there was any trace.
    fn write_traces(&self, out: &mut String, positions: &Positions<'_>, full: bool) -> bool {
        let mut seen: Vec<&Trace> = Vec::new();
        let mut skipped: Vec<&Trace> = Vec::new();
        let (mut count, mut truncated, mut any) = (0, false, false);
        for trace in self.traces.iter().rev() {
            if trace.text.is_empty() {
                any = true;
                continue;
            }
            any = true;
            if !full && count > 3 {
                truncated = true;
            }
            if truncated && !trace.always {
                continue;
            }
            if seen.contains(&trace) {
                skipped.push(trace);
                continue;
            }
            seen.push(trace);
            write_skipped(out, positions, &mut skipped, &mut count);
            count += 1;
            write_trace(out, positions, trace, &mut count);
        }
        write_skipped(out, positions, &mut skipped, &mut count);
        if truncated {
            out.push_str(
                "\n(stack trace truncated; use '--show-trace' to show the full, detailed trace)\n",
            );
        }
        any
    }
}

fn write_skipped(
    out: &mut String,
    positions: &Positions<'_>,
    skipped: &mut Vec<&Trace>,
    count: &mut usize,
) {
    if skipped.len() > 5 {
        let _ = write!(out, "\n({} duplicate frames omitted)\n", skipped.len());
    } else {
        for trace in skipped.iter() {
            write_trace(out, positions, trace, count);
        }
    }
    skipped.clear();
}

fn write_trace(out: &mut String, positions: &Positions<'_>, trace: &Trace, count: &mut usize) {
    let _ = write!(out, "\n… {}\n", trace.text);
    if write_place(out, "  ", positions, trace.position) {
        *count += 1;
    }
}

/// `at FILE:LINE:COLUMN:` and the lines around it.
fn write_place(out: &mut String, indent: &str, positions: &Positions<'_>, index: PosIdx) -> bool {
    let (Some(position), Some(described)) = (positions.resolve(index), positions.describe(index))
    else {
        return false;
    };
    let _ = write!(out, "{indent}at {described}:");
    let line = |number: u32| {
        let text = positions.line(index, number)?;
        Some(format!("\n {number:>5}| {}", hold(text)))
    };
    if position.line > 1 {
        out.push_str(&line(position.line - 1).unwrap_or_default());
    }
    if let Some(text) = line(position.line) {
        out.push_str(&text);
        let _ = write!(out, "\n      |{}^", " ".repeat(position.column as usize));
    }
    out.push_str(&line(position.line + 1).unwrap_or_default());
    out.push('\n');
    true
}

/// Characters for private use that stand for bytes that are not UTF-8, while a report is made.
const HELD: u32 = 0xf_ff00;

/// Source text as characters, none of its bytes lost.
fn hold(text: &[u8]) -> String {
    let mut held = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        held.push_str(chunk.valid());
        let bytes = chunk.invalid().iter();
        held.extend(bytes.filter_map(|&byte| char::from_u32(HELD + u32::from(byte))));
    }
    held
}

fn held_byte(char: char) -> Option<u8> {
    u8::try_from(u32::from(char).checked_sub(HELD)?).ok()
}

/// The first line after `prefix`, all others as far in; no line ends in blanks.
fn indent(prefix: &str, text: &str) -> String {
    let blanks = " ".repeat(prefix.chars().count());
    let lines = text.split('\n').enumerate().map(|(index, line)| {
        let start = if index == 0 { prefix } else { &blanks };
        format!("{start}{line}").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn did_you_mean(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [only] => Some(format!("Did you mean {only}?")),
        [first @ .., last] => Some(format!(
            "Did you mean one of {} or {last}?",
            first.join(", ")
        )),
    }
}

/// The nearest names, as Nix picks them: at most five, none further than two edits, by distance and then name.
fn best_matches<'n>(wanted: &[u8], names: impl Iterator<Item = &'n [u8]>) -> Vec<String> {
    let mut near: Vec<(usize, &[u8])> = names
        .filter_map(|name| Some((distance(wanted, name)?, name)))
        .collect();
    near.sort_unstable();
    near.truncate(5);
    near.into_iter()
        .map(|(_, name)| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// Names further away are not meant.
const FURTHEST: usize = 2;

/// How many bytes to insert, delete or replace (Levenshtein); nothing if that is further than [`FURTHEST`]. Only the band
/// around the diagonal is looked at, so that long names take no more than their length.
fn distance(from: &[u8], to: &[u8]) -> Option<usize> {
    const BAND: usize = 2 * FURTHEST + 1;
    const TOO_FAR: usize = FURTHEST + 1;
    if from.len().abs_diff(to.len()) > FURTHEST {
        return None;
    }
    // above[k]: the distance of `from[..i]` and `to[..i + k - FURTHEST]`.
    let mut above = [TOO_FAR; BAND];
    for (k, cell) in above.iter_mut().enumerate().skip(FURTHEST) {
        *cell = k - FURTHEST;
    }
    for i in 1..=from.len() {
        let mut row = [TOO_FAR; BAND];
        for k in 0..BAND {
            let Some(j) = (i + k).checked_sub(FURTHEST).filter(|&j| j <= to.len()) else {
                continue;
            };
            row[k] = if j == 0 {
                i
            } else {
                let replace = above[k] + usize::from(from[i - 1] != to[j - 1]);
                let delete = above.get(k + 1).map_or(TOO_FAR, |cell| cell + 1);
                let insert = k.checked_sub(1).map_or(TOO_FAR, |left| row[left] + 1);
                replace.min(delete).min(insert).min(TOO_FAR)
            };
        }
        if row == [TOO_FAR; BAND] {
            return None;
        }
        above = row;
    }
    let end = to.len() + FURTHEST - from.len();
    Some(above[end]).filter(|&distance| distance <= FURTHEST)
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvalError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_as_far_as_counting_all_edits_says() {
        fn all_edits(from: &[u8], to: &[u8]) -> usize {
            match (from, to) {
                ([], rest) | (rest, []) => rest.len(),
                ([f, from @ ..], [t, to @ ..]) if f == t => all_edits(from, to),
                ([_, below @ ..], [_, left @ ..]) => {
                    1 + all_edits(below, left)
                        .min(all_edits(from, left))
                        .min(all_edits(below, to))
                }
            }
        }
        let words: Vec<Vec<u8>> = (0..3_u32.pow(5))
            .map(|n| {
                let letters = (0..5).map(|place| b"abc"[(n / 3_u32.pow(place) % 3) as usize]);
                letters.take(1 + n as usize % 5).collect()
            })
            .collect();
        for from in words.iter().step_by(7) {
            for to in &words {
                let all = Some(all_edits(from, to)).filter(|&all| all <= FURTHEST);
                assert_eq!(distance(from, to), all, "{from:?} {to:?}");
            }
        }
    }
}
