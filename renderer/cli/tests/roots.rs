//! `niphas roots`: what has to be built and pushed before a flake can be rendered.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use serde_json::Value as Json;

use support::ExampleFolder;

struct Example(ExampleFolder);

impl Example {
    fn new() -> Self {
        Self(ExampleFolder::new("source"))
    }

    fn flake(&self) -> String {
        format!("path:{}?dir=examples/hello", self.0.source().display())
    }

    fn niphas(&self, args: &[&str]) -> Output {
        let mut command = self.0.niphas();
        command.args(args).env("NO_COLOR", "1");
        command.env("NIPHAS_LOG", "debug");
        command.output().unwrap()
    }

    /// The lines that `niphas roots` prints.
    fn roots(&self, args: &[&str]) -> Vec<String> {
        let output = self.niphas(&[&["roots", &self.flake()], args].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        stdout.lines().map(str::to_owned).collect()
    }

    fn json(&self, args: &[&str]) -> Vec<Json> {
        let lines = self.roots(&[&["--json"], args].concat());
        let json: Json = serde_json::from_str(&lines.concat()).unwrap();
        json["roots"].as_array().unwrap().clone()
    }

    /// What the workloads that `niphas render` commits are made of.
    fn rendered_roots(&self) -> BTreeSet<String> {
        let repository = self.0.path("gitops").display().to_string();
        let mut command = self.0.niphas();
        command.args(["render", &self.flake(), "--to", &repository, "--init"]);
        command
            .args(["--cache", &self.0.cache(), "--key-file"])
            .arg(self.0.key());
        let output = command.args(["--author", "CI <ci@example.org>"]).output();
        assert!(output.unwrap().status.success());
        let files = std::process::Command::new("git")
            .args([
                "-C",
                &repository,
                "grep",
                "-h",
                "/nix/store/",
                "HEAD",
                "--",
                "deploy",
            ])
            .output()
            .unwrap();
        let lines = String::from_utf8(files.stdout).unwrap();
        let lines = lines.lines().map(str::trim);
        lines
            .filter_map(|line| Some(line.strip_prefix("- ")?.to_owned()))
            .filter(|line| line.starts_with("/nix/store/"))
            .collect()
    }
}

#[test]
fn all_that_render_needs_is_listed_once() {
    let example = Example::new();
    let paths = example.roots(&["--paths"]);
    let sorted: BTreeSet<String> = paths.iter().cloned().collect();
    assert_eq!(paths.len(), sorted.len());
    assert_eq!(sorted, example.rendered_roots());

    let installables = example.roots(&[]);
    assert_eq!(installables.len(), paths.len());
    let roots = example.json(&[]);
    let strings = |name: &str| -> BTreeSet<String> {
        roots
            .iter()
            .map(|root| root[name].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(strings("path"), sorted);
    assert!(strings("installable").is_superset(&installables.iter().cloned().collect()));
    assert_eq!(strings("environment").len(), 2);
    assert_eq!(strings("system").len(), 2);
    // The package of a workload before what else it refers to.
    let ticker: Vec<&Json> = roots
        .iter()
        .filter(|root| root["workload"] == "ticker" && root["environment"] == "staging")
        .filter(|root| root["system"] == "x86_64-linux")
        .collect();
    assert_eq!(ticker.len(), 2);
    assert!(ticker[0]["path"].as_str().unwrap().ends_with("-hello-1.0"));
    assert!(
        ticker[0]["drvPath"]
            .as_str()
            .unwrap()
            .ends_with("-hello-1.0.drv")
    );
    assert_eq!(ticker[0]["output"], "out");
    assert!(ticker[1]["path"].as_str().unwrap().ends_with("-greeting"));
    assert_eq!(
        [&ticker[1]["drvPath"], &ticker[1]["output"]],
        [&Json::Null, &Json::Null]
    );
}

#[test]
fn the_installables_are_what_builds_the_paths() {
    let example = Example::new();
    for root in example.json(&["--environment", "production"]) {
        let installable = root["installable"].as_str().unwrap();
        let output = example.niphas(&["eval", "--json", installable]);
        let value: Json = serde_json::from_slice(&output.stdout).unwrap();
        if root["drvPath"].is_null() {
            assert_eq!(value, root["path"]);
        } else {
            assert_eq!(value["drvPath"], root["drvPath"]);
            assert_eq!(value["meta"]["outputsToInstall"][0], root["output"]);
        }
    }
}

#[test]
fn environments_and_systems_can_be_chosen() {
    let example = Example::new();
    let one = example.json(&["-e", "staging", "--system", "aarch64-linux"]);
    assert_eq!(one.len(), 4);
    for root in &one {
        assert_eq!(root["environment"], "staging");
        assert_eq!(root["system"], "aarch64-linux");
    }
    let by_fragment =
        example.niphas(&["roots", &format!("{}#staging", example.flake()), "--paths"]);
    let by_option = example.niphas(&["roots", &example.flake(), "-e", "staging", "--paths"]);
    assert_eq!(by_fragment.stdout, by_option.stdout);
    let unknown = example.niphas(&["roots", &example.flake(), "--system", "x86_64-linxu"]);
    assert_eq!(unknown.status.code(), Some(1));
    let stderr = String::from_utf8(unknown.stderr).unwrap();
    let expected = "error: no environment is for the system 'x86_64-linxu'; they are for: aarch64-linux, x86_64-linux\n";
    assert!(stderr.ends_with(expected), "{stderr}");
}

#[test]
fn what_is_known_is_not_evaluated_again() {
    let example = Example::new();
    let output = |args: &[&str]| {
        let output = example.niphas(&[&["roots", &example.flake()], args].concat());
        (output.stdout, String::from_utf8(output.stderr).unwrap())
    };
    let (first, said) = output(&[]);
    assert!(said.contains("0 answers known"), "{said}");
    let (second, said) = output(&[]);
    assert!(said.contains("answers known, 0 found"), "{said}");
    assert_eq!(first, second);
    assert_eq!(first, output(&["--no-eval-cache"]).0);
}

#[test]
fn what_the_caches_lack_can_be_chosen() {
    let example = Example::new();
    let (cache, key) = (example.0.cache(), example.0.key().display().to_string());
    let caches = [
        "--missing",
        "--paths",
        "--cache",
        &cache,
        "--key-file",
        &key,
    ];
    assert!(example.roots(&caches).is_empty());
    // Of the site and its program, which the site refers to.
    let paths = example.roots(&["--paths", "--system", "x86_64-linux"]);
    let hello = paths
        .iter()
        .find(|path| path.ends_with("-hello-1.0"))
        .unwrap();
    let hash = &hello["/nix/store/".len()..][..32];
    fs::remove_file(example.0.example("cache").join(format!("{hash}.narinfo"))).unwrap();
    let missing = example.roots(&caches);
    let names: Vec<&str> = missing
        .iter()
        .map(|path| &path["/nix/store/".len() + 33..])
        .collect();
    assert_eq!(names, ["hello-1.0", "hello-site-1.0"], "{missing:?}");

    // What no cache can be asked is not taken for missing.
    let away = example.niphas(&[
        "roots",
        &example.flake(),
        "--missing",
        "--cache",
        "file:///nowhere",
        "--key-file",
        &key,
    ]);
    assert_eq!(away.status.code(), Some(1));
    assert!(away.stdout.is_empty());
    let no_key = example.niphas(&["roots", &example.flake(), "--missing", "--cache", &cache]);
    assert_eq!(no_key.status.code(), Some(1));
    let stderr = String::from_utf8(no_key.stderr).unwrap();
    assert!(
        stderr.contains("hint: no public key is trusted"),
        "{stderr}"
    );
}
