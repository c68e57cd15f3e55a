//! Warnings of the libraries, told as Nix tells its own.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::failure::in_colour;

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
        let mut message = Message(String::new());
        event.record(&mut message);
        writeln!(writer, "{}", message.0)
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Has warnings and errors printed to standard error; more if `NIPHAS_LOG` names a level, such as `debug`.
pub(crate) fn start() {
    let level = std::env::var("NIPHAS_LOG").ok();
    let level = level.and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(Level::WARN))
        .with_writer(std::io::stderr)
        .event_format(Plain {
            colour: in_colour(),
        })
        .init();
}
