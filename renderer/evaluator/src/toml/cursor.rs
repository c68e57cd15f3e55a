//! A place in a document, and errors that show it.

use std::fmt::Write as _;

/// Part of the document: where it starts and its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    pub start: usize,
    pub len: usize,
}

/// What is wrong with a document, in the words of the library that C++ Nix uses.
#[derive(Debug)]
pub(super) struct TomlError {
    title: String,
    places: Vec<(Region, &'static str)>,
    hints: &'static [&'static str],
    /// At the end of the document, the message shows all of it.
    unfinished: bool,
}

pub(super) type Result<T> = std::result::Result<T, Box<TomlError>>;

impl TomlError {
    pub(super) fn new(title: impl Into<String>, region: Region, what: &'static str) -> Box<Self> {
        Box::new(Self {
            title: title.into(),
            places: vec![(region, what)],
            hints: &[],
            unfinished: false,
        })
    }

    /// The error with one more place that has to do with it.
    pub(super) fn and(mut self: Box<Self>, region: Region, what: &'static str) -> Box<Self> {
        self.places.push((region, what));
        self
    }

    pub(super) fn hints(mut self: Box<Self>, hints: &'static [&'static str]) -> Box<Self> {
        self.hints = hints;
        self
    }

    /// The error, of something that has no end.
    pub(super) fn unfinished(mut self: Box<Self>) -> Box<Self> {
        self.unfinished = true;
        self
    }

    /// The message with the lines it is about.
    pub(super) fn show(&self, text: &[u8]) -> String {
        let line_of = |region: &Region| {
            let before = &text[..region.start.min(text.len())];
            memchr::memchr_iter(b'\n', before).count() + 1
        };
        let lines = self.places.iter().map(|(region, _)| line_of(region));
        let width = lines.max().unwrap_or(1).to_string().len();
        let gutter = " ".repeat(width + 2);
        let mut out = format!("[error] {}\n --> fromTOML\n", self.title);
        for (index, (region, what)) in self.places.iter().enumerate() {
            if index > 0 {
                let _ = writeln!(out, "{gutter}| ...");
            }
            let start = region.start.min(text.len());
            let line_start = memchr::memrchr(b'\n', &text[..start]).map_or(0, |end| end + 1);
            let line_end =
                memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |end| start + end);
            let number = line_of(region);
            if self.unfinished && start == text.len() {
                let next = number + 1;
                let first = memchr::memchr(b'\n', text).unwrap_or(text.len()) + 1;
                let line = shown(&text[line_start..line_end]);
                let (blanks, marks) = (" ".repeat(start - line_start), "^".repeat(first));
                let _ = write!(
                    out,
                    "{gutter}|\n {number:>width$} | {line}\n{gutter}| {blanks}--\n {next:>width$} | {}\n{gutter}| \
                     {marks}-- {what}\n",
                    shown(text)
                );
                continue;
            }
            // Of what is before and after it only the nearest is shown.
            let end = (start + region.len.max(1)).min(line_end).max(start);
            let (before, after) = (&text[line_start..start], &text[end..line_end]);
            let (before, blanks) = match before.len().checked_sub(MOST_BEFORE) {
                None | Some(0) => (shown(before), before.len()),
                Some(cut) => (
                    format!("... {}", shown(&before[cut..])),
                    MOST_BEFORE + "... ".len(),
                ),
            };
            let after = match after.get(..MOST_AFTER) {
                Some(near) if near.len() < after.len() => format!("{} ...", shown(near)),
                _ => shown(after),
            };
            let line = format!("{before}{}{after}", shown(&text[start..end]));
            let (blanks, marks) = (" ".repeat(blanks), "^".repeat(region.len.max(1)));
            let _ = write!(
                out,
                "{gutter}|\n {number:>width$} | {line}\n{gutter}| {blanks}{marks}-- {what}\n"
            );
        }
        for hint in self.hints {
            let _ = writeln!(out, "Hint: {hint}");
        }
        out
    }
}

/// As many bytes of a line are shown before and after what is wrong in it.
const MOST_BEFORE: usize = 30;
const MOST_AFTER: usize = 29;

/// A line in ASCII, with what cannot be seen made visible.
fn shown(line: &[u8]) -> String {
    let mut out = String::with_capacity(line.len());
    for &byte in line {
        if matches!(byte, b' '..=b'~') {
            out.push(char::from(byte));
            continue;
        }
        let _ = write!(out, "0x{byte:02x}");
        out.push_str(match byte {
            b'\t' => "(TAB)",
            b'\n' => "(LINE FEED)",
            b'\r' => "(CARRIAGE RETURN)",
            _ => "",
        });
    }
    out
}

/// Reads a document from left to right.
pub(super) struct Cursor<'t> {
    pub text: &'t [u8],
    pub place: usize,
}

impl Cursor<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.place).copied()
    }

    pub(super) fn looking_at(&self, bytes: &[u8]) -> bool {
        self.text[self.place..].starts_with(bytes)
    }

    /// Goes past `bytes` if they are next.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        let found = self.looking_at(bytes);
        if found {
            self.place += bytes.len();
        }
        found
    }

    /// The region of this many bytes from here on.
    pub(super) fn here(&self, len: usize) -> Region {
        Region {
            start: self.place,
            len,
        }
    }

    /// An error at this place.
    pub(super) fn error(&self, title: impl Into<String>, what: &'static str) -> Box<TomlError> {
        TomlError::new(title, self.here(1), what)
    }

    /// Goes past all bytes that belong; how many there were.
    pub(super) fn skip_while(&mut self, belongs: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text[self.place..];
        let len = rest.iter().take_while(|&&byte| belongs(byte)).count();
        self.place += len;
        len
    }

    pub(super) fn skip_blanks(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// Goes past a line feed, alone or after a carriage return.
    pub(super) fn take_newline(&mut self) -> bool {
        self.take(b"\n") || self.take(b"\r\n")
    }

    /// Goes past a comment, up to the end of its line.
    pub(super) fn skip_comment(&mut self) -> Result<()> {
        if self.peek() != Some(b'#') {
            return Ok(());
        }
        while let Some(byte) = self.peek() {
            if self.looking_at(b"\n") || self.looking_at(b"\r\n") {
                return Ok(());
            }
            let width = self.character().unwrap_or(0);
            if (byte < 0x20 && byte != b'\t') || byte == 0x7F || width == 0 {
                self.skip_while(|byte| byte != b'\n');
                self.take_newline();
                let title = "toml::parse_comment_line: newline (LF / CRLF) or EOF is expected";
                let error = self.error(title, "but got this").unfinished();
                return Err(
                    error.hints(&["most of the control characters are not allowed in comments"])
                );
            }
            self.place += width;
        }
        Ok(())
    }

    /// Bytes of the UTF-8 character that is next.
    pub(super) fn character(&self) -> Option<usize> {
        let first = self.peek()?;
        if first < 0x80 {
            return Some(1);
        }
        let rest = &self.text[self.place..];
        let width = match first {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            _ => 4,
        };
        std::str::from_utf8(rest.get(..width)?).ok()?;
        Some(width)
    }

    /// Goes past blanks, comments and ends of lines.
    pub(super) fn skip_blank_lines(&mut self) -> Result<()> {
        loop {
            self.skip_blanks();
            self.skip_comment()?;
            if !self.take_newline() {
                return Ok(());
            }
        }
    }
}
