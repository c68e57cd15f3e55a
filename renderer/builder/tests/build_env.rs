//! `builtin:buildenv` gives the trees and messages of Nix 2.34.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix_builder::builtin::{Builtin, run};

/// A folder with packages, and the environment that is made of them.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// A package with files, by path and contents.
    fn package(&self, name: &str, files: &[(&str, &str)]) -> String {
        let package = self.path(name);
        fs::create_dir_all(&package).unwrap();
        for (path, contents) in files {
            let file = package.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, contents).unwrap();
        }
        package.to_str().unwrap().to_owned()
    }

    /// Builds, and gives the tree: links with their targets, and folders.
    fn build(&self, derivations: &str) -> Result<Vec<String>, String> {
        let attributes = [("derivations", derivations), ("manifest", "/manifest")];
        let attributes = attributes.map(|(name, value)| (name.into(), value.into()));
        self.build_with(attributes.into())
    }

    fn build_with(&self, attributes: BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Vec<String>, String> {
        let out = self.path("out");
        let outputs = [("out".to_owned(), out.to_str().unwrap().to_owned())];
        let result = run(&Builtin {
            name: b"buildenv".to_vec(),
            attributes,
            outputs: outputs.into(),
            ..Builtin::default()
        });
        let root = self.path("").to_str().unwrap().to_owned();
        let mut tree = Vec::new();
        list(&out, "", &mut tree);
        let short = |text: &str| text.replace(&root, "/");
        result
            .map(|()| tree.iter().map(|line| short(line)).collect())
            .map_err(|error| short(&error))
    }
}

fn list(folder: &Path, prefix: &str, out: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            out.push(format!("{name} -> {}", target.display()));
        } else {
            out.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), out);
        }
    }
}

#[test]
fn folders_of_several_packages_are_merged() {
    let world = World::new();
    let a = world.package(
        "a",
        &[("bin/a", ""), ("share/only/a", ""), ("share/doc/a", "")],
    );
    let b = world.package("b", &[("bin/b", ""), ("share/doc/b", "")]);
    symlink("a", world.path("a/bin/again")).unwrap();
    let tree = world.build(&format!("true 5 1 {b} true 5 1 {a}")).unwrap();
    let expected = [
        "bin/",
        "bin/a -> /a/bin/a",
        "bin/again -> /a/bin/again",
        "bin/b -> /b/bin/b",
        "manifest.nix -> /manifest",
        "share/",
        "share/doc/",
        "share/doc/a -> /a/share/doc/a",
        "share/doc/b -> /b/share/doc/b",
        "share/only -> /a/share/only",
    ];
    assert_eq!(tree, expected);
}

#[test]
fn what_has_no_place_in_an_environment_is_left_out() {
    let world = World::new();
    let files = [
        ".hidden",
        "nix-support/x",
        "log/x",
        "manifest.nix",
        "manifest.json",
        "propagated-build-inputs",
        "lib/perllocal.pod",
        "share/info/dir",
        "share/info/dirs",
        "share/dir",
        "x/nix-support/y",
    ];
    let package = world.package("a", &files.map(|file| (file, "")));
    let other = world.package(
        "b",
        &[
            ("lib/l", ""),
            ("share/info/b", ""),
            ("share/b", ""),
            ("x/b", ""),
        ],
    );
    symlink("/nowhere", world.path("a/gone")).unwrap();
    fs::write(world.path("plain"), "").unwrap();
    let plain = world.path("plain");
    let inactive = world.package("c", &[("c", "")]);
    let derivations = format!(
        "true 5 3 {package} {other} {} false 1 1 {inactive}",
        plain.display()
    );
    let expected = [
        "lib/",
        "lib/l -> /b/lib/l",
        "manifest.nix -> /manifest",
        "share/",
        "share/b -> /b/share/b",
        "share/dir -> /a/share/dir",
        "share/info/",
        "share/info/b -> /b/share/info/b",
        "share/info/dirs -> /a/share/info/dirs",
        "x/",
        "x/b -> /b/x/b",
    ];
    assert_eq!(world.build(&derivations).unwrap(), expected);
}

#[test]
fn smaller_numbers_win_and_what_is_brought_along_gives_way() {
    let world = World::new();
    let late = world.package("late", &[("x", ""), ("y", ""), ("z", "")]);
    let propagated = format!("{late}\n");
    let a = world.package(
        "a",
        &[
            ("x", ""),
            ("nix-support/propagated-user-env-packages", &propagated),
        ],
    );
    let b = world.package("b", &[("x", ""), ("y", "")]);
    let expected = [
        "manifest.nix -> /manifest",
        "x -> /b/x",
        "y -> /b/y",
        "z -> /late/z",
    ];
    assert_eq!(
        world.build(&format!("true 6 1 {a} true 5 1 {b}")).unwrap(),
        expected
    );
}

#[test]
fn conflicts_are_told_in_the_words_of_nix() {
    let world = World::new();
    let a = world.package("a", &[("bin/x", "")]);
    let b = world.package("b", &[("bin/x", "")]);
    let conflict = "\u{1b}[31;1merror:\u{1b}[0m Unable to build profile. There is a conflict for the following files:\n\n         \
        \u{1b}[35;1m\"/a/bin/x\"\u{1b}[0m\n         \u{1b}[35;1m\"/b/bin/x\"\u{1b}[0m";
    assert_eq!(
        world
            .build(&format!("true 5 1 {a} true 5 1 {b}"))
            .unwrap_err(),
        conflict
    );

    let world = World::new();
    let file = world.package("file", &[("bin", "")]);
    let folder = world.package("folder", &[("bin/x", "")]);
    let other = world.package("other", &[("bin/y", "")]);
    let collision = "\u{1b}[31;1merror:\u{1b}[0m collision between \u{1b}[35;1m\"/folder/bin\"\u{1b}[0m and non-directory \
        \u{1b}[35;1m\"/file/bin\"\u{1b}[0m";
    let built = world.build(&format!("true 5 1 {file} true 6 1 {folder}"));
    assert_eq!(built.unwrap_err(), collision);
    fs::remove_dir_all(world.path("out")).unwrap();
    let collision = "\u{1b}[31;1merror:\u{1b}[0m collision between non-directory '\u{1b}[35;1m/file/bin\u{1b}[0m' and directory \
        '\u{1b}[35;1m/out/bin\u{1b}[0m'";
    let built = world.build(&format!(
        "true 5 1 {folder} true 6 1 {other} true 7 1 {file}"
    ));
    assert_eq!(built.unwrap_err(), collision);
}

#[test]
fn broken_attributes_are_refused() {
    let world = World::new();
    let a = world.package("a", &[]);
    assert_eq!(world.build(&format!("true x 1 {a}")).unwrap_err(), "stoi");
    assert_eq!(
        world.build(&format!("true 99999999999 1 {a}")).unwrap_err(),
        "stoi"
    );
    assert_eq!(world.build(&format!("true 1 x {a}")).unwrap_err(), "stoul");
    assert!(
        world
            .build("true 1 9999999999 /a")
            .unwrap_err()
            .contains("ends within a derivation")
    );
    let missing = |name| {
        format!("\u{1b}[31;1merror:\u{1b}[0m attribute '\u{1b}[35;1m{name}\u{1b}[0m' missing")
    };
    assert_eq!(
        world.build_with(BTreeMap::new()).unwrap_err(),
        missing("derivations")
    );
    let derivations = [(b"derivations".to_vec(), Vec::new())];
    assert_eq!(
        world.build_with(derivations.into()).unwrap_err(),
        missing("manifest")
    );
    let absent = "\u{1b}[31;1merror:\u{1b}[0m cannot read directory \u{1b}[35;1m\"/absent\"\u{1b}[0m: \
        \u{1b}[35;1mNo such file or directory\u{1b}[0m";
    assert_eq!(world.build("true 1 1 /absent").unwrap_err(), absent);
}
