//! The machine's own files and environment.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use nix_formats::printable;

use super::store_folder::StoreFolder;
use super::{
    EntryKind, EvalIo, FetchAttributes, FetchRequest, Fetched, FileType, ParsedFlakeRef,
    StoreObject,
};
use crate::path::{base_name, join, parent};

/// Files as they lie on this machine. What the evaluation puts into the store can be read back: it is kept in memory,
/// or rather where it came from is, and written to a folder where one is given. Nothing is fetched.
#[derive(Default)]
pub struct LocalIo {
    objects: Mutex<HashMap<Vec<u8>, Object>>,
    folder: Option<StoreFolder>,
    /// Where messages go that do not go to standard error.
    messages: Option<Box<Hear>>,
}

/// Receives messages.
type Hear = dyn Fn(&str);

/// What an evaluation put into the store.
enum Object {
    Text(Vec<u8>),
    Tree {
        source: Vec<u8>,
        included: Option<BTreeSet<Vec<u8>>>,
    },
}

/// Where to look for a path that is not a file of this machine.
enum Place {
    Text(Vec<u8>),
    File(Vec<u8>),
}

fn native(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

fn unsupported(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, message)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

impl LocalIo {
    /// Files of this machine, and a folder that the evaluation's store objects are written to.
    pub fn with_store(folder: StoreFolder) -> Self {
        Self {
            folder: Some(folder),
            ..Self::default()
        }
    }

    /// The same, with messages for `hear`, not for standard error.
    #[must_use]
    pub fn with_messages(mut self, hear: impl Fn(&str) + 'static) -> Self {
        self.messages = Some(Box::new(hear));
        self
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Object>> {
        let objects = self.objects.lock();
        objects.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Where the store has what lies at `path`.
    fn place(&self, path: &[u8]) -> Option<Place> {
        let objects = self.objects();
        let mut object = path;
        while object != b"/" && !objects.is_empty() {
            match objects.get(object) {
                Some(Object::Text(text)) if object == path => {
                    return Some(Place::Text(text.clone()));
                }
                Some(Object::Tree { source, included }) => {
                    let file = [source, &path[object.len()..]].concat();
                    let whole = included.as_ref().is_none_or(|set| set.contains(&file));
                    return (whole || object == path).then_some(Place::File(file));
                }
                _ => object = parent(object),
            }
        }
        drop(objects);
        self.folder.as_ref()?.locate(path).map(Place::File)
    }

    /// Tries the machine's file first, then what the store has.
    fn with_place<T>(
        &self,
        path: &[u8],
        on_text: impl FnOnce(Vec<u8>) -> io::Result<T>,
        on_file: impl Fn(&[u8]) -> io::Result<T>,
    ) -> io::Result<T> {
        match on_file(path) {
            Err(error) if is_missing(&error) => match self.place(path) {
                Some(Place::Text(text)) => on_text(text),
                Some(Place::File(file)) => on_file(&file),
                None => Err(error),
            },
            result => result,
        }
    }
}

impl EvalIo for LocalIo {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        self.with_place(path, Ok, |path| read(native(path)))
    }

    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        let found = self.with_place(
            path,
            |_| Ok(FileType::Regular { executable: false }),
            |path| fs::symlink_metadata(native(path)).map(|metadata| type_of(&metadata)),
        );
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        let is_text = |_| Err(io::ErrorKind::NotADirectory.into());
        let from_store = Cell::new(false);
        let mut entries = self.with_place(path, is_text, |file| {
            from_store.set(file != path);
            list(file)
        })?;
        if from_store.get() {
            entries.retain(|(name, _)| self.place(&join(path, name)).is_some());
        }
        Ok(entries)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let is_text = |_| Err(io::ErrorKind::InvalidInput.into());
        self.with_place(path, is_text, |path| {
            Ok(fs::read_link(native(path))?.into_os_string().into_vec())
        })
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
            return folder.put(base_name(path.as_bytes()), object);
        }
        let object = match object {
            StoreObject::Text(text) => Object::Text(text.to_vec()),
            StoreObject::Tree { source, included } => Object::Tree {
                source: source.to_vec(),
                included: included.cloned(),
            },
        };
        self.objects().insert(path.as_bytes().to_vec(), object);
        Ok(())
    }

    fn store_path_exists(&self, path: &str) -> bool {
        self.file_type(path.as_bytes())
            .is_ok_and(|found| found.is_some())
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

/// The contents of a file. Like Nix, it finds nothing in a device such as `/dev/null`; it does not wait for a pipe.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.file_type().is_char_device() {
        return Ok(Vec::new());
    }
    regular_file::read(path)
}

fn list(path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(native(path))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = if kind.is_dir() {
            EntryKind::Directory
        } else if kind.is_symlink() {
            EntryKind::Symlink
        } else if kind.is_file() {
            EntryKind::Regular
        } else {
            EntryKind::Unknown
        };
        entries.push((entry.file_name().into_vec(), kind));
    }
    Ok(entries)
}

fn type_of(metadata: &fs::Metadata) -> FileType {
    let kind = metadata.file_type();
    if kind.is_dir() {
        FileType::Directory
    } else if kind.is_symlink() {
        FileType::Symlink
    } else if kind.is_file() {
        FileType::Regular {
            executable: metadata.permissions().mode() & 0o100 != 0,
        }
    } else {
        FileType::Unknown
    }
}
