//! What the last rendering saw, for a run that has nothing to do.
//!
//! A run that finds or leaves its branch up to date notes what the environments evaluated to, and what the branch has in
//! their places. A later run with the same arguments whose environments evaluate to the same, on a branch that still has the
//! same there, need neither ask the caches nor make the files again. That counts for some time only: a cache may sign a path
//! again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use niphas_gitops::{GitOpsRepository, Oid};
use niphas_render::{DeployFolder, places};
use nix_flake::{Digest, digest, hex};
use serde::{Deserialize, Serialize};

/// Raised when the text of a key, or the note that it names, comes to mean something else.
const VERSION: u32 = 1;

/// All that the files depend on beside what the environments evaluate to. It can hold secrets of references and URLs: nothing
/// prints it, and only a digest of it is kept.
#[derive(Serialize)]
pub struct RenderKey<'a> {
    /// This very program: [`nix_flake::program`].
    pub program: &'a str,
    /// The flake's reference.
    pub flake: &'a str,
    /// Where the files go.
    pub repository: RepositoryKey<'a>,
    /// The names of the environments, if they were named.
    pub environments: &'a [String],
    /// If objects are expanded.
    pub base_image: Option<&'a str>,
    /// The caches' URLs.
    pub caches: &'a [String],
    /// The keys, and how many of them must have signed.
    pub trust: &'a str,
}

/// Where the files go.
#[derive(Default, Serialize)]
pub struct RepositoryKey<'a> {
    /// The repository: an absolute path, or a URL.
    pub to: String,
    /// The branch, if it was named.
    pub branch: Option<&'a str>,
    /// The folder of the environments.
    pub dir: String,
}

/// What a branch has in the places of environments: Git's names of the files and folders there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BranchObjects(Vec<Option<String>>);

/// The note of runs with certain arguments.
#[derive(Debug)]
pub struct LastRendering {
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
    objects: BranchObjects,
}

/// This many notes are kept.
const MOST_NOTES: usize = 256;

impl RenderKey<'_> {
    /// `["niphas rendering", version, {…}]`, in the order of the fields.
    fn text(&self) -> Vec<u8> {
        serde_json::to_vec(&("niphas rendering", VERSION, self)).expect("texts are JSON")
    }
}

impl BranchObjects {
    /// Those that a commit has in the places of environments.
    pub fn read<'n>(
        repository: &GitOpsRepository,
        commit: Oid,
        folder: &DeployFolder,
        environments: impl IntoIterator<Item = &'n String>,
    ) -> Result<Self, niphas_gitops::Error> {
        let environments = environments.into_iter();
        let places: Vec<String> = environments.flat_map(|name| places(folder, name)).collect();
        let objects = repository.objects(commit, &places)?.into_iter();
        Ok(Self(
            objects.map(|object| Some(object?.to_string())).collect(),
        ))
    }
}

impl LastRendering {
    /// The note in a folder about runs with this key; it counts for some time after the caches were asked.
    pub fn new(folder: &Path, counts_for: Duration, key: &RenderKey<'_>) -> Self {
        let name = hex(&digest(&[&key.text()]));
        Self {
            file: folder.join("renderings").join(name),
            counts_for,
        }
    }

    /// What the branch had in the places of the environments when the last run left it, if the environments evaluated to the
    /// same as now, and the caches need not be asked again yet. Where the branch still has that, there is nothing to do.
    pub fn objects(&self, environments: &Digest) -> Option<BranchObjects> {
        let text = regular_file::read(&self.file).ok()?;
        let note: Note = serde_json::from_slice(&text).ok()?;
        let counts = note.environments == *environments
            && note.at.elapsed().is_ok_and(|age| age < self.counts_for);
        counts.then_some(note.objects)
    }

    /// Notes what a run saw that began at a time. Where that cannot be done the next run is slower; nothing else is lost.
    pub fn note(&self, environments: Digest, at: SystemTime, objects: BranchObjects) {
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

    fn key(program: &str) -> RenderKey<'_> {
        RenderKey {
            program,
            flake: "",
            repository: RepositoryKey::default(),
            environments: &[],
            base_image: None,
            caches: &[],
            trust: "",
        }
    }

    fn objects(name: &str) -> BranchObjects {
        BranchObjects(vec![Some(name.to_owned()), None])
    }

    /// Where this text changes, [`VERSION`] is raised.
    #[test]
    fn the_key_is_the_digest_of_this_text() {
        let environments = ["prod".to_owned()];
        let caches = ["https://cache".to_owned()];
        let key = RenderKey {
            program: "1.0 2 3",
            flake: "path:/flake",
            repository: RepositoryKey {
                to: "/gitops".to_owned(),
                branch: Some("main"),
                dir: "deploy".to_owned(),
            },
            environments: &environments,
            base_image: Some("image:1"),
            caches: &caches,
            trust: "trust",
        };
        let expected = concat!(
            r#"["niphas rendering",1,{"program":"1.0 2 3","flake":"path:/flake","#,
            r#""repository":{"to":"/gitops","branch":"main","dir":"deploy"},"#,
            r#""environments":["prod"],"base_image":"image:1","caches":["https://cache"],"trust":"trust"}]"#,
        );
        assert_eq!(String::from_utf8_lossy(&key.text()), expected);
        let last = LastRendering::new(Path::new("/cache"), HOUR, &key);
        let name = hex(&digest(&[expected.as_bytes()]));
        assert_eq!(last.file, Path::new("/cache/renderings").join(name));
    }

    #[test]
    fn a_note_counts_for_the_same_environments_and_not_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let last = LastRendering::new(folder.path(), HOUR, &key("a"));
        assert_eq!(last.objects(&[1; 32]), None, "nothing is noted yet");
        let now = SystemTime::now();
        last.note([1; 32], now, objects("a"));
        assert_eq!(last.objects(&[1; 32]), Some(objects("a")));
        assert_ne!(last.objects(&[1; 32]), Some(objects("b")));
        assert_eq!(last.objects(&[2; 32]), None, "other environments");
        let others = LastRendering::new(folder.path(), HOUR, &key("b"));
        assert_eq!(others.objects(&[1; 32]), None);
        let refreshed = LastRendering::new(folder.path(), Duration::ZERO, &key("a"));
        assert_eq!(refreshed.objects(&[1; 32]), None);
        last.note([1; 32], now - HOUR, objects("a"));
        assert_eq!(last.objects(&[1; 32]), None, "an hour ago");
        last.note([1; 32], now + HOUR, objects("a"));
        assert_eq!(last.objects(&[1; 32]), None, "a clock that was put back");
    }

    #[test]
    fn what_is_no_note_counts_as_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let last = LastRendering::new(folder.path(), HOUR, &key("a"));
        last.note([1; 32], SystemTime::now(), BranchObjects::default());
        let whole = fs::read(&last.file).expect("the note");
        for length in 0..whole.len() {
            fs::write(&last.file, &whole[..length]).expect("written");
            assert_eq!(last.objects(&[1; 32]), None, "{length} bytes");
        }
    }

    #[test]
    fn old_notes_go() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..MOST_NOTES + 3 {
            let last = LastRendering::new(folder.path(), HOUR, &key(&number.to_string()));
            last.note([1; 32], SystemTime::now(), BranchObjects::default());
        }
        let notes = fs::read_dir(folder.path().join("renderings")).expect("the folder");
        assert_eq!(notes.count(), MOST_NOTES);
    }
}
