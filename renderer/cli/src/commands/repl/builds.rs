//! What a session builds: `:b`, `:bl` and `:log`.

use std::path::PathBuf;
use std::sync::Arc;

use niphas_cache_args::CacheArgs;
use niphas_environments::EvaluationRecord;
use niphas_terminal::print_line;
use nix_builder::plan::{Wanted, WantedOutputs};
use nix_formats::{StoreDir, StorePath};

use crate::build_args::BuildArgs;
use crate::build_logs::BuildLogs;
use crate::commands::build::results::{make_links, of_report};
use crate::commands::build::{Beginnings, Run, tell_hints};
use crate::commands::cache::runtime;
use crate::commands::log;
use crate::failure::Failure;
use crate::imports::HowToBuild;

/// Whether what was built is linked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// It may be collected at any time.
    No,
    /// `repl-result-OUTPUT`, which keep it.
    Made,
}

/// Builds what a session evaluated.
pub(super) struct Builds<'s> {
    caches: &'s CacheArgs,
    how: HowToBuild,
    record: Arc<EvaluationRecord>,
}

impl<'s> Builds<'s> {
    /// Builds of derivations that `record` has.
    pub(super) fn new(
        caches: &'s CacheArgs,
        args: &BuildArgs,
        record: Arc<EvaluationRecord>,
    ) -> Result<Self, Failure> {
        args.mention();
        Ok(Self {
            caches,
            how: HowToBuild::of(args)?,
            record,
        })
    }

    /// Builds all outputs, and prints them as Nix does. Why a build failed is printed while it is built.
    pub(super) fn build(&self, derivation: StorePath, linked: Links) -> Result<(), Failure> {
        let HowToBuild { options, store } = &self.how;
        let settings = options.settings()?;
        let has_shell = settings.shell.is_some();
        let beginnings = Beginnings::of(&self.record);
        let run = Run::open(store, self.caches, options, beginnings, settings)?;
        let wanted = [Wanted::Outputs {
            derivation,
            outputs: WantedOutputs::All,
        }];
        let report = run.build(&wanted, false)?;
        if report.is_success() {
            print_line("\nThis derivation produced the following outputs:");
            for (output, path) in of_report(&wanted, &report)[0].paths() {
                let shown = StoreDir::default().print(path);
                if linked == Links::Made {
                    let link = format!("repl-result-{output}");
                    make_links(run.store(), &[(PathBuf::from(&link), path)])?;
                    print_line(format!("  ./{link} -> {shown}"));
                } else {
                    print_line(format!("  {output} -> {shown}"));
                }
            }
        } else {
            tell_hints(&report, has_shell || run.told_of_shell());
        }
        // Closes the store: a session that waits for lines keeps no other process from it.
        run.finish(&report)?;
        Ok(())
    }

    /// Prints the log of a derivation.
    pub(super) fn show_log(&self, derivation: &StorePath) -> Result<(), Failure> {
        let logs = BuildLogs::of(&self.how.store.folder()?);
        log::show(derivation, &logs, &self.caches.open_any()?, &runtime()?)
    }
}
