//! Stores of any size, made without a cache: for tests and measurements, which name the feature `generated`.

use std::io::{self, BufReader, BufWriter, Write};
use std::sync::Arc;
use std::thread;

use nix_formats::hash::{HashAlgorithm, HashFormat};
use nix_formats::{NarInfo, StoreDir, nar};

use crate::leases::Leases;
use crate::pack::PackWriter;
use crate::{Store, StoredPath};

/// Files in a directory.
const IN_DIRECTORY: u64 = 1000;

/// Adds a path with this number of files of 8 bytes, as if its NAR had been fetched and verified; its hash is not that of the NAR. Paths with one
/// `seed` have the same files, as far as they go, and others have others.
pub fn add_path(store: &Store, number: u64, seed: u64, files: u64) -> io::Result<StoredPath> {
    add_path_with(store, number, seed, files, |_| {})
}

/// As [`add_path`], of which a cache said something else.
pub fn add_path_with(
    store: &Store,
    number: u64,
    seed: u64,
    files: u64,
    change: impl FnOnce(&mut NarInfo),
) -> io::Result<StoredPath> {
    let mut info = info(number, files);
    change(&mut info);
    let info = Arc::new(info);
    let shared = &store.shared;
    let id = shared.next_pack().map_err(io::Error::other)?;
    let path = shared.layout.tmp().join(id.to_string());
    let known = Some(Leases::new(Arc::clone(shared)));
    let (from, to) = io::pipe()?;
    let read = thread::scope(|scope| {
        scope.spawn(move || write(BufWriter::with_capacity(64 << 10, to), seed, files));
        let nar = BufReader::with_capacity(64 << 10, from);
        PackWriter::new(id, path, known).read(nar, info.nar_size)
    });
    let read = read.map_err(io::Error::other)?;
    let pin = if read.is_small() {
        store.put(read.into_small(), &info)
    } else {
        let draft = read.finish(&StoreDir::default(), &info);
        store.publish(draft.map_err(io::Error::other)?, &info)
    };
    let pack = pin.map_err(io::Error::other)?.pack;
    Ok(StoredPath { pack, info })
}

fn info(number: u64, files: u64) -> NarInfo {
    let digest = HashAlgorithm::Sha256.digest(&number.to_le_bytes());
    let text = digest.to_string(HashFormat::Nix32, false);
    let text = format!(
        "StorePath: /nix/store/{}-generated-{number}\nURL: nar/{text}.nar\nCompression: none\nNarHash: sha256:{text}\nNarSize: {}\nReferences: \n",
        &text[..32],
        size(files),
    );
    NarInfo::parse(&StoreDir::default(), &text).expect("it is well formed")
}

/// Of the NAR.
fn size(files: u64) -> u64 {
    let mut counted = Counted(0);
    // All files are alike in size, and so are all directories but the last.
    let whole = |files| {
        let mut counted = Counted(0);
        write(&mut counted, 0, files).expect("counting does not fail");
        counted.0
    };
    write(&mut counted, 0, 0).expect("counting does not fail");
    let (full, rest) = (files / IN_DIRECTORY, files % IN_DIRECTORY);
    let full = full * (whole(IN_DIRECTORY) - counted.0);
    let rest = if rest == 0 {
        0
    } else {
        whole(rest) - counted.0
    };
    counted.0 + full + rest
}

struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(to: impl Write, seed: u64, files: u64) -> Result<(), nar::WriterError> {
    let mut nar = nar::Writer::new(to);
    nar.begin_directory()?;
    for file in 0..files {
        if file % IN_DIRECTORY == 0 {
            nar.entry(format!("{:08}", file / IN_DIRECTORY).as_bytes())?;
            nar.begin_directory()?;
        }
        nar.entry(format!("{:03}", file % IN_DIRECTORY).as_bytes())?;
        nar.begin_file(false, 8)?;
        nar.contents(&(seed << 32 | file).to_le_bytes())?;
        nar.end_file()?;
        if (file + 1) % IN_DIRECTORY == 0 || file + 1 == files {
            nar.end_directory()?;
        }
    }
    nar.end_directory()?;
    nar.finish()?;
    Ok(())
}
