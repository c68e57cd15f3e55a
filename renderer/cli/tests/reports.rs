//! What `niphas render` reports of a change, in each form.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

mod support;

use std::fs;
use std::process::{Command, Output};

use support::ExampleFolder;

/// The example flake, committed to a repository, and then changed.
fn changed() -> ExampleFolder {
    let folder = ExampleFolder::new("source");
    assert!(render(&folder, &[]).status.success());
    let flake = folder.example("flake.nix");
    let text = fs::read_to_string(&flake).unwrap();
    let edited = text.replacen("replicas = 3;", "replicas = 4; env.LEVEL = \"debug\";", 1);
    assert_ne!(text, edited);
    fs::write(&flake, edited).unwrap();
    folder
}

fn render(folder: &ExampleFolder, args: &[&str]) -> Output {
    let mut niphas = folder.niphas();
    niphas.arg("render").arg(format!(
        "path:{}?dir=examples/hello",
        folder.source().display()
    ));
    niphas.arg("--to").arg(folder.path("gitops")).arg("--init");
    niphas
        .args([
            "--author",
            "CI <ci@example.org>",
            "--cache",
            &folder.cache(),
            "--key-file",
        ])
        .arg(folder.key());
    niphas.args(args).env("NO_COLOR", "1").output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The body of the last commit's message, without its trailers.
fn body(folder: &ExampleFolder) -> String {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(folder.path("gitops"))
        .args(["log", "--max-count=1", "--format=%b"]);
    let text = stdout(&git.output().unwrap());
    text.split("Niphas-Source-Repo").next().unwrap().to_owned()
}

#[test]
fn first_commit_says_what_comes() {
    let folder = ExampleFolder::new("source");
    assert!(render(&folder, &[]).status.success());
    insta::assert_snapshot!(body(&folder));
}

#[test]
fn text_says_it_after_the_files_and_before_the_patch() {
    let folder = changed();
    let text = stdout(&render(&folder, &["--dry-run"]));
    insta::assert_snapshot!(text);
    let diff = stdout(&render(&folder, &["--diff"]));
    let (summary, patch) = diff.split_once("diff --git ").unwrap();
    assert!(text.trim_end().ends_with(summary.trim_end()), "{summary}");
    assert!(patch.contains("+    LEVEL:\n"), "{patch}");
    assert!(render(&folder, &[]).status.success());
    insta::assert_snapshot!(body(&folder));
}

#[test]
fn each_form_goes_with_each_way_to_run() {
    let folder = changed();
    for (mode, code) in [("--check", 1), ("--diff", 1), ("--dry-run", 0)] {
        for (form, start) in [
            ("markdown", "<!-- niphas-review -->\n### Changes of "),
            ("html", "<!doctype html>\n"),
            ("json", "{\""),
        ] {
            let output = render(&folder, &[mode, "--output", form]);
            assert_eq!(output.status.code(), Some(code), "{mode} {form}");
            let text = stdout(&output);
            assert!(text.starts_with(start), "{mode} {form}: {text}");
            assert!(text.contains("LEVEL"), "{mode} {form}: {text}");
            assert_eq!(
                text.contains("diff --git"),
                mode == "--diff",
                "{mode} {form}: {text}"
            );
        }
    }
    let files = ["report.md", "report.html", "report.json"].map(|name| folder.path(name));
    let mut args = Vec::new();
    for file in &files {
        args.extend(["--report", file.to_str().unwrap()]);
    }
    let output = render(&folder, &args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(stdout(&output).starts_with("committed "));
    let [markdown, html, json] = files.map(|file| fs::read_to_string(file).unwrap());
    assert!(markdown.contains("`LEVEL`"), "{markdown}");
    assert!(html.contains("<svg"), "{html}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["outcome"], "committed");
    assert_eq!(
        json["review"]["workloads"][0]["reasons"][0]["names"][0],
        "LEVEL"
    );
    // Nothing more to do, with and without what the last run noted.
    for more in [
        &["--output", "markdown"][..],
        &["--output", "markdown", "--refresh"],
    ] {
        let again = stdout(&render(&folder, more));
        assert_eq!(
            again,
            "<!-- niphas-review -->\n### Changes of `production`, `staging`\n\nNo workload changes.\n"
        );
    }
    let again: serde_json::Value =
        serde_json::from_slice(&render(&folder, &["--output", "json"]).stdout).unwrap();
    assert_eq!(again["review"]["workloads"], serde_json::json!([]));
}

#[test]
fn plain_objects_are_reviewed_as_workloads_are() {
    let folder = ExampleFolder::new("source");
    assert!(render(&folder, &["--expand"]).status.success());
    let path = folder.example("flake.nix");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replacen("replicas = 3;", "replicas = 4; env.LEVEL = \"debug\";", 1),
    )
    .unwrap();
    let text = stdout(&render(&folder, &["--expand", "--diff"]));
    let summary = text.split("diff --git ").next().unwrap();
    let other = changed();
    let text = stdout(&render(&other, &["--diff"]));
    assert_eq!(summary, text.split("diff --git ").next().unwrap());
}
