//! The first line of a commit message.

use std::fmt;
use std::str::FromStr;

/// The first line of a commit message: one line of text that programs and people can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(String);

/// Why a text is no [`Subject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSubject {
    /// It has no characters, or only blanks.
    #[error("expected a line of text, found an empty one")]
    Empty,
    /// It has more characters than a line of a log can show.
    #[error("expected at most {LIMIT} characters, found {0}")]
    TooLong(usize),
    /// It has more than one line, or characters that drive a terminal.
    #[error("expected one line of text, found the control character U+{:04X}", u32::from(*.0))]
    Control(char),
}

/// Servers and tools cut longer ones.
const LIMIT: usize = 200;

impl FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let text = text.trim();
        let separates = |c: &char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        match text.chars().find(separates) {
            Some(control) => Err(BadSubject::Control(control)),
            None if text.is_empty() => Err(BadSubject::Empty),
            None => match text.chars().count() {
                length if length > LIMIT => Err(BadSubject::TooLong(length)),
                _ => Ok(Self(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_line_of_text() {
        let subject: Subject = " shop: new prices, für alle \n".parse().unwrap();
        assert_eq!(subject.to_string(), "shop: new prices, für alle");
        let longest = "x".repeat(LIMIT);
        assert_eq!(longest.parse(), Ok(Subject(longest.clone())));
        for (text, error) in [
            ("", BadSubject::Empty),
            (" \n", BadSubject::Empty),
            ("a\n\nNiphas-Source-Rev: 1", BadSubject::Control('\n')),
            ("a\u{1b}[2J", BadSubject::Control('\u{1b}')),
            ("a\u{2028}b", BadSubject::Control('\u{2028}')),
            ("a\0", BadSubject::Control('\0')),
            (&format!("{longest}x"), BadSubject::TooLong(LIMIT + 1)),
        ] {
            assert_eq!(text.parse::<Subject>(), Err(error), "{text:?}");
        }
        assert_eq!(
            BadSubject::Control('\n').to_string(),
            "expected one line of text, found the control character U+000A"
        );
    }
}
