//! Arguments that several commands have.

use std::path::PathBuf;

use anyhow::anyhow;
use niphas_api::Roots;
use niphas_store::{OpenError, Options, RealisedClosure, Store, StoredPath};
use nix_formats::{StoreDir, StorePath};

use crate::failure::Failure;

/// Which store a command works on.
///
/// Each command that reads a store has these arguments itself, instead of the program for all: then the compiler reports one
/// that does not read them.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The store's folder
    #[arg(
        long,
        value_name = "DIR",
        env = "NIPHAS_STORE",
        default_value = "/var/lib/niphas/store"
    )]
    store: PathBuf,
}

impl StoreArgs {
    /// The store to write to.
    pub(crate) fn open(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.store, Options::default())?)
    }

    /// The store to read from.
    pub(crate) fn open_read_only(&self) -> Result<Store, Failure> {
        Ok(Store::open_read_only(&self.store, Options::default())?)
    }

    /// The store to make images in. An image that exists can be used even while the driver has the store.
    pub(crate) fn open_for_image(&self) -> Result<Store, Failure> {
        match Store::open(&self.store, Options::default()) {
            Err(OpenError::InUse { .. }) => self.open_read_only(),
            opened => Ok(opened?),
        }
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

/// Reads the roots of a closure.
pub(crate) fn parse_roots(texts: &[String]) -> Result<Roots, Failure> {
    Ok(Roots::try_from(parse_paths(texts)?)?)
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
    Ok(store.stored_closure(&parse_roots(roots)?)?)
}
