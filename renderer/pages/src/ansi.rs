//! Colours of terminals, as classes.

use std::borrow::Cow;

use serde::Serialize;

use crate::text::is_hidden;

/// More characters of a line are not shown.
const LINE_LIMIT: usize = 4_000;
/// More changes of colour within a line are not followed.
const SPANS_OF_LINE: usize = 200;

/// A part of a line in one style.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Its text: no character of it controls anything.
    pub text: String,
    /// Its classes, of those in the style sheet.
    pub class: String,
}

/// Reads lines with the sequences that set a terminal's colours. Other sequences are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a state of a terminal, and any go together"
)]
pub struct Ansi {
    is_bold: bool,
    is_dim: bool,
    is_italic: bool,
    is_underlined: bool,
    fore: Option<u8>,
    back: Option<u8>,
}

impl Ansi {
    /// The parts of a line, which has no line end. The style at its end is that of the next line.
    pub fn line(&mut self, line: &[u8]) -> Vec<Span> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A terminal shows what was written last; that of progress bars is much longer than a line.
        let start = line
            .iter()
            .rposition(|byte| *byte == b'\r')
            .map_or(0, |at| at + 1);
        let line = &line[start..];
        let bytes = &line[..line.len().min(LINE_LIMIT * 8)];
        let text = String::from_utf8_lossy(bytes);
        let mut spans: Vec<Span> = Vec::new();
        let mut current = String::new();
        let (mut count, mut rest) = (0, text.as_ref());
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            if c == '\x1b' {
                let (parameters, length) = sequence(after);
                if let Some(parameters) = parameters.filter(|_| spans.len() < SPANS_OF_LINE) {
                    self.end(&mut current, &mut spans);
                    self.set(parameters);
                }
                rest = &after[length..];
                continue;
            }
            if count == LINE_LIMIT {
                current.push('…');
                break;
            }
            current.push(match c {
                '\t' => '\t',
                c if is_hidden(c) => '\u{fffd}',
                c => c,
            });
            count += 1;
            rest = after;
        }
        self.end(&mut current, &mut spans);
        spans
    }

    fn end(&self, current: &mut String, spans: &mut Vec<Span>) {
        if current.is_empty() {
            return;
        }
        let (text, class) = (std::mem::take(current), self.class());
        match spans.last_mut() {
            Some(last) if last.class == class => last.text.push_str(&text),
            _ => spans.push(Span { text, class }),
        }
    }

    fn class(&self) -> String {
        let mut classes: Vec<Cow<'static, str>> = Vec::new();
        for (is_set, class) in [
            (self.is_bold, "ab"),
            (self.is_dim, "ad"),
            (self.is_italic, "ai"),
            (self.is_underlined, "au"),
        ] {
            if is_set {
                classes.push(class.into());
            }
        }
        classes.extend(self.fore.map(|colour| format!("f{colour}").into()));
        classes.extend(self.back.map(|colour| format!("g{colour}").into()));
        classes.join(" ")
    }

    /// `Select Graphic Rendition`: ECMA-48, 8.3.117, and what terminals have beside it.
    fn set(&mut self, parameters: &str) {
        let mut codes = parameters
            .split([';', ':'])
            .take(32)
            .map(|code| match code {
                "" => Some(0),
                code => code.parse::<u16>().ok(),
            });
        while let Some(code) = codes.next() {
            match code {
                Some(0) => *self = Self::default(),
                Some(1) => self.is_bold = true,
                Some(2) => self.is_dim = true,
                Some(3) => self.is_italic = true,
                Some(4) => self.is_underlined = true,
                Some(22) => (self.is_bold, self.is_dim) = (false, false),
                Some(23) => self.is_italic = false,
                Some(24) => self.is_underlined = false,
                Some(code @ 30..=37) => self.fore = Some((code - 30) as u8),
                Some(code @ 90..=97) => self.fore = Some((code - 90 + 8) as u8),
                Some(39) => self.fore = None,
                Some(code @ 40..=47) => self.back = Some((code - 40) as u8),
                Some(code @ 100..=107) => self.back = Some((code - 100 + 8) as u8),
                Some(49) => self.back = None,
                // Of 256 colours the first 16 have classes; of all others the text keeps its colour.
                Some(code @ (38 | 48)) => {
                    let colour = match codes.next().flatten() {
                        Some(5) => codes.next().flatten().filter(|colour| *colour < 16),
                        Some(2) => {
                            codes.by_ref().take(3).for_each(drop);
                            None
                        }
                        _ => None,
                    };
                    let colour = colour.map(|colour| colour as u8);
                    if code == 38 {
                        self.fore = colour;
                    } else {
                        self.back = colour;
                    }
                }
                _ => {}
            }
        }
    }
}

/// What belongs to the escape character before it: the parameters, if it sets colours, and its length.
fn sequence(text: &str) -> (Option<&str>, usize) {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'[') => {
            let is_inner = |byte: &&u8| matches!(byte, 0x20..=0x3f);
            let inner = bytes[1..].iter().take_while(is_inner).count();
            match bytes.get(1 + inner) {
                Some(b'm') => (Some(&text[1..=inner]), inner + 2),
                Some(0x40..=0x7e) => (None, inner + 2),
                _ => (None, inner + 1),
            }
        }
        // A title or a link, up to a bell or `ESC \`.
        Some(b']' | b'P' | b'^' | b'_' | b'X') => {
            let end = bytes.iter().position(|byte| matches!(byte, 0x07 | 0x1b));
            match end {
                Some(end) if bytes[end] == 0x07 => (None, end + 1),
                Some(end) if bytes.get(end + 1) == Some(&b'\\') => (None, end + 2),
                Some(end) => (None, end),
                None => (None, bytes.len()),
            }
        }
        Some(b'(' | b')' | b'#') => (None, 1 + text[1..].chars().next().map_or(0, char::len_utf8)),
        Some(0x20..=0x7e) => (None, 1),
        _ => (None, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let spans = Ansi::default().line(line.as_bytes());
        let parts = spans
            .iter()
            .map(|span| format!("[{}|{}]", span.class, span.text));
        parts.collect()
    }

    #[test]
    fn colours_become_classes() {
        for (line, parts) in [
            ("plain", "[|plain]"),
            ("", ""),
            ("\x1b[1;31merror:\x1b[0m x", "[ab f1|error:][| x]"),
            ("\x1b[31ma\x1b[31mb\x1b[mc", "[f1|ab][|c]"),
            (
                "\x1b[38;5;9ma\x1b[38;5;200mb\x1b[48;2;1;2;3;1mc",
                "[f9|a][|b][ab|c]",
            ),
            ("\x1b[92;44mx\x1b[39;49my", "[f10 g4|x][|y]"),
            ("10%\r50%\rdone\r", "[|done]"),
            (
                "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x1b\\.",
                "[|link.]",
            ),
            ("\x1b[2Ka\x1b[?25lb\x1b(Bc\x1b=d\x1b", "[|abcd]"),
            ("a\u{202e}b\0c\td", "[|a\u{fffd}b\u{fffd}c\td]"),
            ("<b>&", "[|<b>&]"),
        ] {
            assert_eq!(shown(line), parts, "{line:?}");
        }
    }

    #[test]
    fn a_style_goes_on_in_the_next_line() {
        let mut ansi = Ansi::default();
        ansi.line(b"\x1b[33mone");
        assert_eq!(ansi.line(b"two")[0].class, "f3");
    }

    #[test]
    fn long_lines_and_endless_colours_are_bounded() {
        let spans = Ansi::default().line(&vec![b'x'; 100_000]);
        assert_eq!(spans[0].text.chars().count(), LINE_LIMIT + 1);
        let rainbow = "\x1b[30mx\x1b[31mx\x1b[32mx\x1b[33mx".repeat(2_500);
        let spans = Ansi::default().line(rainbow.as_bytes());
        assert!(spans.len() <= SPANS_OF_LINE + 1);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_do_harm(line: Vec<u8>, other: Vec<u8>) {
            let mut ansi = Ansi::default();
            for spans in [ansi.line(&line), ansi.line(&[b"\x1b[", &other[..]].concat())] {
                for span in spans {
                    assert!(span.text.chars().all(|c| c == '\t' || !is_hidden(c)));
                    assert!(span.class.chars().all(|c| c.is_ascii_alphanumeric() || c == ' '));
                }
            }
        }
    }
}
