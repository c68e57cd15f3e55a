//! Store paths from command lines, and their closures.

use std::path::Path;

use anyhow::Context as _;
use binary_cache::{Caches, Closure};
use nix_formats::{StoreDir, StorePath};

use crate::failure::Failure;

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
                "store paths look like {store_dir}/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1, outputs of flakes like .#hello"
            ),
        )
    })?;
    Ok(path)
}

/// The closure of paths.
pub(super) async fn closure(caches: &Caches, roots: &[StorePath]) -> Result<Closure, Failure> {
    Ok(caches.closure(roots).await?)
}
