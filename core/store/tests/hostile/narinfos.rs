//! narinfos that lie, or are none.

use nix_formats::{NarInfo, StoreDir, StorePath};

use crate::support::{
    Cache, directory, file, folder_client, key, noise, open, realise, rebuilt, store_path,
};
use crate::texts::wrong_texts;
use crate::{assert_empty, assert_memory_is_bounded, told};

/// A narinfo with every field that one can have. What no signature covers is wrong in places that do not matter.
fn good(cache: &Cache) -> NarInfo {
    let nar = directory([("a", file(noise(1, 300)))]).nar();
    let mut info = cache.add_nar(&store_path("", "web"), &nar, &[], &[&key("test")]);
    info.file_hash = Some(info.nar_hash.into());
    info.file_size = Some(info.nar_size);
    info.deriver = Some(store_path("", "web.drv"));
    cache.add_info(&info);
    info
}

/// The field that the byte at `at` is in.
fn field(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    text[start..].split(':').next().unwrap()
}

/// What an error about a path may say when its narinfo is changed at random.
const REFUSALS: [&str; 11] = [
    "has a damaged narinfo: ",
    "answers with another path",
    "signed only by keys that are not trusted",
    "the trusted key of that name did not make",
    "has it, but unsigned",
    "does not stay within the cache",
    "only its narinfo",
    "which is not supported",
    "cannot read the NAR",
    "bytes instead of",
    "bad archive",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_narinfo_can_be_changed_to_any_effect() {
    let cache = Cache::start().await;
    let mut dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let info = good(&cache);
    let folder = cache.copied();
    let text = info.print(&StoreDir::default());
    let name = format!("{}.narinfo", info.path.hash_part());
    let (mut refused, mut harmless) = (0, 0);
    for at in 0..text.len() {
        for change in [|byte: u8| byte ^ 1, |_| b'\n', |_| b' ', |_| 0, |_| 0xff] {
            let mut changed = text.clone().into_bytes();
            changed[at] = change(changed[at]);
            if changed == text.as_bytes() {
                continue;
            }
            let what = format!("byte {at} is {:#x} in {}", changed[at], field(&text, at));
            std::fs::write(folder.path().join(&name), changed).unwrap();
            let path = std::slice::from_ref(&info.path);
            match realise(&store, path, &folder_client(folder.path())).await {
                Err(error) => {
                    let text = told(&error, &what);
                    let is_known = REFUSALS.iter().any(|why| text.contains(why));
                    assert!(is_known && text.contains("-web"), "{what}: {text}");
                    assert_empty(dir.path(), &what);
                    refused += 1;
                }
                Ok(closure) => {
                    // No signature covers these, and the contents are what was signed all the same.
                    let uncovered = ["URL", "Compression", "FileHash", "FileSize", "Deriver"];
                    // Nix reads no further than the first '=' of a signature.
                    let is_blank = [b' ', b'\n', b'='].contains(&text.as_bytes()[at]);
                    let may_be = uncovered.contains(&field(&text, at))
                        || (field(&text, at) == "References" && info.references.is_empty())
                        || is_blank;
                    assert!(may_be, "{what}");
                    let line = &closure.lines.as_slice()[0];
                    assert_eq!((&line.path, line.nar_hash), (&info.path, info.nar_hash));
                    assert_eq!(closure.lines.path_count(), 1, "{what}");
                    assert_eq!(rebuilt(&store, &info.path), info.nar_hash);
                    dir = tempfile::tempdir().unwrap();
                    store = open(dir.path());
                    harmless += 1;
                }
            }
        }
    }
    assert!(refused > 1500 && harmless > 100, "{refused} {harmless}");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn what_a_trusted_key_signed_is_checked_all_the_same() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let nar = directory([("a", file(noise(1, 3000))), ("b", file(noise(2, 40_000)))]).nar();
    let size = nar.len() as u64;
    type Lie = Box<dyn Fn(&mut NarInfo)>;
    let mut lies: Vec<(String, Lie, &str)> = Vec::new();
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
        u64::MAX,
    ] {
        let lie = Box::new(move |info: &mut NarInfo| info.nar_size = wrong);
        lies.push((format!("size-{wrong}"), lie, "bytes instead of"));
    }
    for seed in 0..10_u8 {
        let lie = Box::new(move |info: &mut NarInfo| info.nar_hash = [seed; 32].into());
        lies.push((format!("hash-{seed}"), lie, "has the hash"));
    }
    let urls = "../../etc/passwd|/etc/passwd|//127.0.0.1/x|///etc/passwd|http://127.0.0.1:1/x|\
            file:///etc/passwd|s3://bucket/x|data:,x|nar/../../x|nar/..|..|.|./x|nar/./x|nar//x|\
            nar/%2e%2e/%2e%2e/x|nar/%2E./x|nar/.%2e/x|%2e%2e/x|nar\\x|..\\..\\x|nar/|C:/x|nar/x/../y".split('|');
    for (number, url) in urls.enumerate() {
        let lie = Box::new(move |info: &mut NarInfo| info.url = (*url).to_owned());
        lies.push((
            format!("url-{number}"),
            lie,
            "does not stay within the cache",
        ));
    }
    for (number, url) in [
        "nar/none",
        "x",
        "nar/x?y",
        "nar/\u{e9}",
        &"u".repeat(100_000),
    ]
    .iter()
    .enumerate()
    {
        let url = (*url).to_owned();
        let why = if url.len() > 1000 {
            "the field URL is longer than any can be"
        } else {
            "only its narinfo"
        };
        let lie = Box::new(move |info: &mut NarInfo| info.url.clone_from(&url));
        lies.push((format!("nowhere-{number}"), lie, why));
    }
    for (number, url) in [
        "nar/\u{1}x",
        "nar/\tx",
        "nar/\u{1b}[2Jx",
        "nar/x\u{7f}",
        "nar/x\u{9b}",
    ]
    .iter()
    .enumerate()
    {
        let lie = Box::new(move |info: &mut NarInfo| info.url = (*url).to_owned());
        lies.push((
            format!("control-{number}"),
            lie,
            "the field URL has the control character",
        ));
    }
    for (method, why) in [
        ("lzip", "'lzip', which is not supported"),
        ("../x", "which is not supported"),
        ("zstd", "cannot read the NAR"),
        ("xz", "cannot read the NAR"),
        ("gzip", "cannot read the NAR"),
        ("bzip2", "cannot read the NAR"),
        ("br", "cannot read the NAR"),
    ] {
        let Ok(method) = method.parse::<nix_formats::Compression>();
        let name = format!(
            "compression-{}",
            method.name().replace('/', "-").replace("..", "")
        );
        let lie = Box::new(move |info: &mut NarInfo| info.compression = method.clone());
        lies.push((name, lie, why));
    }
    for (number, missing) in ["missing", "another"].into_iter().enumerate() {
        let missing = store_path("nowhere", missing);
        let lie = Box::new(move |info: &mut NarInfo| {
            info.references.insert(missing.clone());
        });
        lies.push((format!("reference-{number}"), lie, "does not have it"));
    }
    for (name, lie, why) in &lies {
        let path = store_path("lie", name);
        let mut info = cache.add_nar(&path, &nar, &[], &[]);
        lie(&mut info);
        info.sign(&StoreDir::default(), &key("test"));
        cache.add_info(&info);
        let error = realise(&store, std::slice::from_ref(&path), &cache.client())
            .await
            .unwrap_err();
        let text = told(&error, name);
        assert!(
            text.contains(why) && text.contains(path.base_name()),
            "{name}: {text}"
        );
        // A reference that no cache has leaves what was fetched until then, which is whole.
        if !name.starts_with("reference") {
            assert_empty(dir.path(), name);
        }
        store
            .collect_garbage(&niphas_store::GcOptions::default())
            .unwrap();
    }
    assert!(lies.len() >= 60, "{}", lies.len());
    assert_memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread")]
async fn narinfos_of_an_enemy_admit_nothing() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let info = good(&cache);
    let other = cache.add_nar(
        &store_path("", "other"),
        &file("web").nar(),
        &[],
        &[&key("test")],
    );
    let cases = wrong_texts(&info, &other);
    let folder = cache.copied();
    let name = format!("{}.narinfo", info.path.hash_part());
    for (what, text, why) in &cases {
        std::fs::write(folder.path().join(&name), text).unwrap();
        let result = realise(
            &store,
            std::slice::from_ref(&info.path),
            &folder_client(folder.path()),
        )
        .await;
        let error = result.expect_err(what);
        let told = told(&error, what);
        assert!(
            told.contains(why) && told.contains("-web"),
            "{what}: {told}"
        );
        assert_empty(dir.path(), what);
    }
    assert!(cases.len() >= 500, "{} cases", cases.len());
    assert_memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_may_need_each_other() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let cycle: Vec<StorePath> = vec![store_path("", "cycle-a"), store_path("", "cycle-b")];
    cache.add("cycle-a", &file("a"), &cycle[1..]);
    cache.add("cycle-b", &file("b"), &cycle);
    realise(&open(dir.path()), &cycle[..1], &cache.client())
        .await
        .unwrap();
}
