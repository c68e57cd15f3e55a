//! What `uuencode` writes: bytes as lines of text, in its own form or in base64.
//! <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/uuencode.html>

use std::io::{self, BufRead, Read};

use data_encoding::BASE64;

const BEGIN: &[u8] = b"begin ";
const BEGIN_BASE64: &[u8] = b"begin-base64 ";
/// The longest line, in bytes; `uuencode` writes some sixty.
const MAX_LINE: u64 = 1024;

/// Whether a file that starts with these bytes is such text.
pub(crate) fn is_encoded(start: &[u8]) -> bool {
    start.starts_with(BEGIN) || start.starts_with(BEGIN_BASE64)
}

/// Reads the bytes that the text stands for.
pub(crate) struct UuDecoder<R> {
    input: R,
    is_base64: bool,
    line: Vec<u8>,
    decoded: Vec<u8>,
    /// How much of that was read.
    done: usize,
    is_at_end: bool,
}

impl<R: BufRead> UuDecoder<R> {
    /// The first line of `input` is one with which the text [begins](is_encoded).
    pub(crate) fn new(input: R) -> io::Result<Self> {
        let mut decoder = Self {
            input,
            is_base64: false,
            line: Vec::new(),
            decoded: Vec::new(),
            done: 0,
            is_at_end: false,
        };
        decoder.next_line()?;
        decoder.is_base64 = decoder.line.starts_with(BEGIN_BASE64);
        Ok(decoder)
    }

    /// Reads a line, without what ends it.
    fn next_line(&mut self) -> io::Result<()> {
        self.line.clear();
        let mut input = self.input.by_ref().take(MAX_LINE);
        input.read_until(b'\n', &mut self.line)?;
        if self.line.pop() != Some(b'\n') {
            return Err(invalid("the uuencoded text ends within a line"));
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(())
    }

    fn decode_line(&mut self) -> io::Result<()> {
        self.next_line()?;
        self.done = 0;
        if self.is_base64 {
            self.is_at_end = self.line == b"====";
            if !self.is_at_end {
                let decoded = BASE64.decode(&self.line);
                self.decoded = decoded.map_err(|_| invalid("the uuencoded text is no base64"))?;
            }
            return Ok(());
        }
        let length = usize::from(value(self.line.first().copied().unwrap_or(b' '))?);
        self.decoded.clear();
        self.is_at_end = length == 0;
        for group in self.line.get(1..).unwrap_or_default().chunks(4) {
            let mut bits = 0;
            for index in 0..4 {
                // Blanks at the end of a line may be missing.
                let digit = group.get(index).copied().unwrap_or(b' ');
                bits = bits << 6 | u32::from(value(digit)?);
            }
            self.decoded.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
        if self.decoded.len() < length {
            return Err(invalid("a line of the uuencoded text is too short"));
        }
        self.decoded.truncate(length);
        Ok(())
    }
}

/// The six bits that a character stands for.
fn value(character: u8) -> io::Result<u8> {
    match character {
        b' '..=b'`' => Ok((character - b' ') & 0x3f),
        _ => Err(invalid("the uuencoded text has another character")),
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl<R: BufRead> Read for UuDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.done == self.decoded.len() || self.is_at_end {
            if self.is_at_end {
                return Ok(0);
            }
            self.decode_line()?;
        }
        let rest = &self.decoded[self.done..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.done += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader, Read};

    use super::{MAX_LINE, UuDecoder, is_encoded};

    fn decoded(text: &str) -> Result<Vec<u8>, String> {
        assert!(is_encoded(text.as_bytes()));
        let mut bytes = Vec::new();
        let decoder = UuDecoder::new(text.as_bytes());
        let read = decoder.and_then(|mut decoder| decoder.read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn both_forms_are_decoded() {
        assert_eq!(
            decoded("begin 644 cat.txt\n#0V%T\n`\nend\n").unwrap(),
            b"Cat"
        );
        assert_eq!(
            decoded("begin 644 cat.txt\r\n#0V%T\r\n \r\nend\r\n").unwrap(),
            b"Cat"
        );
        let base64 = "begin-base64 644 cat.txt\nQ2F0\nQ2E=\n====\n";
        assert_eq!(decoded(base64).unwrap(), b"CatCa");
    }

    #[test]
    fn what_is_no_such_text_is_an_error() {
        for text in [
            "begin 644 x",
            "begin 644 x\n#0V%T",
            "begin 644 x\nM0V%T\n`\nend\n",
            "begin 644 x\n#0V\u{7f}T\n`\n",
            "begin-base64 644 x\nQ2F\n====\n",
            "begin-base64 644 x\nQ2F0\n",
        ] {
            assert!(decoded(text).is_err(), "{text:?}");
        }
        let long = format!("begin 644 {}\n", "x".repeat(2000));
        assert!(decoded(&long).is_err());
        // A line that never ends, after one that does.
        let long = format!("begin-base64 644 x\n{}", "A".repeat(4 << 20));
        assert!(decoded(&long).is_err());
    }

    /// Text that goes on for long, in lines that stand for much, for nothing, and for less than they have.
    #[test]
    fn no_more_than_a_line_is_held_of_text_that_goes_on() {
        for (begin, line, decoded) in [
            ("begin-base64 644 x\n", "A".repeat(1000), 750),
            ("begin-base64 644 x\n", String::new(), 0),
            ("begin 644 x\n", format!("_{}", "!".repeat(1000)), 63),
        ] {
            let line = format!("{line}\n");
            let count = (8 << 20) / line.len();
            let text = begin.to_owned() + &line.repeat(count);
            let mut decoder = UuDecoder::new(BufReader::new(text.as_bytes())).unwrap();
            let mut sink = Counted(0);
            // It has no end, which is an error after all lines were read.
            assert!(io::copy(&mut decoder, &mut sink).is_err());
            assert_eq!(sink.0, decoded * count);
            for held in [decoder.line.capacity(), decoder.decoded.capacity()] {
                assert!(held as u64 <= 2 * MAX_LINE, "{held}");
            }
        }
    }

    /// What comes after the end is not read: it may be without end.
    #[test]
    fn nothing_is_read_after_the_end() {
        let text = b"begin-base64 644 x\nQ2F0\n====\n";
        let mut input = BufReader::with_capacity(1, text.chain(io::repeat(b'x')));
        let mut bytes = Vec::new();
        let mut decoder = UuDecoder::new(&mut input).unwrap();
        decoder.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"Cat");
    }

    struct Counted(usize);

    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
