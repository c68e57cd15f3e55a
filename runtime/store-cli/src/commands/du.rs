//! `niphas-store du`

use std::process::ExitCode;

use niphas_api::Roots;
use niphas_terminal::{OutputFormat, print_bytes, say};

use crate::arguments::{StoreArgs, parse_path};
use crate::failure::Failure;

/// Show what the store takes on disk, and what closures share
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas-store du
  niphas-store du /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-web-1.1")]
pub(crate) struct Args {
    /// Show the closures of these paths, each by itself [default: those of all roots]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let store = self.store.open_read_only()?;
        let mut closures = Vec::new();
        for path in &self.paths {
            closures.push((path.clone(), Roots::from(parse_path(path)?.0)));
        }
        if closures.is_empty() {
            for (name, hold) in store.roots()? {
                closures.push((format!("root {name}"), hold.roots));
            }
        }
        let roots: Vec<_> = closures.iter().map(|(_, roots)| roots.clone()).collect();
        let usage = store.disk_usage(&roots)?;
        let names: Vec<String> = closures.into_iter().map(|(name, _)| name).collect();
        match self.output {
            OutputFormat::Text => print_bytes(usage.lines(&names)),
            OutputFormat::Json => say!("{}", usage.to_json(&names)),
        }
        Ok(ExitCode::SUCCESS)
    }
}
