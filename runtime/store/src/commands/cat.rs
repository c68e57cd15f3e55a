//! `niphas-store cat`

use crate::{
    arguments::{open_read_only, parse_path, stored},
    failure::Failure,
    output::is_closed,
};
use std::{
    io::{BufWriter, Write, stdout},
    path::Path,
    process::ExitCode,
};

/// Print a file of a store path
///
/// Fails in the end if the bytes are not those that were stored.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas-store cat /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0/etc/web.conf")]
pub(crate) struct Args {
    /// The file
    #[arg(value_name = "PATH/NAME")]
    file: String,
}

impl Args {
    pub(crate) fn run(&self, store: &Path) -> Result<ExitCode, Failure> {
        let (path, name) = parse_path(&self.file)?;
        let store = open_read_only(store)?;
        let path = stored(&store, &path)?;
        let mut out = BufWriter::new(stdout().lock());
        let printed = store.read_file(&path, name.as_bytes(), &mut out);
        let printed = printed.map_err(anyhow::Error::from);
        match printed.and_then(|()| Ok(out.flush()?)) {
            Err(error) if !is_closed(&error) => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}
