//! What is known of each volume, on disk: so that a driver that starts again goes on where the last one was killed.
//!
//! A record is written before the volume's target is made, and removed after it is gone. Whether a target is mounted, the
//! kernel alone tells.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use niphas_api::{ClosureDigest, Roots};
use nix_formats::hash::{HashAlgorithm, HashFormat};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::warn;

use crate::pod::Pod;
use crate::view::ViewKey;

/// A file of the driver's state cannot be used.
#[derive(Debug, Error)]
#[error("cannot {action} '{path}'")]
pub(crate) struct StateError {
    /// What was tried.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

pub(crate) fn failed<'a, E: Into<io::Error>>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(E) -> StateError + 'a {
    move |source| StateError {
        action,
        path: path.to_owned(),
        source: source.into(),
    }
}

/// A volume that is published, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// kubelet's name of it.
    pub volume: String,
    /// Where it is mounted, without symlinks.
    pub target: PathBuf,
    /// The closure's roots.
    pub roots: Roots,
    /// The closure's digest.
    pub digest: ClosureDigest,
    /// Whose it is.
    pub pod: Pod,
    /// The kernel's life that it was published in: nothing is mounted after it.
    pub boot: String,
}

impl Record {
    /// Whether both volumes show the same closure, asked for by the same roots.
    pub(crate) fn is_of_same_closure(&self, other: &Self) -> bool {
        (self.digest, &self.roots) == (other.digest, &other.roots)
    }

    /// The view that the volume shows.
    pub(crate) fn key(&self) -> ViewKey {
        ViewKey::new(self.digest, &self.roots)
    }
}

/// All records: in memory as on disk.
#[derive(Debug)]
pub(crate) struct Records {
    folder: PathBuf,
    known: Mutex<HashMap<String, Record>>,
}

impl Records {
    /// Reads the records in a folder, and makes it if it is not there.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, StateError> {
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        let mut known = HashMap::new();
        for (path, record) in read(&folder)? {
            if let Some(record) = record {
                known.insert(record.volume.clone(), record);
            } else {
                // Half a file: of before a power cut, or of a driver that was killed.
                warn!(path = %path.display(), "a volume's record is damaged: it is removed");
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(Self {
            folder,
            known: Mutex::new(known),
        })
    }

    /// The record of a volume.
    pub(crate) fn get(&self, volume: &str) -> Option<Record> {
        self.known().get(volume).cloned()
    }

    /// All records.
    pub(crate) fn all(&self) -> Vec<Record> {
        self.known().values().cloned().collect()
    }

    /// The closures of a namespace's volumes.
    pub(crate) fn closures(&self, namespace: &str) -> HashSet<ClosureDigest> {
        let known = self.known();
        let of_namespace = known
            .values()
            .filter(|record| record.pod.namespace == namespace);
        of_namespace.map(|record| record.digest).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.known().len()
    }

    /// A record of which this holds.
    pub(crate) fn find(&self, is_wanted: impl Fn(&Record) -> bool) -> Option<Record> {
        self.known()
            .values()
            .find(|record| is_wanted(record))
            .cloned()
    }

    /// Writes a record.
    pub(crate) fn put(&self, record: Record) -> Result<(), StateError> {
        let path = self.path(&record.volume);
        let made = path.with_extension("new");
        let text = serde_json::to_vec(&record).map_err(io::Error::from);
        let text = text.map_err(failed("write", &made))?;
        let written = fs::write(&made, text).and_then(|()| fs::rename(&made, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&made);
            return Err(failed("write", &path)(error));
        }
        self.known().insert(record.volume.clone(), record);
        Ok(())
    }

    /// Removes a record; fine if there is none.
    pub(crate) fn remove(&self, volume: &str) -> Result<(), StateError> {
        if self.known().remove(volume).is_none() {
            return Ok(());
        }
        let path = self.path(volume);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, volume: &str) -> PathBuf {
        self.folder.join(format!("{}.json", file_name(volume)))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Record>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records in a folder, and the files that are none.
pub(crate) fn read(folder: &Path) -> Result<Vec<(PathBuf, Option<Record>)>, StateError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let path = entry.map_err(failed("read", folder))?.path();
        let text = match fs::read(&path) {
            // It went while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(failed("read", &path))?,
        };
        let record: Option<Record> = serde_json::from_slice(&text).ok();
        let record = record.filter(|_| path.extension().is_some_and(|end| end == "json"));
        found.push((path, record));
    }
    Ok(found)
}

/// A volume's name as that of a file: as it is if it can be, as kubelet's can.
fn file_name(volume: &str) -> String {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if volume.len() <= 200 && volume.bytes().all(is_fine) && !volume.starts_with("hashed-") {
        return volume.to_owned();
    }
    let hash = HashAlgorithm::Sha256.digest(volume.as_bytes());
    format!("hashed-{}", hash.to_string(HashFormat::Base16, false))
}

#[cfg(test)]
mod tests {
    use nix_formats::StorePath;

    use super::*;

    fn record(volume: &str) -> Record {
        Record {
            volume: volume.to_owned(),
            target: "/pods/1/mount".into(),
            roots: StorePath::from_base_name("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0")
                .unwrap()
                .into(),
            digest: format!("sha256:{}", "1".repeat(64)).parse().unwrap(),
            pod: Pod::default(),
            boot: "b".to_owned(),
        }
    }

    #[test]
    fn records_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path().join("volumes")).unwrap();
        for volume in [
            "csi-0a",
            "../../escape",
            "a\nb",
            "hashed-x",
            &"long".repeat(99),
        ] {
            records.put(record(volume)).unwrap();
            let again = Records::open(folder.path().join("volumes")).unwrap();
            assert_eq!(again.get(volume), Some(record(volume)));
            records.remove(volume).unwrap();
            records.remove(volume).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(
            Records::open(folder.path().join("volumes")).unwrap().len(),
            0
        );
    }

    #[test]
    fn damaged_records_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("csi-1.json"), "").unwrap();
        fs::write(
            folder.path().join("csi-2.new"),
            serde_json::to_vec(&record("csi-2")).unwrap(),
        )
        .unwrap();
        assert_eq!(Records::open(folder.path().to_owned()).unwrap().len(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
