//! What a builder writes, split into lines and messages as Nix does.

use std::collections::VecDeque;

use serde_json::Value;

/// A line has no more bytes; what comes is another.
const MAX_LINE: usize = 64 << 10;

/// Something that a builder wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line, without its end. It may hold anything: make it [printable](nix_formats::printable) for a terminal.
    Line(Vec<u8>),
    /// It begins a phase.
    Phase(String),
    /// A message with Nix's level of importance: 0 is an error, 3 information.
    Message {
        /// The level.
        level: u64,
        /// The text.
        text: String,
    },
    /// A line that should be a message, and is none. It is a line too.
    BadMessage(String),
}

/// Splits what a builder writes.
#[derive(Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// Where in the line the next byte goes: a carriage return leads to its beginning.
    place: usize,
    tail: VecDeque<Vec<u8>>,
    keep: usize,
}

impl Lines {
    /// Keeps as many of the last lines.
    pub(super) fn new(keep: usize) -> Self {
        Self {
            line: Vec::new(),
            place: 0,
            tail: VecDeque::new(),
            keep,
        }
    }

    /// Takes the next piece, and tells of all that ended with it.
    pub(super) fn write(&mut self, piece: &[u8], mut tell: impl FnMut(Said)) {
        for &byte in piece {
            match byte {
                b'\r' => self.place = 0,
                b'\n' => self.end(&mut tell),
                byte => {
                    if self.place == MAX_LINE {
                        self.end(&mut tell);
                    }
                    match self.line.get_mut(self.place) {
                        Some(place) => *place = byte,
                        None => self.line.push(byte),
                    }
                    self.place += 1;
                }
            }
        }
    }

    /// There is no more.
    pub(super) fn finish(&mut self, mut tell: impl FnMut(Said)) {
        if !self.line.is_empty() {
            self.end(&mut tell);
        }
    }

    /// The last lines.
    pub(super) fn into_tail(self) -> Vec<Vec<u8>> {
        self.tail.into()
    }

    fn end(&mut self, tell: &mut impl FnMut(Said)) {
        self.line.truncate(self.place);
        self.place = 0;
        let line = std::mem::take(&mut self.line);
        if let Some(json) = line.strip_prefix(b"@nix ") {
            match message(json) {
                Ok(Some(said)) => return tell(said),
                Ok(None) => return,
                Err(reason) => tell(Said::BadMessage(reason)),
            }
        }
        if self.keep > 0 {
            if self.tail.len() == self.keep {
                self.tail.pop_front();
            }
            self.tail.push_back(line.clone());
        }
        tell(Said::Line(line));
    }
}

/// A message, if it is one that says something here.
fn message(json: &[u8]) -> Result<Option<Said>, String> {
    let json: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let text = |key: &str| {
        let text = json.get(key).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| format!("it has no text '{key}'"))
    };
    Ok(match text("action")?.as_str() {
        "setPhase" => Some(Said::Phase(text("phase")?)),
        "msg" => {
            let level = json.get("level").and_then(Value::as_u64);
            Some(Said::Message {
                level: level.ok_or("it has no number 'level'")?,
                text: text("msg")?,
            })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&[u8]], keep: usize) -> (Vec<Said>, Vec<Vec<u8>>) {
        let (mut lines, mut said) = (Lines::new(keep), Vec::new());
        for piece in pieces {
            lines.write(piece, |it| said.push(it));
        }
        lines.finish(|it| said.push(it));
        (said, lines.into_tail())
    }

    fn line(text: &str) -> Said {
        Said::Line(text.into())
    }

    #[test]
    fn lines_are_split_and_written_over_as_nix_does() {
        let (lines, tail) = said(&[b"on", b"e\n\ntwo\nabcd\rx\nlast"], 3);
        let expected = [line("one"), line(""), line("two"), line("x"), line("last")];
        assert_eq!(lines, expected);
        assert_eq!(tail, [&b"two"[..], b"x", b"last"]);
        assert_eq!(said(&[b"a\r\n"], 0), (vec![line("")], vec![]));
        assert_eq!(said(&[b"abc\rx"], 0).0, [line("x")]);
    }

    #[test]
    fn messages_are_no_lines() {
        let (said, tail) = said(
            &[
                b"@nix {\"action\":\"setPhase\",\"phase\":\"build\"}\n@nix {\"action\":\"start\",\"id\":1}\n",
                b"@nix {\"action\":\"msg\",\"level\":3,\"msg\":\"hello\"}\n@nix {\n@nix {}\nx @nix {}\n",
            ],
            25,
        );
        assert_eq!(said[0], Said::Phase("build".to_owned()));
        let text = "hello".to_owned();
        assert_eq!(said[1], Said::Message { level: 3, text });
        assert!(matches!(
            &said[2..],
            [
                Said::BadMessage(_),
                Said::Line(_),
                Said::BadMessage(_),
                Said::Line(_),
                Said::Line(_),
            ]
        ));
        assert_eq!(tail, [&b"@nix {"[..], b"@nix {}", b"x @nix {}"]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_it_may() {
        let piece = vec![b'x'; 1 << 20];
        let (mut lines, mut longest) = (Lines::new(2), 0);
        for _ in 0..16 {
            lines.write(&piece, |said| {
                if let Said::Line(line) = said {
                    longest = longest.max(line.len());
                }
            });
        }
        assert_eq!(longest, MAX_LINE);
        assert!(lines.tail.len() <= 2 && lines.line.capacity() <= 2 * MAX_LINE);
    }
}
