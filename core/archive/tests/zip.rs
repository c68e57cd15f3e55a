//! Zip archives, made byte by byte, so that they can lie.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::Crc;
use flate2::write::DeflateEncoder;
use niphas_archive::{Top, Unpacked, is_zip, unpack};
use tempfile::TempDir;

const LIMIT: u64 = 1 << 20;
const UNIX: u16 = 3 << 8 | 0x14;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;
const DEFLATE: u16 = 8;

/// An entry, and what is said of it.
struct Entry {
    name: &'static [u8],
    mode: u32,
    stored: Vec<u8>,
    method: u16,
    flags: u16,
    crc: u32,
    size: u32,
    /// The number of the entry whose data this has.
    of: Option<usize>,
}

fn entry(name: &'static str, mode: u32, contents: &[u8]) -> Entry {
    let mut crc = Crc::new();
    crc.update(contents);
    Entry {
        name: name.as_bytes(),
        mode,
        stored: contents.to_vec(),
        method: 0,
        flags: 0,
        crc: crc.sum(),
        size: contents.len().try_into().unwrap(),
        of: None,
    }
}

fn deflated(name: &'static str, mode: u32, contents: &[u8]) -> Entry {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(contents).unwrap();
    Entry {
        stored: encoder.finish().unwrap(),
        method: DEFLATE,
        ..entry(name, mode, contents)
    }
}

/// What the local and the central header have in common: 2023-11-14 22:13:20.
fn common(entry: &Entry) -> Vec<u8> {
    let mut header = Vec::new();
    for number in [
        20,
        entry.flags,
        entry.method,
        22 << 11 | 13 << 5 | 0xa,
        43 << 9 | 11 << 5 | 0xe,
    ] {
        header.extend(number.to_le_bytes());
    }
    let stored: u32 = entry.stored.len().try_into().unwrap();
    for number in [entry.crc, stored, entry.size] {
        header.extend(number.to_le_bytes());
    }
    let name: u16 = entry.name.len().try_into().unwrap();
    header.extend(name.to_le_bytes());
    header.extend([0; 2]);
    header
}

fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut archive, mut directory, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        let mut offset = u32::try_from(archive.len()).unwrap();
        if let Some(of) = entry.of {
            offset = offsets[of];
        } else {
            archive.extend(b"PK\x03\x04");
            archive.extend(common(entry));
            archive.extend(entry.name);
            archive.extend(&entry.stored);
        }
        offsets.push(offset);
        directory.extend(b"PK\x01\x02");
        directory.extend(UNIX.to_le_bytes());
        directory.extend(common(entry));
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name);
    }
    let start = u32::try_from(archive.len()).unwrap();
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    let count = u16::try_from(entries.len()).unwrap();
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0; 2]);
    archive
}

/// Unpacks an archive, and gives what `look` sees in its tree.
fn seen<T>(archive: &[u8], look: impl FnOnce(&Unpacked) -> T) -> Result<T, String> {
    let folder = TempDir::new().unwrap();
    let (file, scratch) = (folder.path().join("a.zip"), folder.path().join("scratch"));
    fs::write(&file, archive).unwrap();
    fs::create_dir(&scratch).unwrap();
    assert!(is_zip(&file).unwrap());
    let unpacked =
        unpack(&file, &scratch, LIMIT, Top::LeftOut).map_err(|error| error.to_string())?;
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 2, "something is outside of the tree");
    Ok(look(&unpacked))
}

fn failure(entries: &[Entry]) -> String {
    seen(&zip(entries), |_| ()).unwrap_err()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).unwrap().permissions().mode() & 0o111 != 0
}

#[test]
fn files_programs_links_and_folders_are_laid_out() {
    let long = b"again and ".repeat(1000);
    let archive = zip(&[
        entry("top/", 0o040_755, b""),
        deflated("top/long", FILE, &long),
        entry("top/bin/run", PROGRAM, b"#!"),
        entry("top/link", LINK, b"bin/run"),
        entry("top/empty/", 0o040_755, b""),
        entry("top/none", FILE, b""),
        entry("top/long", FILE, b"the last of one name counts"),
    ]);
    seen(&archive, |unpacked| {
        let path = |name: &str| unpacked.root.join(name);
        assert_eq!(
            fs::read(path("long")).unwrap(),
            b"the last of one name counts"
        );
        assert_eq!(fs::read(path("none")).unwrap(), b"");
        assert_eq!(fs::read_link(path("link")).unwrap(), Path::new("bin/run"));
        assert!(path("empty").is_dir());
        assert!(is_executable(&path("bin/run")) && !is_executable(&path("none")));
        assert_eq!(unpacked.last_modified, 1_700_000_000);
    })
    .unwrap();
    // An archive without entries.
    seen(&zip(&[]), |unpacked| assert_eq!(unpacked.last_modified, 0)).unwrap();
}

#[test]
fn nothing_is_written_outside_of_the_tree() {
    assert_eq!(
        failure(&[entry("a/../../outside", FILE, b"x")]),
        "entry 'a/../../outside' leads out of it"
    );
    assert_eq!(
        failure(&[
            entry("link", LINK, b".."),
            entry("link/outside", FILE, b"x")
        ]),
        "parent of 'link/outside' is not a directory"
    );
    assert!(failure(&[entry("fifo", 0o010_644, b"")]).contains("unsupported type"));
}

#[test]
fn what_an_archive_says_of_its_entries_must_be_true() {
    let wrong_crc = Entry {
        crc: 1,
        ..entry("a", FILE, b"x")
    };
    assert!(failure(&[wrong_crc]).contains("'a'"));
    let longer = Entry {
        size: 1,
        ..deflated("a", FILE, b"xy")
    };
    assert!(failure(&[longer]).contains("'a'"));
    let shorter = Entry {
        size: 9,
        ..deflated("a", FILE, b"xy")
    };
    assert!(!failure(&[shorter]).is_empty());
    let broken = Entry {
        stored: b"\xff\xff".to_vec(),
        ..deflated("a", FILE, b"xy")
    };
    assert!(!failure(&[broken]).is_empty());
    let link = Entry {
        size: 1,
        ..deflated("a", LINK, b"xy")
    };
    assert!(failure(&[link]).contains("'a'"));
}

#[test]
fn sizes_are_bounded_before_the_work() {
    let bomb = deflated("a", FILE, &vec![0; LIMIT as usize + 1]);
    assert_eq!(
        failure(&[bomb]),
        format!("it unpacks to more than {LIMIT} bytes")
    );
    let again = Entry {
        of: Some(0),
        ..entry("b", FILE, &[7; 300])
    };
    let third = Entry {
        of: Some(0),
        ..entry("c", FILE, &[7; 300])
    };
    let all = [entry("a", FILE, &[7; 300]), again, third];
    assert_eq!(failure(&all), "its entries overlap");
    let target = entry("a", LINK, &[b'a'; 5000]);
    assert_eq!(
        failure(&[target]),
        "the target of symbolic link 'a' has more than 4096 bytes"
    );
    let all = zip(&[entry("a", FILE, b"x")]);
    for length in 4..all.len() {
        assert!(seen(&all[..length], |_| ()).is_err(), "{length} bytes");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let encrypted = Entry {
        flags: 1,
        ..entry("a", FILE, b"x")
    };
    assert_eq!(failure(&[encrypted]), "file 'a' is encrypted");
    let unknown = Entry {
        method: 98,
        ..entry("a", FILE, b"x")
    };
    assert_eq!(
        failure(&[unknown]),
        "file 'a' is compressed with method 98, which is not supported"
    );
}
