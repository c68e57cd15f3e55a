//! Texts, times and sizes as pages show them.

use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_seconds;
use maud::{Markup, html};
use nix_formats::shortened;

use crate::model::{Link, Revision};

/// Longer names are cut.
const NAME_LIMIT: usize = 200;
/// Longer messages are cut.
const MESSAGE_LIMIT: usize = 2_000;
/// Longer links are words.
const LINK_LIMIT: usize = 2_000;

/// A name or title: one line, bounded, with nothing in it that is not seen.
pub(crate) fn name(text: &str) -> String {
    cleaned(&shortened(text, NAME_LIMIT))
}

/// A message, which may be longer.
pub(crate) fn message(text: &str) -> String {
    cleaned(&shortened(text, MESSAGE_LIMIT))
}

/// The text with a sign for each character that is not seen, or that changes the order of others.
pub(crate) fn cleaned(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\t' => ' ',
        c if is_hidden(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(plain).collect()
}

pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A derivation's name, without hash and ending.
pub(crate) fn derivation_name(derivation: &str) -> String {
    let name = derivation.strip_suffix(".drv").unwrap_or(derivation);
    let is_hash =
        |hash: &str| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match name.split_once('-') {
        Some((hash, rest)) if is_hash(hash) && !rest.is_empty() => self::name(rest),
        _ => self::name(name),
    }
}

/// A time, as the time since then.
pub(crate) fn ago(time: SystemTime, now: SystemTime) -> Markup {
    let since = now.duration_since(time).unwrap_or_default().as_secs();
    let words = match since {
        0..=59 => "just now".to_owned(),
        60..=3_599 => format!("{} min ago", since / 60),
        3_600..=172_799 => format!("{} h ago", since / 3_600),
        _ => format!("{} days ago", since / 86_400),
    };
    let exact = instant(time);
    html! { time datetime=(exact) title=(exact) { (words) } }
}

/// `2026-12-01T10:20:30Z`.
pub(crate) fn instant(time: SystemTime) -> String {
    // The formatter has no years beyond 9999.
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    format_rfc3339_seconds(time.clamp(SystemTime::UNIX_EPOCH, last)).to_string()
}

/// How long something took.
pub(crate) fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0 if took.as_millis() < 1000 => format!("{} ms", took.as_millis()),
        0..=9 => format!("{:.1} s", took.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// `1 run`, `2 runs`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

/// Whether a browser may be led there: to a page of the web.
pub(crate) fn is_web(url: &str) -> bool {
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    is_page
        && url.len() <= LINK_LIMIT
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// A link, or its words if it leads to no page.
pub(crate) fn link(link: &Link) -> Markup {
    outward(&name(&link.text), Some(&link.url))
}

/// Words that lead to a page of the web, or are words alone.
pub(crate) fn outward(words: &str, url: Option<&str>) -> Markup {
    if let Some(url) = url.filter(|url| is_web(url)) {
        html! { a href=(url) rel="noreferrer" { (words) } }
    } else {
        html! { (words) }
    }
}

/// A commit: its first digits, and the first line of its message.
pub(crate) fn revision(revision: &Revision) -> Markup {
    let short = cleaned(&shortened(&revision.commit, 64));
    let short: String = short.chars().take(12).collect();
    html! {
        code title=(name(&revision.commit)) { (outward(&short, revision.link.as_deref())) }
        @if let Some(subject) = &revision.subject { " " span.subject { (name(subject)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_figures() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.2 s"),
            (12_999, "12 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h 0 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
        duration(Duration::MAX);
    }

    #[test]
    fn names_of_derivations_have_no_hash() {
        for (derivation, name) in [
            (
                "0c5b8vw40d3iwqvmwaq2lb7fs4pzjvqd-hello-2.12.drv",
                "hello-2.12",
            ),
            (
                "0c5b8vw40d3iwqvmwaq2lb7fs4pzjvqd-.drv",
                "0c5b8vw40d3iwqvmwaq2lb7fs4pzjvqd-",
            ),
            ("hello-2.12.drv", "hello-2.12"),
            ("\u{202e}x", "\u{fffd}x"),
            ("", ""),
        ] {
            assert_eq!(derivation_name(derivation), name);
        }
    }

    #[test]
    fn links_lead_to_the_web_only() {
        for url in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil",
            "https://a\n",
            " https://a",
            "",
        ] {
            assert!(!is_web(url), "{url}");
        }
        assert!(is_web("https://github.com/o/r/commit/1"));
    }

    #[test]
    fn times_beyond_all_years_are_written() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 60);
        assert_eq!(instant(far), "9999-12-31T23:59:59Z");
    }
}
