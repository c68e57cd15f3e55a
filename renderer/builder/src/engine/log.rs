//! The logs of builds: `logs/<derivation>.zst` in the store's folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix_formats::StorePath;
use zstd::stream::write::Encoder;

/// Bytes of a log that are kept.
const MAX_LOG: u64 = 256 << 20;

/// Logs are short, and written while builders wait.
const LEVEL: i32 = 1;

/// What stands at the end of a log that was longer.
const CUT: &[u8] = b"\n(the rest of this log was not kept)\n";

/// The file of a derivation's log in a build store's folder.
pub fn log_file(store: &Path, derivation: &StorePath) -> PathBuf {
    store
        .join("logs")
        .join(format!("{}.zst", derivation.base_name()))
}

/// A log that is being written. What was written is readable even if the process ends now.
pub(super) struct Log {
    path: PathBuf,
    /// Made with the first byte: it is most of what a silent builder's log would cost.
    encoder: Option<Encoder<'static, File>>,
    written: u64,
    is_cut: bool,
}

impl Log {
    /// Begins the log of a derivation, in place of an older one.
    pub(super) fn begin(store: &Path, derivation: &StorePath) -> io::Result<Self> {
        let path = log_file(store, derivation);
        // What reads the older one reads on.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            path,
            encoder: None,
            written: 0,
            is_cut: false,
        })
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.is_cut {
            return Ok(());
        }
        let left = MAX_LOG - self.written;
        self.is_cut = piece.len() as u64 > left;
        let piece = if self.is_cut {
            &piece[..left as usize]
        } else {
            piece
        };
        self.written += piece.len() as u64;
        let encoder = self.encoder()?;
        encoder.write_all(piece)?;
        encoder.flush()
    }

    /// There is no more.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let is_cut = self.is_cut;
        let encoder = self.encoder()?;
        if is_cut {
            encoder.write_all(CUT)?;
        }
        match self.encoder {
            Some(encoder) => encoder.finish().map(drop),
            None => Ok(()),
        }
    }

    fn encoder(&mut self) -> io::Result<&mut Encoder<'static, File>> {
        match &mut self.encoder {
            Some(encoder) => Ok(encoder),
            none => {
                let file = File::create_new(&self.path)?;
                Ok(none.insert(Encoder::new(file, LEVEL)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn derivation() -> StorePath {
        StorePath::from_base_name("44r15qp3hx522xqaf9szcv8j812p14b7-x.drv").unwrap()
    }

    fn read(store: &Path) -> Vec<u8> {
        let file = File::open(log_file(store, &derivation())).unwrap();
        let mut text = Vec::new();
        // The frame of a log that was not finished has no end.
        let _ = zstd::stream::read::Decoder::new(file)
            .unwrap()
            .read_to_end(&mut text);
        text
    }

    #[test]
    fn what_was_written_is_there_though_the_log_was_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let mut log = Log::begin(folder.path(), &derivation()).unwrap();
        assert!(!log_file(folder.path(), &derivation()).exists());
        for piece in [&b"one\n"[..], b"two\n"] {
            log.write(piece).unwrap();
        }
        assert_eq!(read(folder.path()), b"one\ntwo\n");
        let mut next = Log::begin(folder.path(), &derivation()).unwrap();
        next.write(b"three").unwrap();
        next.finish().unwrap();
        assert_eq!(read(folder.path()), b"three");
        let silent = Log::begin(folder.path(), &derivation()).unwrap();
        silent.finish().unwrap();
        let file = File::open(log_file(folder.path(), &derivation())).unwrap();
        assert_eq!(zstd::decode_all(file).unwrap(), b"");
    }

    #[test]
    fn a_log_without_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let mut log = Log::begin(folder.path(), &derivation()).unwrap();
        let piece = vec![b'y'; 1 << 20];
        for _ in 0..300 {
            log.write(&piece).unwrap();
        }
        log.finish().unwrap();
        let text = read(folder.path());
        assert_eq!(text.len() as u64, MAX_LOG + CUT.len() as u64);
        assert!(text.ends_with(CUT));
    }
}
