//! `niphas-store gc`

use std::process::ExitCode;

use niphas_store::{GcOptions, Watermark};
use niphas_terminal::{OutputFormat, print_line, say};
use nix_formats::StoreDir;

use crate::arguments::StoreArgs;
use crate::failure::Failure;

/// Collect garbage: what no root holds
///
/// What was used last goes last. Files that paths which stay have in common with those that go stay with them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas-store gc                             everything that may go
  niphas-store gc --above 85% --down-to 70%   only if the file system is too full, and only as much
  niphas-store gc --down-to 50GiB --dry-run   what would go")]
pub(crate) struct Args {
    /// Do nothing unless the store is fuller than this: a size, or a share of the file system like 85%
    #[arg(long, value_name = "WATERMARK")]
    above: Option<Watermark>,
    /// Stop as soon as the store is no fuller than this
    #[arg(long, value_name = "WATERMARK")]
    down_to: Option<Watermark>,
    /// Print what would go, and collect nothing
    #[arg(long)]
    dry_run: bool,
    /// How to print what was done
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let options = GcOptions {
            above: self.above,
            down_to: self.down_to,
            dry_run: self.dry_run,
            ..GcOptions::default()
        };
        let report = self.store.open()?.collect_garbage(&options)?;
        let store_dir = StoreDir::default();
        match self.output {
            OutputFormat::Text => {
                if self.dry_run {
                    for path in &report.collected {
                        print_line(store_dir.print(path));
                    }
                }
                print_line(report.summary(self.dry_run));
            }
            OutputFormat::Json => say!("{}", report.to_json(&store_dir)),
        }
        Ok(ExitCode::SUCCESS)
    }
}
