//! `niphas-store umount`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use niphas_store::mount::{detach, unmount};

use crate::failure::Failure;

/// Take away what `niphas-store mount` mounted
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Take it away although it is in use; it ends with its last user
    #[arg(long)]
    lazy: bool,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let gone = if self.lazy {
            detach(&self.folder)
        } else {
            unmount(&self.folder)
        };
        match gone {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Err(anyhow!("nothing is mounted at '{}'", self.folder.display()).into()),
            Err(error)
                if !self.lazy
                    && error.io().map(std::io::Error::kind)
                        == Some(std::io::ErrorKind::ResourceBusy) =>
            {
                Err(Failure::with_hint(
                    error,
                    "end the programs that use it, or give --lazy",
                ))
            }
            Err(error) => Err(error.into()),
        }
    }
}
