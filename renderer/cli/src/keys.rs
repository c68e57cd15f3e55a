//! The keys that are trusted, as commands take them.

use std::path::PathBuf;

use binary_cache::{KeysError, read_keys};
use nix_formats::PublicKeys;

/// Whom to believe.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// A key whose signatures count, as NAME:BASE64; can be given several times
    #[arg(
        long = "trusted-public-key",
        value_name = "KEY",
        env = "NIPHAS_TRUSTED_PUBLIC_KEYS",
        value_delimiter = ' '
    )]
    keys: Vec<String>,
    /// A file with keys whose signatures count, one on a line; can be given several times
    #[arg(long = "key-file", value_name = "FILE")]
    key_files: Vec<PathBuf>,
}

impl KeyArgs {
    /// The keys.
    pub(crate) fn read(&self) -> Result<PublicKeys, KeysError> {
        read_keys(&self.keys, &self.key_files)
    }
}
