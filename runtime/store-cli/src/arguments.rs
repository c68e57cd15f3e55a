//! Arguments that several commands have.

use crate::failure::Failure;
use anyhow::anyhow;
use binary_cache::{CacheUrl, Caches, Limits, Netrc, TrustPolicy, read_keys};
use niphas_store::{OpenError, Options, RealisedClosure, Store, StoredPath};
use nix_formats::{StoreDir, StorePath};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where to fetch from, and whom to believe.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheArgs {
    /// A binary cache: https://…, http://…, s3://… or file:///…; can be given several times
    #[arg(
        long = "cache",
        value_name = "URL",
        env = "NIPHAS_CACHES",
        value_delimiter = ' '
    )]
    caches: Vec<String>,
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
    /// How many of the keys must have signed a path
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    signatures: NonZeroUsize,
    /// A file with logins and passwords for hosts, as Nix's netrc-file
    #[arg(long, value_name = "FILE", env = "NIPHAS_NETRC_FILE")]
    netrc_file: Option<PathBuf>,
    /// A file with a bearer token for the caches behind HTTP
    #[arg(long, value_name = "FILE", env = "NIPHAS_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl CacheArgs {
    /// Whether a cache was named.
    pub(crate) fn is_given(&self) -> bool {
        !self.caches.is_empty()
    }

    /// The caches.
    pub(crate) fn open(&self) -> Result<Arc<Caches>, Failure> {
        let netrc = self.netrc_file.as_deref().map(Netrc::read).transpose()?;
        let open = |url: &String| -> Result<CacheUrl, Failure> {
            let mut url: CacheUrl = url.parse()?;
            if let Some(netrc) = &netrc {
                url = url.with_netrc(netrc);
            }
            if let Some(file) = &self.token_file {
                url = url.with_token_file(file.clone());
            }
            Ok(url)
        };
        let urls = self.caches.iter().map(open);
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        let keys = read_keys(&self.keys, &self.key_files)?;
        let policy = TrustPolicy::new(keys, self.signatures)?;
        let caches = Caches::new(StoreDir::default(), urls, policy, Limits::default())?;
        Ok(Arc::new(caches))
    }
}

/// The store to write to.
pub(crate) fn open(dir: &Path) -> Result<Store, Failure> {
    Ok(Store::open(dir, Options::default())?)
}

/// The store to read from.
pub(crate) fn open_read_only(dir: &Path) -> Result<Store, Failure> {
    Ok(Store::open_read_only(dir, Options::default())?)
}

/// The store to make images in. Where the driver has it, an image that is there already can be used all the same.
pub(crate) fn open_for_image(dir: &Path) -> Result<Store, Failure> {
    match Store::open(dir, Options::default()) {
        Err(OpenError::InUse { .. }) => open_read_only(dir),
        opened => Ok(opened?),
    }
}

/// Reads a store path and, behind it, the name of something in it; empty if there is none.
pub(crate) fn parse_path(text: &str) -> Result<(StorePath, String), Failure> {
    let store_dir = StoreDir::default();
    let inside = text
        .strip_prefix(store_dir.as_str())
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(text);
    let (base_name, name) = inside.split_once('/').unwrap_or((inside, ""));
    let path = StorePath::from_base_name(base_name)?;
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    Ok((path, parts.join("/")))
}

/// Reads store paths.
pub(crate) fn parse_paths(texts: &[String]) -> Result<Vec<StorePath>, Failure> {
    let parse = |text: &String| match parse_path(text)? {
        (path, name) if name.is_empty() => Ok(path),
        (path, name) => Err(Failure::with_hint(
            anyhow!("'{text}' is not a store path"),
            format!("leave out '/{name}': {}", StoreDir::default().print(&path)),
        )),
    };
    texts.iter().map(parse).collect()
}

/// A path that is in the store.
pub(crate) fn stored(store: &Store, path: &StorePath) -> Result<StoredPath, Failure> {
    store.info(path).ok_or_else(|| {
        Failure::with_hint(
            anyhow!("store path '{path}' is not in the store"),
            "see what is with `niphas-store list`",
        )
    })
}

/// The closure of paths, all of which is in the store.
pub(crate) fn stored_closure(store: &Store, roots: &[String]) -> Result<RealisedClosure, Failure> {
    let roots = parse_paths(roots)?;
    Ok(store.stored_closure(&roots)?)
}
