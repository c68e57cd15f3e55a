//! One pass over what a builder left behind: read, looked through for references, and whatever else takes the bytes.

use std::collections::BTreeSet;
use std::io::{self, Read};

use nix_formats::references::RefScanner;
use nix_formats::{Hash, HashAlgorithm, Hasher, StorePath};

/// The bytes of a NAR of one plain file that come before its contents: `nix-archive-1 ( type regular contents`, and the size.
pub(super) const BEFORE_CONTENTS: u64 = 24 + 4 * 16 + 8;

/// Reads a NAR, and notes which paths it names.
pub(super) struct Watched<'a, R> {
    nar: R,
    scanner: RefScanner,
    /// Paths whose mention makes the rest of this pass useless.
    stops_at: &'a BTreeSet<StorePath>,
    has_stopped: bool,
    contents: Option<Window>,
}

/// Hashes the contents of the one file of a NAR.
struct Window {
    before: u64,
    left: u64,
    hasher: Hasher,
}

impl<'a, R: Read> Watched<'a, R> {
    /// Looks for these paths. Once the pass finds one of `stops_at` it gives no more.
    pub(super) fn new(
        nar: R,
        paths: impl IntoIterator<Item = StorePath>,
        stops_at: &'a BTreeSet<StorePath>,
    ) -> Self {
        Self {
            nar,
            scanner: RefScanner::new(paths),
            stops_at,
            has_stopped: false,
            contents: None,
        }
    }

    /// Hashes the contents of the plain file that the NAR is of, which has this size.
    pub(super) fn hash_contents(&mut self, algorithm: HashAlgorithm, size: u64) {
        self.contents = Some(Window {
            before: BEFORE_CONTENTS,
            left: size,
            hasher: Hasher::new(algorithm),
        });
    }

    /// Whether the pass was given up.
    pub(super) fn has_stopped(&self) -> bool {
        self.has_stopped
    }

    /// The paths that were found, and the hash of the contents.
    pub(super) fn finish(self) -> (BTreeSet<StorePath>, Option<Hash>) {
        let hash = self.contents.map(|window| window.hasher.finish());
        (self.scanner.found().clone(), hash)
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.nar.read(out)?;
        let bytes = &out[..count];
        let before = self.scanner.found().len();
        self.scanner.update(bytes);
        let found = self.scanner.found();
        if found.len() > before && !self.stops_at.is_disjoint(found) {
            self.has_stopped = true;
            return Err(io::Error::other("nothing of it is used"));
        }
        if let Some(contents) = &mut self.contents {
            contents.update(bytes);
        }
        Ok(count)
    }
}

impl Window {
    fn update(&mut self, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let skipped = self.before.min(length);
        self.before -= skipped;
        let taken = self.left.min(length - skipped);
        self.left -= taken;
        let (start, end) = (skipped as usize, (skipped + taken) as usize);
        self.hasher.update(&bytes[start..end]);
    }
}

/// The hash of all that a reader gives.
pub(super) fn hash(algorithm: HashAlgorithm, mut bytes: impl Read) -> io::Result<(Hash, u64)> {
    let mut hasher = Hasher::new(algorithm);
    let mut piece = vec![0; 256 << 10];
    loop {
        match bytes.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => hasher.update(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let size = hasher.written();
    Ok((hasher.finish(), size))
}
