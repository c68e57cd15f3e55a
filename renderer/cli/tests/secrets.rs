//! Passwords and tokens of URLs, of Nix's configuration and of netrc files: they go to their servers and into lock files, as
//! with Nix, and nowhere else.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

#[path = "../../gitops/tests/repositories/http.rs"]
mod git_server;
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::ExampleFolder;

/// What no output and no file may hold; and `ci:MARKER` as Basic authentication writes it.
const MARKERS: [&str; 2] = ["MARKER", "Y2k6TUFSS0VS"];

/// The example's repository behind a Git server with a password, and its archive behind a server of files.
struct World {
    folder: ExampleFolder,
    git: String,
    files: String,
}

impl World {
    fn new() -> Self {
        let folder = ExampleFolder::new("served/repo.git");
        for args in [
            &["init", "--quiet"][..],
            &["add", "--all"],
            &["commit", "--quiet", "--message", "source"],
            &["archive", "--output", "../repo.tar.gz", "HEAD"],
        ] {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
            let status = git.arg("-C").arg(folder.source()).args(args).status();
            assert!(status.unwrap().success());
        }
        let served = folder.path("served");
        let authorization = format!("Basic {}", "Y2k6TUFSS0VS");
        let git = git_server::Server::start(&served, Some(&authorization));
        Self {
            git: git.url("repo.git").replace("//", "//ci:MARKER@"),
            files: serve(served.join("repo.tar.gz")),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// Runs `niphas`, which may say no secret.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.folder.niphas();
        command
            .args(args)
            .env("NIPHAS_CACHE_DIR", self.path("cache"))
            .env("NIPHAS_LOG", "debug")
            .env(
                "NIX_CONFIG",
                "access-tokens = github.com=MARKER 127.0.0.1=PAT:MARKER",
            );
        let output = command.output().unwrap();
        let said = [&output.stdout[..], &output.stderr].concat();
        assert_clean(&said, &format!("niphas {args:?}"));
        output
    }

    fn succeeds(&self, args: &[&str]) {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "niphas {args:?}\n{stderr}");
    }

    fn fails(&self, args: &[&str], message: &str) {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "niphas {args:?}");
        assert!(stderr.contains(message), "niphas {args:?}\n{stderr}");
    }
}

fn assert_clean(bytes: &[u8], place: &str) {
    for marker in MARKERS {
        let holds = bytes
            .windows(marker.len())
            .any(|window| window == marker.as_bytes());
        let shown = String::from_utf8_lossy(bytes);
        assert!(!holds, "{place} holds {marker}:\n{shown}");
    }
}

fn assert_folder_clean(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        assert_clean(entry.file_name().as_encoded_bytes(), "a file's name");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            assert_folder_clean(&path);
        } else if kind.is_file() {
            assert_clean(&fs::read(&path).unwrap(), &path.display().to_string());
        }
    }
}

/// Serves a file to requests that show the token; `/busy` never has time.
fn serve(file: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let (status, body) = if request.starts_with("GET /repo.tar.gz?token=MARKER ") {
                ("200 OK", fs::read(&file).unwrap())
            } else if request.starts_with("GET /busy") {
                ("503 Service Unavailable", Vec::new())
            } else {
                ("404 Not Found", Vec::new())
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            // A client that goes away is no failure of the test.
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    format!("http://{address}")
}

/// `fails` looks for secrets in what is printed.
fn failures_show_no_secret(world: &World, hello: &str) {
    let files = &world.files;
    let missing = format!("tarball+{files}/no.tar.gz?token=MARKER#x").replace("//", "//ci:MARKER@");
    world.fails(&["eval", &missing], "HTTP error 404");
    let busy = format!("tarball+{files}/busy?access_token=MARKER#x");
    world.fails(&["eval", &busy], "retrying");
    let refused = hello.replace("ci:MARKER", "ci:MARKER2");
    world.fails(&["show", &refused], "HEAD");
    world.fails(&["show", "https://ci:MARKER@h/ x"], "'");
    world.fails(
        &["show", "magic+https://ci:MARKER@h/?token=MARKER"],
        "unsupported",
    );
    world.fails(
        &[
            "eval",
            "--expr",
            &format!("builtins.fetchurl \"{missing}\""),
        ],
        "error",
    );
}

#[test]
fn secrets_stay_where_they_belong() {
    let world = World::new();
    let (git, files) = (&world.git, &world.files);
    let archive = format!("{files}/repo.tar.gz?token=MARKER");
    let hello = format!("git+{git}?dir=examples/hello");

    // A flake with both as inputs: its lock file holds what Nix would write, so that the inputs can be fetched again.
    let top = world.path("top");
    fs::create_dir(&top).unwrap();
    let inputs = format!(
        "a = {{ url = \"git+{git}\"; flake = false; }}; b = {{ url = \"{archive}\"; flake = false; }};"
    );
    let outputs = "inputs: { x = builtins.readDir inputs.a // builtins.readDir inputs.b; }";
    let text = format!("{{ inputs = {{ {inputs} }}; outputs = {outputs}; }}");
    fs::write(top.join("flake.nix"), text).unwrap();
    let top = format!("path:{}", top.display());
    world.fails(&["lock", "--check", &top], "");
    world.succeeds(&["lock", &top]);
    let lock = fs::read_to_string(world.path("top/flake.lock")).unwrap();
    assert!(lock.contains(&format!("\"url\": \"{git}\"")), "{lock}");
    assert!(lock.contains(&format!("\"url\": \"{archive}\"")), "{lock}");
    world.succeeds(&["eval", &format!("{top}#x")]);

    // A flake whose own address is secret.
    world.succeeds(&["show", &hello]);
    let gitops = world.path("gitops");
    let (cache, key) = (world.folder.cache(), world.folder.key());
    world.succeeds(&[
        "render",
        &hello,
        "--to",
        gitops.to_str().unwrap(),
        "--init",
        "--author",
        "CI <ci@example.org>",
        "--cache",
        &cache,
        "--key-file",
        key.to_str().unwrap(),
    ]);
    let objects = Command::new("git")
        .arg("-C")
        .arg(&gitops)
        .args(["cat-file", "--batch-all-objects", "--batch"])
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&objects.stdout).into_owned();
    let address = git.replace("ci:MARKER@", "");
    let trailer = format!("Niphas-Source-Repo: {address}");
    assert!(shown.contains(&trailer), "{shown}");
    assert_clean(&objects.stdout, "the GitOps repository");
    assert_folder_clean(&gitops);

    failures_show_no_secret(&world, &hello);

    // A login for a cache.
    let netrc = world.path("netrc");
    fs::write(&netrc, "machine 127.0.0.1 login ci password MARKER\n").unwrap();
    world.fails(
        &[
            "cache",
            "info",
            "--cache",
            files,
            "--netrc-file",
            netrc.to_str().unwrap(),
            "/nix/store/00000000000000000000000000000000-x",
        ],
        "",
    );
    assert_folder_clean(&world.path("cache"));
}
