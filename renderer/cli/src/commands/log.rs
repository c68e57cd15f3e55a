//! `niphas log`

use std::process::ExitCode;

use anyhow::anyhow;
use binary_cache::Caches;
use niphas_cache_args::CacheArgs;
use niphas_store::Store;
use niphas_terminal::{print_bytes, prints_in_colour};
use nix_builder::plan::Wanted;
use nix_formats::{StoreDir, StorePath, printable};
use tokio::runtime::Runtime;

use crate::build_logs::BuildLogs;
use crate::build_store::BuildStoreArgs;
use crate::commands::build::{GoalArgs, GoalEvaluationArgs};
use crate::commands::cache::runtime;
use crate::failure::Failure;
use crate::pager;

/// Print the logs of builds, as nix log does
///
/// A build of this machine that was done last counts, else what binary caches have. No signature covers logs.
#[derive(Debug, clap::Args)]
#[command(
    args_override_self = true,
    after_long_help = "Examples:
  niphas log /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-hello.drv
  niphas log .#hello --cache https://cache.example.org"
)]
pub(crate) struct Args {
    #[command(flatten)]
    goals: GoalArgs,
    #[command(flatten)]
    store: BuildStoreArgs,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    evaluation: GoalEvaluationArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let (store, caches) = (self.store.open_read_only()?, self.caches.open_any()?);
        let runtime = runtime()?;
        let mut derivations = Vec::new();
        for wanted in self.goals.wanted(&self.evaluation)? {
            derivations.push(match wanted {
                Wanted::Outputs { derivation, .. } => derivation,
                Wanted::Path(path) if path.is_derivation() => path,
                Wanted::Path(path) => match deriver_here(store.as_ref(), &path) {
                    Some(derivation) => derivation,
                    None => runtime.block_on(deriver(&caches, &path))?,
                },
            });
        }
        derivations.dedup();
        let logs = BuildLogs::of(&self.store.folder()?);
        for derivation in derivations {
            show(&derivation, &logs, &caches, &runtime)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the log of a derivation, through a pager where a person reads it.
pub(crate) fn show(
    derivation: &StorePath,
    logs: &BuildLogs,
    caches: &Caches,
    runtime: &Runtime,
) -> Result<(), Failure> {
    let shown = StoreDir::default().print(derivation);
    let text = if let Some(text) = logs.read(derivation)? {
        text
    } else if let Some(log) = runtime.block_on(caches.log(derivation))? {
        tracing::info!("the log of '{shown}' is from {}", log.cache);
        log.text.to_vec()
    } else {
        return Err(Failure::with_hint(
            anyhow!("build log of '{shown}' is not available"),
            "there are logs of what 'niphas build' built here in the last 30 days, and in caches (--cache URL) of what was pushed \
             with its log",
        ));
    };
    if pager::is_for_people() {
        pager::print(&printable(&text, prints_in_colour()));
    } else {
        print_bytes(text);
    }
    Ok(())
}

/// What built a path here.
fn deriver_here(store: Option<&Store>, path: &StorePath) -> Option<StorePath> {
    store?.info(path)?.info.deriver.clone()
}

/// What built a path, as a cache has it.
async fn deriver(caches: &Caches, path: &StorePath) -> Result<StorePath, Failure> {
    let unknown = || anyhow!("it is not known which derivation '{path}' is an output of");
    if caches.names().next().is_none() {
        return Err(Failure::with_hint(
            unknown(),
            "name the derivation, or a cache that has the path: --cache URL",
        ));
    }
    let found = caches.find(path, None).await?;
    Ok(found.info.deriver.clone().ok_or_else(unknown)?)
}
