//! Errors as logs and one-line messages show them.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{Display, Write as _};

/// An error and its causes in one line: `what failed: why: why that`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// The first few of a list, and how many more there are: `a, b, c and 61 more`.
pub fn few(items: &[impl Display]) -> String {
    const FEW: usize = 3;
    let mut text = String::new();
    for (number, item) in items.iter().take(FEW).enumerate() {
        if number > 0 {
            text.push_str(", ");
        }
        // To a string nothing fails.
        let _ = write!(text, "{item}");
    }
    if items.len() > FEW {
        let _ = write!(text, " and {} more", items.len() - FEW);
    }
    text
}

/// The text, or as much of it as `limit` bytes hold, with `…` for the rest.
pub fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let kept = text.floor_char_boundary(limit.saturating_sub('…'.len_utf8()));
    Cow::Owned(format!("{}…", &text[..kept]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_list_a_few_are_named() {
        assert_eq!(few(&[""; 0]), "");
        assert_eq!(few(&["a", "b", "c"]), "a, b, c");
        assert_eq!(few(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("longer", 5), "lo…");
        assert_eq!(shortened("lüü", 5), "lüü");
        assert_eq!(shortened("lüür", 5), "l…");
    }
}
