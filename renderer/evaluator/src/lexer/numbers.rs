//! Integers and floats.

use super::{DIGIT, Lexer, Result, Token, TokenKind};
use crate::parser::{ParseError, ParseErrorKind};

impl Lexer<'_> {
    /// A number, or a path that starts with a digit.
    pub(super) fn digits(&mut self, start: usize) -> Result<Token> {
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
        self.bad_number("integer", token)
    }

    pub(super) fn float(&mut self, start: usize) -> Result<Token> {
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
            _ => self.bad_number("float", token),
        }
    }

    fn bad_number<T>(&self, what: &str, token: Token) -> Result<T> {
        let text = String::from_utf8_lossy(&self.source[token.start as usize..token.end as usize]);
        ParseError::fail(
            ParseErrorKind::Literal,
            format!("invalid {what} '{text}'"),
            token.start,
            token.end,
        )
    }
}
