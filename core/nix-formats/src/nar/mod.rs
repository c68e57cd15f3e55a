//! The Nix archive format: one file system object, byte for byte the same for
//! the same tree.
//!
//! Every token is a string: its length in 8 bytes, little-endian, its bytes,
//! and zeros to a multiple of 8. Directory entries are sorted by name; nothing
//! but type, name, contents, symlink target and the executable bit is kept.

mod checker;
mod reader;
mod writer;

pub use checker::Checker;
pub use reader::{Event, Reader, ReaderError};
pub use writer::{Writer, WriterError};

use std::io;

use crate::hash::{Hash, HashAlgorithm, Hasher};

/// The first token of every archive.
pub const MAGIC: &str = "nix-archive-1";

/// Deepest nesting, as in Nix.
pub const MAX_DEPTH: usize = 64;

/// Longest entry name in bytes, as in Nix.
pub const MAX_NAME_LEN: usize = 255;

/// Longest symlink target in bytes, as in Nix.
pub const MAX_TARGET_LEN: usize = 4095;

/// The hash of the NAR that `write` writes, and the NAR's size in bytes. The
/// NAR itself is never held.
pub fn hash<E: From<WriterError>>(
    algorithm: HashAlgorithm,
    write: impl FnOnce(&mut Writer<Hasher>) -> Result<(), E>,
) -> Result<(Hash, u64), E> {
    let mut writer = Writer::new(Hasher::new(algorithm));
    write(&mut writer)?;
    let hasher = writer.finish()?;
    let size = hasher.written();
    Ok((hasher.finish(), size))
}

/// The hash and size of the NAR of one regular file.
pub fn hash_file(algorithm: HashAlgorithm, executable: bool, contents: &[u8]) -> (Hash, u64) {
    hash(algorithm, |writer| writer.file(executable, contents))
        .expect("one file is a whole archive, and hashing never fails")
}

fn is_valid_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_LEN
        && name != b"."
        && name != b".."
        && !name.contains(&b'/')
        && !name.contains(&0)
}

fn is_valid_target(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= MAX_TARGET_LEN && !target.contains(&0)
}

fn padding(size: u64) -> usize {
    (8 - (size % 8) as usize) % 8
}

fn unexpected_end() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file ended before its size was reached",
    )
}
