//! Any bytes as the trees of a Git repository are written within the cache folder or refused, and what is written has the hash
//! that was computed before.
#![no_main]

use git2::{ObjectType, Oid, Repository};
use libfuzzer_sys::fuzz_target;
use nix_flake::{Attrs, FetchSettings, Fetcher, Input, SourceTree, UseRegistries};

// The first byte of a chunk says what an object is, the second how long it is. `@n` in a tree is the hash of the nth object.
fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("r");
    let repository = Repository::init(&place).unwrap();
    let odb = repository.odb().unwrap();
    let mut objects: Vec<Oid> = Vec::new();
    let mut top = None;
    let mut rest = bytes;
    while let [kind, length, contents @ ..] = rest
        && objects.len() < 32
    {
        let (contents, after) = contents.split_at(contents.len().min(usize::from(*length)));
        rest = after;
        let object = if kind % 2 == 0 {
            odb.write(ObjectType::Blob, contents)
        } else {
            let tree = with_hashes(contents, &objects);
            let object = odb.write(ObjectType::Tree, &tree);
            top = object.as_ref().ok().copied();
            object
        };
        objects.extend(object);
    }
    let Some(top) = top else { return };
    let who = "t <t@example.org> 1 +0000";
    let commit = format!("tree {top}\nauthor {who}\ncommitter {who}\n\nc\n");
    let commit = odb.write(ObjectType::Commit, commit.as_bytes()).unwrap();
    let mut attrs = Attrs::new();
    attrs.set("type", "git");
    attrs.set("url", format!("file://{}", place.display()));
    attrs.set("rev", commit.to_string());
    attrs.set("ref", "main");
    attrs.set("exportIgnore", bytes.len() % 2 == 0);
    let mut settings = FetchSettings::new(folder.path().join("cache"));
    settings.max_unpacked = 1 << 20;
    let input = Input::from_attrs(attrs).unwrap();
    if let Ok(fetched) = Fetcher::new(settings).fetch(&input, UseRegistries::No) {
        let tree = SourceTree::new(fetched.fetched.tree.root());
        assert_eq!(tree.nar_hash().unwrap(), fetched.fetched.nar_hash);
    }
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(name == "r" || name == "cache");
    }
});

fn with_hashes(contents: &[u8], objects: &[Oid]) -> Vec<u8> {
    let mut tree = Vec::new();
    let mut bytes = contents.iter();
    while let Some(&byte) = bytes.next() {
        let object = match byte {
            b'@' => bytes.next().and_then(|&index| objects.get(usize::from(index))),
            _ => None,
        };
        match object {
            Some(object) => tree.extend_from_slice(object.as_bytes()),
            None => tree.push(byte),
        }
    }
    tree
}
