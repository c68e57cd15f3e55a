//! What the last rendering saw, for a run that has nothing to do.
//!
//! A run that finds or leaves its branch up to date notes what the environments evaluated to, and what the branch has in
//! their places. A later run with the same arguments whose environments evaluate to the same, on a branch that still has the
//! same there, need neither ask the caches nor make the files again. That counts as long as what was fetched counts
//! (`--refresh`): a cache may sign a path again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix_flake::{Digest, digest, hex};
use serde::{Deserialize, Serialize};

use crate::commands::render::RepositoryKey;

/// All that the files depend on beside the environments.
#[derive(Serialize)]
pub(crate) struct RenderKey<'a> {
    /// This very program.
    pub program: String,
    pub flake: String,
    pub repository: RepositoryKey<'a>,
    /// Those that were named.
    pub environments: &'a [String],
    /// If objects are expanded.
    pub base_image: Option<&'a String>,
    pub caches: &'a [String],
    /// The keys, and how many of them must have signed.
    pub trust: String,
}

/// The note of runs with certain arguments.
pub(crate) struct LastRendering {
    file: PathBuf,
    counts_for: Duration,
}

/// What is noted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Of what the environments evaluated to.
    environments: Digest,
    /// When the caches were asked.
    at: SystemTime,
    /// What the branch has in the environments' places.
    objects: Vec<Option<String>>,
}

/// This many notes are kept.
const MOST_NOTES: usize = 256;

impl LastRendering {
    /// The note in a folder about runs with this key.
    pub(crate) fn new(folder: &Path, counts_for: Duration, key: &RenderKey<'_>) -> Self {
        let key = serde_json::to_vec(key).expect("texts are JSON");
        let name = hex(&digest(&[&key]));
        Self {
            file: folder.join("renderings").join(name),
            counts_for,
        }
    }

    /// Whether the environments are those of the last run, and the branch has what it had then. It is looked at only if
    /// the rest is the same.
    pub(crate) fn is_of(
        &self,
        environments: &Digest,
        objects: impl FnOnce() -> Option<Vec<Option<String>>>,
    ) -> bool {
        let note = regular_file::read(&self.file).ok();
        let note = note.and_then(|text| serde_json::from_slice::<Note>(&text).ok());
        note.is_some_and(|note| {
            note.environments == *environments
                && note.at.elapsed().is_ok_and(|age| age < self.counts_for)
                && objects().is_some_and(|objects| objects == note.objects)
        })
    }

    /// Notes what a run saw that began at a time. Where that cannot be done the next run is slower; nothing else is lost.
    pub(crate) fn note(&self, environments: Digest, at: SystemTime, objects: Vec<Option<String>>) {
        let note = Note {
            environments,
            at,
            objects,
        };
        if let Err(error) = self.write(&note) {
            let file = self.file.display();
            tracing::debug!("what was rendered cannot be noted in '{file}': {error}");
        }
    }

    fn write(&self, note: &Note) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(note)?)?;
        file.persist(&self.file).map_err(|error| error.error)?;
        let mut notes: Vec<_> = fs::read_dir(folder)?
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        notes.sort();
        for (_, oldest) in notes.iter().rev().skip(MOST_NOTES) {
            // Another run may have removed it.
            let _ = fs::remove_file(oldest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn key(program: &str) -> RenderKey<'static> {
        RenderKey {
            program: program.to_owned(),
            flake: String::new(),
            repository: RepositoryKey::default(),
            environments: &[],
            base_image: None,
            caches: &[],
            trust: String::new(),
        }
    }

    #[test]
    fn a_note_counts_for_the_same_environments_and_objects_and_not_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let last = LastRendering::new(folder.path(), HOUR, &key("a"));
        let objects = || Some(vec![Some("a".to_owned()), None]);
        assert!(!last.is_of(&[1; 32], objects), "nothing is noted yet");
        let now = SystemTime::now();
        last.note([1; 32], now, objects().unwrap_or_default());
        assert!(last.is_of(&[1; 32], objects));
        assert!(!last.is_of(&[2; 32], objects), "other environments");
        assert!(!last.is_of(&[1; 32], || Some(vec![Some("b".to_owned()), None])));
        assert!(!last.is_of(&[1; 32], || None), "no branch");
        let others = LastRendering::new(folder.path(), HOUR, &key("b"));
        assert!(!others.is_of(&[1; 32], objects));
        let refreshed = LastRendering::new(folder.path(), Duration::ZERO, &key("a"));
        assert!(!refreshed.is_of(&[1; 32], objects));
        last.note([1; 32], now - HOUR, objects().unwrap_or_default());
        assert!(!last.is_of(&[1; 32], objects), "an hour ago");
        last.note([1; 32], now + HOUR, objects().unwrap_or_default());
        assert!(!last.is_of(&[1; 32], objects), "a clock that was put back");
    }

    #[test]
    fn what_is_no_note_counts_as_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let last = LastRendering::new(folder.path(), HOUR, &key("a"));
        last.note([1; 32], SystemTime::now(), Vec::new());
        let whole = fs::read(&last.file).expect("the note");
        for length in 0..whole.len() {
            fs::write(&last.file, &whole[..length]).expect("written");
            assert!(!last.is_of(&[1; 32], || Some(Vec::new())), "{length} bytes");
        }
    }

    #[test]
    fn old_notes_go() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..MOST_NOTES + 3 {
            let last = LastRendering::new(folder.path(), HOUR, &key(&number.to_string()));
            last.note([1; 32], SystemTime::now(), Vec::new());
        }
        let notes = fs::read_dir(folder.path().join("renderings")).expect("the folder");
        assert_eq!(notes.count(), MOST_NOTES);
    }
}
