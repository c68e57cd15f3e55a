//! `niphas init`: what it writes can be rendered, and nothing is overwritten.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use support::{ExampleFolder, copy};

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/templates");

/// Runs `niphas` in a folder: the exit code, and all that it printed.
fn run(example: &ExampleFolder, here: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = example.niphas();
    let output = command.args(args).current_dir(here).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            (
                PathBuf::from(entry.file_name()),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

/// A flake in the place of nixpkgs: the example's program for each package, which the example's cache has.
fn nixpkgs(example: &ExampleFolder) -> String {
    let folder = example.path("nixpkgs");
    for name in ["packages.nix", "program", "site"] {
        copy(&example.example(name), &folder.join(name));
    }
    let flake = r#"{
      outputs = _: {
        legacyPackages.x86_64-linux =
          let inherit (import ./packages.nix "x86_64-linux") hello;
          in { darkhttpd = hello; valkey = hello; curl = hello; };
      };
    }"#;
    fs::write(folder.join("flake.nix"), flake).unwrap();
    format!("path:{}", folder.display())
}

#[test]
fn every_template_is_written_as_it_stands_and_can_be_rendered() {
    let names: Vec<_> = fs::read_dir(TEMPLATES).unwrap().collect();
    assert_eq!(names.len(), 2, "each is tested below");
    for (template, workloads) in [
        ("hello", &["production/hello"][..]),
        (
            "shop",
            &[
                "production/database",
                "production/nightly-check",
                "production/storefront",
                "staging/database",
                "staging/nightly-check",
                "staging/storefront",
            ],
        ),
    ] {
        let example = ExampleFolder::new("source");
        let here = example.path("new");
        let args = ["init", "--template", template, here.to_str().unwrap()];
        let (code, said) = run(&example, Path::new("/"), &args);
        assert_eq!(code, Some(0), "{said}");
        let written = files(&here);
        assert_eq!(written, files(&Path::new(TEMPLATES).join(template)));
        for name in written.keys() {
            let line = format!("wrote {}\n", here.join(name).display());
            assert!(said.contains(&line), "{said}");
        }
        let next = format!(
            "next:\n  cd {}\n  git init\n  git add .\n  niphas flake lock",
            here.display()
        );
        assert!(said.contains(&next), "{said}");

        let (nixpkgs, niphas) = (
            nixpkgs(&example),
            format!("path:{}", example.source().display()),
        );
        let inputs = [
            "--override-input",
            "nixpkgs",
            &nixpkgs,
            "--override-input",
            "niphas",
            &niphas,
        ];
        let (cache, key) = (example.cache(), example.key().display().to_string());
        let args = [
            "render",
            "path:.",
            "--to",
            "../gitops",
            "--init",
            "--cache",
            &cache,
            "--key-file",
            &key,
        ];
        let (code, said) = run(
            &example,
            &here,
            &[&args[..], &["--author", "A <a@b>"], &inputs].concat(),
        );
        assert_eq!(code, Some(0), "{said}");
        let added = said
            .lines()
            .filter_map(|line| line.trim().strip_prefix("added    deploy/"));
        let added: Vec<&str> = added.map(|file| file.rsplit_once('/').unwrap().0).collect();
        assert_eq!(added, workloads);
        // Each template says where niphas and nixpkgs are.
        let flake = String::from_utf8(written[Path::new("flake.nix")].clone()).unwrap();
        assert!(
            flake.contains("niphas.url = \"github:niphas/niphas\";"),
            "{flake}"
        );
    }
}

#[test]
fn nothing_is_overwritten() {
    let example = ExampleFolder::new("source");
    let here = example.path("mine");
    fs::create_dir(&here).unwrap();
    fs::write(here.join("flake.nix"), "mine").unwrap();
    symlink("elsewhere", here.join("index.html")).unwrap();
    let (code, said) = run(&example, &here, &["init"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(
        said,
        "error: './flake.nix', './index.html' exist already, and are not overwritten\n\
         hint: name another directory: niphas init DIR\n"
    );
    let mut names: Vec<_> = fs::read_dir(&here)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["flake.nix", "index.html"]);
    assert_eq!(fs::read(here.join("flake.nix")).unwrap(), b"mine");
    // In a repository, another is not proposed.
    fs::create_dir(here.join(".git")).unwrap();
    let (code, said) = run(&example, &here, &["init", "sub"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("next:\n  cd sub\n  git add .\n"), "{said}");
    let (code, _) = run(&example, &here, &["init", "--template", "nosuch", "x"]);
    assert_eq!(code, Some(2));
    assert!(!here.join("x").exists());
}
