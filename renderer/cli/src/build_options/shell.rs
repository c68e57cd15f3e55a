//! `/bin/sh` of sandboxes: a static shell of this machine.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::failure::Failure;

/// Where distributions have busybox, which is a shell if it is called `sh`.
const USUAL: [&str; 3] = [
    "/bin/busybox",
    "/usr/bin/busybox",
    "/usr/bin/busybox.static",
];

const HINT: &str = "install a static busybox (Debian and Ubuntu: apt-get install busybox-static; Alpine: apk add busybox-static; \
                    with Nix: nix build nixpkgs#pkgsStatic.busybox), or name a static shell with --sandbox-shell FILE";

/// The shell: the one that is named, else a static busybox of this machine. None if there is no such: builders that need no
/// shell do without.
pub(crate) fn find(named: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    if let Some(file) = named {
        return check(file).map(Some);
    }
    let usual = USUAL.iter().map(PathBuf::from);
    Ok(usual
        .into_iter()
        .find(|file| matches!(is_static(file), Ok(true))))
}

/// What to do where a builder needs a shell, and there is none.
pub(crate) fn hint() -> String {
    format!("there is no static shell for /bin/sh of the sandbox: {HINT}")
}

fn check(file: &Path) -> Result<PathBuf, Failure> {
    let shown = file.display();
    let found = is_static(file).with_context(|| format!("failed to read the shell '{shown}'"))?;
    if !found {
        let error = anyhow!(
            "'{shown}' cannot be the shell of sandboxes: expected a program that is linked statically, for nothing else of this \
             machine is in a sandbox"
        );
        return Err(Failure::with_hint(error, HINT));
    }
    Ok(file.canonicalize()?)
}

const PT_INTERP: u32 = 3;

/// Whether a file is a program that needs no other file: an ELF file that names no interpreter.
fn is_static(file: &Path) -> io::Result<bool> {
    let mut file = File::open(file)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut header = [0; 64];
    if let Err(error) = file.read_exact(&mut header) {
        let is_short = error.kind() == io::ErrorKind::UnexpectedEof;
        return if is_short { Ok(false) } else { Err(error) };
    }
    let (is_64, is_little) = match (&header[..4], header[4], header[5]) {
        (b"\x7fELF", class @ (1 | 2), order @ (1 | 2)) => (class == 2, order == 1),
        _ => return Ok(false),
    };
    let number = |bytes: &[u8]| {
        let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if is_little {
            bytes.iter().rev().fold(0, shift)
        } else {
            bytes.iter().fold(0, shift)
        }
    };
    let (offset, size, count) = if is_64 {
        (&header[32..40], &header[54..56], &header[56..58])
    } else {
        (&header[28..32], &header[42..44], &header[44..46])
    };
    let (offset, size, count) = (number(offset), number(size), number(count));
    for index in 0..count {
        file.seek(SeekFrom::Start(offset.saturating_add(index * size)))?;
        let mut kind = [0; 4];
        file.read_exact(&mut kind)?;
        if number(&kind) == u64::from(PT_INTERP) {
            return Ok(false);
        }
    }
    Ok(count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with these kinds of program headers.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56 * kinds.len()];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = kinds.len() as u8;
        for (index, kind) in kinds.iter().enumerate() {
            let at = 64 + 56 * index;
            bytes[at..at + 4].copy_from_slice(&kind.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn only_programs_that_need_no_other_file_are_shells() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sh");
        for (bytes, expected) in [
            (elf(&[1, 2]), true),
            (elf(&[1, PT_INTERP]), false),
            (elf(&[]), false),
            (b"#!/bin/sh\n".repeat(20), false),
            (Vec::new(), false),
        ] {
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(is_static(&file).unwrap(), expected, "{bytes:?}");
            assert_eq!(find(Some(&file)).is_ok(), expected);
        }
        assert!(!is_static(folder.path()).unwrap());
        assert!(find(Some(&folder.path().join("none"))).is_err());
    }
}
