//! `niphas cache closure`

use std::io::{Write, stderr};
use std::process::ExitCode;

use niphas_cache_args::CacheArgs;
use niphas_environments::closure_lines;
use niphas_terminal::{OutputFormat, print_bytes, say, size};
use serde_json::json;

use super::installables::InstallableArgs;
use super::runtime;
use super::sources::closure;
use crate::failure::Failure;

/// Print the closure of paths, line by line, as it is in the caches
///
/// A line is a store path, its NAR's hash and its NAR's size; lines are sorted by path. The SHA-256 of the lines is
/// the closure's digest, by which a cluster knows exactly what it is to run.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas cache closure --cache https://cache.example.org --key-file cache.public /nix/store/…-hello
  niphas cache closure --cache file:///srv/cache --key-file cache.public --digest ./result
Exit codes: 0 the closure is complete and trusted; 1 it is not, or something went wrong.")]
pub(crate) struct Args {
    /// Store paths, links to them such as result, or outputs of flakes such as .#api
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Print only the digest
    #[arg(long)]
    digest: bool,
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
        let roots = self
            .installables
            .store_paths(caches.store_dir(), &self.paths)?;
        let found = runtime()?.block_on(closure(&caches, &roots))?;
        let lines = closure_lines(&found)?;
        match self.output {
            OutputFormat::Json => {
                let paths: Vec<_> = lines
                    .as_slice()
                    .iter()
                    .map(|line| {
                        json!({
                            "path": caches.store_dir().print(&line.path),
                            "narHash": line.nar_hash.sri(),
                            "narSize": line.nar_size,
                        })
                    })
                    .collect();
                say!(
                    "{}",
                    json!({
                        "digest": lines.digest().to_string(),
                        "narSize": lines.nar_size(),
                        "paths": paths,
                    })
                );
            }
            OutputFormat::Text if self.digest => say!("{}", lines.digest()),
            OutputFormat::Text => {
                // The lines alone: what sha256sum of them gives is the digest.
                print_bytes(lines.to_string().as_bytes());
                let (digest, count) = (lines.digest(), lines.path_count());
                let size = size(lines.nar_size());
                // Where even this cannot be written it is lost.
                let _ = writeln!(stderr(), "{digest}: {count} paths, {size}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
