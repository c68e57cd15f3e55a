//! Strings, numbers and Booleans.

use super::cursor::{Cursor, Result, TomlError};

/// A value that has no parts.
#[derive(Debug)]
pub(super) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Vec<u8>),
    /// A date, a time or both, in the form that Nix shows.
    Time(String),
}

const INTEGER_HINTS: &[&str] = &[
    "valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755",
    "invalid: _42, 1__000, 0123",
];
const FLOAT_HINTS: &[&str] = &[
    "valid  : +1.0, -2e-2, 3.141_592_653_589, inf, nan",
    "invalid: .0, 1., _1.0, 1.0_, 1_.0, 1.0__0",
];
const UNDERSCORE: &str = "invalid underscore";
const UNKNOWN: &str = "bad format: unknown value appeared";

impl Cursor<'_> {
    /// A scalar; arrays and inline tables have been looked for already.
    pub(super) fn scalar(&mut self) -> Result<Scalar> {
        match self.peek() {
            Some(b'"' | b'\'') => Ok(Scalar::String(self.string()?)),
            Some(b't' | b'f') => self.boolean(),
            Some(b'i' | b'n') => self.named_float(),
            Some(b'+' | b'-') => self.signed(),
            Some(b'0'..=b'9') => match self.time()? {
                Some(text) => Ok(Scalar::Time(text)),
                None => self.number(),
            },
            Some(b'.') => Err(self
                .error(
                    "bad float: integer part is required before decimal point",
                    "missing integer part",
                )
                .hints(FLOAT_HINTS)),
            Some(b'_') => Err(self
                .error(
                    "bad number: `_` must be surrounded by digits",
                    "digits required before `_`",
                )
                .hints(INTEGER_HINTS)),
            _ => Err(self.error(UNKNOWN, "here")),
        }
    }

    fn boolean(&mut self) -> Result<Scalar> {
        if self.take(b"true") {
            return Ok(Scalar::Bool(true));
        }
        if self.take(b"false") {
            return Ok(Scalar::Bool(false));
        }
        Err(self.error(
            "toml::parse_boolean: invalid boolean: boolean must be `true` or `false`, in lowercase. string must be \
             surrounded by `\"`",
            "expected true or false",
        ))
    }

    fn named_float(&mut self) -> Result<Scalar> {
        if self.take(b"inf") {
            return Ok(Scalar::Float(f64::INFINITY));
        }
        if self.take(b"nan") {
            return Ok(Scalar::Float(f64::NAN));
        }
        let what = "expected from `1` to `9` or digit [0-9] or inf or nan";
        Err(match self.peek() {
            Some(b'i') => self.error(
                "toml::parse_value: `inf` must be in lowercase. A string must be surrounded by quotes.",
                what,
            ),
            _ => self.error(
                "toml::parse_value: `nan` must be in lowercase. A string must be surrounded by quotes.",
                what,
            ),
        })
    }

    fn signed(&mut self) -> Result<Scalar> {
        let start = self.place;
        let negative = self.peek() == Some(b'-');
        self.place += 1;
        match self.peek() {
            Some(b'0'..=b'9') => {
                if let Some(radix) = self.radix() {
                    self.place = start;
                    return Err(self.error(radix.title(), radix.prefix_expected));
                }
                self.place = start;
                self.number()
            }
            Some(b'i' | b'n') if self.looking_at(b"inf") || self.looking_at(b"nan") => {
                Ok(match self.named_float()? {
                    Scalar::Float(value) if negative => Scalar::Float(-value),
                    scalar => scalar,
                })
            }
            _ => {
                self.place = start;
                Err(self.error(UNKNOWN, "here"))
            }
        }
    }

    fn radix(&self) -> Option<&'static Radix> {
        RADIXES.iter().find(|radix| self.looking_at(radix.prefix))
    }

    fn number(&mut self) -> Result<Scalar> {
        if let Some(radix) = self.radix() {
            return self.prefixed_integer(radix);
        }
        let start = self.place;
        if let Some(b'+' | b'-') = self.peek() {
            self.place += 1;
        }
        let whole = self.place;
        self.digits(u8::is_ascii_digit, "bad integer", INTEGER_HINTS)?;
        let digits = &self.text[whole..self.place];
        if digits.len() > 1 && digits[0] == b'0' {
            return Err(self.leading_zero(whole));
        }
        let is_float = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        if !is_float {
            return self.decimal_integer(start);
        }
        let end = self.place;
        let valid = (!self.take(b".") || self.some_digits()?) && self.exponent()?;
        if !valid {
            self.place = end;
            let error = self.error("bad float: invalid format", "here");
            return Err(error.hints(FLOAT_HINTS));
        }
        let text = without_underscores(&self.text[start..self.place]);
        let value: f64 = text.parse().unwrap_or(f64::INFINITY);
        if value.is_infinite() {
            let title = "toml::parse_floating: failed to read floating point value from stream";
            return Err(self.error(title, "here"));
        }
        Ok(Scalar::Float(value))
    }

    fn leading_zero(&mut self, whole: usize) -> Box<TomlError> {
        let digits = &self.text[whole..self.place];
        let (title, what, offset) = match digits {
            [_, b'_', ..] => (
                "bad integer: leading zero is not allowed in decimal int",
                "leading zero",
                1,
            ),
            [_, b'0', ..] => (
                "bad integer: leading zero",
                "leading zero is not allowed",
                0,
            ),
            _ => (
                "bad integer: invalid digit after an integer",
                "this digit is not allowed",
                1,
            ),
        };
        self.place = whole + offset;
        self.error(title, what).hints(INTEGER_HINTS)
    }

    fn decimal_integer(&self, start: usize) -> Result<Scalar> {
        let text = without_underscores(&self.text[start..self.place]);
        text.parse().map(Scalar::Int).map_err(|_| {
            self.error(
                "toml::parse_dec_integer: too large integer: current max digits = 2^63",
                "must be < 2^63",
            )
        })
    }

    /// Digits with underscores between them.
    fn digits(
        &mut self,
        is_digit: fn(&u8) -> bool,
        what: &str,
        hints: &'static [&'static str],
    ) -> Result<()> {
        loop {
            self.skip_while(|byte| is_digit(&byte));
            if self.peek() != Some(b'_') {
                return Ok(());
            }
            if !self.text.get(self.place + 1).is_some_and(is_digit) {
                let title = format!("{what}: `_` must be surrounded by digits");
                return Err(self.error(title, UNDERSCORE).hints(hints));
            }
            self.place += 1;
        }
    }

    fn some_digits(&mut self) -> Result<bool> {
        let start = self.place;
        if self.peek() != Some(b'_') {
            self.digits(u8::is_ascii_digit, "bad float", FLOAT_HINTS)?;
        }
        Ok(self.place > start)
    }

    fn exponent(&mut self) -> Result<bool> {
        if !self.take(b"e") && !self.take(b"E") {
            return Ok(true);
        }
        let _ = self.take(b"+") || self.take(b"-");
        self.some_digits()
    }

    fn prefixed_integer(&mut self, radix: &Radix) -> Result<Scalar> {
        self.place += radix.prefix.len();
        if !self.peek().is_some_and(|byte| (radix.is_digit)(&byte)) {
            return Err(self.error(radix.title(), radix.digit_expected));
        }
        let start = self.place;
        self.digits(radix.is_digit, "bad integer", INTEGER_HINTS)?;
        let text = without_underscores(&self.text[start..self.place]);
        i64::from_str_radix(&text, radix.base)
            .map(Scalar::Int)
            .map_err(|_| {
                let title = format!(
                    "toml::parse_{}_integer: too large integer: current max value = 2^63",
                    radix.name
                );
                self.error(title, "must be < 2^63")
            })
    }

    /// A string of any of the four kinds.
    pub(super) fn string(&mut self) -> Result<Vec<u8>> {
        for (quotes, name, what) in [
            (b"\"\"\"", "ml_basic", "expected \"\"\""),
            (b"'''", "ml_literal", "expected '''"),
        ] {
            if self.take(quotes) {
                return self.multi_line(quotes[0], name, what);
            }
        }
        if self.take(b"'") {
            return self.single_line(b'\'', "literal", "expected '");
        }
        self.take(b"\"");
        self.single_line(b'"', "basic", "expected \"")
    }

    fn single_line(&mut self, quote: u8, name: &str, what: &'static str) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            match self.peek() {
                Some(byte) if byte == quote => {
                    self.place += 1;
                    return Ok(out);
                }
                Some(b'\\') if quote == b'"' => {
                    if !self.escape(&mut out)? {
                        return Err(self.invalid_string(name, what));
                    }
                }
                _ => {
                    if !self.plain_character(&mut out) {
                        return Err(self.invalid_string(name, what));
                    }
                }
            }
        }
    }

    fn multi_line(&mut self, quote: u8, name: &str, what: &'static str) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.take_newline();
        loop {
            let quotes = self.skip_while(|byte| byte == quote);
            if quotes >= 3 {
                let kept = quotes.min(5) - 3;
                self.place -= quotes - 3 - kept;
                out.extend(std::iter::repeat_n(quote, kept));
                return Ok(out);
            }
            out.extend(std::iter::repeat_n(quote, quotes));
            let start = self.place;
            if self.take_newline() {
                out.extend_from_slice(&self.text[start..self.place]);
            } else if self.peek() == Some(b'\\') && quote == b'"' {
                if !self.continued_line() && !self.escape(&mut out)? {
                    return Err(self.invalid_string(name, what).unfinished());
                }
            } else if !self.plain_character(&mut out) {
                return Err(self.invalid_string(name, what).unfinished());
            }
        }
    }

    fn invalid_string(&self, name: &str, what: &'static str) -> Box<TomlError> {
        self.error(
            format!("toml::parse_{name}_string: invalid string format"),
            what,
        )
    }

    /// A backslash at the end of a line takes all white space after it away.
    fn continued_line(&mut self) -> bool {
        let start = self.place;
        self.place += 1;
        self.skip_blanks();
        if !self.take_newline() {
            self.place = start;
            return false;
        }
        loop {
            self.skip_blanks();
            if !self.take_newline() {
                return true;
            }
        }
    }

    fn plain_character(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(byte) = self.peek() else {
            return false;
        };
        if (byte < 0x20 && byte != b'\t') || byte == 0x7F {
            return false;
        }
        let Some(width) = self.character() else {
            return false;
        };
        out.extend_from_slice(&self.text[self.place..self.place + width]);
        self.place += width;
        true
    }

    /// What a backslash and what follows it stand for. False: nothing.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        let byte = match self.text.get(self.place + 1) {
            Some(b'b') => 8,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'f') => 12,
            Some(b'r') => b'\r',
            Some(byte @ (b'"' | b'\\')) => *byte,
            Some(b'u') => return self.unicode_escape(4, out),
            Some(b'U') => return self.unicode_escape(8, out),
            _ => return Ok(false),
        };
        out.push(byte);
        self.place += 2;
        Ok(true)
    }

    fn unicode_escape(&mut self, digits: usize, out: &mut Vec<u8>) -> Result<bool> {
        let start = self.place + 2;
        let code = self.text.get(start..start + digits);
        let code = code.filter(|code| code.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let Some(code) = code.and_then(|code| u32::from_str_radix(code, 16).ok()) else {
            return Ok(false);
        };
        let Some(character) = char::from_u32(code) else {
            let (title, what) = if code > 0x10_FFFF {
                (
                    "toml::parse_utf8_codepoint: input codepoint is too large.",
                    "must be in range [0x00, 0x10FFFF]",
                )
            } else {
                (
                    "toml::parse_utf8_codepoint: [0xD800, 0xDFFF] is not a valid UTF-8",
                    "here",
                )
            };
            return Err(TomlError::new(title, self.here(2 + digits), what));
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.place = start + digits;
        Ok(true)
    }
}

/// Integers that are not decimal.
struct Radix {
    prefix: &'static [u8],
    base: u32,
    name: &'static str,
    example: &'static str,
    is_digit: fn(&u8) -> bool,
    digit_expected: &'static str,
    prefix_expected: &'static str,
}

impl Radix {
    fn title(&self) -> String {
        let Self { name, example, .. } = self;
        format!("toml::parse_{name}_integer: invalid integer: {name}_int must be like: {example}")
    }
}

static RADIXES: [Radix; 3] = [
    Radix {
        prefix: b"0x",
        base: 16,
        name: "hex",
        example: "0xC0FFEE, 0xdead_beef",
        is_digit: u8::is_ascii_hexdigit,
        digit_expected: "expected hex [0-9a-fA-F]",
        prefix_expected: "expected 0x",
    },
    Radix {
        prefix: b"0o",
        base: 8,
        name: "oct",
        example: "0o775, 0o04_44",
        is_digit: |byte| matches!(byte, b'0'..=b'7'),
        digit_expected: "expected from `0` to `7`",
        prefix_expected: "expected 0o",
    },
    Radix {
        prefix: b"0b",
        base: 2,
        name: "bin",
        example: "0b0101, 0b1111_0000",
        is_digit: |byte| matches!(byte, b'0' | b'1'),
        digit_expected: "expected 0 or 1",
        prefix_expected: "expected 0b",
    },
];

fn without_underscores(digits: &[u8]) -> String {
    let digits = digits.iter().filter(|&&byte| byte != b'_');
    digits.map(|&byte| char::from(byte)).collect()
}
