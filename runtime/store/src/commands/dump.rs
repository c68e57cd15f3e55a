//! `niphas-store dump`

use crate::{
    arguments::{open_read_only, parse_paths, stored},
    failure::Failure,
    output::is_closed,
};
use std::{
    io::{BufWriter, Write, stdout},
    path::Path,
    process::ExitCode,
};

/// Print a store path as a NAR, as nix-store --dump does
///
/// Fails in the end if it is not the NAR that was fetched.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas-store dump /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 | sha256sum")]
pub(crate) struct Args {
    /// The path
    #[arg(value_name = "PATH")]
    path: String,
}

impl Args {
    pub(crate) fn run(&self, store: &Path) -> Result<ExitCode, Failure> {
        let paths = parse_paths(std::slice::from_ref(&self.path))?;
        let store = open_read_only(store)?;
        let mut out = BufWriter::with_capacity(256 << 10, stdout().lock());
        for path in &paths {
            let path = stored(&store, path)?;
            let printed = store.write_nar(&path, &mut out);
            let printed = printed.map_err(anyhow::Error::from);
            match printed.and_then(|()| Ok(out.flush()?)) {
                Err(error) if !is_closed(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
