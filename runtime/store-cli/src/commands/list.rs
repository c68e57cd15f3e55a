//! `niphas-store list`

use std::process::ExitCode;

use niphas_terminal::{OutputFormat, print_line, say};
use nix_formats::StoreDir;
use serde_json::{Value, json};

use crate::arguments::StoreArgs;
use crate::failure::Failure;

/// List the store paths that are in the store
///
/// A path stands there several times if caches had different contents for it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas-store list
  niphas-store list --output json | jq -r 'map(select(.narSize > 100000000).path)[]'")]
pub(crate) struct Args {
    /// How to print them; JSON has sizes, hashes, references and signatures too
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let store = self.store.open_read_only()?;
        let store_dir = StoreDir::default();
        let paths = store.paths();
        match self.output {
            OutputFormat::Text => {
                for path in paths {
                    print_line(store_dir.print(path.path()));
                }
            }
            OutputFormat::Json => {
                let paths = paths.iter().map(|path| {
                    let info = &path.info;
                    let references = info.references.iter();
                    json!({
                        "path": store_dir.print(&info.path),
                        "pack": path.pack().to_string(),
                        "narHash": info.nar_hash.sri(),
                        "narSize": info.nar_size,
                        "references": references.map(|path| store_dir.print(path)).collect::<Vec<_>>(),
                        "signatures": info.signatures.iter().map(ToString::to_string).collect::<Vec<_>>(),
                        "ca": info.ca.map(|ca| ca.to_string()),
                    })
                });
                say!("{}", paths.collect::<Value>());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
