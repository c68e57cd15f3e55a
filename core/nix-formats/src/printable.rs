//! Text from outside, on its way to a terminal.

use std::borrow::Cow;

const ESCAPE: char = '\x1b';

/// `text` without what would drive a terminal: escape sequences, and control characters other than newline and tab.
///
/// As in Nix, sequences that set colours stay if `colours`. Bytes that are not UTF-8 stay, less those that are control
/// characters by themselves.
pub fn printable(text: &[u8], colours: bool) -> Cow<'_, [u8]> {
    if text
        .iter()
        .all(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~'))
    {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        print_chunk(chunk.valid(), colours, &mut out);
        out.extend(
            chunk
                .invalid()
                .iter()
                .filter(|byte| !matches!(byte, 0x80..=0x9f)),
        );
    }
    Cow::Owned(out)
}

fn print_chunk(mut text: &str, colours: bool, out: &mut Vec<u8>) {
    while let Some(character) = text.chars().next() {
        let rest = &text[character.len_utf8()..];
        if character == ESCAPE {
            let length = sequence(rest);
            if colours && is_colour(&rest[..length]) {
                out.extend_from_slice(&text.as_bytes()[..=length]);
            }
            text = &rest[length..];
            continue;
        }
        if !character.is_control() || matches!(character, '\n' | '\t') {
            out.extend_from_slice(&text.as_bytes()[..character.len_utf8()]);
        }
        text = rest;
    }
}

/// The length of what belongs to the escape character before it.
fn sequence(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'[') => {
            let parameters = bytes[1..]
                .iter()
                .take_while(|byte| matches!(byte, 0x20..=0x3f))
                .count();
            let end = bytes.get(1 + parameters);
            1 + parameters + usize::from(matches!(end, Some(0x40..=0x7e)))
        }
        // Strings for the terminal, which end with BEL or with an escape sequence of their own.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let end = bytes
                .iter()
                .position(|byte| matches!(byte, 0x07 | 0x1b | b'\n'));
            end.unwrap_or(bytes.len())
        }
        Some(0x20..=0x7e) => 1,
        _ => 0,
    }
}

fn is_colour(sequence: &str) -> bool {
    sequence
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix('m'))
        .is_some_and(|numbers| {
            numbers
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'))
        })
}

#[cfg(test)]
mod tests {
    use super::printable;

    fn plain(text: &str) -> String {
        String::from_utf8(printable(text.as_bytes(), false).into_owned()).unwrap()
    }

    #[test]
    fn what_drives_a_terminal_is_left_out() {
        assert_eq!(plain("a\x1b]0;title\x07b"), "ab");
        assert_eq!(plain("a\x1b]8;;http://x\x1b\\b"), "ab");
        assert_eq!(plain("a\x1b[2J\x1b[1;1Hb\x1bcd\u{9b}31me"), "abd31me");
        assert_eq!(plain("a\rb\x08c\x07\0\x7f"), "abc");
        assert_eq!(plain("a\x1bP1;2|owned\x1b\\b\x1b"), "ab");
        // A string that does not end takes no more than its line.
        assert_eq!(plain("a\x1b]0;owned\nb"), "a\nb");
    }

    #[test]
    fn text_stays_as_it_is() {
        for text in ["", "error: 'x'\n\tat /nix/store:1:2", "ä → 日本 \u{1f600}"] {
            assert_eq!(plain(text), text);
        }
        assert_eq!(&*printable(b"\xff\xfe a\x9bb", false), b"\xff\xfe ab");
    }

    #[test]
    fn colours_stay_where_there_are_colours() {
        let text = b"\x1b[31;1mred\x1b[0m\x1b[2J\x1b[?1049h";
        assert_eq!(&*printable(text, true), b"\x1b[31;1mred\x1b[0m");
        assert_eq!(&*printable(text, false), b"red");
    }
}
