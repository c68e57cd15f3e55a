//! Inside strings and paths.

use memchr::{memchr, memchr2};

use super::{CLASS, Lexer, PATH, Result, STRING_STOP};
use crate::parser::{ParseError, ParseErrorKind};

/// What stands next inside `"…"`.
pub(crate) enum StringPart {
    /// Bytes up to the next special place. `verbatim`: no escape and no carriage return among them.
    Literal {
        start: u32,
        end: u32,
        verbatim: bool,
    },
    /// `${`, consumed.
    Interpolation {
        start: u32,
    },
    /// The closing quote, consumed.
    End,
    EndOfFile,
}

/// What stands next inside `''…''`.
pub(crate) enum IndentedPart {
    /// Bytes whose indentation counts.
    Literal {
        start: u32,
        end: u32,
    },
    /// What an escape stands for, as bytes of the source; the token itself starts at `token`.
    Escaped {
        token: u32,
        start: u32,
        end: u32,
    },
    /// `''\n`, `''\r` and `''\t`.
    Control {
        token: u32,
        byte: u8,
    },
    /// `${`, consumed.
    Interpolation {
        start: u32,
    },
    /// The closing quotes, consumed.
    End,
    EndOfFile,
}

/// What stands next inside a path.
pub(crate) enum PathPart {
    /// More of the path.
    Literal { start: u32, end: u32 },
    /// `${`, consumed.
    Interpolation { start: u32 },
    /// The path has ended; nothing is consumed.
    End,
}

impl Lexer<'_> {
    /// The next part of `"…"`.
    pub(crate) fn string_part(&mut self) -> Result<StringPart> {
        let start = self.position;
        let mut index = start;
        let mut verbatim = true;
        let mut null = false;
        loop {
            while self
                .source
                .get(index)
                .is_some_and(|&byte| CLASS[usize::from(byte)] & STRING_STOP == 0)
            {
                index += 1;
            }
            let Some(&byte) = self.source.get(index) else {
                break;
            };
            match byte {
                b'"' => break,
                b'$' => match self.source.get(index + 1) {
                    Some(b'{') | None => break,
                    // The second one must not start an interpolation.
                    Some(b'$') => index += 2,
                    Some(b'\\') if index + 2 >= self.source.len() => break,
                    Some(_) => index += 1,
                },
                b'\\' => {
                    if index + 1 >= self.source.len() {
                        break;
                    }
                    verbatim = false;
                    index += 2;
                }
                b'\r' => {
                    verbatim = false;
                    index += 1;
                }
                _ => {
                    null = true;
                    index += 1;
                }
            }
        }
        self.position = index;
        if index > start {
            if null {
                let mut text = Vec::new();
                unescape(&self.source[start..index], &mut text);
                return self.null_byte(start, &text);
            }
            return Ok(StringPart::Literal {
                start: start as u32,
                end: index as u32,
                verbatim,
            });
        }
        match (self.byte(index), self.byte(index + 1)) {
            (b'"', _) => {
                self.position += 1;
                Ok(StringPart::End)
            }
            (b'$', b'{') => {
                self.position += 2;
                Ok(StringPart::Interpolation {
                    start: start as u32,
                })
            }
            _ => {
                self.position = self.source.len();
                Ok(StringPart::EndOfFile)
            }
        }
    }

    /// The next part of `''…''`.
    pub(crate) fn indented_part(&mut self) -> Result<IndentedPart> {
        let start = self.position;
        let mut index = start;
        loop {
            let Some(offset) = memchr2(b'$', b'\'', &self.source[index..]) else {
                index = self.source.len();
                break;
            };
            index += offset;
            match (self.source[index], self.source.get(index + 1)) {
                (b'$', Some(b'{' | b'\'')) | (b'\'', Some(b'$' | b'\'')) | (_, None) => break,
                // Whatever follows is not looked at: neither is the second of `$$`.
                _ => index += 2,
            }
        }
        if index > start {
            self.position = index;
            let text = &self.source[start..index];
            if memchr(0, text).is_some() {
                return self.null_byte(start, text);
            }
            return Ok(IndentedPart::Literal {
                start: start as u32,
                end: index as u32,
            });
        }
        let token = start as u32;
        let rest = &self.source[start..];
        let (len, part) = match rest {
            [] => (0, IndentedPart::EndOfFile),
            [b'$', b'{', ..] => (2, IndentedPart::Interpolation { start: token }),
            [b'\'', b'\'', b'$', ..] => (3, escaped(token, 2, 3)),
            [b'\'', b'\'', b'\'', ..] => (3, escaped(token, 0, 2)),
            [b'\'', b'\'', b'\\', byte, ..] => (
                4,
                match byte {
                    b'n' => IndentedPart::Control { token, byte: b'\n' },
                    b'r' => IndentedPart::Control { token, byte: b'\r' },
                    b't' => IndentedPart::Control { token, byte: b'\t' },
                    _ => escaped(token, 3, 4),
                },
            ),
            [b'\'', b'\'', ..] => (2, IndentedPart::End),
            [..] => (1, escaped(token, 0, 1)),
        };
        self.position += len;
        Ok(part)
    }

    /// The next part of a path of which the last part, starting at `last`, is just read.
    pub(crate) fn path_part(&mut self, last: u32, after_slash: bool) -> Result<PathPart> {
        let start = self.position;
        if self.source[start..].starts_with(b"${") {
            self.position += 2;
            return Ok(PathPart::Interpolation {
                start: start as u32,
            });
        }
        let run = self.skip(start, PATH);
        let end = if self.byte(run) == b'/' {
            self.path_segments(run).unwrap_or(run + 1)
        } else {
            run
        };
        if end > start {
            self.position = end;
            return Ok(PathPart::Literal {
                start: start as u32,
                end: end as u32,
            });
        }
        if after_slash {
            let place = if self.at_end() { last } else { start as u32 };
            return ParseError::fail(
                ParseErrorKind::Literal,
                "path has a trailing slash",
                place,
                start as u32,
            );
        }
        Ok(PathPart::End)
    }

    fn null_byte<T>(&self, start: usize, text: &[u8]) -> Result<T> {
        let shown = String::from_utf8_lossy(text).replace('\0', "␀");
        ParseError::fail(
            ParseErrorKind::Literal,
            format!(
                "input string '{shown}' cannot be represented as Nix string because it contains null bytes"
            ),
            start as u32,
            self.position as u32,
        )
    }
}

fn escaped(token: u32, from: u32, to: u32) -> IndentedPart {
    IndentedPart::Escaped {
        token,
        start: token + from,
        end: token + to,
    }
}

/// Appends what the bytes of a `"…"` literal stand for.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(index) = memchr2(b'\\', b'\r', rest) {
        out.extend_from_slice(&rest[..index]);
        let consumed = match &rest[index..] {
            [b'\\', byte, ..] => {
                out.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                2
            }
            [b'\r', b'\n', ..] => {
                out.push(b'\n');
                2
            }
            _ => {
                out.push(b'\n');
                1
            }
        };
        rest = &rest[index + consumed..];
    }
    out.extend_from_slice(rest);
}
