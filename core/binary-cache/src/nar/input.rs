//! The file that a NAR is read from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use crate::decompress::HEAD;
use crate::download::{Download, Waiter, cancelled};
use crate::error::FetchError;

/// A file that was opened.
pub(super) enum Opened {
    Folder(File),
    Server(Box<Download>),
}

impl Opened {
    /// The first bytes of the file, as far as they are here.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        let length = match self {
            Self::Folder(file) => file.read_at(&mut head, 0).unwrap_or(0),
            Self::Server(download) => {
                let here = download.here();
                let length = here.len().min(HEAD);
                head[..length].copy_from_slice(&here[..length]);
                length
            }
        };
        head.truncate(length);
        head
    }
}

/// The file that is read.
pub(super) enum Lent {
    Folder(BufReader<io::Take<File>>, Waiter),
    Server(Box<Download>),
}

impl Lent {
    pub(super) fn new(file: Opened, waiter: Waiter, max: u64) -> Self {
        match file {
            Opened::Folder(file) => {
                Self::Folder(BufReader::with_capacity(128 * 1024, file.take(max)), waiter)
            }
            Opened::Server(mut download) => {
                download.attach(waiter);
                Self::Server(download)
            }
        }
    }

    /// Whether the bytes may be of several answers of servers.
    pub(super) fn is_pieced(&self) -> bool {
        match self {
            Self::Folder(..) => false,
            Self::Server(download) => download.is_pieced(),
        }
    }

    pub(super) fn into_failure(self) -> Option<FetchError> {
        match self {
            Self::Folder(..) => None,
            Self::Server(download) => download.failure,
        }
    }
}

impl BufRead for Lent {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Folder(_, waiter) if waiter.is_gone() => Err(cancelled()),
            Self::Folder(file, _) => file.fill_buf(),
            Self::Server(download) => download.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Folder(file, _) => file.consume(count),
            Self::Server(download) => download.consume(count),
        }
    }
}

impl Read for Lent {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Folder(_, waiter) if waiter.is_gone() => Err(cancelled()),
            Self::Folder(file, _) => file.read(out),
            Self::Server(download) => download.read(out),
        }
    }
}
