//! Outputs that were checked, as something that is pushed from.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use binary_cache::{NarSource, PathInfo, SourceError};
use nix_builder::outputs::BuiltOutput;
use nix_formats::{StoreDir, StorePath};

use super::staged::Staged;

/// Outputs in the folder of uploads.
pub(super) struct CheckedOutputs {
    store_dir: StoreDir,
    staged: Arc<Staged>,
    /// The names of the outputs.
    names: BTreeMap<StorePath, String>,
}

impl CheckedOutputs {
    pub(super) fn new(
        store_dir: StoreDir,
        staged: Arc<Staged>,
        outputs: &BTreeMap<String, BuiltOutput>,
    ) -> Self {
        let names = outputs.iter();
        Self {
            store_dir,
            staged,
            names: names
                .map(|(name, output)| (output.path.clone(), name.clone()))
                .collect(),
        }
    }
}

/// What a cache is to know of the outputs of a derivation.
pub(super) fn infos(
    outputs: &BTreeMap<String, BuiltOutput>,
    derivation: &StorePath,
) -> Vec<PathInfo> {
    let info = |output: &BuiltOutput| PathInfo {
        path: output.path.clone(),
        nar_hash: output.nar_hash,
        nar_size: output.nar_size,
        references: output.references.clone(),
        deriver: Some(derivation.clone()),
        signatures: Vec::new(),
        ca: output.content_address,
    };
    outputs.values().map(info).collect()
}

impl NarSource for CheckedOutputs {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    /// Never asked: what is pushed is said with it.
    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        Ok(vec![None; paths.len()])
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        let missing = || SourceError::Missing {
            path: info.path.clone(),
            needed_by: None,
        };
        let name = self.names.get(&info.path).ok_or_else(missing)?;
        let unread = |source: io::Error| SourceError::Read {
            path: info.path.to_string(),
            source,
        };
        let broken = Arc::new(AtomicBool::new(false));
        let nar = self.staged.open(name, info.nar_size, &broken);
        let mut nar = nar.map_err(unread)?;
        let mut piece = vec![0; 256 << 10];
        loop {
            let count = match nar.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unread(error)),
            };
            out.write_all(&piece[..count]).map_err(SourceError::Write)?;
        }
    }
}
