//! NARs that are what their narinfos say, and that no store can use: neither verified nor pushed.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use binary_cache::{
    Caches, Limits, NarError, NarSource, PathInfo, PushError, PushOptions, SourceError, push,
};
use niphas_testing::nar::{archive, folder, link, regular, token};
use nix_formats::nar::Writer;
use nix_formats::{Compression, NarHash, NarInfo, PublicKeys, SecretKey, StoreDir, StorePath};

fn good() -> Vec<u8> {
    let mut nar = Writer::new(Vec::new());
    nar.begin_directory().unwrap();
    nar.entry(b"a").unwrap();
    nar.file(true, "7".repeat(100_000).as_bytes()).unwrap();
    nar.entry(b"b").unwrap();
    nar.symlink(b"a").unwrap();
    nar.end_directory().unwrap();
    nar.finish().unwrap()
}

fn unsound() -> Vec<(String, Vec<u8>)> {
    let mut cases = Vec::new();
    let mut case = |what: String, nar: Vec<u8>| cases.push((what, nar));
    for name in [
        &b".."[..],
        b".",
        b"",
        b"/",
        b"a/b",
        b"../up",
        b"/etc/passwd",
        b"a\0b",
    ] {
        let what = format!("name {}", name.escape_ascii());
        case(what.clone(), archive(&folder(&[(name, regular(b"x"))])));
        let inner = folder(&[(name, link(b"x"))]);
        case(what + " below", archive(&folder(&[(b"a", inner)])));
    }
    for (first, second) in [(&b"a"[..], &b"a"[..]), (b"b", b"a"), (b"a", b"B")] {
        let entries = [(first, link(b"/etc")), (second, regular(b"x"))];
        let what = format!("{} before {}", first.escape_ascii(), second.escape_ascii());
        case(what, archive(&folder(&entries)));
    }
    case("empty target".to_owned(), archive(&link(b"")));
    case("long target".to_owned(), archive(&link(&[b't'; 5000])));
    let name = [b'n'; 300];
    case(
        "long name".to_owned(),
        archive(&folder(&[(&name, regular(b"x"))])),
    );
    let deep = (0..70).fold(regular(b"x"), |object, _| folder(&[(b"d", object)]));
    case("deep".to_owned(), archive(&deep));
    let good = good();
    for length in [1, 8, 24, 200, 50_000, good.len() - 8] {
        case(format!("{length} bytes"), good[..length].to_vec());
    }
    for more in [&[0][..], b"12345678", &good] {
        case(
            format!("{} bytes more", more.len()),
            [&good[..], more].concat(),
        );
    }
    case("no archive".to_owned(), b"#!/bin/sh\necho hello\n".to_vec());
    case("no object".to_owned(), token(b"nix-archive-1"));
    cases
}

fn path(name: &str) -> StorePath {
    StorePath::from_base_name(format!("{}-{name}", name.repeat(32))).unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_seed("test-1", [1; 32])
}

fn caches(folder: &Path) -> Caches {
    let url = format!("file://{}", folder.display()).parse().unwrap();
    let keys: PublicKeys = [key().public_key()].into_iter().collect();
    Caches::new(StoreDir::default(), [url], keys, Limits::default()).unwrap()
}

/// A folder cache that has one path, whose narinfo a trusted key signed.
fn cache(nar: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut info = NarInfo {
        path: path("a"),
        url: "nar/a".to_owned(),
        compression: Compression::None,
        file_hash: None,
        file_size: None,
        nar_hash: NarHash::of(nar),
        nar_size: nar.len() as u64,
        references: [].into(),
        deriver: None,
        signatures: Vec::new(),
        ca: None,
    };
    info.sign(&StoreDir::default(), &key());
    std::fs::create_dir(folder.path().join("nar")).unwrap();
    std::fs::write(folder.path().join("nar/a"), nar).unwrap();
    std::fs::write(
        folder.path().join("nix-cache-info"),
        "StoreDir: /nix/store\n",
    )
    .unwrap();
    let name = format!("{}.narinfo", info.path.hash_part());
    std::fs::write(folder.path().join(name), info.print(&StoreDir::default())).unwrap();
    folder
}

#[tokio::test]
async fn what_nodes_refuse_is_not_verified() {
    let cases = unsound();
    assert!(cases.len() > 30);
    for (what, nar) in cases {
        let folder = cache(&nar);
        let caches = caches(folder.path());
        let found = caches.find(&path("a"), None).await.unwrap();
        let error = caches.verify_nar(&found).await.unwrap_err();
        assert!(
            matches!(error, NarError::Malformed { .. }),
            "{what}: {error:?}"
        );
        let text = nix_formats::chain(&error);
        assert!(text.contains("bad archive: "), "{what}: {text}");
    }
    let folder = cache(&good());
    let caches = caches(folder.path());
    let found = caches.find(&path("a"), None).await.unwrap();
    caches.verify_nar(&found).await.unwrap();
}

/// A store that gives the NARs it was made of, in pieces of this size.
struct Raw {
    store_dir: StoreDir,
    nars: Mutex<BTreeMap<StorePath, Vec<u8>>>,
    piece: usize,
}

impl NarSource for Raw {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        let nars = self.nars.lock().unwrap();
        let info = |path: &StorePath| {
            let nar = nars.get(path)?;
            Some(PathInfo {
                path: path.clone(),
                nar_hash: NarHash::of(nar),
                nar_size: nar.len() as u64,
                references: nars.keys().filter(|other| *other < path).cloned().collect(),
                deriver: None,
                signatures: Vec::new(),
                ca: None,
            })
        };
        Ok(paths.iter().map(info).collect())
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        let nar = self.nars.lock().unwrap()[&info.path].clone();
        for piece in nar.chunks(self.piece) {
            out.write_all(piece).map_err(SourceError::Write)?;
        }
        Ok(())
    }
}

fn source(nars: &[(&str, &[u8])], piece: usize) -> Arc<Raw> {
    let nars = nars.iter().map(|(name, nar)| (path(name), nar.to_vec()));
    Arc::new(Raw {
        store_dir: StoreDir::default(),
        nars: Mutex::new(nars.collect()),
        piece,
    })
}

async fn push_to(
    folder: &Path,
    source: Arc<Raw>,
    root: &str,
) -> Result<binary_cache::PushReport, PushError> {
    let url = format!("file://{}", folder.display()).parse().unwrap();
    let options = PushOptions {
        keys: [key()].into(),
        ..PushOptions::default()
    };
    push(source, &[path(root)], &url, options, Arc::default()).await
}

#[tokio::test]
async fn what_nodes_refuse_is_not_pushed() {
    for (number, (what, nar)) in unsound().into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(&[("a", &nar)], [1, 7, 4096, 1 << 20][number % 4]);
        let error = push_to(folder.path(), source, "a").await.unwrap_err();
        assert!(
            matches!(error, PushError::Unsound { .. }),
            "{what}: {error:?}"
        );
        let text = nix_formats::chain(&error);
        assert!(text.contains("bad archive: "), "{what}: {text}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "{what}: {left:?}");
        let nars = std::fs::read_dir(folder.path().join("nar")).unwrap();
        assert_eq!(nars.count(), 0, "{what}");
    }
}

/// As a power cut leaves it: names that are on the disk, and bytes that are not.
#[tokio::test]
async fn files_that_were_cut_short_are_pushed_again() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (good(), archive(&regular(b"b")));
    let nars: [(&str, &[u8]); 2] = [("a", &a), ("b", &b)];
    let pushed = push_to(folder.path(), source(&nars, 4096), "b")
        .await
        .unwrap();
    assert_eq!(pushed.pushed, [path("a"), path("b")]);
    let again = push_to(folder.path(), source(&nars, 4096), "b")
        .await
        .unwrap();
    assert_eq!(again.present, [path("a"), path("b")]);
    let caches = caches(folder.path());
    let found = caches.find(&path("b"), None).await.unwrap();
    let nar = folder.path().join(&found.info.url);
    let whole = std::fs::read(&nar).unwrap();
    for left in [0, whole.len() / 2] {
        std::fs::write(&nar, &whole[..left]).unwrap();
        let again = push_to(folder.path(), source(&nars, 4096), "b")
            .await
            .unwrap();
        assert_eq!(again.pushed, [path("b")], "{left} bytes were left");
        assert_eq!(std::fs::read(&nar).unwrap(), whole);
    }
    let narinfo = format!("{}.narinfo", path("b").hash_part());
    std::fs::write(folder.path().join(narinfo), "").unwrap();
    std::fs::write(folder.path().join("nix-cache-info"), "").unwrap();
    push_to(folder.path(), source(&nars, 4096), "b")
        .await
        .unwrap();
    for found in caches.closure(&[path("b")]).await.unwrap().paths {
        caches.verify_nar(&found).await.unwrap();
    }
}
