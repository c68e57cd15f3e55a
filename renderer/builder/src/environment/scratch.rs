//! Where outputs are built.

use std::collections::BTreeMap;

use nix_formats::store_path::{StorePathError, output_path_name};
use nix_formats::{Derivation, Hash, StoreDir, StorePath};

/// Where a sandboxed build makes each output: at its path if that is known, otherwise at one that no contents have.
pub fn scratch_paths(
    derivation: &Derivation,
    path: &StorePath,
    store_dir: &StoreDir,
) -> Result<BTreeMap<String, StorePath>, StorePathError> {
    let outputs = derivation.outputs.iter();
    outputs
        .map(|(name, output)| {
            let known = output.path(store_dir, &derivation.name, name)?;
            let scratch =
                known.map_or_else(|| fallback_path(derivation, path, name, store_dir), Ok)?;
            Ok((name.clone(), scratch))
        })
        .collect()
}

fn fallback_path(
    derivation: &Derivation,
    path: &StorePath,
    output: &str,
    store_dir: &StoreDir,
) -> Result<StorePath, StorePathError> {
    let kind = format!("rewrite:{path}:name:{output}");
    let name = output_path_name(&derivation.name, output);
    store_dir.make_store_path(&kind, &Hash::sha256([0; 32]), &name)
}
