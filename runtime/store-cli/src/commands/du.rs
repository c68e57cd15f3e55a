//! `niphas-store du`

use std::process::ExitCode;

use niphas_api::Roots;
use niphas_terminal::{OutputFormat, print_line, say, size};
use serde_json::json;

use crate::arguments::{StoreArgs, parse_path};
use crate::failure::Failure;

/// Show what the store takes on disk, and what closures share
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas-store du
  niphas-store du /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-web-1.1")]
pub(crate) struct Args {
    /// Show the closures of these paths, each by itself [default: those of all roots]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let store = self.store.open_read_only()?;
        let mut closures = Vec::new();
        for path in &self.paths {
            closures.push((path.clone(), Roots::from(parse_path(path)?.0)));
        }
        if closures.is_empty() {
            for (name, hold) in store.roots()? {
                closures.push((format!("root {name}"), hold.roots));
            }
        }
        let roots: Vec<_> = closures.iter().map(|(_, roots)| roots.clone()).collect();
        let usage = store.disk_usage(&roots)?;
        if self.output == OutputFormat::Json {
            let closures = closures
                .iter()
                .zip(&usage.closures)
                .map(|((name, _), closure)| {
                    json!({
                        "name": name,
                        "paths": closure.paths,
                        "fileBytes": closure.file_bytes,
                        "storedBytes": closure.stored_bytes,
                        "sharedBytes": closure.shared_bytes,
                    })
                });
            say!(
                "{}",
                json!({
                    "paths": usage.paths,
                    "fileBytes": usage.file_bytes,
                    "storedBytes": usage.stored_bytes,
                    "packBytes": usage.pack_bytes,
                    "imageBytes": usage.image_bytes,
                    "closures": closures.collect::<Vec<_>>(),
                })
            );
            return Ok(ExitCode::SUCCESS);
        }
        let line = |what: &str, bytes: u64| say!("{:>12}  {what}", size(bytes));
        line(&format!("files of {} paths", usage.paths), usage.file_bytes);
        line("contents, each once", usage.stored_bytes);
        line("packs on disk", usage.pack_bytes);
        line("closure images on disk", usage.image_bytes);
        for ((name, _), closure) in closures.iter().zip(&usage.closures) {
            print_line("");
            line(
                &format!("{name}: files of {} paths", closure.paths),
                closure.file_bytes,
            );
            line("contents, each once", closure.stored_bytes);
            line("of them shared with the others", closure.shared_bytes);
        }
        Ok(ExitCode::SUCCESS)
    }
}
