//! The machine's own files and environment.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix_formats::printable;

use super::files::{Machine, TextFile, is_missing};
use super::store_folder::StoreFolder;
use super::store_objects::{Place, StoreObjects};
use super::{
    Builds, EntryKind, EvalIo, FetchAttributes, FetchRequest, Fetched, FileType, Files,
    ParsedFlakeRef, StoreObject, WantedOutput,
};
use crate::path::{base_name, join};

/// Files as they lie on this machine. What the evaluation puts into the store can be read back: it is kept in memory,
/// or rather where it came from is, and written to a folder where one is given. Nothing is fetched, and nothing is built
/// unless there is something to build with.
#[derive(Default)]
pub struct LocalIo {
    objects: Arc<StoreObjects>,
    folder: Option<StoreFolder>,
    builds: Option<Arc<dyn Builds>>,
    /// Where messages go that do not go to standard error.
    messages: Option<Box<Hear>>,
}

/// Receives messages.
type Hear = dyn Fn(&str);

fn unsupported(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, message)
}

impl LocalIo {
    /// Files of this machine, and a folder that the evaluation's store objects are written to.
    pub fn with_store(folder: StoreFolder) -> Self {
        Self {
            folder: Some(folder),
            ..Self::default()
        }
    }

    /// The same, with objects that others put into the store, too, and that stay when it is gone.
    #[must_use]
    pub fn with_objects(mut self, objects: Arc<StoreObjects>) -> Self {
        self.objects = objects;
        self
    }

    /// The same, and what evaluations import is built.
    #[must_use]
    pub fn with_builds(mut self, builds: Arc<dyn Builds>) -> Self {
        self.builds = Some(builds);
        self
    }

    /// The same, with messages for `hear`, not for standard error.
    #[must_use]
    pub fn with_messages(mut self, hear: impl Fn(&str) + 'static) -> Self {
        self.messages = Some(Box::new(hear));
        self
    }

    /// Where the store has what lies at `path`.
    fn place(&self, path: &[u8]) -> Option<Place> {
        self.objects
            .place(path)
            .or_else(|| self.folder.as_ref()?.locate(path).map(Place::File))
    }

    /// Reads where something is: in an output that was built, else on this machine, else where the store has it from.
    fn look<T>(
        &self,
        path: &[u8],
        read: impl Fn(&dyn Files, &[u8]) -> io::Result<T>,
    ) -> io::Result<T> {
        let outside = |path: &[u8]| match self.objects.outputs() {
            Some(outputs) if outputs.holds(path) => read(outputs, path),
            _ => read(&Machine, path),
        };
        match outside(path) {
            Err(error) if is_missing(&error) => match self.place(path) {
                Some(Place::Text(text)) => read(&TextFile(text), path),
                Some(Place::File(file)) => outside(&file),
                None => Err(error),
            },
            result => result,
        }
    }
}

impl EvalIo for LocalIo {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        self.look(path, |files, path| files.read_file(path))
    }

    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        match self.look(path, |files, path| files.file_type(path)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        let from_store = Cell::new(false);
        let mut entries = self.look(path, |files, file| {
            from_store.set(file != path);
            files.read_dir(file)
        })?;
        if from_store.get() {
            entries.retain(|(name, _)| self.place(&join(path, name)).is_some());
        }
        Ok(entries)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        self.look(path, |files, path| files.read_link(path))
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        std::env::var_os(OsStr::from_bytes(name)).map(OsStringExt::into_vec)
    }

    fn current_time(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs() as i64)
    }

    fn add_to_store(&self, path: &str, object: StoreObject<'_>) -> io::Result<()> {
        if let Some(folder) = &self.folder {
            folder.put(base_name(path.as_bytes()), object)?;
            // What is built of it is made of what is kept.
            if self.builds.is_none() {
                return Ok(());
            }
        }
        self.objects.put(path.as_bytes(), object);
        Ok(())
    }

    fn store_path_exists(&self, path: &str) -> bool {
        self.file_type(path.as_bytes())
            .is_ok_and(|found| found.is_some())
    }

    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Option<Vec<String>>> {
        let builds = self.builds.as_ref();
        builds.map(|builds| builds.build(wanted)).transpose()
    }

    fn references(&self, path: &[u8]) -> Option<Vec<String>> {
        self.objects.outputs()?.references(path)
    }

    fn fetch(&self, _: &FetchRequest) -> io::Result<Fetched> {
        Err(unsupported("this evaluation has no fetcher"))
    }

    fn parse_flake_ref(&self, _: &str) -> io::Result<ParsedFlakeRef> {
        Err(unsupported("this evaluation knows no flakes"))
    }

    fn flake_ref_to_string(&self, _: &FetchAttributes) -> io::Result<String> {
        Err(unsupported("this evaluation knows no flakes"))
    }

    #[expect(
        clippy::print_stderr,
        reason = "messages of the evaluated program belong on the terminal"
    )]
    fn message(&self, text: &str) {
        if let Some(hear) = &self.messages {
            hear(text);
        } else {
            let text = printable(text.as_bytes(), io::stderr().is_terminal());
            eprintln!("{}", String::from_utf8_lossy(&text));
        }
    }
}
