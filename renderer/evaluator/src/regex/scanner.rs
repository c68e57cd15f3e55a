//! Tokens of a pattern.

use super::RegexError;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'p> {
    /// A byte that stands for itself.
    Byte(u8),
    AnyByte,
    LineBegin,
    LineEnd,
    GroupBegin,
    GroupEnd,
    Or,
    Star,
    Plus,
    Optional,
    /// `{`
    IntervalBegin,
    /// Digits within braces.
    Count(&'p [u8]),
    Comma,
    IntervalEnd,
    /// `[`, or `[^` if negated.
    BracketBegin {
        negated: bool,
    },
    BracketEnd,
    Dash,
    /// `[.name.]`
    CollatingSymbol(&'p [u8]),
    /// `[=name=]`
    EquivalenceClass(&'p [u8]),
    /// `[:name:]`
    CharacterClass(&'p [u8]),
    End,
}

/// Where the scanner is: a byte means something else within brackets and braces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Normal,
    /// Within brackets; at their very start?
    Bracket(bool),
    Brace,
}

/// Reads tokens, one ahead of the parser.
pub(super) struct Scanner<'p> {
    rest: &'p [u8],
    state: State,
    /// The next token.
    pub token: Token<'p>,
}

/// These can be escaped; no other byte can.
const SPECIAL: &[u8] = b".[\\()*+?{|^$";

impl<'p> Scanner<'p> {
    pub(super) fn new(pattern: &'p [u8]) -> Result<Self, RegexError> {
        let mut scanner = Self {
            rest: pattern,
            state: State::Normal,
            token: Token::End,
        };
        scanner.advance()?;
        Ok(scanner)
    }

    /// Goes to the next token if the present one is `token`.
    pub(super) fn take(&mut self, token: Token<'_>) -> Result<bool, RegexError> {
        if self.token != token {
            return Ok(false);
        }
        self.advance()?;
        Ok(true)
    }

    pub(super) fn advance(&mut self) -> Result<(), RegexError> {
        self.token = match self.state {
            State::Normal => self.normal()?,
            State::Bracket(start) => self.bracket(start)?,
            State::Brace => self.brace()?,
        };
        Ok(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn normal(&mut self) -> Result<Token<'p>, RegexError> {
        let Some(byte) = self.byte() else {
            return Ok(Token::End);
        };
        Ok(match byte {
            b'\\' => match self.byte() {
                Some(byte) if SPECIAL.contains(&byte) => Token::Byte(byte),
                _ => return Err(RegexError::Invalid),
            },
            b'.' => Token::AnyByte,
            b'^' => Token::LineBegin,
            b'$' => Token::LineEnd,
            b'(' => Token::GroupBegin,
            b')' => Token::GroupEnd,
            b'|' => Token::Or,
            b'*' => Token::Star,
            b'+' => Token::Plus,
            b'?' => Token::Optional,
            b'{' => {
                self.state = State::Brace;
                Token::IntervalBegin
            }
            b'[' => {
                self.state = State::Bracket(true);
                let negated = self.rest.first() == Some(&b'^');
                if negated {
                    self.rest = &self.rest[1..];
                }
                Token::BracketBegin { negated }
            }
            0 => return Err(RegexError::Invalid),
            byte => Token::Byte(byte),
        })
    }

    fn bracket(&mut self, start: bool) -> Result<Token<'p>, RegexError> {
        self.state = State::Bracket(false);
        Ok(match self.byte().ok_or(RegexError::Invalid)? {
            b'-' => Token::Dash,
            b'[' => match self.rest.first() {
                None => return Err(RegexError::Invalid),
                Some(b'.') => Token::CollatingSymbol(self.class(b'.')?),
                Some(b'=') => Token::EquivalenceClass(self.class(b'=')?),
                Some(b':') => Token::CharacterClass(self.class(b':')?),
                Some(_) => Token::Byte(b'['),
            },
            b']' if !start => {
                self.state = State::Normal;
                Token::BracketEnd
            }
            byte => Token::Byte(byte),
        })
    }

    /// A name between two `mark`s, and the bracket after it.
    fn class(&mut self, mark: u8) -> Result<&'p [u8], RegexError> {
        let rest = &self.rest[1..];
        let end = memchr::memchr(mark, rest).ok_or(RegexError::Invalid)?;
        if rest.get(end + 1) != Some(&b']') {
            return Err(RegexError::Invalid);
        }
        self.rest = &rest[end + 2..];
        Ok(&rest[..end])
    }

    fn brace(&mut self) -> Result<Token<'p>, RegexError> {
        match self.rest.first() {
            Some(byte) if byte.is_ascii_digit() => {
                let len = self
                    .rest
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .count();
                let (digits, rest) = self.rest.split_at(len);
                self.rest = rest;
                Ok(Token::Count(digits))
            }
            Some(b',') => {
                self.rest = &self.rest[1..];
                Ok(Token::Comma)
            }
            Some(b'}') => {
                self.rest = &self.rest[1..];
                self.state = State::Normal;
                Ok(Token::IntervalEnd)
            }
            _ => Err(RegexError::Invalid),
        }
    }
}
