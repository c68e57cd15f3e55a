//! `niphas-store image`

use std::process::ExitCode;

use niphas_terminal::{OutputFormat, print_line, say};
use serde_json::json;

use crate::arguments::{StoreArgs, stored_closure};
use crate::failure::Failure;

/// Make the closure image of store paths, and print where it is
///
/// The image is EROFS metadata; the contents of files are in the packs, which are its extra devices, in the order given.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas-store image /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0")]
pub(crate) struct Args {
    /// The paths
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// How to print it; the text is the image and then its devices, one on a line
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let store = self.store.open_for_image()?;
        let closure = stored_closure(&store, &self.paths)?;
        let image = store.image(&closure)?;
        match self.output {
            OutputFormat::Text => {
                for file in std::iter::once(&image.file).chain(&image.devices) {
                    print_line(file.display().to_string());
                }
            }
            OutputFormat::Json => say!(
                "{}",
                json!({
                    "digest": image.digest,
                    "file": image.file,
                    "devices": image.devices,
                })
            ),
        }
        Ok(ExitCode::SUCCESS)
    }
}
