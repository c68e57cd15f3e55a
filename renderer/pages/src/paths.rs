//! Where pages are. The service routes by the same.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::model::SourceName;

/// The list of sources.
pub const SOURCES: &str = "/";
/// The style sheet.
pub const STYLE: &str = "/assets/niphas.css";
/// The script of live logs.
pub const SCRIPT: &str = "/assets/niphas.js";

/// What does not stand in a segment of a path as it is.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

fn segment(text: &str) -> String {
    // Segments of dots are not names, but steps.
    if text.chars().all(|c| c == '.') {
        return text.replace('.', "%252e");
    }
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A source: `/sources/NAMESPACE/NAME`.
pub fn source(source: &SourceName) -> String {
    format!(
        "/sources/{}/{}",
        segment(&source.namespace),
        segment(&source.name)
    )
}

/// A run: `/sources/NAMESPACE/NAME/runs/ID`.
pub fn run(source: &SourceName, id: &str) -> String {
    format!("{}/runs/{}", self::source(source), segment(id))
}

/// The closures of a run: `…/closures` below it.
pub fn closures(source: &SourceName, id: &str) -> String {
    format!("{}/closures", run(source, id))
}

/// The log of a derivation: `/logs/DERIVATION`.
pub fn log(derivation: &str) -> String {
    format!("/logs/{}", segment(derivation))
}

/// The log of a derivation, reached from a run: `/logs/DERIVATION?run=NAMESPACE/NAME/ID`.
pub fn log_of_run(derivation: &str, source: &SourceName, id: &str) -> String {
    let (namespace, name) = (segment(&source.namespace), segment(&source.name));
    let query = format!("{namespace}/{name}/{}", segment(id))
        .replace('&', "%26")
        .replace('+', "%2B");
    format!("{}?run={query}", log(derivation))
}

/// The whole log as it was written, as `text/plain`: `/logs/DERIVATION/raw`.
pub fn raw_log(derivation: &str) -> String {
    format!("{}/raw", log(derivation))
}

/// What a log gains from a place in it on, as `text/event-stream`: `/logs/DERIVATION/events?from=BYTES`. The events' data is made
/// by [`crate::LogText::event`]; an event named `end` says that there is no more.
pub fn log_events(derivation: &str, from: u64) -> String {
    format!("{}/events?from={from}", log(derivation))
}
