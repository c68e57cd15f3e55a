//! `niphas-store verify`

use std::process::ExitCode;
use std::sync::Arc;

use niphas_cache_args::CacheArgs;
use niphas_store::{DamagedPath, StoredPath};
use niphas_terminal::{OutputFormat, print_line, say, size};
use nix_formats::{StoreDir, chain};
use serde_json::json;

use crate::arguments::{StoreArgs, parse_paths};
use crate::failure::Failure;

/// Check that store paths are what they were when they were fetched
///
/// Rebuilds their NARs and compares the hashes. With --repair, what is damaged is fetched again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas-store verify
  niphas-store verify --repair --cache https://cache.example.org --trusted-public-key example-1:AbC…=
Exit codes: 0 everything is as it was, or is again; 1 something is not.")]
pub(crate) struct Args {
    /// The paths [default: all]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Fetch what is damaged again
    #[arg(long)]
    repair: bool,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let wanted = parse_paths(&self.paths)?;
        let caches = self.repair.then(|| self.caches.open()).transpose()?;
        let caches = caches.map(Arc::new);
        let store = if self.repair {
            self.store.open()?
        } else {
            self.store.open_read_only()?
        };
        let paths: Vec<StoredPath> = if wanted.is_empty() {
            store.paths()
        } else {
            let found = wanted.iter().map(|path| match store.variants(path) {
                found if found.is_empty() => Err(niphas_store::StoreError::NotStored(path.clone())),
                found => Ok(found),
            });
            found.collect::<Result<Vec<_>, _>>()?.concat()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let report =
            runtime.block_on(async { store.verify(paths, caches).await.map_err(Failure::from) })?;
        let is_mended = |path: &DamagedPath| matches!(path.repair, Some(Ok(())));
        let is_fine = report.damaged.iter().all(is_mended);
        match self.output {
            OutputFormat::Text => {
                for path in &report.damaged {
                    print_line(describe(path));
                }
                say!(
                    "{} paths, {}: {}",
                    report.paths,
                    size(report.bytes),
                    match (report.damaged.len(), is_fine) {
                        (0, _) => "all as they were".to_owned(),
                        (count, true) => format!("{count} were damaged, and are repaired"),
                        (count, false) => format!("{count} damaged"),
                    }
                );
            }
            OutputFormat::Json => {
                let damaged = report.damaged.iter().map(|path| {
                    json!({
                        "path": StoreDir::default().print(&path.path),
                        "damage": chain(&path.damage),
                        "isRepaired": is_mended(path),
                    })
                });
                say!(
                    "{}",
                    json!({
                        "paths": report.paths,
                        "narBytes": report.bytes,
                        "damaged": damaged.collect::<Vec<_>>(),
                    })
                );
            }
        }
        Ok(if is_fine {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn describe(path: &DamagedPath) -> String {
    let damage = chain(&path.damage);
    match &path.repair {
        None => damage,
        Some(Ok(())) => format!("{damage}\n  repaired"),
        Some(Err(error)) => format!("{damage}\n  not repaired: {}", chain(error)),
    }
}
