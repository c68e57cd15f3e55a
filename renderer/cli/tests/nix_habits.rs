//! Commands and options that people know from Nix.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with flakes, and a home.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A Git repository with these files, all committed.
    fn repository(&self, name: &str, files: &[(&str, &str)]) {
        self.write(name, files);
        self.git(name, &["init", "--quiet", "--initial-branch", "main"]);
        self.git(name, &["config", "user.name", "A"]);
        self.git(name, &["config", "user.email", "a@example.org"]);
        self.git(name, &["add", "--all"]);
        self.git(name, &["commit", "--quiet", "--message", "all"]);
    }

    fn write(&self, name: &str, files: &[(&str, &str)]) {
        for (file, text) in files {
            let file = self.path().join(name).join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }

    fn git(&self, name: &str, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.path().join(name)).args(args);
        let done = git.env("HOME", self.path()).output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    }

    fn niphas(&self, folder: &str, args: &[&str]) -> Output {
        self.command(folder, args).output().unwrap()
    }

    fn command(&self, folder: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_niphas"));
        command
            .args(args)
            .current_dir(self.path().join(folder))
            .env_clear()
            .env("HOME", self.path())
            .env("NO_COLOR", "1");
        command
    }

    /// What a run that ends well prints.
    fn stdout(&self, folder: &str, args: &[&str]) -> String {
        let done = self.niphas(folder, args);
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// What a run that fails says.
    fn refused(&self, folder: &str, args: &[&str]) -> String {
        let done = self.niphas(folder, args);
        assert_eq!(
            done.status.code(),
            Some(1),
            "{args:?}: {}",
            text(&done.stderr)
        );
        text(&done.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const LEAF: &str = "{ outputs = _: { value = 1; }; }";
const FLAKE: &str = r#"{
  description = "a flake";
  inputs.leaf.url = "path:LEAF";
  outputs = { self, leaf }: let
    package = args: derivation ({ system = "x86_64-linux"; builder = "/bin/sh"; } // args);
  in {
    packages.x86_64-linux.web = package {
      name = "web"; outputs = [ "out" "dev" ]; inner = package { name = "inner"; };
    };
    lib = { inherit (leaf) value; double = x: x * 2; };
  };
}"#;

/// A repository `flake` that has an input, and no lock file yet.
fn flake() -> Place {
    let place = Place::new();
    place.write("leaf", &[("flake.nix", LEAF)]);
    let leaf = place.path().join("leaf").display().to_string();
    place.repository(
        "flake",
        &[("flake.nix", &FLAKE.replace("LEAF", &leaf)), ("a.txt", "a")],
    );
    place
}

#[test]
fn lock_files_are_committed_alone() {
    let place = flake();
    place.write("flake", &[("a.txt", "changed")]);
    place.git("flake", &["add", "a.txt"]);
    place.stdout("flake", &["flake", "lock", "--commit-lock-file"]);
    let log = place.git(
        "flake",
        &["log", "--format=%an %B", "--name-only", "--max-count=1"],
    );
    assert!(
        log.starts_with("A flake.lock: Add\n\nFlake lock file updates:\n\n• Added input 'leaf':\n"),
        "{log}"
    );
    assert!(log.ends_with("\n\nflake.lock\n"), "{log}");
    // What else was to be committed still is.
    assert_eq!(place.git("flake", &["status", "--short"]), "M  a.txt\n");

    place.write("leaf", &[("more", "")]);
    place.stdout("flake", &["flake", "update", "--commit-lock-file"]);
    let log = place.git("flake", &["log", "--format=%s", "--max-count=1"]);
    assert_eq!(log, "flake.lock: Update\n");
    // By commands that only read, too.
    place.write("leaf", &[("flake.nix", &LEAF.replace('1', "2"))]);
    let moved = place.path().join("moved");
    fs::rename(place.path().join("leaf"), &moved).unwrap();
    let moved = FLAKE.replace("LEAF", &moved.display().to_string());
    place.write("flake", &[("flake.nix", &moved)]);
    let value = place.stdout("flake", &["eval", ".#lib.value", "--commit-lock-file"]);
    assert_eq!(value, "2\n");
    let log = place.git("flake", &["log", "--format=%s", "--max-count=1"]);
    assert_eq!(log, "flake.lock: Update\n");
}

#[test]
fn lock_files_of_flakes_without_a_repository_are_not_committed() {
    let place = flake();
    let said = place.refused("flake", &["flake", "lock", "--commit-lock-file", "path:."]);
    assert!(said.contains("cannot be committed"), "{said}");
    assert!(!place.path().join("flake/flake.lock").exists());
}

#[test]
fn update_locks_what_is_named_again() {
    let place = flake();
    place.stdout("flake", &["flake", "lock"]);
    let locked = || fs::read_to_string(place.path().join("flake/flake.lock")).unwrap();
    let before = locked();
    place.write("leaf", &[("more", "")]);
    place.stdout("flake", &["flake", "lock"]);
    assert_eq!(locked(), before);
    place.stdout("", &["flake", "update", "leaf", "--flake", "./flake"]);
    assert_ne!(locked(), before);
    let done = place.niphas("flake", &["flake", "update", "nosuch"]);
    let said = text(&done.stderr);
    assert!(
        done.status.success() && said.contains("'nosuch' does not match any input"),
        "{said}"
    );
}

#[test]
fn commands_that_lock_leave_the_lock_file_alone_where_that_is_asked_for() {
    let place = flake();
    for command in [
        &["eval", ".#lib.value"][..],
        &["flake", "show"],
        &["flake", "metadata"],
        &["flake", "check"],
        &["flake", "lock"],
        &["derivation", "show", ".#web"],
    ] {
        let args = [command, &["--no-update-lock-file"]].concat();
        let done = place.niphas("flake", &args);
        assert_eq!(
            done.status.code(),
            Some(1),
            "{command:?}: {}",
            text(&done.stderr)
        );
        let file = place.path().join("flake/flake.lock");
        assert!(!file.exists(), "{command:?}");
    }
}

#[test]
fn settings_of_flakes_are_not_accepted_silently() {
    let place = flake();
    let done = place.niphas("flake", &["eval", ".#lib.value", "--accept-flake-config"]);
    let said = text(&done.stderr);
    assert!(
        said.contains("--accept-flake-config has no effect"),
        "{said}"
    );
    assert_eq!(text(&done.stdout), "1\n");
}

#[test]
fn whole_flakes_have_no_attribute() {
    let place = flake();
    for command in ["show", "metadata", "check", "lock"] {
        let said = place.refused("flake", &["flake", command, ".#lib"]);
        assert!(
            said.contains("'#lib' has no meaning in '.#lib': expected a whole flake"),
            "{said}"
        );
    }
}

#[test]
fn outputs_of_derivations_may_be_named() {
    let place = flake();
    let plain = place.stdout("flake", &["eval", "--raw", ".#web.drvPath"]);
    for named in [".#web^out", ".#web^out,dev", ".#web^*"] {
        let shown = place.stdout("flake", &["eval", named]);
        assert_eq!(shown, format!("«derivation {plain}»\n"));
        let shown = place.stdout("flake", &["derivation", "show", named]);
        assert!(shown.contains(plain.rsplit('/').next().unwrap()), "{shown}");
    }
    let value = place.stdout("flake", &["eval", "--expr", "{ a.b = 1; }", "a.b^out"]);
    assert_eq!(value, "1\n");
    for wrong in [".^out#web", ".#web^", ".#web^a b"] {
        let said = place.refused("flake", &["eval", wrong]);
        let message = format!("invalid extended outputs specifier '{wrong}'");
        assert!(said.contains(&message), "{said}");
    }
}

#[test]
fn derivations_are_shown_with_those_that_they_need() {
    let place = flake();
    let names = |args: &[&str]| {
        let shown = place.stdout("flake", &[&["derivation", "show"], args].concat());
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let all = shown["derivations"].as_object().unwrap();
        let names = all
            .values()
            .map(|one| one["name"].as_str().unwrap().to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    assert_eq!(names(&[".#web"]), ["web"]);
    assert_eq!(names(&["-r", ".#web"]), ["inner", "web"]);
    place.write("", &[("d.nix", "{ x ? 1 }: (derivation { name = \"a\"; system = \"s\"; builder = \"b\"; i = derivation { name = \"c\"; system = \"s\"; builder = \"b\"; }; })")]);
    assert_eq!(names(&["--recursive", "-f", "../d.nix"]), ["a", "c"]);
    // Files of derivations lie beside those of what they need.
    let drv = place.stdout("", &["instantiate", "d.nix", "--output-dir", "store"]);
    let file = format!("../store/{}", drv.trim().rsplit('/').next().unwrap());
    assert_eq!(names(&[&file]), ["a"]);
    assert_eq!(names(&["-r", &file]), ["a", "c"]);
}

#[test]
fn arguments_are_for_functions_on_the_way() {
    let place = flake();
    let eval = |args: &[&str]| place.stdout("", &[&["eval"], args].concat());
    assert_eq!(
        eval(&["--arg", "a", "1", "--expr", "{ a }: a"]),
        "«lambda @ «string»:1:1»\n"
    );
    assert_eq!(
        eval(&["--arg", "a", "1", "--expr", "{ a }: { b = a; }", "b"]),
        "1\n"
    );
    assert_eq!(
        eval(&["--argstr", "a", "x", "--expr", "{ a }: { b = a; }", "b"]),
        "\"x\"\n"
    );
    place.write("", &[("value", "from a file\n")]);
    assert_eq!(
        eval(&[
            "--arg-from-file",
            "a",
            "value",
            "--expr",
            "{ a }: { b = a; }",
            "b"
        ]),
        "\"from a file\\n\"\n"
    );
}

#[test]
fn an_argument_comes_from_standard_input() {
    let place = flake();
    let mut command = place.command(
        "",
        &[
            "eval",
            "--arg-from-stdin",
            "a",
            "--expr",
            "{ a }: { b = a; }",
            "b",
        ],
    );
    let mut run = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    run.stdin
        .take()
        .unwrap()
        .write_all(b"what was typed\n")
        .unwrap();
    let done = run.wait_with_output().unwrap();
    assert_eq!(text(&done.stdout), "\"what was typed\\n\"\n");
}

#[test]
fn settings_of_nix_are_options() {
    let place = flake();
    for line in [
        "eval --tarball-ttl 0 --no-warn-dirty --expr 1",
        "eval --sandbox --builders @/etc/nix/machines --expr 1",
        "instantiate --eval --gc-reserved-space 0 --no-trace-function-calls --expr 1",
        "instantiate --eval --dry-run --expr 1",
    ] {
        assert_eq!(
            place.stdout("", &line.split(' ').collect::<Vec<_>>()),
            "1\n",
            "{line}"
        );
    }
    let system = [
        "instantiate",
        "--eval",
        "--expr",
        "builtins.currentSystem",
        "--eval-system",
        "x-y",
    ];
    assert_eq!(place.stdout("", &system), "\"x-y\"\n");
    let done = place.niphas("", &["eval", "--trusted-public-keys", "a:b", "--expr", "1"]);
    assert_eq!(done.status.code(), Some(2));
    let said = text(&done.stderr);
    assert!(said.contains("unexpected argument"), "{said}");
    // A setting that is read counts: this one forbids what is not committed.
    place.repository("dirty", &[("flake.nix", "{ outputs = _: { x = 1; }; }")]);
    place.write("dirty", &[("flake.nix", "{ outputs = _: { x = 2; }; }")]);
    assert_eq!(place.stdout("dirty", &["eval", ".#x"]), "2\n");
    let said = place.refused("dirty", &["eval", "--no-allow-dirty", ".#x"]);
    assert!(said.contains("dirty"), "{said}");
}

#[test]
fn values_are_written_to_new_files_only() {
    let place = flake();
    let set = "{ a = \"x\"; b.c = \"y\"; }";
    place.stdout("", &["eval", "--write-to", "out", "--expr", set]);
    let read = |file: &str| fs::read_to_string(place.path().join(file)).unwrap();
    assert_eq!(
        (read("out/a"), read("out/b/c")),
        ("x".to_owned(), "y".to_owned())
    );
    let said = place.refused("", &["eval", "--write-to", "out", "--expr", "\"z\""]);
    assert!(said.contains("path 'out' already exists"), "{said}");
    place.stdout(
        "",
        &[
            "eval",
            "--write-to",
            "file",
            "--apply",
            "x: x.a",
            "--expr",
            set,
        ],
    );
    assert_eq!(read("file"), "x");
    for (wrong, message) in [
        ("{ \"..\" = \"\"; }", "invalid file name '..'"),
        ("{ \"a/b\" = \"\"; }", "invalid file name 'a/b'"),
        ("[ ]", "expected a string or an attribute set, found a list"),
        ("let x = { inherit x; }; in x", "deep"),
    ] {
        let said = place.refused("", &["eval", "--write-to", "none", "--expr", wrong]);
        assert!(said.contains(message), "{wrong}: {said}");
        assert!(!place.path().join("none").exists());
    }
}

#[test]
fn roots_are_links_into_the_output_directory() {
    let place = Place::new();
    let two = "map (name: derivation { inherit name; system = \"s\"; builder = \"b\"; outputs = [ \"out\" \"dev\" ]; }) [ \"a\" \"b\" ]";
    let args = [
        "instantiate",
        "-E",
        two,
        "--output-dir",
        "store",
        "--add-root",
        "root",
        "--indirect",
    ];
    let root = place.path().join("root").display().to_string();
    for _ in 0..2 {
        assert_eq!(place.stdout("", &args), format!("{root}\n{root}-2\n"));
    }
    let first = fs::read_to_string(&root).unwrap();
    assert!(
        first.starts_with("Derive(") && first.contains("-a-dev"),
        "{first}"
    );
    // Another derivation takes the place of the link; a file stays.
    let other = two.replace("[ \"a\" \"b\" ]", "[ \"c\" ]");
    let other = [
        "instantiate",
        "-E",
        &other,
        "--output-dir",
        "store",
        "--add-root",
        "root",
    ];
    place.stdout("", &other);
    assert!(fs::read_to_string(&root).unwrap().contains("-c-dev"));
    fs::remove_file(&root).unwrap();
    fs::write(&root, "mine").unwrap();
    let said = place.refused("", &other);
    assert!(said.contains("it already exists"), "{said}");
    assert_eq!(fs::read_to_string(&root).unwrap(), "mine");
    let without = place.niphas("", &["instantiate", "-E", two, "--add-root", "x"]);
    assert_eq!(without.status.code(), Some(2));
}

#[test]
fn scripts_may_give_options_twice_and_those_of_builds() {
    let place = Place::new();
    let args = [
        "instantiate",
        "--eval",
        "--eval",
        "--strict",
        "--strict",
        "-E",
        "1",
        "-j",
        "4",
        "--cores",
        "2",
        "-k",
        "-Q",
        "--store",
        "dummy://",
        "--quiet",
    ];
    assert_eq!(place.stdout("", &args), "1\n");
    let done = place.niphas("", &[&args[..15], &["--debug"]].concat());
    let said = text(&done.stderr);
    // The others count where something is imported from a derivation.
    assert!(
        said.contains("these options make no difference: --store\n"),
        "{said}"
    );
    let version = place.stdout("", &["instantiate", "--version"]);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let system = [
        "instantiate",
        "--eval",
        "-E",
        "builtins.currentSystem",
        "--system",
        "riscv64-linux",
    ];
    assert_eq!(place.stdout("", &system), "\"riscv64-linux\"\n");
    let said = place.refused(
        "",
        &[
            "instantiate",
            "--eval",
            "-E",
            "builtins.currentTime",
            "--pure-eval",
        ],
    );
    assert!(said.contains("currentTime"), "{said}");
}

#[test]
fn servers_are_not_asked_offline() {
    let place = Place::new();
    // Nothing listens there.
    let fetch = "builtins.fetchTarball \"http://127.0.0.1:9/x.tar.gz\"";
    let said = place.refused("", &["eval", "--impure", "--offline", "--expr", fetch]);
    assert!(said.contains("servers are not asked"), "{said}");
    let git = "builtins.fetchGit { url = \"http://127.0.0.1:9/x.git\"; ref = \"main\"; }";
    let said = place.refused("", &["eval", "--impure", "--offline", "--expr", git]);
    assert!(said.contains("servers are not asked"), "{said}");
}

#[test]
fn messages_are_as_many_as_is_asked_for() {
    let place = flake();
    let said = |args: &[&str]| {
        let done = place.niphas("flake", args);
        assert!(done.status.success(), "{args:?}");
        text(&done.stderr)
    };
    let usual = said(&["flake", "lock"]);
    assert!(usual.contains("warning: wrote lock file"), "{usual}");
    fs::remove_file(place.path().join("flake/flake.lock")).unwrap();
    assert_eq!(said(&["flake", "lock", "--quiet"]), "");
    assert_eq!(said(&["-q", "flake", "show"]), "");
    assert!(!said(&["flake", "show"]).contains("evaluating"));
    let more = said(&["flake", "show", "-v", "--no-eval-cache"]);
    assert!(
        more.contains("evaluating 'packages.x86_64-linux.web'..."),
        "{more}"
    );
    let most = said(&["flake", "show", "--debug"]);
    assert!(most.contains("evaluation cache"), "{most}");
}

#[test]
fn sessions_load_what_is_named() {
    let place = flake();
    place.stdout("flake", &["flake", "lock"]);
    place.write(
        "",
        &[("file.nix", "{ x ? 1 }: { inherit x; inner.y = 2; }")],
    );
    let repl = |folder: &str, args: &[&str], lines: &str| {
        let mut command = place.command(folder, &[&["repl"], args].concat());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success());
        (text(&done.stdout), text(&done.stderr))
    };
    let cases = [
        (
            "flake",
            &[".#lib"][..],
            "double value\n:ll\n",
            "Added 2 variables.\n2\ndouble\nvalue\n",
        ),
        ("flake", &["."], "lib.value\n", "Added 2 variables.\n1\n"),
        (
            "flake",
            &[".#web^dev"],
            "name\n",
            "Added 13 variables.\n\"web\"\n",
        ),
        (
            "",
            &["./flake#lib", "./file.nix"],
            "value + x\n",
            "Added 2 variables.\nAdded 2 variables.\n2\n",
        ),
        ("", &["-f", "file.nix"], "x\n", "Added 2 variables.\n1\n"),
        (
            "",
            &["-f", "file.nix", "inner"],
            "y\n",
            "Added 1 variables.\n2\n",
        ),
        (
            "",
            &["--expr", "{ a = 1; b.c = 2; }"],
            "a\n",
            "Added 2 variables.\n1\n",
        ),
        (
            "",
            &["--expr", "{ a = 1; b.c = 2; }", "b"],
            "c\n",
            "Added 1 variables.\n2\n",
        ),
        (
            "",
            &["--argstr", "x", "s", "-f", "file.nix"],
            "x\n",
            "Added 2 variables.\n\"s\"\n",
        ),
    ];
    for (folder, args, lines, printed) in cases {
        let (stdout, stderr) = repl(folder, args, lines);
        assert_eq!(stdout, printed, "{args:?}: {stderr}");
    }
    for command in [":u", ":i", ":sh", ":e"] {
        let (stdout, stderr) = repl("", &[], &format!("{command} 1\n1\n"));
        assert!(
            stderr.contains(&format!("'{command}' is not available here: ")),
            "{stderr}"
        );
        assert_eq!(stdout, "1\n");
    }
}

#[test]
fn json_is_indented_where_that_is_asked_for() {
    let place = flake();
    let eval = ["eval", "--json", "--expr", "{ a = [ 1.5 { } ]; }"];
    assert_eq!(place.stdout("", &eval), "{\"a\":[1.5,{}]}\n");
    let pretty = [&eval[..], &["--pretty"]].concat();
    let indented = "{\n  \"a\": [\n    1.5,\n    {}\n  ]\n}\n";
    assert_eq!(place.stdout("", &pretty), indented);
    for command in [
        &["flake", "show", "--json"][..],
        &["flake", "metadata", "--json"],
        &["derivation", "show", ".#web"],
    ] {
        let pretty = place.stdout("flake", &[command, &["--pretty"]].concat());
        assert!(pretty.starts_with("{\n  \""), "{pretty}");
        let value: serde_json::Value = serde_json::from_str(&pretty).unwrap();
        assert_eq!(pretty, format!("{value:#}\n"));
    }
}

#[test]
fn other_contents_than_the_hash_says_have_an_exit_code_of_their_own() {
    let place = flake();
    place.write("", &[("file", "contents")]);
    let file = place.path().join("file").display().to_string();
    let leaf = place.path().join("leaf").display().to_string();
    let zeros = "0".repeat(52);
    let sri = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let fetches = [
        format!("builtins.fetchurl {{ url = \"file://{file}\"; sha256 = \"{zeros}\"; }}"),
        format!(
            "builtins.fetchTree {{ type = \"path\"; path = \"{leaf}\"; narHash = \"{sri}\"; }}"
        ),
    ];
    for fetch in &fetches {
        for command in [&["instantiate", "--eval", "-E"][..], &["eval", "--expr"]] {
            let done = place.niphas("", &[command, &[fetch]].concat());
            let said = text(&done.stderr);
            assert_eq!(done.status.code(), Some(102), "{fetch}: {said}");
            assert!(said.contains("mismatch"), "{said}");
        }
    }
    place.stdout("flake", &["flake", "lock"]);
    let lock = place.path().join("flake/flake.lock");
    let locked = fs::read_to_string(&lock).unwrap();
    let start = locked.find("sha256-").unwrap();
    fs::write(
        &lock,
        locked.replace(&locked[start..start + sri.len()], sri),
    )
    .unwrap();
    let done = place.niphas("flake", &["eval", ".#lib.value"]);
    assert_eq!(done.status.code(), Some(102), "{}", text(&done.stderr));
}
