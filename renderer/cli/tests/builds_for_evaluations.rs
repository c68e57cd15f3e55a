//! Import from derivation and `niphas render --build`, with real builds: they need root, and a static busybox as /bin/sh.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const BUSYBOX: &str = "/bin/busybox";

/// A folder with a build store of its own.
struct Place {
    folder: TempDir,
}

impl Place {
    /// Nothing where builds cannot be done as on every machine of CI.
    fn new() -> Option<Self> {
        let is_root = fs::metadata("/proc/self").is_ok_and(|it| {
            use std::os::unix::fs::MetadataExt;
            it.uid() == 0
        });
        if !is_root || !Path::new(BUSYBOX).exists() {
            return None;
        }
        let folder = TempDir::new().unwrap();
        Some(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn niphas(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// `niphas repl` with these lines.
    fn session(&self, lines: &str) -> Output {
        let mut command = self.command(&["repl"]);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut session = command.spawn().unwrap();
        let mut input = session.stdin.take().unwrap();
        input.write_all(lines.as_bytes()).unwrap();
        drop(input);
        session.wait_with_output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_niphas"));
        for variable in ["NIPHAS_CACHES", "NIX_CONFIG", "NIX_PATH"] {
            command.env_remove(variable);
        }
        command
            .env("NIPHAS_STORE", self.path("store"))
            .env("NIPHAS_CACHE_DIR", self.path("cache"))
            .env("NIPHAS_SANDBOX_SHELL", BUSYBOX)
            .current_dir(self.folder.path())
            .args(arguments);
        command
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const SH: &str = r#"let sh = name: text: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" text ]; }; in "#;

#[test]
fn what_an_evaluation_imports_is_built() {
    let Some(place) = Place::new() else { return };
    let eval = |expression: &str| {
        let expression = format!("{SH}{expression}");
        place.niphas(&["eval", "--impure", "--expr", &expression])
    };
    let done = eval(
        r#"import (sh "inner" "echo ${toString (import (sh "n" "echo 2 > $out"))} > $out") + 1"#,
    );
    assert_eq!(text(&done.stdout), "3\n", "{}", text(&done.stderr));

    let failed = eval(r#"builtins.readFile (sh "fails" "echo said; exit 3")"#);
    assert_eq!(failed.status.code(), Some(100));
    let report = text(&failed.stderr);
    assert!(
        report.contains("Reason: builder failed with exit code 3.\n")
            && report.contains("       > said\n"),
        "{report}"
    );

    let refused = place.niphas(&[
        "eval",
        "--impure",
        "--no-allow-import-from-derivation",
        "--expr",
        &format!(r#"{SH}import (sh "n" "echo 2 > $out")"#),
    ]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("'allow-import-from-derivation' is disabled"));
}

#[test]
fn a_session_builds_links_and_shows_logs() {
    let Some(place) = Place::new() else { return };
    let definition = r#"sh = name: text: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" text ]; }"#;
    let lines = [
        definition,
        r#":b sh "a" "echo built a; echo 1 > $out""#,
        r#":bl sh "a" "echo built a; echo 1 > $out""#,
        r#":log sh "a" "echo built a; echo 1 > $out""#,
        r#":b sh "fails" "echo said; exit 3""#,
        r#":log sh "never" "echo 1 > $out""#,
        ":b 1",
        "1 + 1",
    ];
    let said = place.session(&format!("{}\n", lines.join("\n")));
    assert!(said.status.success());
    let out = text(&said.stdout);
    let path = out
        .lines()
        .find_map(|line| line.strip_prefix("  out -> "))
        .unwrap();
    assert!(
        path.starts_with("/nix/store/") && path.ends_with("-a"),
        "{out}"
    );
    let expected = format!(
        "\nThis derivation produced the following outputs:\n  out -> {path}\n\
         \nThis derivation produced the following outputs:\n  ./repl-result-out -> {path}\n\
         built a\n2\n"
    );
    assert_eq!(out, expected);
    let link = place.path("repl-result-out");
    assert_eq!(fs::read_to_string(link).unwrap(), "1\n");
    let report = text(&said.stderr);
    for part in [
        "Reason: builder failed with exit code 3.",
        "never.drv' is not available",
        "error: expected a derivation, found an integer",
    ] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn a_program_called_nix_build_builds_a_file() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.path("dir")).unwrap();
    fs::write(
        place.path("dir/default.nix"),
        format!(r#"{{ text ? "x" }}: {SH} {{ a = sh "a" "echo ${{text}} > $out"; }}"#),
    )
    .unwrap();
    let mut command = place.command(&["./dir", "-A", "a", "--argstr", "text", "y"]);
    let done = command.arg0("/bin/nix-build").output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).trim_end().ends_with("-a"));
    assert_eq!(fs::read_to_string(place.path("result")).unwrap(), "y\n");
}

const FLAKE: &str = r#"{ outputs = { self }: let SH
  in { niphasConfigurations.production = {
    _type = "niphas-environment"; version = 1; namespace = "shop"; systems = [ "x86_64-linux" ];
    workloads.web.x86_64-linux = {
      package = sh "web" "mkdir -p $out/bin; echo '#!' > $out/bin/web; chmod +x $out/bin/web";
      mainProgram = "web";
      attributes.replicas = import (sh "replicas" "echo 2 > $out");
      attributes.args = [ "${builtins.toFile "conf" "x"}" ];
    };
  }; }; }"#;

#[test]
fn render_builds_and_pushes_what_the_caches_lack() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.path("flake")).unwrap();
    let sh = SH.trim_start_matches("let ").trim_end_matches(" in ");
    fs::write(place.path("flake/flake.nix"), FLAKE.replace("SH", sh)).unwrap();
    let made = place.niphas(&["key", "generate", "test-1"]);
    let key = text(&made.stdout).trim().to_owned();
    let render = |cache: &str, more: &[&str]| {
        fs::create_dir_all(place.path(cache)).unwrap();
        let cache = format!("file://{}", place.path(cache).display());
        let mut arguments = vec!["render", "path:./flake", "--to", "./gitops", "--init"];
        arguments.extend(["--author", "A <a@example.org>", "--cache", &cache]);
        arguments.extend(["--trusted-public-key", &key, "--push", &cache]);
        arguments.extend(["--sign-key", "test-1.secret"]);
        arguments.extend(more);
        place.niphas(&arguments)
    };
    let refused = render("one", &["--build"]);
    assert!(text(&refused.stderr).contains("--allow-import-from-derivation"));

    let all = ["--build", "--allow-import-from-derivation"];
    let done = render("one", &all);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("pushed 2 paths"));
    let again = render("one", &all);
    assert!(text(&again.stdout).contains("nothing to commit"));

    // The evaluation is known, and what another cache lacks has to be evaluated again to be built.
    let other = render("two", &[&all[..], &["--refresh", "--dry-run"]].concat());
    assert!(
        text(&other.stderr).contains("pushed 2 paths"),
        "{}",
        text(&other.stderr)
    );
}

/// Only what is in `checks` for this system is built.
const CHECKS: &str = r#"{ outputs = { self }: let SH in {
    checks.x86_64-linux = { good = sh "good" "echo > $out"; MORE };
    checks.aarch64-linux.other = sh "other" "exit 1";
    packages.x86_64-linux.default = sh "package" "exit 1";
  }; }"#;

#[test]
fn flake_check_builds_the_checks_of_this_system() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.path("flake")).unwrap();
    let sh = SH.trim_start_matches("let ").trim_end_matches(" in ");
    let check = |more: &str, options: &[&str]| {
        let flake = CHECKS.replace("SH", sh).replace("MORE", more);
        fs::write(place.path("flake/flake.nix"), flake).unwrap();
        let arguments = [&["flake", "check", "path:./flake"], options].concat();
        let done = place.niphas(&arguments);
        let said = text(&done.stdout) + &text(&done.stderr);
        (done.status.code(), said)
    };
    let (code, said) = check("", &["--all-systems"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 check built"), "{said}");
    assert_eq!(said.matches("building '").count(), 1, "{said}");

    let more = r#"bad = sh "bad" "exit 3"; worse = sh "worse" "exit 4";"#;
    let (code, said) = check(more, &["--no-build"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing built"), "{said}");
    let (code, said) = check(more, &["--keep-going"]);
    assert_eq!(code, Some(1), "{said}");
    for expected in [
        "Reason: builder failed with exit code 3.",
        "Reason: builder failed with exit code 4.",
        "checks.x86_64-linux.bad",
        "checks.x86_64-linux.worse",
        "error: some errors were encountered during the evaluation",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let (code, said) = check(r#"bad = sh "bad" "exit 3";"#, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("error: failed to build checks.x86_64-linux.bad\n"),
        "{said}"
    );
}
