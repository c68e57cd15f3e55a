//! `niphas cache diff`

use std::process::ExitCode;

use binary_cache::Caches;
use niphas_api::ClosureLines;
use niphas_cache_args::CacheArgs;
use niphas_environments::closure_lines;
use niphas_review::{compare_closures, size_change};
use niphas_terminal::{OutputFormat, say, size};
use nix_formats::StorePath;
use serde_json::json;

use super::installables::InstallableArgs;
use super::runtime;
use super::sources::closure;
use crate::failure::Failure;

/// Compare two closures, package by package: versions and sizes
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas cache diff --cache https://cache.example.org --key-file cache.public /nix/store/…-app-1 /nix/store/…-app-2
A line is a package: its versions before and after (∅: none, ε: no version), and the change of its size if it is 8 KiB or more.
Exit codes: 0 the closures are the same; 1 they differ; 2 something went wrong.")]
pub(crate) struct Args {
    /// The path before: a store path, a link to one, or an output of a flake such as .#api
    before: String,
    /// The path after
    after: String,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    installables: InstallableArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = self.caches.open()?;
        let paths = |path: &String| {
            let paths = std::slice::from_ref(path);
            self.installables.store_paths(caches.store_dir(), paths)
        };
        let (before, after) = (paths(&self.before)?, paths(&self.after)?);
        let (before, after) = runtime()?.block_on(async {
            let before = lines(&caches, &before).await?;
            Ok::<_, Failure>((before, lines(&caches, &after).await?))
        })?;
        let same = before == after;
        let changes = compare_closures(&before, &after);
        match self.output {
            OutputFormat::Json => {
                say!(
                    "{}",
                    json!({
                        "same": same,
                        "before": { "paths": before.path_count(), "narSize": before.nar_size() },
                        "after": { "paths": after.path_count(), "narSize": after.nar_size() },
                        "changes": changes,
                    })
                );
            }
            OutputFormat::Text => {
                for change in &changes {
                    say!("{change}");
                }
                say!(
                    "{} paths, {} → {} paths, {} ({})",
                    before.path_count(),
                    size(before.nar_size()),
                    after.path_count(),
                    size(after.nar_size()),
                    size_change(before.nar_size(), after.nar_size())
                );
            }
        }
        Ok(if same {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// The lines of the closure of paths.
async fn lines(caches: &Caches, roots: &[StorePath]) -> Result<ClosureLines, Failure> {
    let closure = closure(caches, roots).await?;
    Ok(closure_lines(&closure)?)
}
