//! Logs: one line of JSON for each event, or text for people.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::{Identity, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For people.
    Text,
}

/// Starts logging to standard error. `filter` is a level, or levels by module: `info,niphas_store=debug`.
pub fn start(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    start_with(format, filter, Identity::new())
}

/// Starts logging as [`start`] does, and gives spans and events to another layer as well.
pub fn start_with<L>(format: LogFormat, filter: &str, other: L) -> Result<(), ParseError>
where
    L: Layer<Registry> + Send + Sync,
{
    let targets: Targets = filter.parse()?;
    let layer = fmt::layer().with_writer(io::stderr);
    let layer = match format {
        // The list of spans says whose volume it is, and the trace.
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
        LogFormat::Text => layer.boxed(),
    };
    tracing_subscriber::registry()
        .with(other)
        .with(layer.with_filter(targets))
        .init();
    Ok(())
}
