//! What a store must know of the time before its process started.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::error::{FileError, OpenError, failed};
use crate::layout::{Layout, PackId};

const VERSION: u32 = 1;

/// This many numbers of packs are taken at once, so that the file is not written for each.
const NUMBERS: u64 = 1024;

/// The file `state`, as JSON. It is replaced as a whole, but nothing waits for it to be on disk: what a power cut leaves of it
/// is right, if old, or nothing, and then no pack is taken to be on disk unless its mode says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    version: u32,
    /// What the kernel called its life when this was written.
    boot_id: String,
    /// Packs from here on were never made.
    next_pack: PackId,
    /// Packs before this one may have lost bytes in a power cut, unless they are marked as being on disk.
    suspect_before: PackId,
    /// Whether the kernel lives another life than when it was saved.
    #[serde(skip)]
    has_rebooted: bool,
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

impl State {
    /// The state of a store whose youngest pack is the one before `next_pack`, given the life of the kernel now.
    pub(crate) fn load(
        layout: &Layout,
        boot_id: String,
        next_pack: PackId,
    ) -> Result<Self, OpenError> {
        let path = layout.state();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(FileError::new("read", path, error).into()),
        };
        if let Ok(AnyVersion { version }) = serde_json::from_slice(&text)
            && version > VERSION
        {
            return Err(OpenError::TooNew {
                path,
                found: version,
                known: VERSION,
            });
        }
        let known: Option<Self> = serde_json::from_slice(&text).ok();
        let next_pack = known
            .as_ref()
            .map_or(next_pack, |known| known.next_pack.max(next_pack));
        let same_life = known.filter(|known| known.boot_id == boot_id);
        let has_rebooted = same_life.is_none();
        let suspect_before = same_life.map_or(next_pack, |known| known.suspect_before);
        Ok(Self {
            version: VERSION,
            boot_id,
            next_pack,
            suspect_before,
            has_rebooted,
        })
    }

    /// Whether a pack that is not marked as being on disk must be verified before its next use.
    pub(crate) fn is_suspect(&self, pack: PackId) -> bool {
        pack < self.suspect_before
    }

    /// Whether there may have been a power cut since the store was open last.
    pub(crate) fn has_rebooted(&self) -> bool {
        self.has_rebooted
    }

    /// Takes numbers for packs. They count as used once the state is saved.
    pub(crate) fn take_numbers(&mut self) -> std::ops::Range<u64> {
        let start = self.next_pack.0;
        self.next_pack = PackId(start + NUMBERS);
        start..start + NUMBERS
    }

    /// Writes it.
    pub(crate) fn save(&self, layout: &Layout) -> Result<(), FileError> {
        let path = layout.state();
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        let text = text.map_err(failed("write", &path))?;
        replace(&layout.tmp().join("state"), &path, &text)
    }
}

/// Puts a small file in place, or in another's, by way of `made`.
pub(crate) fn replace(made: &Path, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let written = fs::write(made, bytes).map_err(failed("write", made));
    let replaced = written.and_then(|()| fs::rename(made, path).map_err(failed("create", path)));
    if replaced.is_err() {
        // What there is of it takes space that is needed; that it is there at all is not sure.
        let _ = fs::remove_file(made);
    }
    replaced
}

/// What the kernel calls its life, from boot to power off.
pub(crate) fn boot_id() -> Result<String, FileError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.tmp()).unwrap();
        (folder, layout)
    }

    #[test]
    fn a_boot_makes_suspect_what_was_there() {
        let (_folder, layout) = empty();
        let load = |boot_id: &str| State::load(&layout, boot_id.into(), PackId(0)).unwrap();
        let mut state = load("one");
        let numbers = state.take_numbers();
        state.save(&layout).unwrap();
        assert!(!load("one").is_suspect(PackId(numbers.start)));
        let rebooted = load("two");
        assert!(rebooted.is_suspect(PackId(numbers.end - 1)));
        assert!(!rebooted.is_suspect(PackId(numbers.end)));
        // And still so after another kill.
        rebooted.save(&layout).unwrap();
        assert!(load("two").is_suspect(PackId(numbers.start)));
    }

    #[test]
    fn without_a_state_everything_is_suspect_and_no_number_comes_again() {
        let (_folder, layout) = empty();
        for left in ["", "{\"version\":1"] {
            fs::write(layout.state(), left).unwrap();
            let mut state = State::load(&layout, "one".into(), PackId(7)).unwrap();
            assert!(state.is_suspect(PackId(6)));
            assert_eq!(state.take_numbers().start, 7);
        }
    }

    #[test]
    fn a_newer_state_is_refused() {
        let (_folder, layout) = empty();
        fs::write(layout.state(), r#"{"version":2,"more":true}"#).unwrap();
        let error = State::load(&layout, "one".into(), PackId(0)).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::TooNew {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
}
