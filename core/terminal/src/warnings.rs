//! What libraries log, printed to standard error in the form of Nix's own warnings.

use std::fmt;

use niphas_http::redacted;
use nix_formats::printable;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::in_colour;

struct Plain {
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (word, colour) = match *event.metadata().level() {
            Level::ERROR => ("error: ", "31;1"),
            Level::WARN => ("warning: ", "35;1"),
            _ => ("", ""),
        };
        if self.colour && !word.is_empty() {
            write!(writer, "\x1b[{colour}m{word}\x1b[0m")?;
        } else {
            writer.write_str(word)?;
        }
        let mut parts = Parts::default();
        event.record(&mut parts);
        let mut line = parts.message;
        if !parts.fields.is_empty() {
            line.extend([" (", &parts.fields.join(", "), ")"]);
        }
        if let Some(error) = parts.error {
            line.extend([": ", &error]);
        }
        let line = redacted(&line);
        let line = printable(line.as_bytes(), self.colour);
        writeln!(writer, "{}", String::from_utf8_lossy(&line))
    }
}

/// The parts of an event.
#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<String>,
    error: Option<String>,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "error" => self.error = Some(value.to_owned()),
            // Where in a library it was logged: not for users.
            name if name.starts_with("log.") => {}
            name => self.fields.push(format!("{name} {value}")),
        }
    }
}

/// Starts printing warnings and errors to standard error; more if `NIPHAS_LOG` names a level, such as `debug`.
pub fn start_warnings() {
    let level = std::env::var("NIPHAS_LOG").ok();
    let level = level.and_then(|level| level.parse().ok());
    start_messages(level.unwrap_or(Level::WARN));
}

/// Starts printing messages of this level, and of those that matter more, to standard error.
pub fn start_messages(level: Level) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .event_format(Plain {
            colour: in_colour(),
        })
        .init();
}
