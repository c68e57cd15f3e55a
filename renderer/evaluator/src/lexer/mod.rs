//! From bytes to tokens, one at a time and only when asked.
//!
//! Nix has no single token stream: inside strings and paths other rules hold. The parser knows where it is and asks for
//! [`Lexer::token`], [`Lexer::string_part`], [`Lexer::indented_part`] or [`Lexer::path_part`] accordingly. It never
//! asks for a token beyond the one it must see, so that of several mistakes the first is the one reported.

mod literals;
mod numbers;
mod token;

use memchr::{memchr, memchr2};

use crate::parser::{ParseError, ParseErrorKind};

pub(crate) use literals::{IndentedPart, PathPart, StringPart, unescape};
pub(crate) use token::{Token, TokenKind};

/// Boxed, because it is returned often and fails once.
pub(crate) type Result<T> = std::result::Result<T, Box<ParseError>>;

const IDENTIFIER: u8 = 1;
const PATH: u8 = 2;
const SCHEME: u8 = 4;
const URI: u8 = 8;
const SPACE: u8 = 16;
const DIGIT: u8 = 32;
/// Must be looked at inside `"…"`.
const STRING_STOP: u8 = 64;

/// The classes each byte belongs to.
static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        let mut class = 0;
        if c.is_ascii_alphanumeric() {
            class |= IDENTIFIER | PATH | SCHEME | URI;
        }
        if c.is_ascii_digit() {
            class |= DIGIT;
        }
        class |= match c {
            b'_' => IDENTIFIER | PATH | URI,
            b'\'' => IDENTIFIER | URI,
            b'-' => IDENTIFIER | PATH | SCHEME | URI,
            b'.' | b'+' => PATH | SCHEME | URI,
            b'%' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b',' | b'!' | b'~' | b'*' => URI,
            b'$' => URI | STRING_STOP,
            b' ' | b'\t' | b'\n' => SPACE,
            b'\r' => SPACE | STRING_STOP,
            b'"' | b'\\' | 0 => STRING_STOP,
            _ => 0,
        };
        table[byte] = class;
        byte += 1;
    }
    table
};

/// Reads tokens from one file.
pub(crate) struct Lexer<'s> {
    source: &'s [u8],
    position: usize,
    /// No path and no URI starts before this offset: the run of path characters it lies in is known to be plain.
    plain_until: usize,
    /// The value of the last number.
    number: u64,
    /// Where the end of the file is reported, if not after the last byte.
    end_of_file: Option<u32>,
    pipe_operators: bool,
}

impl<'s> Lexer<'s> {
    pub(crate) fn new(source: &'s [u8], pipe_operators: bool) -> Self {
        Self {
            source,
            position: 0,
            plain_until: 0,
            number: 0,
            end_of_file: None,
            pipe_operators,
        }
    }

    /// The value of the last number read: an integer, or a float's bits.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// C++ Nix reports the end of a file that ends in a path at the start of the path's last token.
    pub(crate) fn report_end_of_file_at(&mut self, offset: u32) {
        self.end_of_file = Some(offset);
    }

    pub(crate) fn at_end(&self) -> bool {
        self.position >= self.source.len()
    }

    pub(crate) fn position(&self) -> u32 {
        self.position as u32
    }

    #[inline]
    fn byte(&self, index: usize) -> u8 {
        self.source.get(index).copied().unwrap_or(0)
    }

    #[inline]
    fn is(&self, index: usize, class: u8) -> bool {
        self.source
            .get(index)
            .is_some_and(|&byte| CLASS[usize::from(byte)] & class != 0)
    }

    /// The end of the run of bytes of `class` from `index` on.
    #[inline]
    fn skip(&self, index: usize, class: u8) -> usize {
        let Some(rest) = self.source.get(index..) else {
            return index;
        };
        let run = rest
            .iter()
            .position(|&byte| CLASS[usize::from(byte)] & class == 0);
        index + run.unwrap_or(rest.len())
    }

    #[inline]
    fn finish(&mut self, kind: TokenKind, start: usize, end: usize) -> Token {
        self.position = end;
        Token {
            kind,
            start: start as u32,
            end: end as u32,
        }
    }

    fn skip_blank(&mut self) {
        loop {
            self.position = self.skip(self.position, SPACE);
            match self.byte(self.position) {
                b'#' => {
                    let rest = &self.source[self.position..];
                    self.position += memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                }
                b'/' if self.byte(self.position + 1) == b'*' => {
                    match self.end_of_comment(self.position + 2) {
                        Some(end) => self.position = end,
                        None => return,
                    }
                }
                _ => return,
            }
        }
    }

    fn end_of_comment(&self, mut index: usize) -> Option<usize> {
        loop {
            index += memchr(b'*', &self.source[index..])? + 1;
            if self.byte(index) == b'/' {
                return Some(index + 1);
            }
        }
    }

    /// The next token outside strings and paths.
    #[expect(
        clippy::too_many_lines,
        reason = "a grammar: one arm for each first byte of a token"
    )]
    pub(crate) fn token(&mut self) -> Result<Token> {
        use TokenKind as T;
        self.skip_blank();
        let start = self.position;
        let Some(&byte) = self.source.get(start) else {
            let end = self.end_of_file.unwrap_or(start as u32);
            return Ok(Token {
                kind: T::EndOfFile,
                start: end,
                end,
            });
        };
        let (kind, len) = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => return Ok(self.word(start)),
            b'0'..=b'9' => return self.digits(start),
            b'.' | b'+' | b'-' | b'/' => {
                if start >= self.plain_until
                    && let Some(token) = self.path(start)
                {
                    return Ok(token);
                }
                match (byte, self.byte(start + 1)) {
                    (b'.', b'.') if self.byte(start + 2) == b'.' => (T::Ellipsis, 3),
                    (b'.', b'0'..=b'9') => return self.float(start),
                    (b'.', _) => (T::Dot, 1),
                    (b'+', b'+') => (T::Concat, 2),
                    (b'+', _) => (T::Plus, 1),
                    (b'-', b'>') => (T::Implies, 2),
                    (b'-', _) => (T::Minus, 1),
                    (_, b'/') => (T::Update, 2),
                    _ => (T::Slash, 1),
                }
            }
            b'~' => {
                if self.byte(start + 1) == b'/' {
                    if let Some(end) = self.path_segments(start + 1) {
                        return Ok(self.finish(T::HomePath, start, end));
                    }
                    if self.source[start + 2..].starts_with(b"${") {
                        return Ok(self.finish(T::HomePath, start, start + 2));
                    }
                }
                (T::Invalid, 1)
            }
            b'<' => {
                if let Some(end) = self.search_path(start) {
                    return Ok(self.finish(T::SearchPath, start, end));
                }
                match self.byte(start + 1) {
                    b'=' => (T::LessEqual, 2),
                    b'|' => return self.pipe(T::PipeFrom, start),
                    _ => (T::Less, 1),
                }
            }
            b'|' => match self.byte(start + 1) {
                b'|' => (T::OrOr, 2),
                b'>' => return self.pipe(T::PipeInto, start),
                _ => (T::Invalid, 1),
            },
            b'\'' => {
                if self.byte(start + 1) == b'\'' {
                    let mut end = start + 2;
                    while self.byte(end) == b' ' {
                        end += 1;
                    }
                    let end = if self.byte(end) == b'\n' {
                        end + 1
                    } else {
                        start + 2
                    };
                    return Ok(self.finish(T::IndentedOpen, start, end));
                }
                (T::Invalid, 1)
            }
            b'=' if self.byte(start + 1) == b'=' => (T::Equal, 2),
            b'=' => (T::Assign, 1),
            b'!' if self.byte(start + 1) == b'=' => (T::NotEqual, 2),
            b'!' => (T::Bang, 1),
            b'>' if self.byte(start + 1) == b'=' => (T::GreaterEqual, 2),
            b'>' => (T::Greater, 1),
            b'&' if self.byte(start + 1) == b'&' => (T::AndAnd, 2),
            b'$' if self.byte(start + 1) == b'{' => (T::DollarBrace, 2),
            b'"' => (T::Quote, 1),
            b':' => (T::Colon, 1),
            b'@' => (T::At, 1),
            b';' => (T::Semicolon, 1),
            b',' => (T::Comma, 1),
            b'?' => (T::Question, 1),
            b'*' => (T::Star, 1),
            b'(' => (T::ParenOpen, 1),
            b')' => (T::ParenClose, 1),
            b'{' => (T::BraceOpen, 1),
            b'}' => (T::BraceClose, 1),
            b'[' => (T::BracketOpen, 1),
            b']' => (T::BracketClose, 1),
            // C++ Nix's scanner takes this byte for the end of its input.
            0 => {
                return Ok(Token {
                    kind: T::EndOfFile,
                    start: start as u32 + 1,
                    end: start as u32 + 1,
                });
            }
            _ => (T::Invalid, 1),
        };
        Ok(self.finish(kind, start, start + len))
    }

    fn pipe(&mut self, kind: TokenKind, start: usize) -> Result<Token> {
        let token = self.finish(kind, start, start + 2);
        if self.pipe_operators {
            return Ok(token);
        }
        ParseError::fail(
            ParseErrorKind::ExperimentalFeature,
            "experimental Nix feature 'pipe-operators' is disabled; \
             add '--extra-experimental-features pipe-operators' to enable it",
            token.start,
            token.end,
        )
    }

    /// A keyword, an identifier, or a path or URI that starts with a letter.
    fn word(&mut self, start: usize) -> Token {
        let end = self.skip(start + 1, IDENTIFIER);
        match self.byte(end) {
            b'.' | b'+' | b'/' | b':' if start >= self.plain_until => {
                if let Some(token) = self.path(start).or_else(|| self.uri(start)) {
                    return token;
                }
            }
            _ => {}
        }
        let kind = token::word(&self.source[start..end]);
        self.finish(kind, start, end)
    }

    /// The path that starts here, if one does. Otherwise remembers how far there is none.
    fn path(&mut self, start: usize) -> Option<Token> {
        let run = self.skip(start, PATH);
        match self.byte(run) {
            b'/' => {
                let end = match self.path_segments(run) {
                    Some(end) => end,
                    None if self.source[run + 1..].starts_with(b"${") => run + 1,
                    None => return None,
                };
                Some(self.finish(TokenKind::Path, start, end))
            }
            b':' => None,
            _ => {
                self.plain_until = run;
                None
            }
        }
    }

    /// The end of `/a/b/…`, of which at least one segment must be there.
    fn path_segments(&self, slash: usize) -> Option<usize> {
        let mut end = slash;
        while self.byte(end) == b'/' && self.is(end + 1, PATH) {
            end = self.skip(end + 1, PATH);
        }
        if end == slash {
            return None;
        }
        Some(if self.byte(end) == b'/' { end + 1 } else { end })
    }

    fn search_path(&self, start: usize) -> Option<usize> {
        let mut end = start + 1;
        loop {
            let run = self.skip(end, PATH);
            if run == end {
                return None;
            }
            match self.byte(run) {
                b'/' => end = run + 1,
                b'>' => return Some(run + 1),
                _ => return None,
            }
        }
    }

    fn uri(&mut self, start: usize) -> Option<Token> {
        if !self.source[start].is_ascii_alphabetic() {
            return None;
        }
        let colon = self.skip(start, SCHEME);
        if self.byte(colon) != b':' || !self.is(colon + 1, URI) {
            return None;
        }
        let end = self.skip(colon + 1, URI);
        Some(self.finish(TokenKind::Uri, start, end))
    }
}
