//! Input from outside that is wrong, by accident or on purpose: errors that say what, no more.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use nix_flake::{FetchSettings, Fetcher, LockFile, SourceTree, UseRegistries};
use proptest::prelude::*;

use support::node::{Node, children};
use support::{Change, World, report};

/// A tar archive of these entries: name, kind, link target, contents.
fn tar(entries: &[(&str, u8, &str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, contents) in entries {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000755\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000007\0");
        header[156] = *kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(contents);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend_from_slice(&[0; 1024]);
    out
}

/// What becomes of fetching this as an archive: the names at the top, or the error.
fn unpack(contents: &[u8]) -> Result<Vec<String>, String> {
    let world = World::new();
    fs::write(world.path("a.tar"), contents).expect("a file");
    let input = world.reference("file://@/a.tar").input;
    let mut settings = FetchSettings::new(world.path("cache"));
    settings.max_unpacked = 1 << 20;
    let fetched = Fetcher::new(settings)
        .fetch(&input, UseRegistries::No)
        .map_err(|error| report(&error).replace(world.root().to_str().expect("UTF-8"), "@"))?;
    let names = fetched.fetched.tree.names("".as_ref()).expect("names");
    assert!(!world.path("outside").exists());
    Ok(names
        .into_iter()
        .map(|name| String::from_utf8(name).expect("UTF-8"))
        .collect())
}

fn failure(reason: &str) -> Result<Vec<String>, String> {
    Err(format!(
        "while fetching the input 'file:///@/a.tar': cannot unpack 'file:///@/a.tar': {reason}"
    )
    .replace("///@", "//@"))
}

#[test]
fn archives_cannot_write_outside_of_their_tree() {
    let entries: &[(&str, u8, &str, &[u8])] = &[("a/../../outside", b'0', "", b"x")];
    assert_eq!(
        unpack(&tar(entries)),
        failure("entry 'a/../../outside' leads out of it")
    );
    // A link does not lead entries elsewhere: they come after it in the tree, not on the disk.
    let entries: &[(&str, u8, &str, &[u8])] = &[
        ("t/link", b'2', "../..", b""),
        ("t/link/outside", b'0', "", b"x"),
    ];
    assert_eq!(
        unpack(&tar(entries)),
        failure("parent of 't/link/outside' is not a directory")
    );
    let entries: &[(&str, u8, &str, &[u8])] = &[("t/x", b'1', "../../etc/passwd", b"")];
    assert_eq!(
        unpack(&tar(entries)),
        failure("entry '../../etc/passwd' leads out of it")
    );
    let entries: &[(&str, u8, &str, &[u8])] = &[("t/x", b'1', "/etc/passwd", b"")];
    assert_eq!(
        unpack(&tar(entries)),
        failure("hard link 't/x' to 'etc/passwd', which is not a file of it")
    );
    let entries: &[(&str, u8, &str, &[u8])] = &[("/abs", b'0', "", b"x"), ("dev", b'3', "", b"")];
    assert_eq!(
        unpack(&tar(entries)),
        failure("file 'dev' has unsupported type '3'")
    );
}

#[test]
fn later_entries_replace_earlier_ones() {
    let entries: &[(&str, u8, &str, &[u8])] = &[
        ("a", b'0', "", b"first"),
        ("a", b'0', "", b"second"),
        ("d/", b'5', "", b""),
        ("d", b'2', "a", b""),
        ("h", b'1', "a", b""),
    ];
    assert_eq!(
        unpack(&tar(entries)),
        Ok(vec!["a".to_owned(), "d".to_owned(), "h".to_owned()])
    );
    let entries: &[(&str, u8, &str, &[u8])] = &[("d/x", b'0', "", b""), ("d", b'0', "", b"")];
    assert_eq!(
        unpack(&tar(entries)),
        failure("cannot create 'd', conflicting non-empty directory")
    );
}

#[test]
fn archives_have_to_be_whole_and_not_too_large() {
    let entries: &[(&str, u8, &str, &[u8])] = &[("a", b'0', "", &[0; 5000])];
    let whole = tar(entries);
    let error = unpack(&whole[..2000]).expect_err("cut off");
    assert!(error.contains("cannot unpack"), "{error}");
    let zeros = vec![0; 2 << 20];
    let large: &[(&str, u8, &str, &[u8])] = &[("a", b'0', "", &zeros)];
    let mut packed = flate2_gzip(&tar(large));
    let error = unpack(&packed).expect_err("too large");
    assert!(
        error.contains("1048576 bytes") || error.contains("ends too early"),
        "{error}"
    );
    packed.truncate(packed.len() / 2);
    assert!(unpack(&packed).is_err());
    assert_eq!(
        unpack(b"PK\x03\x04zip"),
        failure("it is a zip archive, and its URL does not end in '.zip'")
    );
}

/// An entry that is a header alone, which `change` completes.
fn entry(name: &str, kind: u8, size: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut header = tar(&[(name, kind, "", b"")]);
    header.truncate(512);
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    change(&mut header);
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn padded(mut contents: Vec<u8>) -> Vec<u8> {
    contents.resize(contents.len().next_multiple_of(512), 0);
    contents
}

fn pax(records: &[(&str, String)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        for part in [&length.to_string(), " ", key, "=", value, "\n"] {
            text += part;
        }
    }
    let mut out = entry("pax", b'x', text.len(), |_| {});
    out.extend(padded(text.into_bytes()));
    out
}

/// The file `f` of `size` bytes, in which `data` is at each of the places, in all formats of sparse files.
fn sparse_archives(size: u64, places: &[u64], data: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let stored: Vec<u8> = places.iter().flat_map(|_| data).copied().collect();
    let length = data.len();
    let number = |number: u64| format!("{number:011o}\0").into_bytes();
    let size_in_256 = |size: u64| {
        let mut field = [0; 12];
        field[0] = 0x80;
        field[4..].copy_from_slice(&size.to_be_bytes());
        field
    };
    let piece = |place: u64| [size_in_256(place).to_vec(), number(length as u64)].concat();
    let (first, rest) = places.split_at(places.len().min(4));
    let mut gnu = entry("f", b'S', stored.len(), |header| {
        header[257..265].copy_from_slice(b"ustar  \0");
        header[345..].fill(0);
        for (index, &place) in first.iter().enumerate() {
            header[386 + 24 * index..][..24].copy_from_slice(&piece(place));
        }
        header[482] = u8::from(!rest.is_empty());
        header[483..495].copy_from_slice(&size_in_256(size));
    });
    let mut blocks = rest.chunks(21).peekable();
    while let Some(places) = blocks.next() {
        let mut block: Vec<u8> = places.iter().flat_map(|&place| piece(place)).collect();
        block.resize(512, 0);
        block[504] = u8::from(blocks.peek().is_some());
        gnu.extend(block);
    }
    gnu.extend(padded(stored.clone()));

    let plain = |records: &[(&str, String)], contents: Vec<u8>| {
        let mut out = pax(records);
        out.extend(entry("GNUSparseFile.0/f", b'0', contents.len(), |_| {}));
        out.extend(padded(contents));
        out
    };
    let mut records = vec![
        ("GNU.sparse.size", size.to_string()),
        ("path", "f".to_owned()),
    ];
    for place in places {
        records.push(("GNU.sparse.offset", place.to_string()));
        records.push(("GNU.sparse.numbytes", length.to_string()));
    }
    let pax_0_0 = plain(&records, stored.clone());
    let map: Vec<String> = places
        .iter()
        .map(|place| format!("{place},{length}"))
        .collect();
    let records = [
        ("GNU.sparse.size", size.to_string()),
        ("GNU.sparse.name", "f".to_owned()),
        ("GNU.sparse.map", map.join(",")),
    ];
    let pax_0_1 = plain(&records, stored.clone());
    let records = [
        ("GNU.sparse.major", "1".to_owned()),
        ("GNU.sparse.minor", "0".to_owned()),
        ("GNU.sparse.name", "f".to_owned()),
        ("GNU.sparse.realsize", size.to_string()),
    ];
    let mut map = format!("{}\n", places.len());
    for place in places {
        for number in [place.to_string(), length.to_string()] {
            map += &number;
            map += "\n";
        }
    }
    let pax_1_0 = plain(&records, [padded(map.into_bytes()), stored].concat());
    [
        ("gnu", gnu),
        ("0.0", pax_0_0),
        ("0.1", pax_0_1),
        ("1.0", pax_1_0),
    ]
    .map(|(name, archive)| (name, [archive, vec![0; 1024]].concat()))
    .into()
}

#[test]
fn sparse_files_have_the_contents_that_they_expand_to() {
    let places: Vec<u64> = (1..40).map(|number| number * 20_000).collect();
    let mut contents = vec![0; 900_000];
    for &place in &places {
        contents[place as usize..][..9].copy_from_slice(b"some data");
    }
    for (format, archive) in sparse_archives(900_000, &places, b"some data") {
        let world = World::new();
        fs::write(world.path("a.tar"), archive).expect("a file");
        let input = world.reference("file://@/a.tar").input;
        let fetched = world.fetcher().fetch(&input, UseRegistries::No);
        let fetched = fetched.unwrap_or_else(|error| panic!("{format}: {}", report(&error)));
        let file = fetched.fetched.tree.root().join("f");
        assert!(fs::read(file).expect("a file") == contents, "{format}");
    }
}

#[test]
fn holes_count_and_take_no_space() {
    for (format, archive) in sparse_archives(40 << 30, &[39 << 30], b"x") {
        assert_eq!(
            unpack(&archive),
            failure("it unpacks to more than 1048576 bytes"),
            "{format}"
        );
    }
    for (format, archive) in sparse_archives(1 << 20, &[1 << 19], b"x") {
        let world = World::new();
        fs::write(world.path("a.tar"), archive).expect("a file");
        let input = world.reference("file://@/a.tar").input;
        let fetched = world.fetcher().fetch(&input, UseRegistries::No);
        let file = fetched.expect("a tree").fetched.tree.root().join("f");
        let blocks = file.metadata().expect("a file").blocks();
        assert!(blocks * 512 <= 64 << 10, "{format}: {blocks}");
    }
    // Pieces that overlap, are out of order or beyond the end, or are not all there.
    for places in [&[8_u64, 4][..], &[4, 5], &[98], &[u64::MAX - 2]] {
        for (format, archive) in sparse_archives(100, places, b"four") {
            let error = unpack(&archive).expect_err("a wrong map");
            assert!(
                error.contains("sparse file") || error.contains("numeric"),
                "{format}: {error}"
            );
        }
    }
}

#[test]
fn hard_links_count_as_often_as_they_are_there() {
    let contents = vec![7; 600 << 10];
    let entries: &[(&str, u8, &str, &[u8])] = &[("a", b'0', "", &contents), ("b", b'1', "a", b"")];
    assert_eq!(
        unpack(&tar(entries)),
        failure("it unpacks to more than 1048576 bytes")
    );
}

#[test]
fn names_and_dictionaries_are_bounded_before_they_are_read() {
    let long = entry("././@LongLink", b'L', 4 << 30, |_| {});
    assert_eq!(
        unpack(&long),
        failure("an extended header is longer than 1 MiB")
    );
    let entries: &[(&str, u8, &str, &[u8])] = &[("a", b'0', "", b"x")];
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(&tar(entries)).expect("memory");
    let mut packed = encoder.finish().expect("memory");
    assert_eq!(unpack(&packed), Ok(vec!["a".to_owned()]));
    // The block's header, which says how large a dictionary LZMA2 needs: 2 GiB.
    let end = 12 + (usize::from(packed[12]) + 1) * 4;
    let filter = 12
        + packed[12..end]
            .iter()
            .position(|&byte| byte == 0x21)
            .expect("LZMA2");
    packed[filter + 2] = 38;
    let mut sum = flate2::Crc::new();
    sum.update(&packed[12..end - 4]);
    packed[end - 4..end].copy_from_slice(&sum.sum().to_le_bytes());
    let error = unpack(&packed).expect_err("too much memory");
    assert!(error.contains("memory"), "{error}");
}

fn to_tar(node: &Node, path: &str, out: &mut Vec<u8>) {
    let link = |name: &str, target: &str| {
        entry(name, b'2', 0, |header| {
            header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        })
    };
    match node {
        Node::File(run, bytes) => {
            let mode = if *run { b"0000755\0" } else { b"0000644\0" };
            out.extend(entry(path, b'0', bytes.len(), |header| {
                header[100..108].copy_from_slice(mode);
            }));
            out.extend(padded(bytes.clone()));
        }
        Node::Link(target) => out.extend(link(path, target)),
        Node::Folder(children) => {
            out.extend(entry(path, b'5', 0, |_| {}));
            for (name, child) in children {
                to_tar(child, &format!("{path}/{name}"), out);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_of_an_archive_is_what_it_holds(children in children()) {
        let world = World::new();
        let root = Node::Folder(children);
        let mut archive = Vec::new();
        to_tar(&root, "t", &mut archive);
        archive.extend([0; 1024]);
        fs::write(world.path("a.tar"), archive).expect("a file");
        let input = world.reference("file://@/a.tar").input;
        let fetched = world.fetcher().fetch(&input, UseRegistries::No).expect("a tree").fetched;
        root.to_files(&world.path("files"));
        let wanted = SourceTree::new(world.path("files")).nar_hash().expect("a hash");
        prop_assert_eq!(fetched.nar_hash, wanted);
        let written = SourceTree::new(fetched.tree.root()).nar_hash().expect("a hash");
        prop_assert_eq!(written, wanted);
    }
}

fn flate2_gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

fn parse(text: &str) -> String {
    match LockFile::parse(text, "flake.lock") {
        Ok(file) => file.to_json(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn lock_files_of_older_versions_are_read() {
    let old = r#"{ "version": 5, "root": "root", "nodes": {
        "root": { "inputs": { "a": "a" } },
        "a": { "inputs": { "r": ["a"] }, "info": { "lastModified": 7, "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" },
               "locked": { "type": "github", "owner": "o", "repo": "r", "rev": "ae2e6b3958682513d28f7d633734571fb18285dd" },
               "original": { "type": "indirect", "id": "a" } } } }"#;
    let new = r#"{
  "nodes": {
    "a": {
      "inputs": {
        "r": [
          "a"
        ]
      },
      "locked": {
        "lastModified": 7,
        "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "owner": "o",
        "repo": "r",
        "rev": "ae2e6b3958682513d28f7d633734571fb18285dd",
        "type": "github"
      },
      "original": {
        "id": "a",
        "type": "indirect"
      }
    },
    "root": {
      "inputs": {
        "a": "a"
      }
    }
  },
  "root": "root",
  "version": 7
}"#;
    assert_eq!(parse(old), new);
}

#[test]
fn broken_lock_files_are_refused_with_a_reason() {
    assert_eq!(
        parse(r#"{ "version": 8 }"#),
        "lock file 'flake.lock' has unsupported version 8"
    );
    assert_eq!(
        parse("{}"),
        "lock file 'flake.lock' has unsupported version 0"
    );
    assert!(parse("{").starts_with("could not parse 'flake.lock': EOF while parsing"));
    let with = |node: &str| {
        parse(&format!(
            r#"{{ "version": 7, "root": "r", "nodes": {{ "r": {{ "inputs": {{ "a": "a" }} }}, {node} }} }}"#
        ))
    };
    let locked = r#""original": { "type": "path", "path": "/a" }, "locked": { "type": "path", "path": "/a", "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }"#;
    assert_eq!(with(r#""b": {}"#), "lock file references missing node 'a'");
    assert_eq!(
        with(r#""a": {}"#),
        "attribute 'locked' missing in lock file"
    );
    assert_eq!(
        with(&format!(r#""a": {{ "inputs": {{ "x": "r" }}, {locked} }}"#)),
        "lock file contains cycle to root node"
    );
    assert_eq!(
        with(&format!(
            r#""a": {{ "inputs": {{ "x": "b" }}, {locked} }}, "b": {{ "inputs": {{ "x": "a" }}, {locked} }}"#
        )),
        "lock file contains a cycle through node 'a'"
    );
    assert_eq!(
        with(
            r#""a": { "original": { "type": "path", "path": "/a" }, "locked": { "type": "path", "path": "/a" } }"#
        ),
        r#"Lock file contains unlocked input '{"path":"/a","type":"path"}'. Use '--allow-dirty-locks' to accept this lock file."#
    );
}

#[test]
fn follows_that_lead_nowhere_or_in_circles_are_refused() {
    let world = World::new();
    world.flake("a", "").settle("a");
    let error = |world: &World| {
        let error = world
            .lock("path:@/top", &Change::default())
            .expect_err("an error");
        error.rsplit(": ").next().unwrap_or_default().to_owned()
    };
    world.flake("top", r#"a.url = "path:@/a"; b.follows = "a/none";"#);
    assert_eq!(
        error(&world),
        "input 'b' follows a non-existent input 'a/none'"
    );
    world.flake("top", r#"b.follows = "c"; c.follows = "b";"#);
    assert_eq!(error(&world), "[c -> b -> c]");
    world.flake("top", r#"t.url = "path:@/top";"#);
    let error = world
        .lock("path:@/top", &Change::default())
        .expect_err("an error");
    assert!(
        error.contains("found circular import of flake 'path:"),
        "{error}"
    );
}

#[test]
fn relative_paths_cannot_leave_their_tree() {
    let world = World::new();
    world
        .flake("outside", "")
        .flake("top", r#"o.url = "path:../outside";"#);
    let error = world
        .lock("path:@/top", &Change::default())
        .expect_err("an error");
    assert!(
        error.ends_with(&format!(
            "relative path '../outside' of input 'path:{root}/top' points outside its source tree '{root}/top'",
            root = world.root().display()
        )) || error.contains("points outside its source tree"),
        "{error}"
    );
}

#[test]
fn a_changed_cache_is_noticed() {
    let world = World::new();
    world.flake("r", "").write("r/f", "f").commit("r");
    world.git(".", &["clone", "-q", "--bare", "r", "b.git"]);
    let input = world.reference("git+file://@/b.git").input;
    let first = world
        .fetcher()
        .fetch(&input, UseRegistries::No)
        .expect("a tree")
        .fetched;
    let file = first.tree.root().join("f");
    fs::write(&file, "changed").expect("a file");
    let again = world
        .fetcher()
        .fetch(&input, UseRegistries::No)
        .expect("a tree")
        .fetched;
    assert_eq!(again.nar_hash, first.nar_hash);
    assert_eq!(fs::read_to_string(file).expect("a file"), "f");
}
