//! The page of a log, and what a live one gains.

use maud::{Markup, html};
use serde::Serialize;

use crate::ansi::{Ansi, Span};
use crate::frame::{Crumbs, Frame, Update, build_tag};
use crate::model::Log;
use crate::paths;
use crate::sources::crumbs;
use crate::text::{derivation_name, name};

/// The last lines of a log are shown. The script keeps as many.
const LINES: usize = 5_000;
/// Bytes of a log that are looked at.
const BYTES: usize = 2 << 20;
/// Parts in different styles on a page: further ones have no style.
const SPANS: usize = 20_000;
/// A line that is not ended yet is shown after this many bytes.
const PENDING: usize = 64 << 10;

/// The page of a log. Of one that grows it shows whole lines, and its script asks for the rest.
pub fn log_page(frame: &Frame<'_>, log: &Log) -> String {
    let title = derivation_name(&log.derivation);
    let is_live = log.is_live;
    let shown = if is_live {
        whole_lines(&log.text)
    } else {
        &log.text[..]
    };
    let from = log
        .end
        .saturating_sub((log.text.len() - shown.len()) as u64);
    let events = frame.href(&paths::log_events(&log.derivation, from));
    let (lines, is_cut) = last_lines(shown, LINES);
    let raw = frame.href(&paths::raw_log(&log.derivation));
    let content = html! {
        h1 { "Log of " (title) }
        p.line { @if let Some(state) = log.state { (build_tag(state)) " " } code.long { (name(&log.derivation)) } }
        p.line #log-status role="status" {
            @if is_live { noscript { "The build goes on: this page loads itself again." } }
        }
        @if log.is_cut || is_cut {
            p.line { "Only the last lines are shown. " a href=(raw) { "The whole log" } }
        } @else {
            p.line { a href=(raw) { "As plain text" } }
        }
        label.follow #follow hidden { input type="checkbox" checked; " Follow the log" }
        @if lines.is_empty() && !is_live { p { "The log is empty." } }
        pre.log #log role="log" tabindex="0" aria-label="Log" data-events=[is_live.then_some(events)] { (lines_of(&lines)) }
    };
    let mut above: Crumbs = Vec::new();
    if let Some((source, run)) = &log.run {
        above.extend(crumbs(source));
        above.push((format!("Run {run}"), paths::run(source, run)));
    }
    let update = if is_live {
        Update::Script
    } else {
        Update::Never
    };
    frame.page(&format!("Log of {title}"), &above, update, &content)
}

fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    &text[..end]
}

/// The last lines of a log in their styles, and whether there are others before.
pub(crate) fn last_lines(text: &[u8], most: usize) -> (Vec<Vec<Span>>, bool) {
    let start = text.len().saturating_sub(BYTES);
    let mut shown = &text[start..];
    let mut is_cut = start > 0;
    if is_cut {
        // The rest of a line says less than none.
        let end = shown
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        shown = &shown[end..];
    }
    let body = shown.strip_suffix(b"\n").unwrap_or(shown);
    if body.is_empty() {
        return (Vec::new(), is_cut);
    }
    let all: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    let first = all.len().saturating_sub(most);
    is_cut |= first > 0;
    let (mut ansi, mut room) = (Ansi::default(), SPANS);
    let mut lines = Vec::with_capacity(all.len() - first);
    for line in &all[first..] {
        let mut spans = ansi.line(line);
        if spans.len() > room {
            let text = spans.drain(..).map(|span| span.text).collect();
            spans.push(Span {
                text,
                class: String::new(),
            });
        }
        room = room.saturating_sub(spans.len());
        lines.push(spans);
    }
    (lines, is_cut)
}

pub(crate) fn lines_of(lines: &[Vec<Span>]) -> Markup {
    html! {
        @for line in lines {
            span {
                @for span in line {
                    @if span.class.is_empty() { (span.text) } @else { span class=(span.class) { (span.text) } }
                }
                "\n"
            }
        }
    }
}

/// Turns what a log gains into events of a `text/event-stream`: one for each page that is open.
#[derive(Debug, Clone)]
pub struct LogText {
    ansi: Ansi,
    /// What is not a whole line yet.
    pending: Vec<u8>,
    /// Where the log goes on after what was sent.
    at: u64,
}

#[derive(Serialize)]
struct Event {
    lines: Vec<Vec<Span>>,
}

impl LogText {
    /// What follows in the log after its first `from` bytes. A browser that connects again says in `Last-Event-ID` where it is.
    pub fn new(from: u64) -> Self {
        Self {
            ansi: Ansi::default(),
            pending: Vec::new(),
            at: from,
        }
    }

    /// The event for the next bytes of the log: `None` if they end no line.
    pub fn event(&mut self, bytes: &[u8]) -> Option<String> {
        self.pending.extend_from_slice(bytes);
        let whole = match whole_lines(&self.pending).len() {
            0 if self.pending.len() > PENDING => self.pending.len(),
            whole => whole,
        };
        (whole > 0).then(|| self.take(whole))
    }

    /// The last events of a log that has ended.
    pub fn end(mut self) -> String {
        let rest = match self.pending.len() {
            0 => String::new(),
            all => self.take(all),
        };
        rest + "event: end\ndata: {}\n\n"
    }

    fn take(&mut self, length: usize) -> String {
        let whole: Vec<u8> = self.pending.drain(..length).collect();
        self.at += length as u64;
        let whole = whole.strip_suffix(b"\n").unwrap_or(&whole);
        let lines = whole
            .split(|byte| *byte == b'\n')
            .map(|line| self.ansi.line(line));
        let event = Event {
            lines: lines.collect(),
        };
        // Strings and lists are always JSON.
        let data = serde_json::to_string(&event).unwrap_or_default();
        format!("id: {}\ndata: {data}\n\n", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_hold_whole_lines_and_say_where_the_log_goes_on() {
        let mut text = LogText::new(10);
        assert_eq!(text.event(b"\x1b[31mfir"), None);
        assert_eq!(
            text.event(b"st\n\nthi"),
            Some(
                "id: 22\ndata: {\"lines\":[[{\"text\":\"first\",\"class\":\"f1\"}],[]]}\n\n"
                    .to_owned()
            )
        );
        assert_eq!(
            text.end(),
            "id: 25\ndata: {\"lines\":[[{\"text\":\"thi\",\"class\":\"f1\"}]]}\n\nevent: end\ndata: {}\n\n"
        );
        let mut endless = LogText::new(0);
        assert_eq!(endless.event(&vec![b'x'; PENDING]), None);
        assert!(endless.event(b"x").is_some());
    }

    #[test]
    fn the_last_lines_are_kept() {
        let lines: Vec<String> = (0..10_000).map(|number| format!("line {number}")).collect();
        let text = lines.join("\n");
        let (lines, is_cut) = last_lines(text.as_bytes(), 40);
        assert_eq!((lines.len(), is_cut), (40, true));
        assert_eq!(lines[39][0].text, "line 9999");
        let (lines, is_cut) = last_lines(b"one\n\ntwo", 40);
        assert_eq!((lines.len(), is_cut), (3, false));
        assert_eq!(last_lines(b"", 40), (Vec::new(), false));
    }

    #[test]
    fn a_page_of_colours_is_bounded() {
        let line = "\x1b[30mx\x1b[31mx\x1b[32mx\x1b[33mx".repeat(25);
        let text = format!("{line}\n").repeat(3_000);
        let (lines, _) = last_lines(text.as_bytes(), LINES);
        let spans: usize = lines.iter().map(Vec::len).sum();
        assert!(spans <= SPANS + LINES, "{spans}");
    }
}
