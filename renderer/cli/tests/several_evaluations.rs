//! Environments of many workloads, which several evaluations share: the result, and what is printed, are what one alone
//! gives. Where there is but one processor, one is alone here, too.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// Every workload needs `slow`, and some time of its own; `%` is what the n-th evaluates to beside.
const FLAKE: &str = r#"{
  outputs = { self }: {
    niphasConfigurations.shop = (import ./nixlib).mkEnvironment {
      systems = [ "x86_64-linux" ];
      pkgsFor = system: builtins.trace "packages for ${system}" { inherit system; };
      workloads =
        let
          slow = n: builtins.foldl' (sum: i: sum + i) 0 (builtins.genList (i: i) n);
          base = slow 100000;
          workload = n: { pkgs, name, ... }: {
            package = derivation {
              inherit name;
              system = pkgs.system;
              builder = "/bin/sh";
              number = toString (base + slow (1000 * n));
            };
            command = [ "x" ];
            args = [ (%) ];
          };
        in
        builtins.listToAttrs (builtins.genList (n: { name = "w${toString (100 + n)}"; value = workload n; }) 40);
    };
  };
}
"#;

struct Project {
    folder: TempDir,
}

impl Project {
    fn new(argument: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let flake = folder.path().join("flake");
        let cache = folder.path().join("cache");
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
        fs::create_dir(&flake).unwrap();
        fs::write(flake.join("flake.nix"), FLAKE.replace('%', argument)).unwrap();
        let nixlib = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nixlib");
        fs::create_dir(flake.join("nixlib")).unwrap();
        for name in [
            "assemble.nix",
            "default.nix",
            "environment.nix",
            "fitting.nix",
            "merge.nix",
        ] {
            fs::copy(format!("{nixlib}/{name}"), flake.join("nixlib").join(name)).unwrap();
        }
        Self { folder }
    }

    /// A render into an empty repository, from a cache that has nothing: so each closure's root is reported.
    fn render(&self, processors: &[&str], args: &[&str]) -> Output {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut line = processors.to_vec();
        line.push(env!("CARGO_BIN_EXE_niphas"));
        let mut command = Command::new(line[0]);
        command.args(&line[1..]);
        command.args(["render", &format!("path:{}", path("flake"))]);
        command.args(["--to", &path("gitops"), "--init", "--trusted-public-key"]);
        command.arg("a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        command.args(["--cache", &format!("file://{}", path("cache"))]);
        command.args(args);
        command
            .env_clear()
            .env("HOME", path("home"))
            .env("NO_COLOR", "1");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.output().unwrap()
    }

    fn error(&self, processors: &[&str], args: &[&str]) -> String {
        let output = self.render(processors, args);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }
}

const ONE_PROCESSOR: [&str; 3] = ["taskset", "-c", "0"];
const UNCACHED: [&str; 1] = ["--no-eval-cache"];

#[test]
fn all_workloads_are_found_and_messages_told_once() {
    let project = Project::new(r#"builtins.trace "of ${name}" "x""#);
    let sorted = |text: String| {
        // Evaluations say what they have to say in their own time.
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let alone = sorted(project.error(&ONE_PROCESSOR, &UNCACHED));
    let count = |part: &str| alone.iter().filter(|line| line.contains(part)).count();
    assert_eq!(count("', for workload '"), 40);
    assert_eq!(count("packages for"), 1);
    assert_eq!(count("trace: of w1"), 40);
    for _ in 0..3 {
        assert_eq!(sorted(project.error(&[], &UNCACHED)), alone);
    }
    // Kept, and known from then on.
    assert_eq!(sorted(project.error(&[], &[])), alone);
    let known = project.error(&[], &["--eval-timeout", "0"]);
    assert_eq!(sorted(known), alone);
}

#[test]
fn the_first_of_several_failures_is_told() {
    let project = Project::new(
        r#"if builtins.elem n [ 7 8 30 39 ] then throw "workload ${name} is wrong" else "x""#,
    );
    let alone = project.error(&ONE_PROCESSOR, &UNCACHED);
    assert!(alone.contains("workload w107 is wrong"), "{alone}");
    for _ in 0..10 {
        assert_eq!(project.error(&[], &UNCACHED), alone);
    }
}

#[test]
fn limits_end_all_evaluations() {
    let project = Project::new(
        r#"if n < 2 then "x" else builtins.foldl' (x: y: x + y) 0 (builtins.genList (i: i) 100000000)"#,
    );
    let error = project.error(&[], &["--eval-timeout", "0.5"]);
    assert!(error.contains("took longer than 0.5 s"), "{error}");
    let project = Project::new(
        r#"if n < 2 then "x" else toString (builtins.length (builtins.genList (i: i) 100000000))"#,
    );
    let error = project.error(&[], &["--eval-memory", "200"]);
    assert!(error.contains("more memory than 200 MiB"), "{error}");
}

/// What the check finds fault with has its place, whichever evaluation found it.
#[test]
fn wrong_attributes_have_their_places() {
    let project = Project::new("1");
    let alone = project.error(&ONE_PROCESSOR, &UNCACHED);
    assert_eq!(alone.matches("flake.nix:").count(), 40, "{alone}");
    for _ in 0..5 {
        assert_eq!(project.error(&[], &UNCACHED), alone);
    }
}

/// All evaluations need what is fetched, and wait for the one that fetches it.
#[test]
fn what_all_need_is_fetched_once() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", server.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for connection in server.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request);
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(200));
            let _ = connection.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
            );
        }
    });
    // The SHA-256 of `hello`.
    let hash = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let project = Project::new(&format!(
        r#"builtins.readFile (builtins.fetchurl {{ url = "{url}"; sha256 = "{hash}"; }})"#
    ));
    let error = project.error(&[], &UNCACHED);
    assert!(error.contains("no cache gives 40 store paths"), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// Each is evaluated again only if what was read for it has changed, whichever evaluation found it.
#[test]
fn what_each_evaluation_read_counts_for_what_it_found() {
    let project = Project::new(r#"builtins.readFile (./. + "/${name}")"#);
    let flake = project.folder.path().join("flake");
    for n in 100..140 {
        fs::write(flake.join(format!("w{n}")), "one").unwrap();
    }
    let first = project.error(&[], &[]);
    assert_eq!(project.error(&[], &["--eval-timeout", "0"]), first);
    for (n, contents) in [(103, "two"), (131, "three")] {
        fs::write(flake.join(format!("w{n}")), contents).unwrap();
        project.error(&[], &[]);
        // Whatever is known is true.
        assert_eq!(project.error(&[], &[]), project.error(&[], &UNCACHED));
    }
    // What was seen to change is evaluated last, so from the second time on nothing else is.
    fs::write(flake.join("w131"), "four").unwrap();
    symlink("/nonexistent", flake.join("unrelated")).unwrap();
    let debug = Command::new(env!("CARGO_BIN_EXE_niphas"))
        .args(["render", &format!("path:{}", flake.display()), "--to"])
        .arg(project.folder.path().join("gitops"))
        .args(["--init", "--cache"])
        .arg(format!(
            "file://{}",
            project.folder.path().join("cache").display()
        ))
        .args([
            "--trusted-public-key",
            "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ])
        .env("HOME", project.folder.path().join("home"))
        .env("NIPHAS_LOG", "debug")
        .output()
        .unwrap();
    let debug = String::from_utf8_lossy(&debug.stderr);
    assert!(debug.contains("41 answers known, 1 found"), "{debug}");
}
