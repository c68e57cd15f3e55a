//! `builtin:unpack-channel`, with archives that mean well and archives that do not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix_builder::builtin::{Builtin, run};
use tar::{EntryType, Header};

/// An entry: its path, its type, the target of a link or contents.
type Entry<'a> = (&'a str, EntryType, &'a str);

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, text) in entries {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if path.ends_with("run") { 0o755 } else { 0o644 });
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.set_link_name_literal(text).unwrap();
        }
        let contents = if is_link { &b""[..] } else { text.as_bytes() };
        header.set_size(contents.len() as u64);
        header.set_cksum();
        builder.append(&header, contents).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Unpacks below a folder, into `out`; the error has no colours, and `/` for the folder.
fn unpack(folder: &Path, archive: &[u8], name: &str) -> Result<(), String> {
    let source = folder.join("source");
    fs::write(&source, archive).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let attributes = [("channelName", name.to_owned()), ("src", text(&source))];
    let result = run(&Builtin {
        name: b"unpack-channel".to_vec(),
        attributes: attributes
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        outputs: [("out".to_owned(), text(&folder.join("out")))].into(),
        ..Builtin::default()
    });
    result.map_err(|mut error| {
        for colour in ["\u{1b}[31;1m", "\u{1b}[35;1m", "\u{1b}[0m"] {
            error = error.replace(colour, "");
        }
        error.replace(folder.to_str().unwrap(), "")
    })
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const CONTENT: [Entry<'_>; 5] = [
    ("top/", EntryType::Directory, ""),
    ("top/f", EntryType::Regular, "x"),
    ("top/l", EntryType::Symlink, "f"),
    ("top/run", EntryType::Regular, "y"),
    ("top/hard", EntryType::Link, "top/f"),
];

#[test]
fn the_one_thing_in_an_archive_gets_the_name_of_the_channel() {
    for name in ["main", "top", ".unpacking"] {
        let folder = tempfile::tempdir().unwrap();
        unpack(folder.path(), &archive(&CONTENT), name).unwrap();
        let out = folder.path().join("out");
        assert_eq!(names(&out), [name]);
        let channel = out.join(name);
        assert_eq!(names(&channel), ["f", "hard", "l", "run"]);
        assert_eq!(fs::read_to_string(channel.join("hard")).unwrap(), "x");
        assert_eq!(
            fs::read_link(channel.join("l")).unwrap().to_str(),
            Some("f")
        );
        let mode = |name: &str| {
            fs::metadata(channel.join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o111
        };
        assert_eq!((mode("run") != 0, mode("f")), (true, 0));
    }
    let folder = tempfile::tempdir().unwrap();
    unpack(
        folder.path(),
        &archive(&[("single", EntryType::Regular, "x")]),
        "main",
    )
    .unwrap();
    assert_eq!(
        fs::read_to_string(folder.path().join("out/main")).unwrap(),
        "x"
    );
}

#[test]
fn errors_are_in_the_words_of_nix() {
    let two = archive(&[
        ("a", EntryType::Regular, "x"),
        ("b", EntryType::Regular, "y"),
    ]);
    let whole = archive(&CONTENT);
    let empty = archive(&[]);
    let cases: [(&[u8], &str, &str); 7] = [
        (
            &two[..],
            "main",
            "error: channel tarball '/source' contains more than one file",
        ),
        (&empty, "main", "error: channel tarball '/source' is empty"),
        (b"", "main", "error: channel tarball '/source' is empty"),
        (
            b"this is no archive\n",
            "main",
            "error: failed to open archive: Unrecognized archive format",
        ),
        (
            &[b'x'; 2048],
            "main",
            "error: failed to open archive: Unrecognized archive format",
        ),
        (
            &whole,
            "a/b",
            "error: channelName is not allowed to contain filesystem separators, got a/b",
        ),
        (
            &whole,
            "",
            "error: failed to rename /out/top to /out/: Directory not empty",
        ),
    ];
    for (bytes, name, error) in cases {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unpack(folder.path(), bytes, name).unwrap_err(), error);
    }
}

#[test]
fn no_archive_leads_out_of_the_output() {
    for entries in [
        &[("../escaped", EntryType::Regular, "x")][..],
        &[("top/../../escaped", EntryType::Regular, "x")],
        &[
            ("link", EntryType::Symlink, ".."),
            ("link/escaped", EntryType::Regular, "x"),
        ],
        &[
            ("link", EntryType::Symlink, ".."),
            ("link/../escaped", EntryType::Regular, "x"),
        ],
        &[
            ("hard", EntryType::Link, "../source"),
            ("hard", EntryType::Regular, "x"),
        ],
        &[("fifo", EntryType::Fifo, "")],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = unpack(folder.path(), &archive(entries), "main").unwrap_err();
        assert!(
            error.starts_with("error: failed to extract archive ("),
            "{error}"
        );
        assert_eq!(names(folder.path()), ["out", "source"]);
        assert_eq!(
            fs::read(folder.path().join("source")).unwrap(),
            archive(entries)
        );
    }
    // An absolute path is one within.
    let folder = tempfile::tempdir().unwrap();
    unpack(
        folder.path(),
        &archive(&[("/etc/escaped", EntryType::Regular, "x")]),
        "main",
    )
    .unwrap();
    assert_eq!(names(&folder.path().join("out/main")), ["escaped"]);
}
