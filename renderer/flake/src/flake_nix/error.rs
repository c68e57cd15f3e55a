//! Errors in a flake.nix, and places in it.

use std::fmt;

/// A flake.nix that isn't one, with the place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlakeNixError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Option<SourcePlace>,
}

/// A place in a source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePlace {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// The line's text.
    pub text: String,
}

impl fmt::Display for SourcePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for FlakeNixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let (gutter, caret) = (" ".repeat(number.len()), " ".repeat(place.column));
            write!(
                f,
                "\n  at {place}:\n    {number}| {}\n    {gutter}|{caret}^",
                place.text
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for FlakeNixError {}

/// The place of a byte in a source text.
pub(super) fn place_in(source: &str, file: &str, offset: u32) -> SourcePlace {
    let offset = (offset as usize).min(source.len());
    let before = &source.as_bytes()[..offset];
    let line_start = before
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |at| at + 1);
    let line_end = source.as_bytes()[line_start..]
        .iter()
        .position(|&b| b == b'\n')
        .map_or(source.len(), |len| line_start + len);
    SourcePlace {
        file: file.to_owned(),
        line: before.split(|&b| b == b'\n').count(),
        column: offset - line_start + 1,
        text: String::from_utf8_lossy(&source.as_bytes()[line_start..line_end]).into_owned(),
    }
}
