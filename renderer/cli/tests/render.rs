//! `niphas render` as its users meet it: what it commits, and what it says when something is wrong.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use support::{ExampleFolder, copy};

/// A copy of the example flake, and a place for a GitOps repository beside it.
struct Project {
    folder: ExampleFolder,
}

impl Project {
    fn new() -> Self {
        Self {
            folder: ExampleFolder::new("source"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// Replaces a text in a file of the flake; it must be there.
    fn edit(self, file: &str, from: &str, to: &str) -> Self {
        let path = self.folder.example(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no '{from}'");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        self
    }

    /// The example flake as a folder that is in no repository.
    fn flake(&self) -> String {
        format!("path:{}?dir=examples/hello", self.folder.source().display())
    }

    /// Runs Git in the repository that the example is in.
    fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.folder.source());
        git.args(["-c", "user.name=A", "-c", "user.email=a@example.org"]);
        let output = git.args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}");
    }

    /// Makes the example one of a Git repository.
    fn commit(&self) {
        self.git(&["init", "--quiet"]);
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", "all"]);
    }

    fn command(&self, flake: &str, args: &[&str]) -> Command {
        let mut command = self.folder.niphas();
        command.arg("render").arg(flake).args(args);
        command.env("NO_COLOR", "1");
        command
    }

    /// `niphas render` with the example's cache and key, into a new repository.
    fn render(&self, args: &[&str]) -> Output {
        self.render_flake(&self.flake(), args)
    }

    fn render_flake(&self, flake: &str, args: &[&str]) -> Output {
        let repository = self.path("gitops");
        let mut command = self.command(flake, &["--to", repository.to_str().unwrap(), "--init"]);
        command.args(["--author", "CI <ci@example.org>"]);
        if !args.contains(&"--cache") {
            command.args(["--cache", &self.folder.cache()]);
        }
        command
            .arg("--key-file")
            .arg(self.folder.key())
            .args(args)
            .output()
            .unwrap()
    }

    /// What a failed run printed, with paths of this run left out. Nothing may have been written.
    fn failure(&self, output: &Output, code: i32) -> String {
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}",
            self.text(&output.stderr)
        );
        assert_eq!(self.text(&output.stdout), "");
        let written = Command::new("git")
            .arg("-C")
            .arg(self.path("gitops"))
            .args(["rev-parse", "HEAD"])
            .output();
        assert!(
            !written.unwrap().status.success(),
            "something was committed"
        );
        self.text(&output.stderr)
    }

    fn text(&self, bytes: &[u8]) -> String {
        let folder = self.path("");
        let folder = folder.to_str().unwrap().trim_end_matches('/');
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.replace(folder, "[DIR]")
    }
}

#[test]
fn the_example_is_committed_once() {
    let project = Project::new();
    let first = project.render(&["--output", "json"]);
    assert!(first.status.success(), "{}", project.text(&first.stderr));
    let first: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(first["outcome"], "committed");
    assert_eq!(first["changes"].as_array().unwrap().len(), 21);
    let again = project.render(&["--output", "json"]);
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["outcome"], "unchanged");
    assert_eq!(again["commit"], first["commit"]);
}

#[test]
fn a_run_with_nothing_to_do_asks_no_cache_unless_it_is_to() {
    let project = Project::new();
    let cache = project.folder.example("cache");
    let elsewhere = project.path("cache");
    let url = format!("file://{}", elsewhere.display());
    copy(&cache, &elsewhere);
    let render = |more: &[&str]| project.render(&[&["--cache", url.as_str()], more].concat());
    let first = render(&[]);
    assert!(first.status.success(), "{}", project.text(&first.stderr));
    for file in fs::read_dir(&elsewhere).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "narinfo")
        {
            fs::remove_file(path).unwrap();
        }
    }
    let again = render(&[]);
    let said = project.text(&again.stdout) + &project.text(&again.stderr);
    assert_eq!(said, "nothing to commit: branch 'main' is up to date\n");
    assert_eq!(render(&["--check"]).status.code(), Some(0));
    assert_eq!(render(&["--refresh"]).status.code(), Some(1));
    assert_eq!(render(&["--no-eval-cache"]).status.code(), Some(1));
    assert_eq!(render(&["--expand"]).status.code(), Some(1));
}

#[test]
fn a_branch_that_others_changed_is_looked_at_in_full() {
    let project = Project::new();
    assert!(project.render(&[]).status.success());
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(project.path("gitops")).args(args);
        assert!(git.output().unwrap().status.success(), "git {args:?}");
    };
    let name = "deploy/staging/status/NiphasWorkload-status.yaml";
    let file = project.path("gitops").join(name);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "# mine\n").unwrap();
    git(&["add", "."]);
    let commit = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    let commit = [&commit[..], &["commit", "--message", "by hand"]].concat();
    git(&commit);
    let again = project.render(&[]);
    assert_eq!(again.status.code(), Some(1));
    let said = project.text(&again.stderr);
    assert!(said.contains(name) && said.contains("edited"), "{said}");
}

#[test]
fn check_and_diff_tell_by_their_exit_code() {
    let project = Project::new();
    assert_eq!(project.render(&["--check"]).status.code(), Some(1));
    assert!(project.render(&[]).status.success());
    assert_eq!(project.render(&["--check"]).status.code(), Some(0));
    let project = project.edit("flake.nix", "replicas = 3;", "replicas = 4;");
    let diff = project.render(&["--diff"]);
    assert_eq!(diff.status.code(), Some(1));
    let diff = project.text(&diff.stdout);
    assert!(diff.contains("-  replicas: 3\n+  replicas: 4\n"), "{diff}");
}

#[test]
fn only_the_named_environments_are_rendered() {
    let project = Project::new();
    let output = project.render(&["-e", "staging", "--output", "json"]);
    let output: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let production =
        |change: &serde_json::Value| change["path"].as_str().unwrap().contains("production");
    assert!(!output["changes"].as_array().unwrap().iter().any(production));
}

#[test]
fn the_fragment_names_the_environment() {
    let project = Project::new();
    let render = |fragment: &str, args: &[&str]| {
        let flake = format!("{}#{fragment}", project.flake());
        project.render_flake(&flake, args)
    };
    for fragment in ["staging", "niphasConfigurations.staging"] {
        let output = render(fragment, &["--dry-run"]);
        let text = project.text(&output.stdout);
        assert!(text.contains("deploy/staging/"), "{text}");
        assert!(!text.contains("production"), "{text}");
    }
    insta::assert_snapshot!(project.failure(&render("nosuch", &[]), 1), @r#"
    error: the flake has no environment 'nosuch'; it has: production, staging
    "#);
    insta::assert_snapshot!(project.failure(&render("staging", &["-e", "production"]), 1), @r#"
    error: 'path:[DIR]/source?dir=examples/hello#staging' names environment 'staging', and --environment others
    hint: name the environments in one way
    "#);
}

#[test]
fn environments_of_another_flake_stay() {
    let (ours, theirs) = (Project::new(), Project::new());
    let to = ours.path("gitops");
    let to = ["--to", to.to_str().unwrap()];
    assert!(ours.render(&[]).status.success());
    // A folder of the same repository, or another one.
    let mut command = theirs.command(&theirs.flake(), &to);
    command.args(["--cache", &theirs.folder.cache()]);
    command.arg("--key-file").arg(theirs.folder.key());
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = theirs.text(&refused.stderr);
    let said = ours
        .text(said.as_bytes())
        .replace("[DIR]/source?dir=examples/hello", "[FLAKE]");
    insta::assert_snapshot!(said, @r#"
    error: environment 'production' in the repository belongs to the flake [FLAKE]; this flake is [FLAKE]
    hint: names of environments are unique in a GitOps repository: give this one another name, or use a repository for each flake; if the flake moved, or this one should replace the other's workloads, allow it once with --take-over
    "#);
    let taken = command.arg("--take-over").output().unwrap();
    assert!(taken.status.success(), "{}", theirs.text(&taken.stderr));
    assert_eq!(ours.render(&[]).status.code(), Some(1));
}

#[test]
fn environments_that_are_no_longer_in_the_flake_are_named_until_they_are_pruned() {
    let project = Project::new();
    assert!(project.render(&[]).status.success());
    let project = project.edit("flake.nix", "niphasConfigurations.staging", "unused");
    // Evaluated, and then as it was left.
    for _ in 0..2 {
        let output = project.render(&["--output", "json"]);
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["outcome"], "unchanged");
        assert_eq!(said["goneEnvironments"], serde_json::json!(["staging"]));
        assert_eq!(
            project.text(&output.stderr),
            "warning: the repository has environments of this flake that are no longer in it: 'staging'; \
             remove them with --prune-environments\n"
        );
    }
    // It says nothing of environments that were not asked for.
    let output = project.render(&["-e", "production", "--prune-environments"]);
    let said = project.text(&output.stdout) + &project.text(&output.stderr);
    assert_eq!(said, "nothing to commit: branch 'main' is up to date\n");
    let pruned = project.render(&["--prune-environments"]);
    let said = project.text(&pruned.stdout);
    assert!(said.contains("  removed  .niphas/staging.lock\n"), "{said}");
    assert_eq!(project.text(&pruned.stderr), "");
    let again = project.render(&[]);
    let said = project.text(&again.stdout) + &project.text(&again.stderr);
    assert_eq!(said, "nothing to commit: branch 'main' is up to date\n");
}

#[test]
fn a_lock_file_that_does_not_fit_is_an_error_unless_it_may_be_written() {
    let project = Project::new();
    let lock = project.folder.example("flake.lock");
    let whole = fs::read(&lock).unwrap();
    fs::remove_file(&lock).unwrap();
    insta::assert_snapshot!(project.failure(&project.render(&[]), 1), @r#"
    error: the lock file of flake 'path:[DIR]/source?dir=examples/hello' is not up to date
    hint: run 'niphas flake lock' and commit flake.lock, or write it with --update-lock-file
    "#);
    // Another input for once is no lock file that does not fit.
    let niphas = format!("path:{}", project.folder.source().display());
    let replaced = project.render(&["--dry-run", "--override-input", "niphas", &niphas]);
    assert!(
        replaced.status.success(),
        "{}",
        project.text(&replaced.stderr)
    );
    project.commit();
    let folder = project.folder.example("");
    let written = project.render_flake(folder.to_str().unwrap(), &["--update-lock-file"]);
    assert!(
        written.status.success(),
        "{}",
        project.text(&written.stderr)
    );
    assert_eq!(fs::read(&lock).unwrap(), whole);
}

#[test]
fn a_dirty_repository_is_refused_on_request() {
    let project = Project::new();
    let unborn = project.folder.example("");
    project.git(&["init", "--quiet"]);
    project.git(&["add", "."]);
    let output = project.render_flake(unborn.to_str().unwrap(), &["--require-clean"]);
    let said = project.failure(&output, 1);
    assert!(said.contains("has uncommitted changes"), "{said}");
    project.commit();
    let flake = project.folder.example("");
    let render = |args: &[&str]| project.render_flake(flake.to_str().unwrap(), args);
    let clean = render(&["--require-clean", "--dry-run"]);
    assert!(clean.status.success(), "{}", project.text(&clean.stderr));
    let project = Project {
        folder: project.folder,
    }
    .edit("flake.nix", "replicas = 3;", "replicas = 4;");
    let render = |args: &[&str]| project.render_flake(flake.to_str().unwrap(), args);
    insta::assert_snapshot!(project.failure(&render(&["--require-clean"]), 1), @r#"
    warning: Git tree '[DIR]/source' is dirty
    error: the repository of flake 'git+file://[DIR]/source?dir=examples/hello' has uncommitted changes
    hint: commit them, or leave out --require-clean
    "#);
    assert!(render(&[]).status.success());
}

#[test]
fn expanded_environments_are_plain_objects() {
    let project = Project::new();
    let output = project.render(&["--expand", "-e", "staging", "--output", "json"]);
    assert!(output.status.success(), "{}", project.text(&output.stderr));
    let output: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut paths: Vec<&str> = output["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|change| change["path"].as_str())
        .filter(|path| path.starts_with("deploy/"))
        .collect();
    paths.sort_unstable();
    insta::assert_snapshot!(paths.join("\n"), @r"
    deploy/staging/status/ConfigMap-status-files.yaml
    deploy/staging/status/Deployment-status.yaml
    deploy/staging/status/Service-status.yaml
    deploy/staging/ticker/Deployment-ticker.yaml
    deploy/staging/web/Deployment-web.yaml
    deploy/staging/web/Service-web.yaml
    ");
    let again = project.render(&["-e", "staging", "--output", "json"]);
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    let removed = |change: &&serde_json::Value| change["kind"] == "removed";
    let changes = again["changes"].as_array().unwrap();
    assert_eq!(changes.iter().filter(removed).count(), paths.len());
}

#[test]
fn a_wrong_pod_template_is_told_before_anything_is_written() {
    let project = Project::new().edit(
        "flake.nix",
        "replicas = 3;",
        "replicas = 3; podTemplate.spec.hostNetwork = \"yes\";",
    );
    insta::assert_snapshot!(project.failure(&project.render(&[]), 1));
}

#[test]
fn a_syntax_error_has_its_place() {
    let project = Project::new().edit("workloads.nix", "{", "{ ] ");
    insta::assert_snapshot!(project.failure(&project.render(&[]), 1));
}

#[test]
fn a_type_error_has_its_place() {
    let project = Project::new().edit("flake.nix", "replicas = 3;", "replicas = 3 + \"x\";");
    insta::assert_snapshot!(project.failure(&project.render(&[]), 1));
}

#[test]
fn a_missing_attribute_has_its_place_and_near_names() {
    let project = Project::new().edit(
        "flake.nix",
        "niphas.lib.mkEnvironment",
        "niphas.lib.mkEnvironmant",
    );
    insta::assert_snapshot!(project.failure(&project.render(&[]), 1));
}

#[test]
fn unknown_fields_and_wrong_types_of_workloads_are_all_told() {
    let project = Project::new().edit(
        "flake.nix",
        "replicas = 3;",
        "replicas = \"three\"; replica = 3;",
    );
    insta::assert_snapshot!(project.failure(&project.render(&[]), 1));
}

#[test]
fn a_package_without_a_main_program_needs_a_command() {
    let project = Project::new().edit("packages.nix", "mainProgram", "otherProgram");
    insta::assert_snapshot!(project.failure(&project.render(&[]), 1));
}

#[test]
fn an_unknown_environment_is_told_with_those_there_are() {
    let project = Project::new();
    insta::assert_snapshot!(project.failure(&project.render(&["-e", "prod"]), 1));
}

#[test]
fn a_closure_without_a_trusted_signature_is_told_with_its_workload() {
    let project = Project::new();
    let repository = project.path("gitops");
    let mut command = project.command(
        &project.flake(),
        &[
            "--to",
            repository.to_str().unwrap(),
            "--cache",
            &project.folder.cache(),
            "--init",
        ],
    );
    insta::assert_snapshot!(project.failure(&command.output().unwrap(), 1));
}

#[test]
fn a_closure_that_no_cache_has_is_told_with_how_to_push_it() {
    let project = Project::new();
    fs::remove_dir_all(project.folder.example("cache/nar")).unwrap();
    for entry in fs::read_dir(project.folder.example("cache")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "narinfo")
        {
            fs::remove_file(path).unwrap();
        }
    }
    insta::assert_snapshot!(project.failure(&project.render(&["-e", "staging"]), 1));
}

#[test]
fn no_cache_at_all_is_told() {
    let project = Project::new();
    let repository = project.path("gitops");
    let mut command = project.command(
        &project.flake(),
        &["--to", repository.to_str().unwrap(), "--init"],
    );
    insta::assert_snapshot!(project.failure(&command.output().unwrap(), 1));
}

#[test]
fn a_repository_that_is_not_there_is_told() {
    let project = Project::new();
    let repository = project.path("nowhere");
    let mut command = project.command(
        &project.flake(),
        &[
            "--to",
            repository.to_str().unwrap(),
            "--cache",
            &project.folder.cache(),
        ],
    );
    command.arg("--key-file").arg(project.folder.key());
    insta::assert_snapshot!(project.failure(&command.output().unwrap(), 1));
}

#[test]
fn a_repository_is_made_where_there_is_nothing_but_not_to_tell_only() {
    let project = Project::new();
    let repository = project.path("gitops");
    fs::create_dir(&repository).unwrap();
    // Something would change.
    for (only, code) in [("--dry-run", 0), ("--diff", 1), ("--check", 1)] {
        let output = project.render(&[only]);
        assert_eq!(output.status.code(), Some(code), "{only}");
        assert_eq!(fs::read_dir(&repository).unwrap().count(), 0);
    }
    fs::write(repository.join("file"), "kept").unwrap();
    let told = project.failure(&project.render(&[]), 1);
    assert!(told.contains("make one with 'git init'"), "{told}");
    fs::remove_file(repository.join("file")).unwrap();
    assert!(project.render(&[]).status.success());
    assert!(project.render(&["--check"]).status.success());
}

#[test]
fn what_is_no_environment_is_told() {
    let project = Project::new()
        .edit("flake.nix", "niphasConfigurations.production", "unused")
        .edit(
            "flake.nix",
            "niphasConfigurations.staging",
            "niphasConfigurations.production = 1; also",
        );
    let told = project.failure(&project.render(&[]), 1);
    assert!(
        told.contains("not an environment: it is the integer 1"),
        "{told}"
    );
}

#[test]
fn a_failing_check_is_not_taken_for_a_change() {
    let project = Project::new().edit("workloads.nix", "{", "{ ] ");
    project.failure(&project.render(&["--check"]), 2);
}
