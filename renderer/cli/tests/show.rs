//! `niphas show`: what a flake offers, without any of it being built.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::env::consts::{ARCH, OS};
use std::fs;
use std::process::Command;

use tempfile::TempDir;

const FLAKE: &str = r#"{
  outputs = { self }: let
    package = system: name: derivation { inherit name system; builder = "/bin/sh"; };
    systems = f: { a-here = f "a-here"; z-other = f "z-other"; };
  in {
    packages = systems (system: { default = package system "web-1.0"; broken = 1; });
    formatter = systems (system: package system "fmt-2.0");
    nixosModules.web = { ... }: { };
    lib.unused = throw "never looked at";
    niphasConfigurations = {
      production = { _type = "niphas-environment"; workloads = { web = throw "not yet"; batch = 1; }; };
      empty = { _type = "niphas-environment"; workloads = { }; };
      function = self: { };
      number = 1;
    };
  };
}"#;

/// What this machine's system is called in the flake, so that the snapshots are those of every machine.
const HERE: &str = "a-here";

fn show(args: &[&str]) -> String {
    let system = format!("{}-{}", ARCH, if OS == "macos" { "darwin" } else { OS });
    let folder = TempDir::new().unwrap();
    let flake = folder.path().join("flake");
    fs::create_dir(&flake).unwrap();
    fs::write(flake.join("flake.nix"), FLAKE.replace(HERE, &system)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_niphas"))
        .arg("show")
        .arg(format!("path:{}", flake.display()))
        .args(args)
        .env_clear()
        .env("HOME", folder.path())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    String::from_utf8(output.stdout)
        .unwrap()
        .replace(&system, HERE)
}

#[test]
fn what_there_is_is_a_tree() {
    let shown = show(&[]);
    let (url, tree) = shown.split_once('\n').unwrap();
    assert!(url.starts_with("path:"), "{url}");
    insta::assert_snapshot!(tree);
}

#[test]
fn programs_get_all_of_it_as_json() {
    let shown = show(&["--all-systems", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
}
