//! The machine's own files and environment.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{EvalIo, FetchRequest, Fetched, FileType, StoreObject};

/// Files as they lie on this machine; texts that the evaluation puts into the store are kept in memory, so that they
/// can be read back; nothing is fetched.
#[derive(Default)]
pub struct LocalIo {
    texts: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

fn native(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

impl LocalIo {
    fn text(&self, path: &[u8]) -> Option<Vec<u8>> {
        let texts = self
            .texts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        texts.get(path).cloned()
    }
}

impl EvalIo for LocalIo {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        match fs::read(native(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.text(path).ok_or(error),
            result => result,
        }
    }

    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        match fs::symlink_metadata(native(path)) {
            Ok(metadata) => Ok(Some(type_of(&metadata))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                let text = self.text(path);
                Ok(text.map(|_| FileType::Regular { executable: false }))
            }
            Err(error) => Err(error),
        }
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, FileType)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(native(path))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let kind = if kind.is_dir() {
                FileType::Directory
            } else if kind.is_symlink() {
                FileType::Symlink
            } else if kind.is_file() {
                type_of(&entry.metadata()?)
            } else {
                FileType::Unknown
            };
            entries.push((entry.file_name().into_vec(), kind));
        }
        Ok(entries)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        Ok(fs::read_link(native(path))?.into_os_string().into_vec())
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        std::env::var_os(OsStr::from_bytes(name)).map(OsStringExt::into_vec)
    }

    fn current_time(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs() as i64)
    }

    fn add_to_store(&self, path: &str, object: StoreObject<'_>) -> io::Result<()> {
        if let StoreObject::Text(text) = object {
            let mut texts = self
                .texts
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            texts.insert(path.as_bytes().to_vec(), text.to_vec());
        }
        Ok(())
    }

    fn store_path_exists(&self, path: &str) -> bool {
        self.text(path.as_bytes()).is_some() || fs::symlink_metadata(path).is_ok()
    }

    fn fetch(&self, _: &FetchRequest) -> io::Result<Fetched> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this evaluation has no fetcher",
        ))
    }

    #[expect(
        clippy::print_stderr,
        reason = "messages of the evaluated program belong on the terminal"
    )]
    fn message(&self, text: &str) {
        eprintln!("{text}");
    }
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
