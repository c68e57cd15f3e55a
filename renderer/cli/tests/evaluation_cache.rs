//! What is known from earlier runs: it is used when nothing that was read has changed, and only then.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A flake in a folder, and a cache folder beside it.
struct Project {
    folder: TempDir,
}

/// So little time is there that whatever is evaluated is an error.
const NO_TIME: [&str; 2] = ["--eval-timeout", "0"];

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let project = Self { folder };
        for (name, contents) in files {
            project.write(name, contents);
        }
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) {
        let path = self.path("flake").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_with(Command::new(env!("CARGO_BIN_EXE_niphas")), args)
    }

    /// The same with one processor, and so one evaluation.
    fn command_alone(&self, args: &[&str]) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", env!("CARGO_BIN_EXE_niphas")]);
        self.command_with(command, args)
    }

    fn command_with(&self, mut command: Command, args: &[&str]) -> Command {
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path("home"));
        command.env("NIPHAS_CACHE_DIR", self.path("cache"));
        command
    }

    fn eval_command(&self, attribute: &str, more: &[&str]) -> Command {
        let reference = format!("path:{}#{attribute}", self.path("flake").display());
        let mut command = self.command(&["eval", "--raw", &reference]);
        command.args(more);
        command
    }

    fn eval(&self, attribute: &str) -> String {
        text(&self.eval_command(attribute, &[]).output().unwrap())
    }

    /// What is known without evaluating.
    fn known(&self, attribute: &str) -> Option<String> {
        let output = self.eval_command(attribute, &NO_TIME).output().unwrap();
        output.status.success().then(|| text(&output))
    }

    /// Evaluates, and says whether it was known before; what comes must be the same either way.
    fn is_known(&self, attribute: &str) -> bool {
        let known = self.known(attribute);
        let plain = self.eval_command(attribute, &["--no-eval-cache"]);
        let evaluated = text(&{ plain }.output().unwrap());
        assert_eq!(self.eval(attribute), evaluated);
        if let Some(known) = &known {
            assert_eq!(*known, evaluated);
        }
        assert_eq!(self.known(attribute), Some(evaluated));
        known.is_some()
    }

    fn kept_files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path("cache/evaluations")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const FLAKE: &str = r#"{
  outputs = { self }: {
    file = builtins.readFile ./file;
    exists = if builtins.pathExists ./maybe then "yes" else "no";
    folder = toString (builtins.attrNames (builtins.readDir ./folder));
    imported = import ./imported.nix;
    copied = "${./folder}";
    whole = "${self}";
    time = toString self.lastModified;
    name = baseNameOf ./folder/a;
    place = toString ./file;
    relative = builtins.substring 43 100 (toString ./file);
    constant = "constant";
  };
}
"#;

fn project() -> Project {
    Project::new(&[
        ("flake.nix", FLAKE),
        ("file", "one"),
        ("folder/a", "a"),
        ("imported.nix", "\"imported\""),
        ("unrelated", "1"),
    ])
}

#[test]
fn what_was_not_read_may_change() {
    let project = project();
    let all = [
        "file", "exists", "folder", "imported", "copied", "name", "constant",
    ];
    for attribute in all {
        assert!(!project.is_known(attribute), "{attribute}");
    }
    project.write("unrelated", "2");
    project.write("another", "");
    for attribute in all {
        assert!(project.is_known(attribute), "{attribute}");
    }
}

#[test]
fn what_was_read_may_not() {
    let project = project();
    let changes: &[(&str, &str, &str)] = &[
        ("file", "file", "two"),
        ("exists", "maybe", ""),
        ("folder", "folder/b", ""),
        ("imported", "imported.nix", "\"changed\""),
        ("copied", "folder/a", "changed"),
        ("file", "flake.nix", &FLAKE.replace("constant\"", "other\"")),
    ];
    for (attribute, file, contents) in changes {
        project.is_known(attribute);
        project.write(file, contents);
        assert!(!project.is_known(attribute), "{attribute} after {file}");
    }
    assert_eq!(project.eval("file"), "two");
}

#[test]
fn who_looks_at_where_the_flake_is_depends_on_all_of_it() {
    let project = project();
    for attribute in ["whole", "time", "place", "relative"] {
        project.is_known(attribute);
        assert!(project.is_known(attribute), "{attribute}");
        project.write("unrelated", attribute);
        assert!(!project.is_known(attribute), "{attribute}");
    }
}

#[test]
fn what_another_evaluation_depends_on_is_asked_for_again() {
    let project = project();
    let other = |more: &[&str]| {
        let output = project.eval_command("file", &[more, &NO_TIME].concat());
        { output }.output().unwrap().status.success()
    };
    project.is_known("file");
    assert!(other(&[]));
    assert!(!other(&["--no-eval-cache"]));
    assert!(!other(&["--impure"]));
    assert!(!other(&["--apply", "x: x"]));
    assert!(!other(&["--option", "system", "riscv64-linux"]));
    assert!(!other(&["--option", "restrict-eval", "true"]));
}

#[test]
fn impure_evaluations_are_not_kept() {
    let project = Project::new(&[(
        "flake.nix",
        "{ outputs = _: { x = builtins.getEnv \"X\"; }; }",
    )]);
    let get = |value: &str| {
        let mut command = project.eval_command("x", &["--impure"]);
        text(&command.env("X", value).output().unwrap())
    };
    assert_eq!([get("1"), get("2")], ["1", "2"]);
}

#[test]
fn messages_are_said_again() {
    let flake = "{ outputs = _: { x = builtins.trace \"heard\" \"x\"; }; }";
    let project = Project::new(&[("flake.nix", flake)]);
    for more in [&[][..], &NO_TIME] {
        let output = project.eval_command("x", more).output().unwrap();
        assert_eq!(text(&output), "x");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr.matches("trace: heard").count(), 1, "{stderr}");
    }
}

#[test]
fn errors_are_not_kept() {
    let project = Project::new(&[("flake.nix", "{ outputs = _: { x = throw \"no\"; }; }")]);
    for _ in 0..2 {
        let output = project.eval_command("x", &[]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("error: no"));
    }
}

#[test]
fn broken_files_are_as_good_as_none() {
    let project = project();
    project.is_known("file");
    for file in project.kept_files() {
        let whole = fs::read(&file).unwrap();
        for broken in [&[][..], b"niphas", &whole[..whole.len() / 2], &[0; 10_000]] {
            fs::write(&file, broken).unwrap();
            assert_eq!(project.known("file"), None);
            assert_eq!(project.eval("file"), "one");
            assert_eq!(project.known("file"), Some("one".to_owned()));
        }
    }
}

#[test]
fn runs_at_the_same_time_do_not_harm_each_other() {
    let project = project();
    for round in 0..5 {
        let contents = format!("round {round}");
        project.write("file", &contents);
        let runs: Vec<_> = (0..8)
            .map(|_| {
                let mut command = project.eval_command("file", &[]);
                command
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for run in runs {
            assert_eq!(text(&run.wait_with_output().unwrap()), contents);
        }
        assert_eq!(project.known("file"), Some(contents));
    }
}

#[test]
fn a_workload_that_changes_leaves_the_others_known() {
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let flake = r#"{
  outputs = _: {
    niphasConfigurations.e = (import ./nixlib).mkEnvironment {
      systems = [ "x86_64-linux" ];
      pkgsFor = _: { };
      workloads = builtins.listToAttrs (map (name: { inherit name; value = import (./workloads + "/${name}.nix"); }) [ "a" "b" "c" "d" ]);
    };
  };
}
"#;
    let workload = |replicas: u32| {
        format!(
            "{{ replicas = {replicas}; command = \"/bin/x\"; package = builtins.toFile \"x\" \"x\"; }}"
        )
    };
    let first = workload(1);
    let mut files: Vec<(&str, &str)> = vec![("flake.nix", flake)];
    let names = ["a", "b", "c", "d"].map(|name| format!("workloads/{name}.nix"));
    files.extend(names.iter().map(|name| (name.as_str(), first.as_str())));
    let library = ["assemble", "default", "environment", "fitting", "merge"].map(|name| {
        let path = format!("nixlib/{name}.nix");
        let contents = fs::read_to_string(format!("{repository}/{path}")).unwrap();
        (path, contents)
    });
    files.extend(
        library
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str())),
    );
    let project = Project::new(&files);
    // (answers known, answers found): the environments' names, one environment, four workloads.
    let run = || {
        let reference = format!("path:{}", project.path("flake").display());
        let (to, cache) = (project.path("gitops"), project.path("no-cache"));
        fs::create_dir_all(&cache).unwrap();
        let cache = format!("file://{}", cache.display());
        let args = [
            "render",
            &reference,
            "--to",
            to.to_str().unwrap(),
            "--init",
            "--cache",
            &cache,
        ];
        let mut command = project.command_alone(&args);
        let output = command.env("NIPHAS_LOG", "debug").output();
        let stderr = String::from_utf8(output.unwrap().stderr).unwrap();
        let line = stderr
            .lines()
            .find_map(|line| line.strip_prefix("evaluation cache: "));
        line.unwrap_or_else(|| panic!("{stderr}")).to_owned()
    };
    assert_eq!(run(), "0 answers known, 6 found");
    assert_eq!(run(), "6 answers known, 0 found");
    // What came after it in the evaluation may depend on it.
    project.write("workloads/b.nix", &workload(2));
    assert_eq!(run(), "3 answers known, 3 found");
    assert_eq!(run(), "6 answers known, 0 found");
    // From now on it comes last.
    for replicas in 3..30 {
        project.write("workloads/b.nix", &workload(replicas));
        assert_eq!(run(), "5 answers known, 1 found");
    }
    for replicas in 2..5 {
        project.write("workloads/d.nix", &workload(replicas));
        assert_eq!(run(), "5 answers known, 1 found");
    }
    project.write("flake.nix", &format!("{flake}\n"));
    assert_eq!(run(), "0 answers known, 6 found");
}
