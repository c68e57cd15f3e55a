//! `niphas store gc`

use std::process::ExitCode;

use niphas_store::{GcOptions, Watermark};
use niphas_terminal::{OutputFormat, print_line, say};
use nix_formats::StoreDir;

use crate::build_logs::BuildLogs;
use crate::build_store::BuildStoreArgs;
use crate::commands::cache::runtime;
use crate::failure::Failure;
use crate::out_links::OutLinks;

/// Collect garbage: what no out-link of a build leads to
///
/// What was used last goes last. A link that `niphas build` made keeps what it leads to, until it is removed or leads elsewhere.
/// Logs of builds go after 30 days.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas store gc                      everything that may go
  niphas store gc --down-to 20GiB      only as much as it takes to leave no more than 20 GiB
  niphas store gc --above 85% --down-to 70%   only if the file system is too full, and only as much
  niphas store gc --dry-run            what would go")]
pub(super) struct Args {
    /// Do nothing unless the store is fuller than this: a size like 20GiB, or a share of the file system like 85%
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
    store: BuildStoreArgs,
}

impl Args {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let store = self.store.open(&runtime()?)?;
        if !self.dry_run {
            OutLinks::of(&store).forget_removed()?;
            BuildLogs::of(store.dir()).forget_old()?;
        }
        let report = store.collect_garbage(&GcOptions {
            above: self.above,
            down_to: self.down_to,
            dry_run: self.dry_run,
            ..GcOptions::default()
        })?;
        let has_room = self.above.is_some() && report.collected.is_empty();
        if !self.dry_run && !has_room {
            OutLinks::of(&store).forget_inputs()?;
        }
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
