//! A file of a cache that is being sent.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, Stream};
use http::HeaderValue;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::name::Name;

/// What is read at once: what a connection holds in memory.
const PIECE: u64 = 256 << 10;

/// A file that is open. It is sent as it was, even if it is replaced or collected meanwhile.
#[derive(Debug)]
pub(super) struct Opened {
    file: Arc<File>,
    about: Metadata,
}

impl Opened {
    /// Opens a file of a cache: a regular one in the folder itself or one that is in it. Symlinks are not there.
    pub(super) fn open(cache: &Path, name: &Name) -> io::Result<Option<Self>> {
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (below, name) = name.place();
        let opened = openat(CWD, cache, folder, Mode::empty()).and_then(|cache| {
            let within = match below {
                Some(below) => openat(cache, below, folder | OFlags::NOFOLLOW, Mode::empty())?,
                None => cache,
            };
            let flags = OFlags::RDONLY
                | OFlags::NOFOLLOW
                | OFlags::NONBLOCK
                | OFlags::NOCTTY
                | OFlags::CLOEXEC;
            openat(within, name, flags, Mode::empty())
        });
        let file = match opened {
            Ok(file) => File::from(file),
            // A symlink; and what is in the way of the folder.
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let about = file.metadata()?;
        Ok(about.is_file().then(|| Self {
            file: Arc::new(file),
            about,
        }))
    }

    pub(super) fn size(&self) -> u64 {
        self.about.len()
    }

    /// Differs when the file does: files of caches are replaced, never changed.
    pub(super) fn etag(&self) -> HeaderValue {
        let about = &self.about;
        let tag = format!(
            "\"{:x}-{:x}-{:x}{:08x}\"",
            about.ino(),
            about.len(),
            about.mtime(),
            about.mtime_nsec()
        );
        HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// Bytes from `start` on, `length` of them.
    pub(super) fn pieces(
        self,
        start: u64,
        length: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream::try_unfold((start, length), move |(at, left)| {
            let file = Arc::clone(&self.file);
            async move {
                let count = left.min(PIECE);
                if count == 0 {
                    return Ok(None);
                }
                let read = move || {
                    let mut piece = vec![0; count as usize];
                    file.read_exact_at(&mut piece, at)?;
                    Ok::<_, io::Error>(Bytes::from(piece))
                };
                let piece = tokio::task::spawn_blocking(read).await??;
                Ok(Some((piece, (at + count, left - count))))
            }
        })
    }
}
