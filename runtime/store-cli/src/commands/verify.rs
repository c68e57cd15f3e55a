//! `niphas-store verify`

use crate::{
    arguments::{CacheArgs, open, open_read_only, parse_paths},
    failure::Failure,
    output::{Format, bytes, print_json, print_line},
};
use anyhow::anyhow;
use niphas_store::{DamagedPath, StoredPath};
use nix_formats::{StoreDir, chain};
use serde_json::json;
use std::{path::Path, process::ExitCode};

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
    #[command(flatten)]
    caches: CacheArgs,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "text")]
    output: Format,
}

impl Args {
    pub(crate) fn run(&self, store: &Path) -> Result<ExitCode, Failure> {
        let wanted = parse_paths(&self.paths)?;
        if self.repair && !self.caches.is_given() {
            return Err(Failure::with_hint(
                anyhow!("there is no cache to repair from"),
                "name one with --cache or NIPHAS_CACHES",
            ));
        }
        let store = if self.repair {
            open(store)?
        } else {
            open_read_only(store)?
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
        let report = runtime.block_on(async {
            let caches = if self.repair {
                Some(self.caches.open()?)
            } else {
                None
            };
            store.verify(paths, caches).await.map_err(Failure::from)
        })?;
        let is_mended = |path: &DamagedPath| matches!(path.repair, Some(Ok(())));
        let is_fine = report.damaged.iter().all(is_mended);
        match self.output {
            Format::Text => {
                for path in &report.damaged {
                    print_line(&describe(path));
                }
                print_line(&format!(
                    "{} paths, {}: {}",
                    report.paths,
                    bytes(report.bytes),
                    match (report.damaged.len(), is_fine) {
                        (0, _) => "all as they were".to_owned(),
                        (count, true) => format!("{count} were damaged, and are repaired"),
                        (count, false) => format!("{count} damaged"),
                    }
                ));
            }
            Format::Json => {
                let damaged = report.damaged.iter().map(|path| {
                    json!({
                        "path": StoreDir::default().print(&path.path),
                        "damage": chain(&path.damage),
                        "isRepaired": is_mended(path),
                    })
                });
                print_json(&json!({
                    "paths": report.paths,
                    "narBytes": report.bytes,
                    "damaged": damaged.collect::<Vec<_>>(),
                }));
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
