//! Logs of builds in a build store: `logs/NAME.drv.zst`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nix_builder::engine::log_file;
use nix_formats::StorePath;

use crate::failure::Failure;

/// Logs are kept this long.
const AGE: Duration = Duration::from_hours(24 * 30);

/// The largest log that is read.
const MOST_BYTES: u64 = 256 << 20;

/// The logs of builds in a build store.
pub(crate) struct BuildLogs {
    store: PathBuf,
}

impl BuildLogs {
    pub(crate) fn of(store: &Path) -> Self {
        Self {
            store: store.to_owned(),
        }
    }

    /// What the builder of a derivation printed when it was built last; none if it was not built here.
    pub(crate) fn read(&self, derivation: &StorePath) -> Result<Option<Vec<u8>>, Failure> {
        let file = log_file(&self.store, derivation);
        let opened = match File::open(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.and_then(zstd::Decoder::new),
        };
        let failed = || format!("failed to read '{}'", file.display());
        let (mut text, log) = (Vec::new(), opened.with_context(failed)?);
        match log.take(MOST_BYTES).read_to_end(&mut text) {
            // The build goes on, or was killed: what there is counts.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Err(anyhow::Error::new(error).context(failed()).into())
            }
            _ => Ok(Some(text)),
        }
    }

    /// Removes logs that are older than 30 days.
    pub(crate) fn forget_old(&self) -> Result<(), Failure> {
        let folder = self.store.join("logs");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries,
        };
        let failed = || format!("failed to clean '{}'", folder.display());
        for entry in entries.with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let is_old = entry.metadata().is_ok_and(|metadata| {
                let age = metadata
                    .modified()
                    .ok()
                    .and_then(|time| time.elapsed().ok());
                metadata.is_file() && age > Some(AGE)
            });
            if is_old {
                fs::remove_file(entry.path()).with_context(failed)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn logs_are_read_and_go_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let logs = BuildLogs::of(folder.path());
        let path = |name: &str| {
            StorePath::from_base_name(format!("{}-{name}.drv", "0".repeat(32))).unwrap()
        };
        logs.forget_old().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        for name in ["old", "new", "cut"] {
            let mut text = zstd::encode_all(&b"one\n"[..], 3).unwrap();
            if name == "cut" {
                text.truncate(text.len() - 1);
            }
            fs::write(log_file(folder.path(), &path(name)), text).unwrap();
        }
        let old = File::options()
            .write(true)
            .open(log_file(folder.path(), &path("old")));
        let long_ago = SystemTime::now() - AGE - Duration::from_mins(1);
        old.unwrap().set_modified(long_ago).unwrap();
        assert_eq!(logs.read(&path("old")).unwrap().unwrap(), b"one\n");
        logs.forget_old().unwrap();
        assert_eq!(logs.read(&path("old")).unwrap(), None);
        assert_eq!(logs.read(&path("new")).unwrap().unwrap(), b"one\n");
        assert!(logs.read(&path("cut")).unwrap().is_some());
    }
}
