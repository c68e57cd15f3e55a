//! Numbers, texts and messages as they stand on the wire.

use std::io::{BufReader, BufWriter, Read, Write};

use super::DaemonError;
use crate::source::SourceError;

/// No text that we ask for is longer.
const MAX_TEXT: u64 = 1 << 20;
/// No list that we ask for is longer.
const MAX_ITEMS: u64 = 1 << 17;
/// Nor are all texts between two replies.
const MAX_TEXTS: u64 = 64 << 20;

// What the daemon says before it answers.
const LAST: u64 = 0x616c_7473;
const ERROR: u64 = 0x6378_7470;
const NEXT: u64 = 0x6f6c_6d67;
const START_ACTIVITY: u64 = 0x5354_5254;
const STOP_ACTIVITY: u64 = 0x5354_4f50;
const RESULT: u64 = 0x5253_4c54;

/// Reads and writes the protocol's values: numbers of 8 bytes, little-endian;
/// texts with their length before and zeros after, up to a multiple of 8.
pub(super) struct Wire<R: Read, W: Write> {
    input: BufReader<R>,
    output: BufWriter<W>,
    /// Bytes of texts since the last reply.
    texts: u64,
}

impl<R: Read, W: Write> Wire<R, W> {
    pub(super) fn new(input: BufReader<R>, output: BufWriter<W>) -> Self {
        Self {
            input,
            output,
            texts: 0,
        }
    }

    pub(super) fn put_number(&mut self, number: u64) -> Result<(), DaemonError> {
        self.put(&number.to_le_bytes())
    }

    pub(super) fn put_text(&mut self, text: &[u8]) -> Result<(), DaemonError> {
        self.put_number(text.len() as u64)?;
        self.put(text)?;
        self.put(&[0; 8][..padding(text.len() as u64)])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), DaemonError> {
        self.output.write_all(bytes).map_err(DaemonError::Broken)
    }

    pub(super) fn flush(&mut self) -> Result<(), DaemonError> {
        self.output.flush().map_err(DaemonError::Broken)
    }

    pub(super) fn number(&mut self) -> Result<u64, DaemonError> {
        let mut bytes = [0; 8];
        self.exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A text; what is not UTF-8 in it is replaced.
    pub(super) fn text(&mut self) -> Result<String, DaemonError> {
        let length = self.number()?;
        self.texts = self.texts.saturating_add(length);
        if length > MAX_TEXT || self.texts > MAX_TEXTS {
            return Err(DaemonError::TooLong {
                what: "text",
                length,
            });
        }
        let mut bytes = vec![0; length as usize];
        self.exact(&mut bytes)?;
        self.exact(&mut [0; 8][..padding(length)])?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn texts(&mut self) -> Result<Vec<String>, DaemonError> {
        let length = self.number()?;
        if length > MAX_ITEMS {
            return Err(DaemonError::TooLong {
                what: "list",
                length,
            });
        }
        (0..length).map(|_| self.text()).collect()
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), DaemonError> {
        self.input.read_exact(bytes).map_err(DaemonError::Broken)
    }

    /// Reads what the daemon says, up to where its answer starts.
    pub(super) fn until_done(&mut self) -> Result<(), DaemonError> {
        self.texts = 0;
        loop {
            match self.number()? {
                LAST => {
                    self.texts = 0;
                    return Ok(());
                }
                ERROR => return Err(self.error()?),
                NEXT => {
                    let line = self.text()?;
                    tracing::debug!(line = line.trim_end(), "the Nix daemon");
                }
                START_ACTIVITY => {
                    // Its number, how important it is, its kind.
                    for _ in 0..3 {
                        self.number()?;
                    }
                    let _text = self.text()?;
                    self.fields()?;
                    let _parent = self.number()?;
                }
                STOP_ACTIVITY => {
                    self.number()?;
                }
                RESULT => {
                    self.number()?;
                    self.number()?;
                    self.fields()?;
                }
                found => {
                    return Err(DaemonError::Unexpected {
                        what: "message",
                        found,
                    });
                }
            }
        }
    }

    fn fields(&mut self) -> Result<(), DaemonError> {
        let length = self.number()?;
        if length > MAX_ITEMS {
            return Err(DaemonError::TooLong {
                what: "list",
                length,
            });
        }
        for _ in 0..length {
            match self.number()? {
                0 => drop(self.number()?),
                1 => drop(self.text()?),
                found => {
                    return Err(DaemonError::Unexpected {
                        what: "kind of field",
                        found,
                    });
                }
            }
        }
        Ok(())
    }

    fn error(&mut self) -> Result<DaemonError, DaemonError> {
        let _type = self.text()?;
        let _level = self.number()?;
        let _name = self.text()?;
        let message = self.text()?;
        // Whether there is a position: there never is.
        self.number()?;
        let traces = self.number()?;
        if traces > MAX_ITEMS {
            return Err(DaemonError::TooLong {
                what: "list",
                length: traces,
            });
        }
        for _ in 0..traces {
            self.number()?;
            self.text()?;
        }
        Ok(DaemonError::Told(without_colours(&message)))
    }

    /// Copies bytes that follow an answer.
    pub(super) fn copy(&mut self, mut left: u64, out: &mut dyn Write) -> Result<(), SourceError> {
        let mut piece = vec![0; 256 * 1024];
        while left > 0 {
            let room = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = match self.input.read(&mut piece[..room]) {
                Ok(0) => {
                    let ended = std::io::ErrorKind::UnexpectedEof.into();
                    return Err(DaemonError::Broken(ended).into());
                }
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(DaemonError::Broken(error).into()),
            };
            out.write_all(&piece[..count]).map_err(SourceError::Write)?;
            left -= count as u64;
        }
        Ok(())
    }
}

fn padding(length: u64) -> usize {
    (length.wrapping_neg() % 8) as usize
}

/// A message without the sequences that colour it on a terminal.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain.trim().to_owned()
}
