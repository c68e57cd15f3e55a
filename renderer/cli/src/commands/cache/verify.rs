//! `niphas cache verify`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use binary_cache::{Caches, Found, NarError, Trust};
use futures::{StreamExt, stream};
use niphas_cache_args::CacheArgs;
use niphas_terminal::{OutputFormat, say, size};
use serde_json::json;

use super::installables::InstallableArgs;
use super::runtime;
use super::sources::closure;
use crate::failure::Failure;

/// Verify closures in binary caches: signatures, hashes and contents
///
/// Finds the closure of the paths, checks that trusted keys signed each, fetches every NAR again, compares its size
/// and hash, and reads it as nodes do. Nothing is kept.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas cache verify --cache https://cache.example.org --key-file cache.public /nix/store/…-hello
  niphas cache verify --cache file:///srv/cache --key-file cache.public --no-contents ./result
Exit codes: 0 all is well; 1 contents are damaged or missing; 2 a path is missing or not trusted, or something went wrong.")]
pub(crate) struct Args {
    /// Store paths, links to them such as result, or outputs of flakes such as .#api
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Check what the caches say of the paths, not their contents
    #[arg(long)]
    no_contents: bool,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    installables: InstallableArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = Arc::new(self.caches.open()?);
        let roots = self
            .installables
            .store_paths(caches.store_dir(), &self.paths)?;
        let (found, damaged) = runtime()?.block_on(async {
            let found = closure(&caches, &roots).await?;
            let damaged = if self.no_contents {
                Vec::new()
            } else {
                damaged(&caches, &found.paths).await
            };
            Ok::<_, Failure>((found, damaged))
        })?;
        let store_dir = caches.store_dir();
        match self.output {
            OutputFormat::Json => {
                let paths: Vec<_> = found
                    .paths
                    .iter()
                    .map(|path| {
                        let error = damaged
                            .iter()
                            .find(|(damaged, _)| Arc::ptr_eq(damaged, path))
                            .map(|(_, error)| tell(error));
                        json!({
                            "path": store_dir.print(&path.info.path),
                            "cache": path.cache,
                            "signers": signers(&path.trust),
                            "error": error,
                        })
                    })
                    .collect();
                say!("{}", json!({ "paths": paths, "narSize": found.nar_size() }));
            }
            OutputFormat::Text => {
                for (_, error) in &damaged {
                    say!("{}", tell(error));
                }
                let what = if self.no_contents {
                    "signatures"
                } else {
                    "signatures and contents"
                };
                say!(
                    "{} of {} paths ({}) have sound {what}",
                    found.paths.len() - damaged.len(),
                    found.paths.len(),
                    size(found.nar_size())
                );
            }
        }
        Ok(if damaged.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// The keys that count, or none if the contents make the path.
fn signers(trust: &Trust) -> &[String] {
    match trust {
        Trust::Signed(keys) => keys,
        Trust::ContentAddressed => &[],
    }
}

/// An error with its causes, in one line.
fn tell(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

async fn damaged(caches: &Caches, paths: &[Arc<Found>]) -> Vec<(Arc<Found>, anyhow::Error)> {
    let at_once = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    let fetched = stream::iter(paths.iter().cloned()).map(|found| async move {
        let fetched: Result<(), NarError> = caches.verify_nar(&found).await;
        fetched.err().map(|error| (found, anyhow!(error)))
    });
    let mut damaged: Vec<_> = fetched
        .buffer_unordered(at_once)
        .filter_map(|result| async { result })
        .collect()
        .await;
    damaged.sort_by(|a, b| a.0.info.path.cmp(&b.0.info.path));
    damaged
}
