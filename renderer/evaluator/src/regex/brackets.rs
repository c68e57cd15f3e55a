//! Bracket expressions: sets of bytes.

use super::RegexError;
use super::scanner::{Scanner, Token};

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    /// All bytes but zero.
    pub(super) const ANY: ByteSet = ByteSet([!1, !0, !0, !0]);
    pub(super) const FULL: ByteSet = ByteSet([!0; 4]);

    pub(super) fn of(byte: u8) -> Self {
        let mut set = Self::default();
        set.insert(byte);
        set
    }

    pub(super) fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    #[inline]
    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index] | other.0[index]))
    }

    fn negated(&self) -> Self {
        Self(self.0.map(|bits| !bits))
    }

    fn insert_where(&mut self, mut belongs: impl FnMut(u8) -> bool) {
        for byte in 0..=u8::MAX {
            if belongs(byte) {
                self.insert(byte);
            }
        }
    }

    /// The bytes, if there are no more than `most`.
    pub(super) fn few(&self, most: usize) -> Option<Vec<u8>> {
        let bytes: Vec<u8> = (0..=u8::MAX).filter(|&byte| self.contains(byte)).collect();
        (bytes.len() <= most).then_some(bytes)
    }
}

/// What came last within the brackets: a dash after it may make it the start of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Byte(u8),
    Class,
}

/// Reads the expression after its opening bracket.
pub(super) fn parse(scanner: &mut Scanner<'_>, negated: bool) -> Result<ByteSet, RegexError> {
    let mut brackets = Brackets {
        set: ByteSet::default(),
        last: Last::Nothing,
    };
    match scanner.token {
        Token::Byte(byte) => {
            brackets.last = Last::Byte(byte);
            scanner.advance()?;
        }
        Token::Dash => {
            brackets.last = Last::Byte(b'-');
            scanner.advance()?;
        }
        _ => {}
    }
    while brackets.term(scanner)? {}
    if let Last::Byte(byte) = brackets.last {
        brackets.set.insert(byte);
    }
    Ok(if negated {
        brackets.set.negated()
    } else {
        brackets.set
    })
}

struct Brackets {
    set: ByteSet,
    last: Last,
}

impl Brackets {
    fn push(&mut self, next: Last) {
        if let Last::Byte(byte) = self.last {
            self.set.insert(byte);
        }
        self.last = next;
    }

    /// Reads one term; whether there may be another.
    fn term(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, RegexError> {
        let token = scanner.token;
        scanner.advance()?;
        match token {
            Token::BracketEnd => return Ok(false),
            Token::CollatingSymbol(name) => {
                let byte = collating_element(name).ok_or(RegexError::Invalid)?;
                self.set.insert(byte);
                self.push(Last::Byte(byte));
            }
            Token::EquivalenceClass(name) => {
                self.push(Last::Class);
                let element = collating_element(name).ok_or(RegexError::Invalid)?;
                self.set
                    .insert_where(|byte| byte.eq_ignore_ascii_case(&element));
            }
            Token::CharacterClass(name) => {
                self.push(Last::Class);
                let class = class_named(name).ok_or(RegexError::Invalid)?;
                self.set.insert_where(class);
            }
            Token::Byte(byte) => self.push(Last::Byte(byte)),
            Token::Dash => return self.dash(scanner),
            _ => return Err(RegexError::Invalid),
        }
        Ok(true)
    }

    /// After a dash: it ends the brackets, or makes a range, or is an error.
    fn dash(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, RegexError> {
        if scanner.take(Token::BracketEnd)? {
            self.push(Last::Byte(b'-'));
            return Ok(false);
        }
        let Last::Byte(first) = self.last else {
            return Err(RegexError::Invalid);
        };
        let last = match scanner.token {
            Token::Byte(byte) => byte,
            Token::Dash => b'-',
            _ => return Err(RegexError::Invalid),
        };
        scanner.advance()?;
        // Ranges go by the order of C's signed characters.
        let (first, last) = (first.cast_signed(), last.cast_signed());
        if first > last {
            return Err(RegexError::Invalid);
        }
        self.set
            .insert_where(|byte| (first..=last).contains(&byte.cast_signed()));
        self.last = Last::Nothing;
        Ok(true)
    }
}

fn class_named(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match &name.to_ascii_lowercase()[..] {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"d" | b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"s" | b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"w" => |byte| byte.is_ascii_alphanumeric() || byte == b'_',
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

/// The character with POSIX's name.
fn collating_element(name: &[u8]) -> Option<u8> {
    if let [letter] = name
        && letter.is_ascii_alphabetic()
    {
        return Some(*letter);
    }
    let name = std::str::from_utf8(name).ok()?;
    let find = |names: &[&str]| names.iter().position(|known| *known == name);
    let index = find(&CONTROLS)
        .or_else(|| Some(find(&FROM_SPACE)? + 0x20))
        .or_else(|| Some(find(&FROM_BRACKET)? + 0x5B))
        .or_else(|| Some(find(&FROM_BRACE)? + 0x7B))?;
    u8::try_from(index).ok()
}

const CONTROLS: [&str; 32] = [
    "NUL",
    "SOH",
    "STX",
    "ETX",
    "EOT",
    "ENQ",
    "ACK",
    "alert",
    "backspace",
    "tab",
    "newline",
    "vertical-tab",
    "form-feed",
    "carriage-return",
    "SO",
    "SI",
    "DLE",
    "DC1",
    "DC2",
    "DC3",
    "DC4",
    "NAK",
    "SYN",
    "ETB",
    "CAN",
    "EM",
    "SUB",
    "ESC",
    "IS4",
    "IS3",
    "IS2",
    "IS1",
];

const FROM_SPACE: [&str; 33] = [
    "space",
    "exclamation-mark",
    "quotation-mark",
    "number-sign",
    "dollar-sign",
    "percent-sign",
    "ampersand",
    "apostrophe",
    "left-parenthesis",
    "right-parenthesis",
    "asterisk",
    "plus-sign",
    "comma",
    "hyphen",
    "period",
    "slash",
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "colon",
    "semicolon",
    "less-than-sign",
    "equals-sign",
    "greater-than-sign",
    "question-mark",
    "commercial-at",
];

const FROM_BRACKET: [&str; 6] = [
    "left-square-bracket",
    "backslash",
    "right-square-bracket",
    "circumflex",
    "underscore",
    "grave-accent",
];

const FROM_BRACE: [&str; 5] = [
    "left-curly-bracket",
    "vertical-line",
    "right-curly-bracket",
    "tilde",
    "DEL",
];
