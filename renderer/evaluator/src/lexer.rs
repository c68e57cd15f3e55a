//! From bytes to tokens, one at a time and only when asked.
//!
//! Nix has no single token stream: inside strings and paths other rules hold. The parser knows where it is and asks for
//! [`Lexer::token`], [`Lexer::string_part`], [`Lexer::indented_part`] or [`Lexer::path_part`] accordingly. It never
//! asks for a token beyond the one it must see, so that of several mistakes the first is the one reported.

use memchr::{memchr, memchr2};

use crate::parser::{ParseError, ParseErrorKind};

pub(crate) type Result<T> = std::result::Result<T, Box<ParseError>>;

/// Kinds of tokens, as many as C++ Nix tells apart in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    EndOfFile,
    Identifier,
    /// Its value is in [`Lexer::number`].
    Integer,
    /// The bits of its value are in [`Lexer::number`].
    Float,
    Path,
    HomePath,
    SearchPath,
    Uri,
    If,
    Then,
    Else,
    Assert,
    With,
    Let,
    In,
    Rec,
    Inherit,
    Or,
    Ellipsis,
    Equal,
    NotEqual,
    LessEqual,
    GreaterEqual,
    Update,
    Concat,
    AndAnd,
    OrOr,
    Implies,
    PipeFrom,
    PipeInto,
    DollarBrace,
    IndentedOpen,
    Quote,
    Colon,
    At,
    Semicolon,
    Comma,
    Dot,
    Question,
    Assign,
    Less,
    Greater,
    Plus,
    Minus,
    Star,
    Slash,
    Bang,
    ParenOpen,
    ParenClose,
    BraceOpen,
    BraceClose,
    BracketOpen,
    BracketClose,
    Invalid,
}

impl TokenKind {
    /// What messages call it.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::EndOfFile => "end of file",
            Self::Identifier => "identifier",
            Self::Integer => "integer",
            Self::Float => "floating-point literal",
            Self::Path => "path",
            Self::HomePath => "'~/…' path",
            Self::SearchPath => "'<…>' path",
            Self::Uri => "URI",
            Self::If => "'if'",
            Self::Then => "'then'",
            Self::Else => "'else'",
            Self::Assert => "'assert'",
            Self::With => "'with'",
            Self::Let => "'let'",
            Self::In => "'in'",
            Self::Rec => "'rec'",
            Self::Inherit => "'inherit'",
            Self::Or => "'or'",
            Self::Ellipsis => "'...'",
            Self::Equal => "'=='",
            Self::NotEqual => "'!='",
            Self::LessEqual => "'<='",
            Self::GreaterEqual => "'>='",
            Self::Update => "'//'",
            Self::Concat => "'++'",
            Self::AndAnd => "'&&'",
            Self::OrOr => "'||'",
            Self::Implies => "'->'",
            Self::PipeFrom => "'<|'",
            Self::PipeInto => "'|>'",
            Self::DollarBrace => "'${'",
            Self::IndentedOpen => "start of an indented string",
            Self::Quote => "'\"'",
            Self::Colon => "':'",
            Self::At => "'@'",
            Self::Semicolon => "';'",
            Self::Comma => "','",
            Self::Dot => "'.'",
            Self::Question => "'?'",
            Self::Assign => "'='",
            Self::Less => "'<'",
            Self::Greater => "'>'",
            Self::Plus => "'+'",
            Self::Minus => "'-'",
            Self::Star => "'*'",
            Self::Slash => "'/'",
            Self::Bang => "'!'",
            Self::ParenOpen => "'('",
            Self::ParenClose => "')'",
            Self::BraceOpen => "'{'",
            Self::BraceClose => "'}'",
            Self::BracketOpen => "'['",
            Self::BracketClose => "']'",
            Self::Invalid => "invalid token",
        }
    }
}

/// A token and where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

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

    #[inline]
    fn skip(&self, mut index: usize, class: u8) -> usize {
        while self.is(index, class) {
            index += 1;
        }
        index
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
        Err(ParseError::new(
            ParseErrorKind::ExperimentalFeature,
            "experimental Nix feature 'pipe-operators' is disabled; \
             add '--extra-experimental-features pipe-operators' to enable it",
            token.start,
            token.end,
        ))
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
        let kind = keyword(&self.source[start..end]);
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

    /// A number, or a path that starts with a digit.
    fn digits(&mut self, start: usize) -> Result<Token> {
        if start >= self.plain_until
            && let Some(token) = self.path(start)
        {
            return Ok(token);
        }
        let end = self.skip(start, DIGIT);
        let digits = &self.source[start..end];
        if self.byte(end) == b'.'
            && (digits[0] != b'0' || (digits.len() == 1 && self.is(end + 1, DIGIT)))
        {
            return self.float(start);
        }
        let token = self.finish(TokenKind::Integer, start, end);
        let value = digits.iter().try_fold(0_i64, |value, digit| {
            value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        });
        if let Some(value) = value {
            self.number = value as u64;
            return Ok(token);
        }
        Err(self.bad_number("integer", token))
    }

    fn float(&mut self, start: usize) -> Result<Token> {
        let mantissa = self.skip(self.skip(start, DIGIT) + 1, DIGIT);
        let mut end = mantissa;
        if matches!(self.byte(end), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            if self.is(end + 1 + sign, DIGIT) {
                end = self.skip(end + 1 + sign, DIGIT);
            }
        }
        let token = self.finish(TokenKind::Float, start, end);
        let value = std::str::from_utf8(&self.source[start..end])
            .ok()
            .and_then(|text| text.parse::<f64>().ok());
        // Like strtod, refuse what is too large and what is too small to keep its precision.
        let nonzero = self.source[start..mantissa]
            .iter()
            .any(|byte| matches!(byte, b'1'..=b'9'));
        match value {
            Some(value) if value.is_finite() && (!nonzero || value >= f64::MIN_POSITIVE) => {
                self.number = value.to_bits();
                Ok(token)
            }
            _ => Err(self.bad_number("float", token)),
        }
    }

    fn bad_number(&self, what: &str, token: Token) -> Box<ParseError> {
        let text = String::from_utf8_lossy(&self.source[token.start as usize..token.end as usize]);
        ParseError::new(
            ParseErrorKind::Literal,
            format!("invalid {what} '{text}'"),
            token.start,
            token.end,
        )
    }

    fn null_byte(&self, start: usize, text: &[u8]) -> Box<ParseError> {
        let shown = String::from_utf8_lossy(text).replace('\0', "␀");
        ParseError::new(
            ParseErrorKind::Literal,
            format!(
                "input string '{shown}' cannot be represented as Nix string because it contains null bytes"
            ),
            start as u32,
            self.position as u32,
        )
    }

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
                return Err(self.null_byte(start, &text));
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
                return Err(self.null_byte(start, text));
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
            return Err(ParseError::new(
                ParseErrorKind::Literal,
                "path has a trailing slash",
                place,
                start as u32,
            ));
        }
        Ok(PathPart::End)
    }
}

fn escaped(token: u32, from: u32, to: u32) -> IndentedPart {
    IndentedPart::Escaped {
        token,
        start: token + from,
        end: token + to,
    }
}

fn keyword(word: &[u8]) -> TokenKind {
    match word {
        b"if" => TokenKind::If,
        b"in" => TokenKind::In,
        b"or" => TokenKind::Or,
        b"let" => TokenKind::Let,
        b"rec" => TokenKind::Rec,
        b"then" => TokenKind::Then,
        b"else" => TokenKind::Else,
        b"with" => TokenKind::With,
        b"assert" => TokenKind::Assert,
        b"inherit" => TokenKind::Inherit,
        _ => TokenKind::Identifier,
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
