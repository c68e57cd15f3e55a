//! Tokens of JSON, and what is wrong with a text, in the words of the library that C++ Nix uses.

use bumpalo::Bump;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    True,
    False,
    Null,
    String(&'a [u8]),
    Int(i64),
    /// An integer that only unsigned 64 bits hold.
    Unsigned(u64),
    Float(f64),
    BeginArray,
    BeginObject,
    EndArray,
    EndObject,
    Colon,
    Comma,
    End,
}

impl Token<'_> {
    pub(super) fn name(self) -> &'static str {
        match self {
            Token::True => "true literal",
            Token::False => "false literal",
            Token::Null => "null literal",
            Token::String(_) => "string literal",
            Token::Int(_) | Token::Unsigned(_) | Token::Float(_) => "number literal",
            Token::BeginArray => "'['",
            Token::BeginObject => "'{'",
            Token::EndArray => "']'",
            Token::EndObject => "'}'",
            Token::Colon => "':'",
            Token::Comma => "','",
            Token::End => "end of input",
        }
    }
}

/// Why there is no token.
#[derive(Debug, PartialEq)]
pub(super) struct LexError(pub String);

impl LexError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

pub(super) struct Lexer<'a> {
    arena: &'a Bump,
    text: &'a [u8],
    /// Bytes read so far; one more than there are once the end was read.
    pub place: usize,
    /// Where the last string or number starts: from there on messages show what was read.
    shown_from: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(arena: &'a Bump, text: &'a [u8]) -> Self {
        Self {
            arena,
            text,
            place: 0,
            shown_from: 0,
        }
    }

    /// A mark of the byte order may stand at the start.
    pub(super) fn skip_byte_order_mark(&mut self) -> Result<(), LexError> {
        if self.text.first() != Some(&0xEF) {
            return Ok(());
        }
        for byte in [0xEF, 0xBB, 0xBF] {
            if self.get() != Some(byte) {
                return Err(LexError::new(
                    "invalid BOM; must be 0xEF 0xBB 0xBF if given",
                ));
            }
        }
        Ok(())
    }

    fn get(&mut self) -> Option<u8> {
        let byte = self.text.get(self.place).copied();
        self.place += 1;
        byte
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<Token<'a>, LexError> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.place) {
            self.place += 1;
        }
        match self.get() {
            Some(b'"') => self.string(),
            Some(b'[') => Ok(Token::BeginArray),
            Some(b']') => Ok(Token::EndArray),
            Some(b'{') => Ok(Token::BeginObject),
            Some(b'}') => Ok(Token::EndObject),
            Some(b':') => Ok(Token::Colon),
            Some(b',') => Ok(Token::Comma),
            Some(b't') => self.literal(b"rue", Token::True),
            Some(b'f') => self.literal(b"alse", Token::False),
            Some(b'n') => self.literal(b"ull", Token::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            None => Ok(Token::End),
            Some(_) => Err(LexError::new("invalid literal")),
        }
    }

    fn literal(&mut self, rest: &[u8], token: Token<'a>) -> Result<Token<'a>, LexError> {
        for &byte in rest {
            if self.get() != Some(byte) {
                return Err(LexError::new("invalid literal"));
            }
        }
        Ok(token)
    }

    fn number(&mut self) -> Result<Token<'a>, LexError> {
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        self.place -= 1;
        self.shown_from = self.place;
        let negative = self.text[self.place] == b'-';
        if negative {
            self.place += 1;
            if !digit(self.text.get(self.place)) {
                self.place += 1;
                return Err(LexError::new("invalid number; expected digit after '-'"));
            }
        }
        let whole = self.place;
        if self.text[self.place] == b'0' {
            self.place += 1;
        } else {
            self.skip_digits();
        }
        let mut exact = true;
        let digits = &self.text[whole..self.place];
        if self.text.get(self.place) == Some(&b'.') {
            exact = false;
            self.place += 1;
            if !digit(self.text.get(self.place)) {
                self.place += 1;
                return Err(LexError::new("invalid number; expected digit after '.'"));
            }
            self.skip_digits();
        }
        if let Some(b'e' | b'E') = self.text.get(self.place) {
            exact = false;
            self.place += 1;
            if let Some(b'+' | b'-') = self.text.get(self.place) {
                self.place += 1;
                if !digit(self.text.get(self.place)) {
                    self.place += 1;
                    return Err(LexError::new(
                        "invalid number; expected digit after exponent sign",
                    ));
                }
            } else if !digit(self.text.get(self.place)) {
                self.place += 1;
                return Err(LexError::new(
                    "invalid number; expected '+', '-', or digit after exponent",
                ));
            }
            self.skip_digits();
        }
        if exact && let Some(token) = integer(digits, negative) {
            return Ok(token);
        }
        let text = std::str::from_utf8(&self.text[self.shown_from..self.place]).unwrap_or_default();
        Ok(Token::Float(text.parse().unwrap_or(f64::NAN)))
    }

    fn skip_digits(&mut self) {
        while self.text.get(self.place).is_some_and(u8::is_ascii_digit) {
            self.place += 1;
        }
    }

    /// A string without escapes is a part of the text itself.
    fn string(&mut self) -> Result<Token<'a>, LexError> {
        let begin = self.place;
        self.shown_from = begin - 1;
        self.skip_plain()?;
        if self.text.get(self.place) == Some(&b'"') {
            self.place += 1;
            return Ok(Token::String(&self.text[begin..self.place - 1]));
        }
        let mut out = self.text[begin..self.place].to_vec();
        loop {
            let begin = self.place;
            self.skip_plain()?;
            out.extend_from_slice(&self.text[begin..self.place]);
            match self.get() {
                Some(b'"') => return Ok(Token::String(self.arena.alloc_slice_copy(&out))),
                Some(b'\\') => self.escape(&mut out)?,
                _ => return Err(LexError::new("invalid string: missing closing quote")),
            }
        }
    }

    /// Up to a quote, a backslash or the end.
    fn skip_plain(&mut self) -> Result<(), LexError> {
        while let Some(&byte) = self.text.get(self.place) {
            match byte {
                b'"' | b'\\' => return Ok(()),
                0..0x20 => {
                    self.place += 1;
                    return Err(LexError::new(control_character(byte)));
                }
                0x20..0x80 => self.place += 1,
                _ => self.multibyte(byte)?,
            }
        }
        Ok(())
    }

    fn multibyte(&mut self, first: u8) -> Result<(), LexError> {
        self.place += 1;
        let (second, more) = match first {
            0xC2..=0xDF => (0x80..=0xBF, 0),
            0xE0 => (0xA0..=0xBF, 1),
            0xED => (0x80..=0x9F, 1),
            0xE1..=0xEF => (0x80..=0xBF, 1),
            0xF0 => (0x90..=0xBF, 2),
            0xF1..=0xF3 => (0x80..=0xBF, 2),
            0xF4 => (0x80..=0x8F, 2),
            _ => return Err(LexError::new(ILL_FORMED)),
        };
        let mut range = second;
        for _ in 0..=more {
            if !self.get().is_some_and(|byte| range.contains(&byte)) {
                return Err(LexError::new(ILL_FORMED));
            }
            range = 0x80..=0xBF;
        }
        Ok(())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), LexError> {
        let byte = match self.get() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode_escape(out),
            _ => {
                return Err(LexError::new(
                    "invalid string: forbidden character after backslash",
                ));
            }
        };
        out.push(byte);
        Ok(())
    }

    fn unicode_escape(&mut self, out: &mut Vec<u8>) -> Result<(), LexError> {
        let mut code = self.hex()?;
        if (0xD800..0xDC00).contains(&code) {
            const LONE: &str =
                "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF";
            if self.get() != Some(b'\\') || self.get() != Some(b'u') {
                return Err(LexError::new(LONE));
            }
            let low = self.hex()?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err(LexError::new(LONE));
            }
            code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        let Some(character) = char::from_u32(code) else {
            return Err(LexError::new(
                "invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF",
            ));
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, LexError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.get().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(LexError::new(
                    "invalid string: '\\u' must be followed by 4 hex digits",
                ));
            };
            code = code * 16 + digit;
        }
        Ok(code)
    }

    /// Line and column as messages give them, of the last byte read.
    pub(super) fn position(&self, token_is_number: bool) -> (usize, usize) {
        let read = &self.text[..self.place.min(self.text.len())];
        let line = memchr::memchr_iter(b'\n', read).count() + 1;
        let start = memchr::memrchr(b'\n', read).map_or(0, |newline| newline + 1);
        // A number's end is seen only by reading on; a line feed that is taken back leaves column 0 behind.
        if token_is_number && self.text.get(self.place) == Some(&b'\n') {
            return (line, 0);
        }
        (line, self.place - start)
    }

    /// What was read, as messages show it.
    pub(super) fn read(&self) -> String {
        let mut shown = Vec::new();
        for &byte in &self.text[self.shown_from..self.place.min(self.text.len())] {
            match byte {
                0..0x20 => shown.extend_from_slice(format!("<U+{byte:04X}>").as_bytes()),
                _ => shown.push(byte),
            }
        }
        String::from_utf8_lossy(&shown).into_owned()
    }
}

const ILL_FORMED: &str = "invalid string: ill-formed UTF-8 byte";

fn integer<'a>(digits: &[u8], negative: bool) -> Option<Token<'a>> {
    if digits.len() > 20 {
        return None;
    }
    let mut value = 0_u64;
    for digit in digits {
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    if negative {
        return Some(Token::Int(0_i64.checked_sub_unsigned(value)?));
    }
    Some(i64::try_from(value).map_or(Token::Unsigned(value), Token::Int))
}

fn control_character(byte: u8) -> String {
    const NAMES: [&str; 32] = [
        "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR",
        "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB",
        "ESC", "FS", "GS", "RS", "US",
    ];
    let short = match byte {
        8 => " or \\b",
        9 => " or \\t",
        10 => " or \\n",
        12 => " or \\f",
        13 => " or \\r",
        _ => "",
    };
    let name = NAMES[usize::from(byte)];
    format!(
        "invalid string: control character U+{byte:04X} ({name}) must be escaped to \\u{byte:04X}{short}"
    )
}
