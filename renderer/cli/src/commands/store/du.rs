//! `niphas store du`

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use niphas_terminal::{OutputFormat, print_bytes, say};
use nix_formats::{StoreDir, StorePath};

use crate::build_store::BuildStoreArgs;
use crate::failure::Failure;

/// Show what the store takes on disk, and what closures share
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show the closures of these paths, each by itself [default: those of all out-links]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    store: BuildStoreArgs,
}

impl Args {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let Some(store) = self.store.open_read_only()? else {
            let folder = self.store.folder()?;
            return Err(Failure::with_hint(
                anyhow!("there is no store in '{}'", folder.display()),
                "niphas build makes it; name another with --store",
            ));
        };
        let mut closures = Vec::new();
        for path in &self.paths {
            closures.push((path.clone(), parse(path)?.into()));
        }
        if closures.is_empty() {
            for (_, hold) in store.roots()? {
                closures.push((hold.holder, hold.roots));
            }
        }
        let (names, roots): (Vec<String>, Vec<_>) = closures.into_iter().unzip();
        let usage = store.disk_usage(&roots)?;
        match self.output {
            OutputFormat::Text => print_bytes(usage.lines(&names)),
            OutputFormat::Json => say!("{}", usage.to_json(&names)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn parse(text: &str) -> Result<StorePath, Failure> {
    let path = StoreDir::default().parse(text);
    Ok(path.with_context(|| format!("'{text}' is no store path"))?)
}
