//! `niphas-store realise`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use niphas_api::ClosureDigest;
use niphas_cache_args::CacheArgs;
use niphas_store::{Progress, Realisation, Request, RootHold, RootName, Terms};
use niphas_terminal::{OutputFormat, say, size};
use serde_json::json;

use crate::arguments::{StoreArgs, parse_roots};
use crate::failure::Failure;

/// Bring the closure of store paths into the store
///
/// What is there already is taken if the keys trust it, without asking any cache; the rest is fetched. Every path needs a
/// signature by a trusted key, or a content address that its contents have, and the hash and size that were signed.
///
/// An interrupted run leaves what was fetched, for the next one to go on from.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas-store realise --cache https://cache.example.org --trusted-public-key example-1:AbC…= \\
    /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0
  niphas-store realise --cache file:///srv/cache --key-file keys --root web --sync 0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0")]
pub(crate) struct Args {
    /// The paths
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// What the closure's digest must be
    #[arg(long, value_name = "DIGEST")]
    digest: Option<ClosureDigest>,
    /// Make the closure stay, under this name
    #[arg(long, value_name = "NAME")]
    root: Option<RootName>,
    /// Wait until everything is on disk; without it, what a power cut may have damaged is verified before its next use
    #[arg(long)]
    sync: bool,
    /// How to print what was done
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let roots = parse_roots(&self.paths)?;
        let store = self.store.open()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let (closure, progress) = runtime.block_on(async {
            let request = Request {
                roots,
                expected: self.digest,
                caches: Arc::new(self.caches.open_any()?),
                terms: Terms::default(),
            };
            let realisation = store.realise(request);
            let closure = tokio::select! {
                closure = show(&realisation) => closure.map_err(Failure::shared)?,
                _ = tokio::signal::ctrl_c() => {
                    return Err(Failure::with_hint(
                        anyhow::anyhow!("interrupted"),
                        "what was fetched is kept; run it again to go on",
                    ));
                }
            };
            Ok((closure, realisation.progress()))
        })?;
        if let Some(name) = &self.root {
            let hold = RootHold {
                roots: closure.roots.clone(),
                digest: Some(closure.digest),
                holder: "niphas-store realise".to_owned(),
            };
            store.add_root(name, &hold)?;
        }
        if self.sync {
            runtime.block_on(store.close())?;
        }
        let lines = &closure.lines;
        match self.output {
            OutputFormat::Text => {
                say!(
                    "{}: {} paths, {}; fetched {} of them, {}",
                    closure.digest,
                    lines.path_count(),
                    size(lines.nar_size()),
                    progress.fetched_paths,
                    size(progress.fetched_bytes),
                );
            }
            OutputFormat::Json => say!(
                "{}",
                json!({
                    "digest": closure.digest,
                    "pathCount": lines.path_count(),
                    "narSize": lines.nar_size(),
                    "fetchedPaths": progress.fetched_paths,
                    "fetchedBytes": progress.fetched_bytes,
                })
            ),
        }
        Ok(ExitCode::SUCCESS)
    }
}

type Waited = Result<Arc<niphas_store::RealisedClosure>, Arc<niphas_store::RealiseError>>;

/// Waits, and shows how far it is if standard error is a terminal.
async fn show(realisation: &Realisation) -> Waited {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{bar:30} {binary_bytes} of {binary_total_bytes}, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let waited = realisation.wait();
    tokio::pin!(waited);
    let outcome = loop {
        tokio::select! {
            outcome = &mut waited => break outcome,
            _ = ticks.tick(), if !bar.is_hidden() => {
                let progress: Progress = realisation.progress();
                bar.set_length(progress.bytes_total);
                bar.set_position(progress.bytes_done);
                bar.set_message(format!("{} of {} paths", progress.paths_done, progress.paths_total));
            }
        }
    };
    bar.finish_and_clear();
    outcome
}
