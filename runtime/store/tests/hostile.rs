//! NARs and narinfos of an enemy: refused with an error that says why, and nothing is left of them.

mod support;

use niphas_store::RealiseError;
use nix_formats::{NarInfo, StoreDir, StorePath};
use support::{Cache, Fault, directory, file, key, names, noise, open, realise, store_path};

/// A token of a NAR.
fn token(bytes: &[u8]) -> Vec<u8> {
    let mut token = (bytes.len() as u64).to_le_bytes().to_vec();
    token.extend_from_slice(bytes);
    token.resize(token.len().next_multiple_of(8), 0);
    token
}

fn tokens(all: &[&[u8]]) -> Vec<u8> {
    all.iter().flat_map(|bytes| token(bytes)).collect()
}

fn archive(object: &[u8]) -> Vec<u8> {
    [token(b"nix-archive-1"), object.to_vec()].concat()
}

fn regular(contents: &[u8]) -> Vec<u8> {
    [
        tokens(&[b"(", b"type", b"regular", b"contents", contents]),
        token(b")"),
    ]
    .concat()
}

fn link(target: &[u8]) -> Vec<u8> {
    tokens(&[b"(", b"type", b"symlink", b"target", target, b")"])
}

fn folder(entries: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    let mut out = tokens(&[b"(", b"type", b"directory"]);
    for (name, object) in entries {
        out.extend(tokens(&[b"entry", b"(", b"name", name, b"node"]));
        out.extend_from_slice(object);
        out.extend(token(b")"));
    }
    out.extend(token(b")"));
    out
}

/// NARs that are wrong, and what the error has to say.
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
    for length in (0..good.len()).step_by(7) {
        case(
            format!("truncated to {length}"),
            good[..length].to_vec(),
            "",
        );
    }
    for at in (0..good.len()).step_by(11) {
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

fn assert_empty(dir: &std::path::Path, what: &str) {
    for part in ["tmp", "packs", "closures"] {
        assert_eq!(
            names(dir, part),
            Vec::<String>::new(),
            "{part} after {what}"
        );
    }
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
        if nar.is_empty() {
            continue;
        }
        cache.add_nar(&path, nar, &[], &[&key("test")]);
        let error = realise(&store, std::slice::from_ref(&path), &caches)
            .await
            .unwrap_err();
        let text = nix_formats::chain(&*error);
        assert!(
            text.contains(why) && text.contains(path.base_name()),
            "{what}: {text}"
        );
        assert_empty(dir.path(), what);
    }
    assert!(cases.len() >= 120, "{} cases", cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_a_nar_are_refused_and_leave_nothing() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let nar = directory([("a", file(noise(1, 3000))), ("b", file(noise(2, 40_000)))]).nar();
    let mut count = 0;
    let lie = async |name: String, change: &dyn Fn(&mut NarInfo), why: &str| {
        let path = store_path("lie", &name);
        let mut info = cache.add_nar(&path, &nar, &[], &[]);
        change(&mut info);
        info.signatures.clear();
        info.sign(&StoreDir::default(), &key("test"));
        cache.add_info(&info);
        let error = realise(&store, std::slice::from_ref(&path), &cache.client())
            .await
            .unwrap_err();
        let text = nix_formats::chain(&*error);
        assert!(text.contains(why), "{name}: {text}");
        assert_empty(dir.path(), &name);
    };
    let size = nar.len() as u64;
    for wrong in [
        1,
        8,
        size / 2,
        size - 8,
        size - 1,
        size + 1,
        size + 8,
        size * 2,
        1 << 40,
        u64::MAX >> 1,
    ] {
        lie(
            format!("size-{wrong}"),
            &|info| info.nar_size = wrong,
            "bytes instead of",
        )
        .await;
        count += 1;
    }
    for seed in 0..10_u8 {
        let hash = nix_formats::Hash::sha256([seed; 32]);
        lie(
            format!("hash-{seed}"),
            &|info| info.nar_hash = hash,
            "has the hash",
        )
        .await;
        count += 1;
    }
    for (number, url) in [
        "../../etc/passwd",
        "/etc/passwd",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "nar/../../x",
        "nar/%2e%2e/%2e%2e/x",
        "nar\\x",
    ]
    .iter()
    .enumerate()
    {
        lie(
            format!("url-{number}"),
            &|info| info.url = (*url).to_owned(),
            "does not stay within the cache",
        )
        .await;
        count += 1;
    }
    for compression in ["lzip", "unknown", "zstd", "xz", "gzip", "bzip2", "br"] {
        let Ok(compression) = compression.parse::<nix_formats::Compression>();
        lie(
            format!("compression-{compression}"),
            &|info| info.compression = compression.clone(),
            "",
        )
        .await;
        count += 1;
    }
    assert!(count > 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_change_on_the_way_are_refused_and_leave_nothing() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let nar = directory([("a", file(noise(1, 300))), ("b", file(noise(2, 4000)))]).nar();
    let path = store_path("", "web");
    let info = cache.add_nar(&path, &nar, &[], &[&key("test")]);
    for at in (0..nar.len()).step_by(nar.len() / 60) {
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

#[tokio::test(flavor = "multi_thread")]
async fn bombs_end_where_the_narinfo_says() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    // 256 MiB of zeros in a few KiB, said to be 1 MiB.
    let bomb = zstd::encode_all(std::io::repeat(0).take(256 << 20), 19).unwrap();
    for (name, start) in [
        ("zeros", Vec::new()),
        ("a-file", {
            let mut start = archive(&tokens(&[b"(", b"type", b"regular", b"contents"]));
            start.extend((1_u64 << 38).to_le_bytes());
            start
        }),
    ] {
        let path = store_path("bomb", name);
        let mut info = cache.add_nar(&path, &vec![0; 1 << 20], &[], &[]);
        info.compression = nix_formats::Compression::Zstd;
        info.sign(&StoreDir::default(), &key("test"));
        cache.add_info(&info);
        let body = [zstd::encode_all(&start[..], 3).unwrap(), bomb.clone()].concat();
        cache.fault(&info.url, Fault::Replace(body));
        let error = realise(&store, &[path], &cache.client()).await.unwrap_err();
        let text = nix_formats::chain(&*error);
        assert!(text.contains("at least") || text.contains("not"), "{text}");
        assert_empty(dir.path(), name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn narinfos_of_an_enemy_admit_nothing() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let nar = file("web").nar();
    let (web, other) = (store_path("", "web"), store_path("", "other"));
    let print = |info: &NarInfo| info.print(&StoreDir::default());
    let good = cache.add_nar(&web, &nar, &[], &[&key("test")]);
    let text = print(&good);
    let signed_other = cache.add_nar(&other, &nar, &[], &[&key("test")]);
    let mut cases: Vec<(String, String)> = vec![
        ("another path's".into(), print(&signed_other)),
        (
            "another path's signature".into(),
            print(&NarInfo {
                signatures: signed_other.signatures.clone(),
                ..good.clone()
            }),
        ),
        (
            "unsigned".into(),
            print(&NarInfo {
                signatures: vec![],
                ..good.clone()
            }),
        ),
        (
            "a reference more".into(),
            print(&NarInfo {
                references: [other.clone()].into(),
                ..good.clone()
            }),
        ),
        ("no text".into(), "\0\0\0".into()),
        ("empty".into(), String::new()),
        (
            "path in another folder".into(),
            text.replace("/nix/store", "/nix/other"),
        ),
        ("path with dots".into(), text.replace("-web", "-../web")),
    ];
    for line in text.lines() {
        // The compression has a default, and it is not that of this NAR.
        cases.push((
            format!("without {line}"),
            text.replace(&format!("{line}\n"), ""),
        ));
        cases.push((
            format!("twice {line}"),
            format!("{line}\n{text}").replace("Sig: ", "Sig: x"),
        ));
    }
    for length in (0..text.len()).step_by(13) {
        cases.push((format!("truncated to {length}"), text[..length].to_owned()));
    }
    let harmless = ["References: ", "URL: "];
    for (what, text) in &cases {
        if harmless
            .iter()
            .any(|field| what.starts_with("without ") && what.contains(field))
        {
            continue;
        }
        cache.put(
            &format!("{}.narinfo", web.hash_part()),
            text.clone().into_bytes(),
        );
        let result = realise(&store, std::slice::from_ref(&web), &cache.client()).await;
        let error = result.expect_err(what);
        assert!(
            nix_formats::chain(&*error).contains(web.base_name()),
            "{what}: {}",
            nix_formats::chain(&*error)
        );
        assert_empty(dir.path(), what);
    }
    assert!(cases.len() > 30);
    let cycle: Vec<StorePath> = vec![store_path("", "cycle-a"), store_path("", "cycle-b")];
    cache.add("cycle-a", &file("a"), &cycle[1..]);
    cache.add("cycle-b", &file("b"), &cycle);
    realise(&store, &cycle[..1], &cache.client()).await.unwrap();
}

use std::io::Read as _;
