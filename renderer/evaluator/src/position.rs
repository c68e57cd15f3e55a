//! Source positions: one number for a file and a place in it.

use std::cell::OnceCell;

use crate::io::EvalIo;

/// A place in some source text, or none. Numbers of one file follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PosIdx(u32);

impl PosIdx {
    /// No position.
    pub const NONE: PosIdx = PosIdx(0);

    /// There is a position.
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// Where a source text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file: its absolute path.
    File(Vec<u8>),
    /// An expression given on the command line or by the embedding program.
    String,
    /// Standard input.
    Stdin,
    /// Part of the evaluator, such as `derivation`.
    Internal(&'static str),
}

struct Source<'a> {
    base: u32,
    origin: Origin,
    text: &'a [u8],
    /// Where its relative paths start.
    directory: &'a [u8],
    /// Byte offsets at which lines start, made when first asked for.
    lines: OnceCell<Vec<u32>>,
}

/// A position in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// The source text it lies in.
    pub origin: &'a Origin,
    /// From 1.
    pub line: u32,
    /// From 1, in bytes.
    pub column: u32,
}

/// All source texts of one evaluation.
pub struct Positions<'a> {
    /// Knows how users name files.
    io: &'a dyn EvalIo,
    sources: Vec<Source<'a>>,
    end: u32,
}

impl<'a> Positions<'a> {
    pub(crate) fn new(io: &'a dyn EvalIo) -> Self {
        Self {
            io,
            sources: Vec::new(),
            end: 0,
        }
    }

    /// Takes in a source text; the base is what [`Positions::at`] adds offsets to. `None`: more than 4 GiB of sources.
    pub(crate) fn add(
        &mut self,
        origin: Origin,
        text: &'a [u8],
        directory: &'a [u8],
    ) -> Option<u32> {
        let base = self.end.checked_add(1)?;
        self.end = base.checked_add(u32::try_from(text.len()).ok()?)?;
        self.sources.push(Source {
            base,
            origin,
            text,
            directory,
            lines: OnceCell::new(),
        });
        Some(base)
    }

    /// The position of a byte of the source text that got `base`.
    pub(crate) fn at(base: u32, offset: u32) -> PosIdx {
        PosIdx(base + offset)
    }

    fn source(&self, position: PosIdx) -> Option<&Source<'a>> {
        if !position.is_some() {
            return None;
        }
        let after = self
            .sources
            .partition_point(|source| source.base <= position.0);
        self.sources.get(after.checked_sub(1)?)
    }

    /// The source text that a position lies in, where its relative paths start, and the byte offset in it.
    pub(crate) fn source_of(&self, position: PosIdx) -> Option<(&'a [u8], &'a [u8], u32)> {
        let source = self.source(position)?;
        Some((source.text, source.directory, position.0 - source.base))
    }

    /// The position in words.
    pub fn resolve(&self, position: PosIdx) -> Option<Position<'_>> {
        let source = self.source(position)?;
        let lines = source.lines.get_or_init(|| line_starts(source.text));
        let offset = position.0 - source.base;
        let line = lines.partition_point(|&start| start <= offset);
        Some(Position {
            origin: &source.origin,
            line: line as u32,
            column: offset - lines[line - 1] + 1,
        })
    }

    /// `FILE:LINE:COLUMN`, as it stands in messages.
    pub fn describe(&self, position: PosIdx) -> Option<String> {
        let found = self.resolve(position)?;
        let origin = match found.origin {
            Origin::File(path) => self.io.shown_path(path),
            Origin::String => "«string»".to_owned(),
            Origin::Stdin => "«stdin»".to_owned(),
            Origin::Internal(name) => format!("«nix-internal»/{name}"),
        };
        Some(format!("{origin}:{}:{}", found.line, found.column))
    }

    /// Line number `line` (from 1) of the text that `position` lies in, without its end.
    pub fn line(&self, position: PosIdx, line: u32) -> Option<&'a [u8]> {
        let source = self.source(position)?;
        let lines = source.lines.get_or_init(|| line_starts(source.text));
        let start = *lines.get((line as usize).checked_sub(1)?)? as usize;
        let end = lines
            .get(line as usize)
            .map_or(source.text.len(), |&next| next as usize);
        let text = source.text.get(start..end)?;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        Some(text.strip_suffix(b"\r").unwrap_or(text))
    }
}

/// Lines end, as in Nix, at a line feed, a carriage return, or both together.
fn line_starts(text: &[u8]) -> Vec<u32> {
    let mut starts = vec![0];
    let mut previous = 0;
    for (index, &byte) in text.iter().enumerate() {
        if byte == b'\n' || (previous == b'\r' && index > 0) {
            let start = if byte == b'\n' { index + 1 } else { index };
            if starts.last() != Some(&(start as u32)) {
                starts.push(start as u32);
            }
        }
        previous = byte;
    }
    starts
}
