//! Logins: for caches to read, and for the one to push to.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use binary_cache::{CacheUrl, Netrc, NetrcError};
use nix_conf::NixConf;

use crate::CacheArgsError;

/// How a program logs in to caches behind HTTP.
///
/// A login in the URL counts before all others. A token file is for every server. Else a login is looked up by the server's
/// host, in the netrc file that was given, or in Nix's `netrc-file` and then the user's `~/.netrc`.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Binary caches")]
pub struct LoginArgs {
    /// Log in to caches by a netrc file
    ///
    /// Without it logins are looked up in the file that `netrc-file` of nix.conf names (by default /etc/nix/netrc), and then in
    /// ~/.netrc.
    ///
    /// Variable: `NIPHAS_NETRC_FILE`.
    #[arg(
        long,
        value_name = "FILE",
        env = "NIPHAS_NETRC_FILE",
        hide_env = true,
        hide_short_help = true
    )]
    netrc_file: Option<PathBuf>,
    /// Log in to caches by the bearer token in a file
    ///
    /// Variable: `NIPHAS_CACHE_TOKEN_FILE`.
    #[arg(
        long,
        value_name = "FILE",
        env = "NIPHAS_CACHE_TOKEN_FILE",
        hide_env = true,
        hide_short_help = true
    )]
    cache_token_file: Option<PathBuf>,
}

impl LoginArgs {
    /// The URL with the login for its server, if there is one.
    pub fn with_login(&self, url: CacheUrl) -> Result<CacheUrl, CacheArgsError> {
        let mut urls = self.with_logins(vec![url])?;
        Ok(urls.remove(0))
    }

    /// The URLs, each with the login for its server, if there is one.
    pub(crate) fn with_logins(&self, urls: Vec<CacheUrl>) -> Result<Vec<CacheUrl>, CacheArgsError> {
        if let Some(file) = &self.cache_token_file {
            let with_token = |url: CacheUrl| url.with_token_file(file.clone());
            return Ok(urls.into_iter().map(with_token).collect());
        }
        let files = match &self.netrc_file {
            Some(file) => vec![Netrc::read(file)?],
            None if urls.iter().any(CacheUrl::needs_login) => usual_files(),
            None => Vec::new(),
        };
        // The first that knows the host counts, so it is the last to be asked.
        let with_netrc = |url| files.iter().rev().fold(url, CacheUrl::with_netrc);
        Ok(urls.into_iter().map(with_netrc).collect())
    }
}

/// Nix's netrc file and the user's, as far as they can be used.
fn usual_files() -> Vec<Netrc> {
    let users = nix_conf::home().map(|home| home.join(".netrc"));
    let files = NixConf::read().netrc_file().into_iter().chain(users);
    files.filter_map(|file| read_usual(&file)).collect()
}

/// A file that was not asked for by name: it need not exist, may be for others only, and is no reason to fail.
fn read_usual(file: &Path) -> Option<Netrc> {
    match Netrc::read(file) {
        Ok(netrc) => Some(netrc),
        Err(NetrcError::Read { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
            ) =>
        {
            None
        }
        Err(error) => {
            let file = file.display();
            tracing::warn!(%file, error = nix_formats::chain(&error), "failed to read a netrc file; ignoring it");
            None
        }
    }
}
