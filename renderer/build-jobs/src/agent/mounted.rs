//! The inputs, as the driver mounted them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use binary_cache::{NarSource, PathInfo, SourceError, write_tree};
use nix_formats::{StoreDir, StorePath};
use thiserror::Error;

use crate::inputs::{BadInputs, BuildInputs, InputInfo, MAX_TEXT, read_inputs};

/// Inputs that are not as they should be.
#[derive(Debug, Error)]
pub(super) enum MountError {
    /// The list of inputs.
    #[error("failed to read \"{}\"", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says something else.
    #[error("failed to read the inputs in \"{}\"", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: BadInputs,
    },
    /// An input is not there.
    #[error("the input \"{}\" is not mounted", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Paths in a folder, of which is known what they are.
pub(super) struct Mounted {
    store_dir: StoreDir,
    folder: PathBuf,
    infos: BTreeMap<StorePath, InputInfo>,
}

impl Mounted {
    /// Reads what inputs there are. None: nothing is mounted, since the builds have none.
    pub(super) fn open(
        list: &Path,
        folder: &Path,
        store_dir: &StoreDir,
    ) -> Result<Option<(Self, BuildInputs)>, MountError> {
        let failed = |source| MountError::Read {
            path: list.to_owned(),
            source,
        };
        let file = match File::open(list) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let mut text = Vec::new();
        file.take(MAX_TEXT + 1)
            .read_to_end(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > MAX_TEXT {
            return Err(failed(io::Error::other(format!(
                "it has more than {MAX_TEXT} bytes"
            ))));
        }
        let (builds, infos) = read_inputs(&text).map_err(|source| MountError::Text {
            path: list.to_owned(),
            source,
        })?;
        for path in infos.keys() {
            let path = folder.join(path.base_name());
            path.symlink_metadata()
                .map_err(|source| MountError::Missing { path, source })?;
        }
        let mounted = Self {
            store_dir: store_dir.clone(),
            folder: folder.to_owned(),
            infos,
        };
        Ok(Some((mounted, builds)))
    }
}

impl NarSource for Mounted {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        let info = |path: &StorePath| {
            self.infos.get(path).map(|info| PathInfo {
                path: path.clone(),
                nar_hash: info.nar_hash,
                nar_size: info.nar_size,
                references: info.references.clone(),
                deriver: None,
                signatures: Vec::new(),
                ca: info.content_address,
            })
        };
        Ok(paths.iter().map(info).collect())
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        write_tree(&self.folder.join(info.path.base_name()), out)
    }
}
