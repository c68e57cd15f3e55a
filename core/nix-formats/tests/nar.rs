//! The archive format: against real Nix's archives, back and forth, and hostile.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

use std::collections::BTreeMap;
use std::io::Read;

use nix_formats::nar::{self, Checker, Event, Reader, ReaderError, Writer, WriterError};
use nix_formats::references::RefScanner;
use nix_formats::{HashAlgorithm, HashFormat, StorePath};
use proptest::prelude::*;

const TREE: &[u8] = include_bytes!("vectors/tree.nar");

/// A tree in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tree {
    Directory(BTreeMap<Vec<u8>, Tree>),
    File { executable: bool, contents: Vec<u8> },
    Symlink(Vec<u8>),
}

fn write(tree: &Tree, writer: &mut Writer<impl std::io::Write>) -> Result<(), WriterError> {
    match tree {
        Tree::Directory(entries) => {
            writer.begin_directory()?;
            for (name, tree) in entries {
                writer.entry(name)?;
                write(tree, writer)?;
            }
            writer.end_directory()
        }
        Tree::File {
            executable,
            contents,
        } => writer.file_from(*executable, contents.len() as u64, &mut contents.as_slice()),
        Tree::Symlink(target) => writer.symlink(target),
    }
}

fn to_nar(tree: &Tree) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    write(tree, &mut writer).unwrap();
    writer.finish().unwrap()
}

fn read_node(event: Event, reader: &mut Reader<&[u8]>) -> Result<Tree, ReaderError> {
    match event {
        Event::Directory => {
            let mut entries = BTreeMap::new();
            loop {
                match reader.next_event()?.unwrap() {
                    Event::Entry(name) => {
                        let node = reader.next_event()?.unwrap();
                        entries.insert(name, read_node(node, reader)?);
                    }
                    Event::EndDirectory => return Ok(Tree::Directory(entries)),
                    other => panic!("{other:?} in a directory"),
                }
            }
        }
        Event::File {
            executable, size, ..
        } => {
            let mut contents = Vec::new();
            reader.read_to_end(&mut contents).map_err(ReaderError::Io)?;
            assert_eq!(contents.len() as u64, size);
            Ok(Tree::File {
                executable,
                contents,
            })
        }
        Event::Symlink(target) => Ok(Tree::Symlink(target)),
        other => panic!("{other:?} for an object"),
    }
}

fn from_nar(nar: &[u8]) -> Result<Tree, ReaderError> {
    let mut reader = Reader::new(nar);
    let first = reader.next_event()?.unwrap();
    let tree = read_node(first, &mut reader)?;
    assert_eq!(reader.next_event()?, None);
    assert_eq!(reader.offset(), nar.len() as u64);
    Ok(tree)
}

/// Reads events only, and the offsets of file contents.
fn skim(nar: &[u8]) -> Result<Vec<u64>, ReaderError> {
    let mut reader = Reader::new(nar);
    let mut offsets = Vec::new();
    while let Some(event) = reader.next_event()? {
        if let Event::File { offset, .. } = event {
            offsets.push(offset);
        }
    }
    Ok(offsets)
}

fn file(executable: bool, contents: &str) -> Tree {
    Tree::File {
        executable,
        contents: contents.into(),
    }
}

fn directory<const N: usize>(entries: [(&str, Tree); N]) -> Tree {
    Tree::Directory(entries.map(|(name, tree)| (name.into(), tree)).into())
}

fn vector() -> Tree {
    directory([
        ("a file", file(false, "hello\n")),
        (
            "dir",
            directory([
                ("eight", file(false, "12345678")),
                ("empty", directory([])),
                ("link", Tree::Symlink(b"../gone".into())),
            ]),
        ),
        ("link", Tree::Symlink(b"/absolute".into())),
        ("nothing", file(false, "")),
        ("run", file(true, "#!/bin/sh\n")),
    ])
}

#[test]
fn nars_are_written_and_read_as_nix_writes_them() {
    assert_eq!(to_nar(&vector()), TREE);
    assert_eq!(from_nar(TREE).unwrap(), vector());
    let run = file(true, "#!/bin/sh\n");
    assert_eq!(to_nar(&run), include_bytes!("vectors/executable.nar"));
    let link = Tree::Symlink(b"/absolute".into());
    assert_eq!(to_nar(&link), include_bytes!("vectors/link.nar"));
}

#[test]
fn a_tree_is_hashed_without_holding_its_nar() {
    let facts = include_str!("vectors/facts.txt");
    for algorithm in HashAlgorithm::ALL {
        let (hash, size) = nar::hash(algorithm, |writer| write(&vector(), writer)).unwrap();
        assert_eq!(size, TREE.len() as u64);
        let line = format!("nar-{algorithm} {}", hash.to_string(HashFormat::Sri, true));
        assert!(facts.lines().any(|fact| fact == line), "{line}");
    }
    let (hash, size) = nar::hash_file(HashAlgorithm::Sha256, true, b"#!/bin/sh\n");
    let nar = include_bytes!("vectors/executable.nar");
    assert_eq!(
        (hash, size),
        (HashAlgorithm::Sha256.digest(nar), nar.len() as u64)
    );
}

#[test]
fn skipped_contents_give_their_offsets() {
    for (offset, expected) in
        skim(TREE)
            .unwrap()
            .into_iter()
            .zip(["hello\n", "12345678", "", "#!/bin/sh\n"])
    {
        assert!(TREE[offset as usize..].starts_with(expected.as_bytes()));
    }
}

#[test]
fn every_truncation_is_noticed() {
    for end in 0..TREE.len() {
        let refused = skim(&TREE[..end]);
        assert!(
            matches!(
                refused,
                Err(ReaderError::Truncated(_) | ReaderError::NotAnArchive)
            ),
            "{end}: {refused:?}"
        );
        assert!(from_nar(&TREE[..end]).is_err());
    }
}

#[test]
fn trailing_data_is_refused() {
    let nar = [TREE, b"\0"].concat();
    assert!(matches!(skim(&nar), Err(ReaderError::TrailingData(at)) if at == TREE.len() as u64));
}

/// A NAR of these tokens, without any check.
fn raw(tokens: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for token in [b"nix-archive-1".as_slice()].iter().chain(tokens) {
        out.extend_from_slice(&(token.len() as u64).to_le_bytes());
        out.extend_from_slice(token);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

fn entries(names: &[&[u8]]) -> Vec<u8> {
    let mut tokens: Vec<&[u8]> = vec![b"(", b"type", b"directory"];
    for name in names {
        tokens.extend([b"entry".as_slice(), b"(", b"name", name, b"node"]);
        tokens.extend([
            b"(".as_slice(),
            b"type",
            b"symlink",
            b"target",
            b"x",
            b")",
            b")",
        ]);
    }
    tokens.push(b")");
    raw(&tokens)
}

#[test]
fn names_that_could_leave_the_directory_are_refused() {
    assert!(skim(&entries(&[b"a", b"b"])).is_ok());
    for name in [b"".as_slice(), b".", b"..", b"a/b", b"/", b"a\0"] {
        let refused = skim(&entries(&[name]));
        assert!(
            matches!(refused, Err(ReaderError::InvalidName(_))),
            "{refused:?}"
        );
        let mut writer = Writer::new(Vec::new());
        writer.begin_directory().unwrap();
        assert!(matches!(
            writer.entry(name),
            Err(WriterError::InvalidName(_))
        ));
    }
    let long = [b'a'; 256];
    assert!(matches!(
        skim(&entries(&[&long])),
        Err(ReaderError::TooLong { length: 256, .. })
    ));
    assert!(skim(&entries(&[&long[..255]])).is_ok());
}

#[test]
fn names_out_of_order_or_twice_are_refused() {
    for names in [[b"b".as_slice(), b"a"], [b"a", b"a"], [b"ab", b"a"]] {
        assert!(matches!(
            skim(&entries(&names)),
            Err(ReaderError::NotSorted { .. })
        ));
        let mut writer = Writer::new(Vec::new());
        writer.begin_directory().unwrap();
        writer.entry(names[0]).unwrap();
        writer.symlink(b"x").unwrap();
        assert!(matches!(
            writer.entry(names[1]),
            Err(WriterError::NotSorted { .. })
        ));
    }
}

#[test]
fn nesting_ends_where_nix_ends_it() {
    let nest = |depth: usize| {
        let mut tree = file(false, "");
        for _ in 0..depth {
            tree = directory([("a", tree)]);
        }
        tree
    };
    let nar = to_nar(&nest(63));
    assert_eq!(from_nar(&nar).unwrap(), nest(63));
    let mut writer = Writer::new(Vec::new());
    assert!(matches!(
        write(&nest(64), &mut writer),
        Err(WriterError::TooDeep)
    ));
    let mut tokens: Vec<&[u8]> = Vec::new();
    for _ in 0..100_000 {
        tokens.extend([b"(".as_slice(), b"type", b"directory", b"entry", b"("]);
        tokens.extend([b"name".as_slice(), b"a", b"node"]);
    }
    assert!(matches!(skim(&raw(&tokens)), Err(ReaderError::TooDeep)));
}

#[test]
fn huge_lengths_cost_no_memory() {
    let mut nar = raw(&[b"(", b"type"]);
    nar.extend_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(
        skim(&nar),
        Err(ReaderError::TooLong {
            length: u64::MAX,
            ..
        })
    ));
    let mut nar = raw(&[b"(", b"type", b"regular", b"contents"]);
    nar.extend_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(skim(&nar), Err(ReaderError::Truncated(_))));
}

#[test]
fn wrong_tokens_and_padding_are_refused_with_the_place() {
    let refusal = |nar: &[u8]| skim(nar).unwrap_err().to_string();
    assert_eq!(
        refusal(b"not an archive, but long enough"),
        "bad archive: input doesn't look like a Nix archive"
    );
    assert_eq!(
        refusal(&raw(&[b"(", b"type", b"fifo"])),
        "bad archive: expected a file type, got 'fifo' at byte 56"
    );
    assert_eq!(
        refusal(&raw(&[b"(", b"type", b"symlink", b"target", b""])),
        "bad archive: NAR contains invalid symlink target ''"
    );
    let mut nar = to_nar(&file(false, "x"));
    let contents = skim(&nar).unwrap()[0] as usize;
    nar[contents + 1] = 1;
    assert!(matches!(skim(&nar), Err(ReaderError::Padding(at)) if at == contents as u64 + 8));
}

#[test]
fn a_writer_refuses_what_makes_no_tree() {
    let mut writer = Writer::new(Vec::new());
    assert!(matches!(
        writer.entry(b"a"),
        Err(WriterError::OutOfOrder(_))
    ));
    writer.begin_file(false, 3).unwrap();
    writer.contents(b"ab").unwrap();
    assert!(matches!(writer.end_file(), Err(WriterError::OutOfOrder(_))));
    assert!(matches!(
        writer.contents(b"cd"),
        Err(WriterError::OutOfOrder(_))
    ));
    writer.contents(b"c").unwrap();
    writer.end_file().unwrap();
    assert!(matches!(
        writer.symlink(b"x"),
        Err(WriterError::OutOfOrder(_))
    ));
    writer.finish().unwrap();
    let mut writer = Writer::new(Vec::new());
    assert!(matches!(
        writer.file_from(false, 3, &mut b"ab".as_slice()),
        Err(WriterError::Io(_))
    ));
    assert!(matches!(writer.finish(), Err(WriterError::OutOfOrder(_))));
}

fn tree() -> impl Strategy<Value = Tree> {
    let name = prop::collection::vec(
        any::<u8>().prop_filter("no slash, no NUL", |byte| *byte != b'/' && *byte != 0),
        1..12,
    )
    .prop_filter("no dots", |name| name != b"." && name != b"..");
    let leaf = prop_oneof![
        (any::<bool>(), prop::collection::vec(any::<u8>(), 0..100)).prop_map(
            |(executable, contents)| Tree::File {
                executable,
                contents
            }
        ),
        prop::collection::vec(1u8..255, 1..40).prop_map(Tree::Symlink),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(Tree::Directory)
    })
}

proptest! {
    #[test]
    fn any_tree_survives(tree in tree()) {
        let nar = to_nar(&tree);
        prop_assert_eq!(from_nar(&nar).unwrap(), tree);
    }

    #[test]
    fn what_is_read_is_written_the_same(at in 0..TREE.len(), byte in any::<u8>()) {
        let mut nar = TREE.to_vec();
        nar[at] = byte;
        if let Ok(tree) = from_nar(&nar) {
            prop_assert_eq!(to_nar(&tree), nar);
        }
    }

    #[test]
    fn references_are_found_however_the_text_is_split(
        before in prop::collection::vec(any::<u8>(), 0..90),
        middle in "[0-9a-z]{0,40}",
        splits in prop::collection::vec(1usize..50, 0..12),
    ) {
        let wanted: Vec<StorePath> = (0..3)
            .map(|index| StorePath::from_parts([index * 37 + 1; 20], "x").unwrap())
            .collect();
        let mut text = before;
        text.extend_from_slice(wanted[0].hash_part().as_bytes());
        text.extend_from_slice(middle.as_bytes());
        text.extend_from_slice(wanted[2].hash_part().as_bytes());
        let mut scanner = RefScanner::new(wanted.iter().cloned());
        let mut rest = text.as_slice();
        for split in splits {
            let (piece, others) = rest.split_at(split.min(rest.len()));
            scanner.update(piece);
            rest = others;
        }
        scanner.update(rest);
        let found = scanner.found();
        prop_assert!(found.contains(&wanted[0]) && found.contains(&wanted[2]));
        prop_assert!(!found.contains(&wanted[1]));
    }
}

/// What `nix store make-content-addressed` of Nix 2.34 made of a file that
/// names itself twice.
const SELF_REFERRING: &[u8] = include_bytes!("vectors/self-referring.nar");

#[test]
fn content_addresses_are_recomputed_from_the_nar() {
    use nix_formats::ContentAddressMethod::{Flat, Git, Recursive, Text};
    use nix_formats::HashAlgorithm::{Sha1, Sha256};
    use nix_formats::{ContentHasher, Hash};
    let matches = |method, itself: Option<&StorePath>, nar: &[u8], expected: &Hash| {
        (1..nar.len()).all(|split| {
            let mut hasher = ContentHasher::new(method, expected.algorithm(), itself).unwrap();
            hasher.update(&nar[..split]);
            hasher.update(&nar[split..]);
            hasher.matches(expected)
        })
    };
    let run = include_bytes!("vectors/executable.nar");
    assert!(matches(Recursive, None, run, &Sha1.digest(run)));
    for method in [Flat, Text] {
        assert!(matches(method, None, run, &Sha256.digest(b"#!/bin/sh\n")));
        assert!(!matches(method, None, TREE, &Sha256.digest(b"")));
    }
    let long = to_nar(&file(false, &"x".repeat(1000)));
    assert!(matches(
        Flat,
        None,
        &long,
        &Sha256.digest("x".repeat(1000).as_bytes())
    ));
    assert!(!matches(
        Flat,
        None,
        &long[..500],
        &Sha256.digest(&[b'x'; 404])
    ));
    let itself = StorePath::from_base_name("sx5wwd3zybf9gf7a78vl1mzfd71ngzmw-app").unwrap();
    let hash = |text: &str| Hash::parse_any_prefixed(text).unwrap();
    let made_by_2_34 =
        hash("sha256:041990f16dedc27cb75250c33e2f214750f8df85e8f5927c21f6e3c55dbc85cb");
    let with_places =
        hash("sha256:ddc575a23e2e6fd6b4222ed1565e4d93fcd9f88b56db7d20c8b75ea083b0f01c");
    assert!(matches(
        Recursive,
        Some(&itself),
        SELF_REFERRING,
        &made_by_2_34
    ));
    assert!(matches(
        Recursive,
        Some(&itself),
        SELF_REFERRING,
        &with_places
    ));
    assert!(!matches(Recursive, None, SELF_REFERRING, &made_by_2_34));
    assert!(ContentHasher::new(Git, Sha1, None).is_none());
}

/// What a checker says of a NAR that comes in such pieces.
fn check(nar: &[u8], piece: usize) -> Result<(), String> {
    let mut checker = Checker::default();
    for piece in nar.chunks(piece) {
        checker.update(piece).map_err(|error| error.to_string())?;
    }
    checker.finish().map_err(|error| error.to_string())
}

#[test]
fn a_checker_says_what_a_reader_says() {
    let read = |nar: &[u8]| {
        let mut reader = Reader::new(nar);
        loop {
            match reader.next_event() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    let large = |size: usize| Tree::File {
        executable: false,
        contents: vec![b'x'; size],
    };
    let entries = (0..60_usize).map(|n| (format!("{n:03}").into_bytes(), large(n * n * 20 + 1)));
    let nars = [TREE.to_vec(), to_nar(&Tree::Directory(entries.collect()))];
    for nar in &nars {
        for piece in [1, 13, 8192, 100_000, nar.len()] {
            assert_eq!(check(nar, piece), Ok(()), "{piece}");
        }
        let more = [nar.as_slice(), b"\0"].concat();
        assert_eq!(check(&more, 77), read(&more));
        let step = nar.len().div_ceil(300);
        for at in (0..nar.len()).step_by(step) {
            let piece = [130, 8192, 100_000][at / step % 3];
            assert_eq!(check(&nar[..at], piece), read(&nar[..at]), "cut at {at}");
            let mut changed = nar.clone();
            changed[at] ^= 0x41;
            assert_eq!(check(&changed, piece), read(&changed), "byte {at}");
        }
    }
}
