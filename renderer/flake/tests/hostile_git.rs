//! Git repositories that no Git would make: nothing of them gets out of their tree.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use git2::{ObjectType, Oid, Repository, Signature};
use nix_flake::{Attr, Attrs, FetchSettings, Fetcher, Input, SourceTree, UseRegistries};
use nix_formats::hash::HashFormat;
use proptest::prelude::*;

use support::node::{Node, children};
use support::{World, report};

/// A bare repository whose objects are written as they are given, with no check.
struct Repo {
    world: World,
    repository: Repository,
}

impl Repo {
    fn new() -> Self {
        let world = World::new();
        let repository = Repository::init_bare(world.path("r.git")).expect("a repository");
        Self { world, repository }
    }

    fn object(&self, kind: ObjectType, contents: &[u8]) -> Oid {
        let odb = self.repository.odb().expect("objects");
        odb.write(kind, contents).expect("an object")
    }

    fn blob(&self, contents: impl AsRef<[u8]>) -> Oid {
        self.object(ObjectType::Blob, contents.as_ref())
    }

    /// A tree of these entries: mode, name, object.
    fn tree(&self, entries: &[(&str, &str, Oid)]) -> Oid {
        let mut contents = Vec::new();
        for (mode, name, object) in entries {
            contents.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            contents.extend_from_slice(object.as_bytes());
        }
        self.object(ObjectType::Tree, &contents)
    }

    fn commit(&self, tree: Oid) -> Oid {
        let who = "t <t@example.org> 1700000000 +0000";
        let text = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nc\n");
        let commit = self.object(ObjectType::Commit, text.as_bytes());
        for name in ["main", &commit.to_string()] {
            self.repository
                .reference(&format!("refs/heads/{name}"), commit, true, "")
                .expect("a reference");
        }
        self.repository.set_head("refs/heads/main").expect("a HEAD");
        commit
    }

    /// Fetches the commit that `main` is at, with these attributes more.
    fn fetch_with(&self, attrs: &[(&str, Attr)], max_unpacked: u64) -> Result<PathBuf, String> {
        let url = self.world.fill("file://@/r.git");
        let mut all = Attrs::new();
        all.set("type", "git");
        all.set("url", url.as_str());
        all.set("ref", "main");
        let rev = self.repository.refname_to_id("refs/heads/main");
        all.set("rev", rev.expect("a commit").to_string());
        for (name, value) in attrs {
            all.set(name, value.clone());
        }
        let input = Input::from_attrs(all).expect("an input");
        let mut settings = FetchSettings::new(self.world.path("cache"));
        settings.max_unpacked = max_unpacked;
        settings.ttl = Duration::ZERO;
        Fetcher::new(settings)
            .fetch(&input, UseRegistries::No)
            .map(|fetched| fetched.fetched.tree.root().to_owned())
            .map_err(|error| report(&error))
    }

    fn fetch(&self, entries: &[(&str, &str, Oid)]) -> Result<PathBuf, String> {
        self.commit(self.tree(entries));
        self.fetch_with(&[], 1 << 20)
    }

    /// The error of fetching a tree of these entries. Nothing of it may be left.
    fn refuse(&self, entries: &[(&str, &str, Oid)]) -> String {
        let error = self.fetch(entries).expect_err("a hostile tree");
        assert!(!self.world.path("outside").exists(), "{error}");
        assert_eq!(self.left(), Vec::<PathBuf>::new(), "{error}");
        error.rsplit("': ").next().unwrap_or_default().to_owned()
    }

    /// Trees and unfinished work in the cache folder.
    fn left(&self) -> Vec<PathBuf> {
        ["trees", "tmp"]
            .iter()
            .filter_map(|folder| fs::read_dir(self.world.path("cache").join(folder)).ok())
            .flatten()
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }
}

#[test]
fn no_entry_of_a_git_tree_is_written_through_another() {
    let repo = Repo::new();
    let outside = repo.world.path("outside");
    let link = repo.blob(outside.to_str().expect("UTF-8"));
    let text = repo.blob("written by a flake input");
    let order = "it does not come after the one before it in Git's order, as it must";
    for mode in ["100644", "100755"] {
        let twice = [("120000", "f", link), (mode, "f", text)];
        assert_eq!(repo.refuse(&twice), order);
    }
    fs::create_dir(repo.world.path("folder")).expect("a folder");
    let link = repo.blob(repo.world.path("folder").to_str().expect("UTF-8"));
    let below = repo.tree(&[("100644", "x", text)]);
    // In Git's order a folder has a slash behind its name, so this is sorted.
    let twice = [("120000", "d", link), ("40000", "d", below)];
    assert_eq!(repo.refuse(&twice), "it is there twice");
    let apart = [
        ("120000", "d", link),
        ("100644", "d.x", text),
        ("40000", "d", below),
    ];
    assert_eq!(repo.refuse(&apart), "it is there twice");
    assert_eq!(
        fs::read_dir(repo.world.path("folder")).expect("it").count(),
        0
    );
    let unsorted = [("100644", "b", text), ("100644", "a", text)];
    assert_eq!(repo.refuse(&unsorted), order);
    let nested = [("40000", "n", repo.tree(&twice))];
    assert_eq!(repo.refuse(&nested), "it is there twice");
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    let repo = Repo::new();
    let text = repo.blob("x");
    for name in [".git", ".GIT", ".Git", ".", "..", "a/b", "/", "../outside"] {
        assert_eq!(
            repo.refuse(&[("100644", name, text)]),
            "it has a name that no file can have",
            "{name}"
        );
        let tree = repo.tree(&[("100644", "config", text)]);
        assert_eq!(
            repo.refuse(&[("40000", name, tree)]),
            "it has a name that no file can have",
            "{name}/"
        );
    }
    let long = "n".repeat(256);
    let error = repo.refuse(&[("100644", &long, text)]);
    assert!(error.contains("invalid file name"), "{error}");
    let error = repo.refuse(&[("120000", "l", repo.blob(""))]);
    assert!(error.contains("invalid symlink target"), "{error}");
    // libgit2 cannot read this one, so it comes last.
    let error = repo.refuse(&[("100644", "", text)]);
    assert!(error.contains("filename"), "{error}");
}

#[test]
fn files_have_one_of_two_modes() {
    let repo = Repo::new();
    let text = repo.blob("x");
    let modes = [
        ("104755", 0o755),
        ("100644", 0o644),
        ("100664", 0o644),
        ("100777", 0o755),
    ];
    for (mode, expected) in modes {
        let root = repo.fetch(&[(mode, mode, text)]).expect("a tree");
        let found = root.join(mode).metadata().expect("a file").permissions();
        assert_eq!(found.mode() & 0o7777, expected, "{mode}");
    }
}

#[test]
fn a_tree_of_another_hash_is_not_written() {
    let repo = Repo::new();
    let tree = repo.tree(&[("100644", "f", repo.blob("x"))]);
    repo.commit(tree);
    let with_hash = |hash: &str| repo.fetch_with(&[("narHash", hash.into())], 1 << 20);
    let error = with_hash("sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let error = error.expect_err("another hash");
    assert!(error.contains("NAR hash mismatch in input"), "{error}");
    assert_eq!(repo.left(), Vec::<PathBuf>::new());
    let root = repo.fetch_with(&[], 1 << 20).expect("a tree");
    let right = SourceTree::new(root).nar_hash().expect("a hash");
    fs::remove_dir_all(repo.world.path("cache")).expect("the cache");
    let root = with_hash(&right.to_string(HashFormat::Sri, true));
    assert_eq!(
        fs::read_to_string(root.expect("a tree").join("f")).expect("it"),
        "x"
    );
}

#[test]
fn git_trees_have_a_largest_size_however_small_they_are_stored() {
    let repo = Repo::new();
    let text = repo.blob([b'x'; 1 << 10]);
    let mut tree = repo.tree(&[("100644", "f", text)]);
    for _ in 0..10 {
        let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        let entries: Vec<_> = names
            .iter()
            .map(|name| ("40000", name.as_str(), tree))
            .collect();
        tree = repo.tree(&entries);
    }
    let error = repo.refuse(&[("40000", "bomb", tree)]);
    assert!(error.contains("a tree of at most 1048576 bytes"), "{error}");
    let large = repo.blob(vec![0; (1 << 20) + 1]);
    let error = repo.refuse(&[("100644", "large", large)]);
    assert!(error.contains("is larger than 1048576 bytes"), "{error}");
    let mut tree = repo.tree(&[]);
    for _ in 0..100 {
        tree = repo.tree(&[("40000", "d", tree)]);
    }
    let error = repo.refuse(&[("40000", "d", tree)]);
    assert!(error.contains("at most 64 nested folders"), "{error}");
    repo.commit(tree);
    let error = repo.fetch_with(&[("exportIgnore", true.into())], 1 << 20);
    assert!(
        error
            .expect_err("too deep")
            .contains("at most 64 nested folders")
    );
}

#[test]
fn the_entries_of_a_git_tree_are_counted_before_one_is_written() {
    let repo = Repo::new();
    let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let of = |mode, object| -> Vec<_> {
        names
            .iter()
            .map(|name| (mode, name.as_str(), object))
            .collect()
    };
    let mut tree = repo.tree(&of("100644", repo.blob("")));
    for _ in 0..8 {
        tree = repo.tree(&of("40000", tree));
    }
    repo.commit(repo.tree(&[("40000", "bomb", tree)]));
    let place = repo.world.fill("file://@/r.git");
    let expected = format!(
        "expected a tree of at most 1000000 files, symlinks and folders in the Git repository '{place}' and its submodules, found at least 1111111111; split the repository"
    );
    let start = Instant::now();
    let hash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    for attrs in [
        &[][..],
        &[("narHash", hash.into())],
        &[("exportIgnore", true.into())],
    ] {
        let error = repo.fetch_with(attrs, 1 << 20).expect_err("a bomb");
        assert!(error.ends_with(&expected), "{error}");
        assert_eq!(repo.left(), Vec::<PathBuf>::new());
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    for _ in 0..60 {
        tree = repo.tree(&of("40000", tree));
    }
    let error = repo.refuse(&of("40000", tree));
    assert!(error.contains("at most 64 nested folders"), "{error}");
}

#[test]
fn submodules_count_together_with_their_repository() {
    let repo = Repo::new();
    let url = repo.world.fill("file://@/r.git");
    let file = ("100644", "f", repo.blob(vec![b'x'; 300 << 10]));
    let plain = repo.commit(repo.tree(&[file]));
    let with_submodules = |paths: &[&str], commit: Oid| {
        let module =
            |path: &&str| format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
        let modules = paths.iter().map(module).collect::<Vec<_>>().concat();
        let mut entries = vec![("100644", ".gitmodules", repo.blob(modules)), file];
        entries.extend(paths.iter().map(|path| ("160000", *path, commit)));
        repo.commit(repo.tree(&entries))
    };
    let submodules = ("submodules", Attr::from(true));
    let fetch = || repo.fetch_with(std::slice::from_ref(&submodules), 1 << 20);
    let two = with_submodules(&["m", "n"], plain);
    fetch().expect("three files of 300 KiB");
    with_submodules(&["m", "n", "o"], plain);
    let error = fetch().expect_err("four files of 300 KiB");
    assert!(
        error.contains(&format!("expected a tree of at most 1048576 bytes in the Git repository '{url}' and its submodules, found at least 1228")),
        "{error}"
    );
    // What is in the cache counts as well, with its own submodules.
    with_submodules(&["m"], two);
    let error = fetch().expect_err("four files of 300 KiB");
    assert!(error.contains("at most 1048576 bytes"), "{error}");
}

#[test]
fn a_repository_may_be_a_submodule_of_itself() {
    let repo = Repo::new();
    let url = repo.world.fill("file://@/r.git");
    let plain = repo.commit(repo.tree(&[("100644", "f", repo.blob("inner"))]));
    let modules = |path: &str| {
        let text = format!("[submodule \"s\"]\n\tpath = {path}\n\turl = {url}\n");
        ("100644", ".gitmodules", repo.blob(text))
    };
    let mut outer = repo.commit(repo.tree(&[modules("s"), ("160000", "s", plain)]));
    let root = repo
        .fetch_with(&[("submodules", true.into())], 1 << 20)
        .expect("a tree");
    assert_eq!(
        fs::read_to_string(root.join("s/f")).expect("a file"),
        "inner"
    );
    for _ in 0..20 {
        outer = repo.commit(repo.tree(&[modules("s"), ("160000", "s", outer)]));
    }
    let error = repo
        .fetch_with(&[("submodules", true.into())], 1 << 20)
        .expect_err("too deep");
    assert!(
        error.ends_with("nested at most 16 deep, found more"),
        "{error}"
    );
}

#[test]
fn submodules_are_put_at_their_commit_and_nowhere_else() {
    let repo = Repo::new();
    let url = repo.world.fill("file://@/r.git");
    let plain = repo.commit(repo.tree(&[("100644", "f", repo.blob("inner"))]));
    let folder = repo.world.path("folder");
    fs::create_dir(&folder).expect("a folder");
    let link = repo.blob(folder.to_str().expect("UTF-8"));
    for path in [
        "link/s",
        "link",
        "../folder",
        "/folder",
        "s/../link/s",
        "none",
    ] {
        let text = format!("[submodule \"s\"]\n\tpath = {path}\n\turl = {url}\n");
        let tree = repo.tree(&[
            ("100644", ".gitmodules", repo.blob(text)),
            ("120000", "link", link),
            ("160000", "s", plain),
        ]);
        repo.commit(tree);
        let root = repo
            .fetch_with(&[("submodules", true.into())], 1 << 20)
            .expect("a tree");
        assert_eq!(
            fs::read_dir(root.join("s")).expect("it").count(),
            0,
            "{path}"
        );
        assert_eq!(fs::read_dir(&folder).expect("it").count(), 0, "{path}");
    }
}

#[test]
fn gitmodules_include_no_file_of_this_machine() {
    let repo = Repo::new();
    let url = repo.world.fill("file://@/r.git");
    let plain = repo.commit(repo.tree(&[("100644", "f", repo.blob("inner"))]));
    let included = format!("[submodule \"s\"]\n\tpath = s\n\turl = {url}\n");
    repo.world.write("included", &included);
    let text = repo.world.fill("[Include]\n\tpath = @/included\n");
    let tree = repo.tree(&[
        ("100644", ".gitmodules", repo.blob(text)),
        ("160000", "s", plain),
    ]);
    repo.commit(tree);
    let error = repo.fetch_with(&[("submodules", true.into())], 1 << 20);
    let error = error.expect_err("an include");
    assert!(error.contains("it includes another file"), "{error}");
}

#[test]
fn submodules_of_work_trees_are_not_behind_links() {
    let world = World::new();
    world.write("private/f", "private").commit("private");
    world.write(
        "r/.gitmodules",
        "[submodule \"s\"]\n\tpath = link\n\turl = x\n",
    );
    symlink(world.path("private"), world.path("r/link")).expect("a link");
    world.commit("r");
    let input = world.reference("git+file://@/r?submodules=1").input;
    let error = world
        .fetcher()
        .fetch(&input, UseRegistries::No)
        .expect_err("a link");
    assert!(
        report(&error).ends_with(
            "expected the submodule 'link' to be a folder of its repository, found a symbolic link on the way; change its path in .gitmodules"
        ),
        "{}",
        report(&error)
    );
}

fn to_git(node: &Node, repo: &Repository) -> (Oid, i32) {
    let blob = |bytes: &[u8]| repo.blob(bytes).expect("a blob");
    match node {
        Node::File(true, bytes) => (blob(bytes), 0o100_755),
        Node::File(false, bytes) => (blob(bytes), 0o100_644),
        Node::Link(target) => (blob(target.as_bytes()), 0o120_000),
        Node::Folder(children) => {
            let mut builder = repo.treebuilder(None).expect("a tree");
            for (name, child) in children {
                let (id, mode) = to_git(child, repo);
                builder.insert(name, id, mode).expect("an entry");
            }
            (builder.write().expect("a tree"), 0o040_000)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_of_a_git_tree_has_the_hash_of_its_objects(
        children in children(),
    ) {
        let world = World::new();
        let repo = Repository::init_bare(world.path("r.git")).expect("a repository");
        let root = Node::Folder(children);
        let (tree, _) = to_git(&root, &repo);
        let who = Signature::new("t", "t@example.org", &git2::Time::new(1, 0)).expect("a name");
        let tree = repo.find_tree(tree).expect("a tree");
        repo.commit(Some("refs/heads/main"), &who, &who, "c", &tree, &[]).expect("a commit");
        let input = world.reference("git+file://@/r.git?ref=main").input;
        let fetched = world.fetcher().fetch(&input, UseRegistries::No).expect("a tree").fetched;
        let written = SourceTree::new(fetched.tree.root()).nar_hash().expect("a hash");
        prop_assert_eq!(fetched.nar_hash, written);
        root.to_files(&world.path("files"));
        let wanted = SourceTree::new(world.path("files")).nar_hash().expect("a hash");
        prop_assert_eq!(fetched.nar_hash, wanted);
    }
}
