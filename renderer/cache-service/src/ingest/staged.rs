//! The uploads of one build in one pod.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use zstd::stream::read::Decoder;

use super::upload::Upload;
use crate::protocol::Outcome;

/// What is uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    Log,
    Output(String),
}

/// How the bytes of an upload are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Encoding {
    Identity,
    Zstd,
}

/// The file with the outcome of a build.
const OUTCOME: &str = "outcome.json";

/// How far a compressed NAR may refer back: what its decoder takes of memory. zstd's levels up to 19 need no more.
const WINDOW_LOG: u32 = 23;

/// See the module.
#[derive(Debug)]
pub(super) struct Staged {
    folder: PathBuf,
    /// What this takes is counted here.
    all: Arc<AtomicU64>,
    bytes: AtomicU64,
    last: Mutex<Instant>,
    uploads: Mutex<HashMap<What, Arc<Upload>>>,
    /// The length of the log.
    log: watch::Sender<u64>,
    is_finished: AtomicBool,
    is_removed: AtomicBool,
}

impl Staged {
    /// What is in a folder.
    pub(super) fn found(folder: PathBuf, all: Arc<AtomicU64>) -> io::Result<Self> {
        let mut bytes = 0;
        for entry in fs::read_dir(&folder)? {
            bytes += entry?.metadata()?.len();
        }
        all.fetch_add(bytes, Ordering::Relaxed);
        let log = fs::metadata(folder.join("log")).map_or(0, |about| about.len());
        let is_finished = folder.join(OUTCOME).exists();
        Ok(Self {
            folder,
            all,
            bytes: AtomicU64::new(bytes),
            last: Mutex::new(Instant::now()),
            uploads: Mutex::default(),
            log: watch::Sender::new(log),
            is_finished: AtomicBool::new(is_finished),
            is_removed: AtomicBool::new(false),
        })
    }

    pub(super) fn path(&self, what: &What, encoding: Encoding) -> PathBuf {
        self.folder.join(match (what, encoding) {
            (What::Log, _) => "log".to_owned(),
            (What::Output(name), Encoding::Identity) => format!("output-{name}.nar"),
            (What::Output(name), Encoding::Zstd) => format!("output-{name}.nar.zst"),
        })
    }

    /// How far an upload is: its encoding, and its bytes. None: it has not begun.
    pub(super) fn progress(&self, what: &What) -> io::Result<Option<(Encoding, u64)>> {
        for encoding in [Encoding::Identity, Encoding::Zstd] {
            match fs::metadata(self.path(what, encoding)) {
                Ok(about) => return Ok(Some((encoding, about.len()))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Who writes an upload.
    pub(super) fn upload(&self, what: &What) -> Arc<Upload> {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(uploads.entry(what.clone()).or_default())
    }

    /// Bytes were added.
    pub(super) fn grew(&self, what: &What, bytes: u64, length: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
        self.touch();
        if *what == What::Log {
            self.log.send_replace(length);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Removes an upload.
    pub(super) fn drop_upload(&self, what: &What) -> io::Result<()> {
        if let Some((encoding, bytes)) = self.progress(what)? {
            fs::remove_file(self.path(what, encoding))?;
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.all.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn silent_for(&self) -> Duration {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed()
    }

    pub(super) fn log_length(&self) -> watch::Receiver<u64> {
        self.log.subscribe()
    }

    /// Removes it all.
    pub(super) fn remove(&self) {
        if self.is_removed.swap(true, Ordering::Relaxed) {
            return;
        }
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        self.all.fetch_sub(bytes, Ordering::Relaxed);
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "failed to remove uploads");
        }
    }

    /// Whether there is an outcome.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Relaxed)
    }

    /// The outcome, if there is one. What is damaged is none.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let text = fs::read(self.folder.join(OUTCOME)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps the outcome. Outputs are no longer needed; the log may be read on.
    pub(super) fn finish<'a>(
        &self,
        outcome: &Outcome,
        outputs: impl IntoIterator<Item = &'a String>,
    ) -> io::Result<()> {
        let text = serde_json::to_vec(outcome)?;
        let (new, path) = (self.folder.join("outcome.new"), self.folder.join(OUTCOME));
        fs::write(&new, &text)?;
        fs::rename(new, path)?;
        self.is_finished.store(true, Ordering::Relaxed);
        self.grew(&What::Output(String::new()), text.len() as u64, 0);
        for output in outputs {
            self.drop_upload(&What::Output(output.clone()))?;
        }
        Ok(())
    }

    /// Opens the NAR of an output, of at most `limit` bytes. `broken` becomes true if the disk fails.
    pub(super) fn open(
        &self,
        output: &str,
        limit: u64,
        broken: &Arc<AtomicBool>,
    ) -> io::Result<Box<dyn Read>> {
        let what = What::Output(output.to_owned());
        let (encoding, _) = self.progress(&what)?.ok_or(io::ErrorKind::NotFound)?;
        let file = OwnFile::open(&self.path(&what, encoding), broken)?;
        Ok(match encoding {
            Encoding::Identity => Box::new(Bounded::new(file, limit)),
            Encoding::Zstd => {
                let mut decoder = Decoder::with_buffer(BufReader::with_capacity(128 << 10, file))?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(Bounded::new(decoder, limit))
            }
        })
    }

    /// The log, as far as it came.
    pub(super) fn log_path(&self) -> PathBuf {
        self.path(&What::Log, Encoding::Identity)
    }
}

/// A file whose failures are the service's own, and no pod's.
struct OwnFile(File, Arc<AtomicBool>);

impl OwnFile {
    fn open(path: &Path, broken: &Arc<AtomicBool>) -> io::Result<Self> {
        let file = regular_file::open_no_follow(path);
        let file = file.inspect_err(|_| broken.store(true, Ordering::Relaxed))?;
        Ok(Self(file, Arc::clone(broken)))
    }
}

impl Read for OwnFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(out);
        read.inspect_err(|_| self.1.store(true, Ordering::Relaxed))
    }
}

/// Fails once there is more than there may be.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    fn new(inner: R, limit: u64) -> Self {
        Self {
            inner,
            left: limit,
            limit,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => Err(io::Error::other(format!(
                "the NAR has more than {} bytes",
                self.limit
            ))),
        }
    }
}
