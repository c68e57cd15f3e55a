//! What a server says to people while it takes a push: why a rule of its own is against it, for instance.

use std::cell::RefCell;

/// As much is kept, from the start.
const MOST_BYTES: usize = 16 << 10;
const MOST_LINES: usize = 12;
const LONGEST_LINE: usize = 300;

/// What a server has said so far.
#[derive(Default)]
pub(crate) struct ServerWords(RefCell<Vec<u8>>);

impl ServerWords {
    /// Takes what came next.
    pub(crate) fn hear(&self, bytes: &[u8]) {
        let mut heard = self.0.borrow_mut();
        let room = MOST_BYTES - heard.len();
        heard.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The lines that have words, less what only moves the cursor or draws over a line before.
    pub(crate) fn lines(&self) -> Vec<String> {
        let heard = self.0.borrow();
        let text = String::from_utf8_lossy(&heard);
        let words = |line: &str| -> String {
            // What a terminal has drawn over was progress.
            let line = line
                .trim_end_matches('\r')
                .rsplit('\r')
                .next()
                .unwrap_or_default();
            let line = line.chars().filter(|c| !c.is_control());
            line.take(LONGEST_LINE)
                .collect::<String>()
                .trim()
                .to_owned()
        };
        let lines = text.split('\n').map(words);
        lines
            .filter(|line| !line.is_empty())
            .take(MOST_LINES)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_lines_however_they_arrive() {
        let words = ServerWords::default();
        for part in [
            "error: GH0",
            "06: Protected branch\n\n",
            "Resolving: 10%\rResolving: 100%, done.\r\n",
            "  see \x1b[31mhttps://x\n",
        ] {
            words.hear(part.as_bytes());
        }
        assert_eq!(
            words.lines(),
            [
                "error: GH006: Protected branch",
                "Resolving: 100%, done.",
                "see [31mhttps://x"
            ]
        );
    }

    #[test]
    fn no_more_is_kept_than_a_person_reads() {
        let words = ServerWords::default();
        for _ in 0..100_000 {
            words.hear(&[b'a'; 1000]);
            words.hear(b"\n");
        }
        let lines = words.lines();
        assert!(lines.len() <= MOST_LINES);
        assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE));
    }
}
