//! NARs that are wrong in themselves.

use niphas_store::RealiseError;
use niphas_testing::nar::{archive, folder, link, regular, token, tokens};

use crate::compressed::{METHODS, compressed};
use crate::support::{Cache, Fault, directory, file, key, noise, open, realise, store_path};
use crate::{assert_empty, assert_memory_is_bounded, told};

/// NARs that are wrong, and what the error has to say.
#[expect(clippy::too_many_lines, reason = "a table")]
fn wrong_nars() -> Vec<(String, Vec<u8>, &'static str)> {
    let mut cases: Vec<(String, Vec<u8>, &'static str)> = Vec::new();
    let mut case = |what: String, nar: Vec<u8>, why| cases.push((what, nar, why));
    let invalid = "invalid file name";
    for name in [
        &b".."[..],
        b".",
        b"",
        b"/",
        b"/etc/passwd",
        b"../up",
        b"a/b",
        b"a/../../b",
        b"a\0b",
        b"\0",
        b"./a",
        b"a/",
        b"..\0",
    ] {
        let shown = name.escape_ascii().to_string();
        case(
            format!("name {shown}"),
            archive(&folder(&[(name, regular(b"x"))])),
            invalid,
        );
        let inner = folder(&[(name, link(b"x"))]);
        case(
            format!("name {shown} further down"),
            archive(&folder(&[(b"a", inner)])),
            invalid,
        );
    }
    for (first, second) in [
        (&b"a"[..], &b"a"[..]),
        (b"b", b"a"),
        (b"ab", b"a"),
        (b"a", b"B"),
        (b"\xff", b"a"),
        (b"a-", b"a"),
    ] {
        let entries = [(first, regular(b"1")), (second, regular(b"2"))];
        let why = "NAR directory is not sorted";
        case(
            format!("order {first:?} {second:?}"),
            archive(&folder(&entries)),
            why,
        );
        // A symlink and then something in its place, to write through it.
        let entries = [
            (first, link(b"/etc")),
            (second, folder(&[(b"x", regular(b"x"))])),
        ];
        case(
            format!("through a link {first:?} {second:?}"),
            archive(&folder(&entries)),
            why,
        );
    }
    for length in [256, 257, 4096, 65536, 1 << 20] {
        let name = vec![b'n'; length];
        case(
            format!("name of {length}"),
            archive(&folder(&[(&name, regular(b"x"))])),
            "too long",
        );
    }
    for length in [4096, 5000, 1 << 20] {
        case(
            format!("target of {length}"),
            archive(&link(&vec![b't'; length])),
            "too long",
        );
    }
    for target in [&b""[..], b"a\0b", b"\0"] {
        case(
            format!("target {target:?}"),
            archive(&link(target)),
            "invalid symlink target",
        );
    }
    for depth in [64, 65, 100, 1000, 20_000] {
        let mut nar = token(b"nix-archive-1");
        for _ in 0..depth {
            nar.extend(tokens(&[
                b"(",
                b"type",
                b"directory",
                b"entry",
                b"(",
                b"name",
                b"d",
                b"node",
            ]));
        }
        nar.extend(regular(b"deep"));
        for _ in 0..depth {
            nar.extend(tokens(&[b")", b")"]));
        }
        case(format!("depth {depth}"), nar, "exceeds maximum depth");
    }
    for claimed in [9, 100, 1 << 20, 1 << 40, u64::MAX, u64::MAX - 7] {
        let mut nar = archive(&tokens(&[b"(", b"type", b"regular", b"contents"]));
        nar.extend(claimed.to_le_bytes());
        nar.extend(b"eight by");
        case(
            format!("a file that claims {claimed} bytes"),
            nar,
            "ends at byte",
        );
        let mut nar = archive(&tokens(&[b"(", b"type"]));
        nar.extend(claimed.to_le_bytes());
        nar.extend([0; 64]);
        case(format!("a token that claims {claimed} bytes"), nar, "");
    }
    for (at, byte) in [(3, 1), (7, b'x')] {
        let mut nar = archive(&regular(b"x"));
        let end = nar.len() - 16 - 8 + at;
        nar[end] = byte;
        case(
            format!("padding with {byte} at {at}"),
            nar,
            "non-zero padding",
        );
    }
    let good = directory([("a", file("one")), ("b", file("two"))]).nar();
    for length in 8..good.len() {
        case(
            format!("truncated to {length}"),
            good[..length].to_vec(),
            "",
        );
    }
    for at in 0..good.len() {
        let mut nar = good.clone();
        nar[at] ^= 0x41;
        // What is still a NAR is not refused for its form; see below for its hash.
        if nix_formats_reads(&nar).is_err() {
            case(format!("byte {at} changed"), nar, "");
        }
    }
    for more in [&[0][..], b"12345678", &good] {
        case(
            format!("{} bytes more", more.len()),
            [&good[..], more].concat(),
            "data after the end",
        );
    }
    for (what, nar) in [
        (
            "another magic",
            [token(b"nix-archive-2"), regular(b"x")].concat(),
        ),
        ("no object", token(b"nix-archive-1")),
        (
            "an unknown type",
            archive(&tokens(&[b"(", b"type", b"device", b")"])),
        ),
        (
            "no type",
            archive(&tokens(&[b"(", b"contents", b"x", b")"])),
        ),
        (
            "executable with a value",
            archive(&tokens(&[
                b"(",
                b"type",
                b"regular",
                b"executable",
                b"x",
                b"contents",
                b"",
                b")",
            ])),
        ),
        (
            "two contents",
            archive(&tokens(&[
                b"(",
                b"type",
                b"regular",
                b"contents",
                b"a",
                b"contents",
                b"b",
                b")",
            ])),
        ),
        (
            "an entry without a node",
            archive(&tokens(&[
                b"(",
                b"type",
                b"directory",
                b"entry",
                b"(",
                b"name",
                b"a",
                b")",
                b")",
            ])),
        ),
        (
            "an entry without a name",
            archive(&tokens(&[
                b"(",
                b"type",
                b"directory",
                b"entry",
                b"(",
                b"node",
                b")",
                b")",
            ])),
        ),
    ] {
        case(what.to_owned(), nar, "");
    }
    cases
}

fn nix_formats_reads(nar: &[u8]) -> Result<(), nix_formats::nar::ReaderError> {
    let mut reader = nix_formats::nar::Reader::new(nar);
    while reader.next_event()?.is_some() {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_nars_are_refused_and_leave_nothing() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let caches = cache.client();
    let cases = wrong_nars();
    // The enemy has a key that is trusted: only the NAR is wrong.
    for (number, (what, nar, why)) in cases.iter().enumerate() {
        let path = store_path("hostile", &format!("case-{number}"));
        let mut info = cache.add_nar(&path, nar, &[], &[&key("test")]);
        info.compression = METHODS[number % METHODS.len()].clone();
        cache.add_info(&info);
        cache.put(&info.url, compressed(&info.compression, nar));
        let error = realise(&store, std::slice::from_ref(&path), &caches)
            .await
            .unwrap_err();
        let text = told(&error, what);
        assert!(
            text.contains("bad archive") && text.contains(why) && text.contains(path.base_name()),
            "{what}: {text}"
        );
        assert_empty(dir.path(), what);
    }
    assert!(cases.len() >= 500, "{} cases", cases.len());
    assert_memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_change_on_the_way_are_refused_and_leave_nothing() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let nar = directory([("a", file(noise(1, 300))), ("b", file(noise(2, 4000)))]).nar();
    let path = store_path("", "web");
    let info = cache.add_nar(&path, &nar, &[], &[&key("test")]);
    for at in (0..nar.len()).step_by(7) {
        for bit in [0, 7] {
            let mut changed = nar.clone();
            changed[at] ^= 1 << bit;
            cache.fault(&info.url, Fault::Replace(changed));
            let error = realise(&store, std::slice::from_ref(&path), &cache.client())
                .await
                .unwrap_err();
            assert!(
                matches!(&*error, RealiseError::Nar(_)),
                "{}",
                nix_formats::chain(&*error)
            );
            assert_empty(dir.path(), &format!("byte {at}, bit {bit}"));
        }
    }
    cache.heal();
    realise(&store, &[path], &cache.client()).await.unwrap();
}
