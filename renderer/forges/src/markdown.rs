//! The text of comments and pull requests.
//!
//! Derivations, branches and logs are strangers' texts, and hosts read much into text: markup, links, mentions that send mail, numbers
//! of issues, and at GitLab commands: a line that begins with `/merge` merges, with the rights of the comment's author. So strangers'
//! texts stand in code, where hosts read nothing, and without what would end the code.

use std::borrow::Cow;
use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use nix_formats::{printable, shortened};
use sha2::{Digest, Sha256};
use url::Url;

use crate::forge::Forge;

/// Longer names are cut.
const NAME_LIMIT: usize = 200;
/// Longer lines of logs are cut.
const LINE_LIMIT: usize = 500;
/// More of a log is not shown.
const LOG_LIMIT: usize = 12_000;
/// What is said of what is left out takes less.
const NOTE: usize = 200;

/// A text of blocks, of which the last ones are left out where a host does not take all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markdown {
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    /// Nothing of it, or all.
    Whole(String),
    /// Lines of it may be left out at the end.
    Report(String),
}

/// A part of a line.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Words of the program.
    Text(&'static str),
    /// A number.
    Number(u64),
    /// What comes from outside, such as a name.
    Code(&'a str),
    /// Words of the program that lead to a page.
    Link(&'static str, &'a Url),
}

impl Markdown {
    /// Adds a heading.
    pub fn heading(&mut self, parts: &[Part<'_>]) {
        self.whole(format!("### {}", line(parts)));
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, parts: &[Part<'_>]) {
        self.whole(line(parts));
    }

    /// Adds an item of a list. Items that follow each other are one list.
    pub fn item(&mut self, parts: &[Part<'_>]) {
        self.whole(format!("- {}", line(parts)));
    }

    /// Adds the last lines of a log.
    pub fn log(&mut self, log: &str, most_lines: usize) {
        self.whole(format!("```text\n{}```", last_lines(log, most_lines)));
    }

    /// Adds a finished report, whose author took care that strangers' texts in it are code, as that of a review does.
    pub fn report(&mut self, markdown: String) {
        self.blocks.push(Block::Report(markdown));
    }

    fn whole(&mut self, text: String) {
        self.blocks.push(Block::Whole(text));
    }

    /// The text for a host, not longer than it takes.
    pub fn for_host(&self, forge: Forge) -> String {
        self.bounded(forge, forge.limits().body)
    }

    /// The same with a mark that is not shown, by which the comment is found.
    pub(crate) fn marked(&self, forge: Forge, key: &str) -> String {
        let mark = mark(forge, key);
        let text = self.bounded(forge, forge.limits().body - mark.len() - 2);
        format!("{text}\n\n{mark}")
    }

    fn bounded(&self, forge: Forge, limit: usize) -> String {
        let mut text = String::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let (Block::Whole(block) | Block::Report(block)) = block;
            let block = if forge.renders_html() {
                Cow::Borrowed(block.as_str())
            } else {
                Cow::Owned(without_html(block))
            };
            let is_item = |text: &str| text.starts_with("- ");
            let before = text.rsplit('\n').next().unwrap_or_default();
            let gap = match number {
                0 => "",
                _ if is_item(before) && is_item(&block) => "\n",
                _ => "\n\n",
            };
            let room = limit.saturating_sub(text.len() + gap.len());
            let is_last = number + 1 == self.blocks.len();
            if block.len() <= room.saturating_sub(if is_last { 0 } else { NOTE }) {
                text.push_str(gap);
                text.push_str(&block);
                continue;
            }
            if let Block::Report(_) = self.blocks[number] {
                text.push_str(gap);
                text.push_str(&first_lines(&block, room.saturating_sub(NOTE)));
            }
            text.push_str("\n\nThe rest is left out: the text would be too long.");
            break;
        }
        text
    }
}

/// The mark of the comments of this key. Of its text nothing but a hash is in it.
pub(crate) fn mark(forge: Forge, key: &str) -> String {
    let hash = HEXLOWER.encode(&Sha256::digest(key.as_bytes())[..12]);
    if forge.renders_html() {
        format!("<!-- niphas:{hash} -->")
    } else {
        // The definition of a link that nothing refers to.
        format!("[//]: # (niphas:{hash})")
    }
}

fn line(parts: &[Part<'_>]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Number(number) => {
                let _ = write!(text, "{number}");
            }
            Part::Code(name) => text.push_str(&code(name)),
            Part::Link(words, url) if matches!(url.scheme(), "https" | "http") => {
                let _ = write!(text, "[{words}](<{url}>)");
            }
            Part::Text(words) | Part::Link(words, _) => text.push_str(words),
        }
    }
    text
}

/// A text that nothing is read into: a span of code in one line, without what would end it or a cell of a table.
pub fn code(text: &str) -> String {
    let text = shortened(text, NAME_LIMIT);
    let plain: String = text
        .chars()
        .map(|c| match c {
            '`' => '\u{2cb}',
            '|' => '\u{a6}',
            '\\' => '\u{29f5}',
            c if c.is_control() || is_invisible(c) => '\u{fffd}',
            c => c,
        })
        .collect();
    if plain.trim().is_empty() {
        return "`\u{fffd}`".to_owned();
    }
    format!("`{plain}`")
}

/// Characters that change the order of others, or that are not seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The last lines of a log, without colours and without what a fence could end with. Every line ends with a line end.
fn last_lines(log: &str, most: usize) -> String {
    let log = log.trim_end();
    // More bytes than lines could take are not looked at.
    let start = log.len().saturating_sub(LOG_LIMIT * 4);
    let log = &log[log.ceil_char_boundary(start)..];
    let mut lines: Vec<String> = Vec::new();
    let mut size = 0;
    for line in log.lines().rev().take(most) {
        let line = log_line(line);
        size += line.len() + 1;
        if size > LOG_LIMIT {
            break;
        }
        lines.push(line);
    }
    lines.reverse();
    let mut text = String::with_capacity(size);
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn log_line(line: &str) -> String {
    // What a terminal shows of a line that was written over.
    let line = line.rsplit('\r').find(|part| !part.is_empty());
    let shown = printable(line.unwrap_or_default().as_bytes(), false);
    let line = String::from_utf8_lossy(&shown);
    let mut text = String::new();
    let mut ticks = 0;
    for c in shortened(&line, LINE_LIMIT).chars() {
        ticks = if c == '`' { ticks + 1 } else { 0 };
        match c {
            // Three of them would end the fence at some host.
            '`' if ticks > 2 => text.push('\u{2cb}'),
            '\t' => text.push('\t'),
            c if c.is_control() || is_invisible(c) => text.push('\u{fffd}'),
            c => text.push(c),
        }
    }
    text
}

/// The first lines that fit, with what ends the fences and details that they are in.
fn first_lines(text: &str, room: usize) -> String {
    let mut kept = String::new();
    let mut fence: Option<String> = None;
    let mut details = 0_usize;
    for line in text.split_inclusive('\n') {
        let (mut fence_then, mut details_then) = (fence.clone(), details);
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if line.trim_end() == open => fence_then = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence_then = Some(ticks),
            None => {
                details_then += line.matches("<details").count();
                details_then = details_then.saturating_sub(line.matches("</details>").count());
            }
        }
        let end = end_of(fence_then.as_deref(), details_then);
        if kept.len() + line.len() + end.len() > room {
            break;
        }
        kept.push_str(line);
        (fence, details) = (fence_then, details_then);
    }
    kept + &end_of(fence.as_deref(), details)
}

fn end_of(fence: Option<&str>, details: usize) -> String {
    let fence = fence
        .map(|fence| format!("\n{fence}\n"))
        .unwrap_or_default();
    fence + &"\n</details>\n".repeat(details)
}

/// For hosts that show HTML as text.
fn without_html(text: &str) -> String {
    let mut is_in_fence = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with("```") {
            is_in_fence = !is_in_fence;
        }
        if is_in_fence {
            out.push_str(line);
        } else if line.starts_with("<!--") && line.trim_end().ends_with("-->") {
            out.push('\n');
        } else {
            let line = line.replace("<details>", "").replace("</details>", "");
            let line = line.replace("<summary>", "**").replace("</summary>", "**");
            out.push_str(&line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_is_code() {
        let link = Url::parse("https://ci.example/a(b)`c>d").expect("a URL");
        let script = Url::parse("javascript:alert(1)").expect("a URL");
        let mut text = Markdown::default();
        text.heading(&[
            Part::Text("Build of "),
            Part::Code("x`@team` <b>|y\n/merge"),
        ]);
        text.item(&[Part::Number(2), Part::Text(" of "), Part::Code("")]);
        text.item(&[Part::Link("log", &link), Part::Link("no log", &script)]);
        text.log(
            "one\n\u{1b}[31mred\u{1b}[0m\n/merge\n````\n~~~\n@team #1 <!--\nold\rnew",
            6,
        );
        assert_eq!(
            text.for_host(Forge::GitLab),
            "### Build of `x\u{2cb}@team\u{2cb} <b>\u{a6}y\u{fffd}/merge`\n\n- 2 of `\u{fffd}`\n\
             - [log](<https://ci.example/a(b)%60c%3Ed>)no log\n\n\
             ```text\nred\n/merge\n``\u{2cb}\u{2cb}\n~~~\n@team #1 <!--\nnew\n```"
        );
    }

    #[test]
    fn long_texts_end_where_all_is_closed() {
        let mut report = "### Report\n\n<details><summary>Patch</summary>\n\n````diff\n".to_owned();
        for number in 0..200_000 {
            let _ = writeln!(report, "+line {number} ```");
        }
        report.push_str("````\n\n</details>\n");
        let mut text = Markdown::default();
        text.paragraph(&[Part::Text("First.")]);
        text.report(report);
        text.paragraph(&[Part::Text("Last.")]);
        for forge in Forge::ALL {
            let sent = text.marked(forge, "key");
            let limit = forge.limits().body;
            assert!(
                sent.len() <= limit && sent.len() > limit - 1000,
                "{forge}: {}",
                sent.len()
            );
            assert!(sent.contains("The rest is left out"), "{forge}");
            assert!(sent.ends_with(&mark(forge, "key")));
            let fences = sent.lines().filter(|line| line.starts_with("````"));
            assert_eq!(fences.count(), 2, "{forge}");
            let (opened, closed) = (sent.matches("<details>"), sent.matches("</details>"));
            assert_eq!(opened.count(), closed.count(), "{forge}");
            assert_eq!(sent.contains("<details>"), forge.renders_html());
        }
    }

    #[test]
    fn many_blocks_are_left_out_from_the_end() {
        let mut text = Markdown::default();
        for _ in 0..10_000 {
            text.item(&[Part::Code("a-derivation-of-some-name-1.2.3")]);
        }
        let sent = text.for_host(Forge::GitHub);
        assert!(sent.len() <= Forge::GitHub.limits().body);
        assert!(sent.ends_with("`\n\nThe rest is left out: the text would be too long."));
    }

    #[test]
    fn marks_are_of_one_key_and_hide() {
        let one = mark(Forge::GitHub, "a --> <script>");
        assert_eq!(one, mark(Forge::Gitea, "a --> <script>"));
        assert_ne!(one, mark(Forge::GitHub, "b"));
        assert!(!one.contains("script"));
        assert!(mark(Forge::BitbucketServer, "b").starts_with("[//]: # ("));
    }
}
