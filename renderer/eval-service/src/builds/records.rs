//! Where the builds of runs are remembered: a file for each run, and in memory those that are under way.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tracing::warn;

use super::record::RunRecord;
use crate::queue::Key;

/// Runs of one source: as many as its status remembers.
const MOST_RUNS: usize = 10;
/// How often pages are given a run that is under way: it may be large.
const SOON: Duration = Duration::from_millis(500);
/// How often a run that is under way is written.
const INTERVAL: Duration = Duration::from_secs(10);
/// The most bytes of a file.
const MOST_BYTES: u64 = 16 << 20;

/// A run of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RunName {
    pub(crate) source: Key,
    /// What it is called in addresses.
    pub(crate) id: String,
}

/// The builds of runs.
#[derive(Debug)]
pub(crate) struct Records {
    folder: PathBuf,
    live: Mutex<HashMap<RunName, Arc<RunRecord>>>,
    /// One file is written at a time, so that no older state takes the place of a newer one.
    writing: Mutex<()>,
}

impl Records {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            live: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<RunName, Arc<RunRecord>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder_of(&self, source: &Key) -> PathBuf {
        self.folder.join(&source.namespace).join(&source.name)
    }

    fn file(&self, run: &RunName) -> PathBuf {
        self.folder_of(&run.source).join(format!("{}.json", run.id))
    }

    /// The builds of a run, if it is remembered. Blocks.
    pub(crate) fn read(&self, run: &RunName) -> Option<Arc<RunRecord>> {
        if let Some(record) = self.live().get(run) {
            return Some(Arc::clone(record));
        }
        let is_plain = |text: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            text.bytes().all(is_plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        };
        if ![&run.source.namespace, &run.source.name, &run.id]
            .iter()
            .all(|it| is_plain(it))
        {
            return None;
        }
        let file = self.file(run);
        match read(&file) {
            Ok(record) => Some(Arc::new(record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(file = %file.display(), %error, "failed to read the builds of a run");
                None
            }
        }
    }

    /// Writes a run that is under way as it is. Blocks.
    fn save(&self, run: &RunName) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let record = self.live().get(run).map(Arc::clone);
        let Some(record) = record else { return };
        let file = self.file(run);
        let written = write(&file, &record).and_then(|()| prune(&self.folder_of(&run.source)));
        if let Err(error) = written {
            warn!(file = %file.display(), %error, "failed to keep the builds of a run");
        }
    }

    /// Forgets all sources but these. Blocks.
    pub(crate) fn keep_only(&self, sources: &HashSet<Key>) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        keep_only(&self.folder, sources)
    }
}

/// Removes the folders `NAMESPACE/NAME` of all sources but these.
pub(super) fn keep_only(folder: &Path, sources: &HashSet<Key>) -> io::Result<()> {
    for (namespace, of_namespace) in folders(folder)? {
        for (name, of_source) in folders(&of_namespace)? {
            let key = Key {
                namespace: namespace.clone(),
                name,
            };
            if !sources.contains(&key) {
                fs::remove_dir_all(of_source)?;
            }
        }
        // One that still has sources stays.
        let _ = fs::remove_dir(of_namespace);
    }
    Ok(())
}

/// The folders in a folder, by name.
pub(super) fn folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.file_type()?.is_dir()
        {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

fn read(file: &Path) -> io::Result<RunRecord> {
    let mut text = Vec::new();
    let file = regular_file::open_no_follow(file)?;
    file.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// The file is there as a whole, or as it was before.
fn write(file: &Path, record: &RunRecord) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    let mut out = BufWriter::new(File::create(&new)?);
    serde_json::to_writer(&mut out, record)?;
    out.flush()?;
    fs::rename(new, file)
}

/// Removes the files of runs that no status remembers: names are times, so the last ones are the newest.
fn prune(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension() {
            Some(extension) if extension == "json" => files.push(path),
            _ => fs::remove_file(path)?,
        }
    }
    files.sort_unstable();
    let more = files.len().saturating_sub(MOST_RUNS);
    files[..more].iter().try_for_each(fs::remove_file)
}

/// The builds of a run that is under way. It is over when this is dropped.
pub(super) struct Recording {
    records: Arc<Records>,
    run: RunName,
    record: RunRecord,
    /// It has changed since pages were given it.
    is_news: bool,
    shown: Option<Instant>,
    saved: Option<Instant>,
}

impl Recording {
    pub(super) fn new(records: Arc<Records>, run: RunName, record: RunRecord) -> Self {
        Self {
            records,
            run,
            record,
            is_news: true,
            shown: None,
            saved: None,
        }
    }

    /// Changes it; to be called again and again. Pages have that soon, and now and then it is written.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut RunRecord) -> bool) {
        self.is_news |= change(&mut self.record);
        if !self.is_news || self.shown.is_some_and(|shown| shown.elapsed() < SOON) {
            return;
        }
        (self.is_news, self.shown) = (false, Some(Instant::now()));
        self.show();
        if self.saved.is_none_or(|saved| saved.elapsed() >= INTERVAL) {
            self.saved = Some(Instant::now());
            let (records, run) = (Arc::clone(&self.records), self.run.clone());
            blocking(move || records.save(&run));
        }
    }

    fn show(&self) {
        let record = Arc::new(self.record.clone());
        self.records.live().insert(self.run.clone(), record);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.record.end();
        self.show();
        let (records, run) = (Arc::clone(&self.records), self.run.clone());
        blocking(move || {
            records.save(&run);
            records.live().remove(&run);
        });
    }
}

/// Does it elsewhere, where there is such a place.
fn blocking(work: impl FnOnce() + Send + 'static) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, id: &str) -> RunName {
        let source = Key {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        };
        RunName {
            source,
            id: id.to_owned(),
        }
    }

    #[test]
    fn runs_are_remembered_by_the_next_service() {
        let folder = tempfile::tempdir().unwrap();
        let records = Arc::new(Records::new(folder.path().join("runs")));
        for number in 10..25 {
            let name = run("web", &format!("20261201-0500{number}"));
            let mut recording = Recording::new(Arc::clone(&records), name, RunRecord::default());
            recording.update(|_| true);
        }
        let next = Records::new(folder.path().join("runs"));
        assert_eq!(next.read(&run("web", "20261201-050014")), None);
        assert!(next.read(&run("web", "20261201-050015")).is_some());
        assert!(next.read(&run("web", "20261201-050024")).is_some());
        assert_eq!(next.read(&run("web", "../web/20261201-050024")), None);
        let of = folder.path().join("runs/shop/web");
        assert_eq!(fs::read_dir(&of).unwrap().count(), MOST_RUNS);
        fs::write(of.join("20261201-050024.json"), "{\"builds\": 1}").unwrap();
        assert_eq!(next.read(&run("web", "20261201-050024")), None, "damaged");
    }

    #[test]
    fn sources_that_are_gone_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let records = Arc::new(Records::new(folder.path().to_owned()));
        for name in ["web", "gone"] {
            let name = run(name, "20261201-050010");
            Recording::new(Arc::clone(&records), name, RunRecord::default()).update(|_| true);
        }
        let keys = [run("web", "").source].into();
        records.keep_only(&keys).unwrap();
        assert!(records.read(&run("web", "20261201-050010")).is_some());
        assert_eq!(records.read(&run("gone", "20261201-050010")), None);
        records.keep_only(&HashSet::new()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
