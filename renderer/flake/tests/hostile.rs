//! Input from outside that is wrong, by accident or on purpose: errors that say what, no more.

mod support;

use std::fs;
use std::io::Write;

use nix_flake::{FetchSettings, Fetcher, LockFile, UseRegistries};
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
        failure("zip archives are not supported; use a tar archive of the same source")
    );
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
