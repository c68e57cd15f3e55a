//! Which caches are read, and whom to believe.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use binary_cache::{CacheUrl, Caches, Closure, ClosureError, Limits, Netrc, TrustPolicy};
use nix_formats::{StoreDir, StorePath};

use crate::failure::Failure;
use crate::keys::KeyArgs;

/// How to show who asks.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// A file with logins and passwords for hosts, as Nix's netrc-file
    #[arg(long, value_name = "FILE", env = "NIPHAS_NETRC_FILE")]
    netrc_file: Option<PathBuf>,
    /// A file with a bearer token for the caches behind HTTP
    #[arg(long, value_name = "FILE", env = "NIPHAS_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl AccessArgs {
    /// A cache's URL, with what is known of its host.
    pub(super) fn open(&self, url: &str) -> Result<CacheUrl, Failure> {
        let mut url: CacheUrl = url.parse()?;
        if let Some(file) = &self.netrc_file {
            url = url.with_netrc(&Netrc::read(file)?);
        }
        if let Some(file) = &self.token_file {
            url = url.with_token_file(file.clone());
        }
        Ok(url)
    }
}

/// The caches to read.
#[derive(Debug, clap::Args)]
pub(super) struct CachesArgs {
    /// A binary cache: https://…, http://…, s3://… or file:///…; can be given several times
    #[arg(
        long = "cache",
        value_name = "URL",
        env = "NIPHAS_CACHES",
        value_delimiter = ' ',
        required = true
    )]
    caches: Vec<String>,
    #[command(flatten)]
    keys: KeyArgs,
    /// How many of the keys must have signed
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    required_signatures: NonZeroUsize,
    #[command(flatten)]
    access: AccessArgs,
}

impl CachesArgs {
    pub(super) fn open(&self) -> Result<Caches, Failure> {
        let urls = self.caches.iter().map(|url| self.access.open(url));
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        let policy = TrustPolicy::new(self.keys.read()?, self.required_signatures)?;
        Ok(Caches::new(
            StoreDir::default(),
            urls,
            policy,
            Limits::default(),
        )?)
    }
}

/// A store path from a command line: the path, a file in it, or a link to it
/// such as `result`.
pub(super) fn store_path(store_dir: &StoreDir, text: &str) -> Result<StorePath, Failure> {
    let resolved = if store_dir.contains(text) {
        text.to_owned()
    } else {
        let resolved = Path::new(text).canonicalize();
        let resolved = resolved.with_context(|| format!("'{text}' is no store path"))?;
        resolved.to_string_lossy().into_owned()
    };
    let (path, _) = store_dir.parse_subpath(&resolved).map_err(|error| {
        Failure::with_hint(
            anyhow::Error::new(error).context(format!("'{text}' is no store path")),
            format!(
                "store paths look like {store_dir}/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1"
            ),
        )
    })?;
    Ok(path)
}

/// Store paths from a command line, each once.
pub(super) fn store_paths(
    store_dir: &StoreDir,
    texts: &[String],
) -> Result<Vec<StorePath>, Failure> {
    let paths = texts.iter().map(|text| store_path(store_dir, text));
    let paths = paths.collect::<Result<BTreeSet<_>, _>>()?;
    Ok(paths.into_iter().collect())
}

/// The closure of paths.
pub(super) async fn closure(caches: &Caches, roots: &[StorePath]) -> Result<Closure, Failure> {
    caches.closure(roots).await.map_err(failed)
}

fn failed(error: ClosureError) -> Failure {
    let hint = error.hint();
    Failure::Other {
        error: error.into(),
        hint,
    }
}
