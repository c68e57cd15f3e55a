//! Attributes and contents of fetched trees, with Nix at hand (`NIPHAS_ORACLE`) against
//! `nix flake metadata` and `builtins.fetchTree`.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use nix_flake::{Attr, FlakeRef, ParseOptions, TreeAttrOptions, UseRegistries};
use nix_formats::store_path::StoreDir;
use serde_json::{Value, json};

use support::{World, oracle, report};

/// What we make of a reference: the locked attributes and what an expression sees.
fn fetch(world: &World, reference: &str) -> Result<Value, String> {
    let reference = world.reference(reference);
    let resolved = world
        .fetcher()
        .fetch(&reference.input, UseRegistries::All)
        .map_err(|error| report(&error))?;
    let seen = resolved
        .fetched
        .tree_attrs(&StoreDir::default(), TreeAttrOptions::default())
        .map_err(|error| report(&error))?;
    let mut locked = resolved
        .fetched
        .input
        .attrs()
        .clone()
        .into_iter()
        .collect::<BTreeMap<String, Attr>>();
    if !reference.subdir.is_empty() {
        locked.insert("dir".to_owned(), reference.subdir.clone().into());
    }
    Ok(json!({ "locked": locked, "seen": seen }))
}

/// The same by Nix.
fn fetch_by_nix(world: &World, oracle: &std::path::Path, reference: &str) -> Result<Value, String> {
    let metadata = world.nix(
        oracle,
        &[
            "flake",
            "metadata",
            "--no-write-lock-file",
            "--json",
            reference,
        ],
    )?;
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let url = world.fill(reference);
    let expression = format!(
        "let s = (builtins.getFlake \"{url}\").sourceInfo;
         in builtins.listToAttrs (map (n: {{ name = \"_\" + n; value = s.${{n}}; }}) (builtins.attrNames s))"
    );
    let seen = world.nix(
        oracle,
        &["eval", "--impure", "--json", "--expr", &expression],
    )?;
    let seen: BTreeMap<String, Value> = serde_json::from_str(&seen).expect("JSON");
    let seen: BTreeMap<&str, &Value> = seen
        .iter()
        .map(|(name, value)| (&name[1..], value))
        .collect();
    let mut locked = metadata["locked"].clone();
    locked["__final"] = true.into();
    Ok(json!({ "locked": locked, "path": metadata["path"], "seen": seen }))
}

/// Compares both; returns ours.
fn check(name: &str, world: &World, reference: &str) -> Value {
    let mut ours = fetch(world, reference).unwrap_or_else(|error| panic!("{name}: {error}"));
    if let Some(oracle) = oracle() {
        let nix = fetch_by_nix(world, &oracle, reference)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // `nix flake metadata` leaves these two out.
        let locked = ours["locked"].as_object_mut().expect("a set");
        for attr in ["dirtyRev", "dirtyShortRev"] {
            if nix["locked"].get(attr).is_none() {
                locked.remove(attr);
            }
        }
        assert_eq!(ours["locked"], nix["locked"], "{name}: locked");
        assert_eq!(ours["seen"]["outPath"], nix["path"], "{name}: path");
        if nix["locked"]["type"] != "file" {
            assert_eq!(ours["seen"], nix["seen"], "{name}: seen");
        }
    }
    ours
}

#[test]
fn folders_have_the_time_of_their_newest_file() {
    let world = World::new();
    world.flake("p", "").write("p/empty/.keep", "").settle("p");
    fs::set_permissions(world.path("p/flake.nix"), fs::Permissions::from_mode(0o755))
        .expect("permissions");
    let ours = check("path", &world, "path:@/p");
    assert_eq!(ours["seen"]["lastModified"], support::TIME);
    assert_eq!(ours["seen"]["lastModifiedDate"], "20231114221320");
    symlink("/nowhere", world.path("p/link")).expect("a link");
    check("path-link", &world, "path:@/p");
}

#[test]
fn clean_and_dirty_work_trees_say_what_they_are() {
    let world = World::new();
    world
        .flake("r", "")
        .write("r/a", "a")
        .write("r/d/b", "b")
        .write("r/.gitignore", "ignored\n")
        .commit("r");
    world.write("r/a", "a2").commit("r");
    world.write("r/ignored", "").write("r/untracked", "");
    let clean = check("clean", &world, "git+file://@/r");
    assert_eq!(clean["seen"]["revCount"], 2);
    assert_eq!(clean["seen"]["submodules"], false);
    world.write("r/a", "a3");
    let dirty = check("dirty", &world, "git+file://@/r");
    assert_eq!(dirty["seen"].get("rev"), None);
    let rev = clean["seen"]["rev"].as_str().expect("a commit");
    assert_eq!(dirty["seen"]["dirtyRev"], format!("{rev}-dirty"));
    assert_eq!(
        dirty["seen"]["dirtyShortRev"],
        format!("{}-dirty", &rev[..7])
    );
    fs::remove_file(world.path("r/d/b")).expect("a file");
    check("deleted", &world, "git+file://@/r");
    world.git("r", &["add", "untracked"]);
    check("staged", &world, "git+file://@/r");
    world.write("r/new", "new").git("r", &["add", "-N", "new"]);
    check("intent-to-add", &world, "git+file://@/r");
    world.git("r", &["rm", "-q", "--cached", "a"]);
    check("unstaged", &world, "git+file://@/r");
    fs::set_permissions(world.path("r/flake.nix"), fs::Permissions::from_mode(0o755))
        .expect("permissions");
    check("executable", &world, "git+file://@/r");
}

#[test]
fn repositories_without_commits_have_a_commit_of_zeros_or_none() {
    let world = World::new();
    world
        .flake("r", "")
        .git("r", &["init", "-q"])
        .git("r", &["add", "-A"]);
    check("no-commits", &world, "git+file://@/r");
}

#[test]
fn folders_within_a_repository_are_found_from_below() {
    let world = World::new();
    world.flake("r/x/y", "").commit("r");
    let options = ParseOptions::in_dir(world.path("r/x/y"));
    let reference = FlakeRef::parse(".", &options).expect("a reference");
    let root = world.path("r").display().to_string();
    assert_eq!(reference.to_string(), format!("git+file://{root}?dir=x/y"));
    check("dir", &world, "git+file://@/r?dir=x/y");
}

#[test]
fn submodules_are_part_of_the_tree_when_asked_for() {
    let world = World::new();
    world
        .write("s/file", "s")
        .write("s/deep/file", "t")
        .commit("s");
    world
        .flake("r", "")
        .commit("r")
        .git("r", &["submodule", "--quiet", "add", "../s", "m"])
        .commit("r");
    check("submodules", &world, "git+file://@/r?submodules=1");
    world.write("r/m/file", "dirty");
    check("dirty-submodule", &world, "git+file://@/r?submodules=1");
    world
        .write(
            "r/.gitattributes",
            "m export-ignore\n*.nix -export-ignore\n",
        )
        .git("r", &["add", "-A"]);
    check("export-ignore", &world, "git+file://@/r?exportIgnore=1");
}

/// Serves the files of a folder, with what headers they need.
fn serve(root: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let base = address.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
            let request = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let name = target
                .split('?')
                .next()
                .unwrap_or_default()
                .trim_start_matches('/');
            let answer = if let Some(rest) = name.strip_prefix("moved/") {
                format!("HTTP/1.1 302 Found\r\nLocation: {base}/{rest}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
            } else {
                let name = name.trim_start_matches("latest/");
                match fs::read(root.join(name)) {
                    Ok(body) => {
                        let link = if target.contains("latest/") {
                            format!(
                                "Link: <{base}/{name}?rev=ae2e6b3958682513d28f7d633734571fb18285dd&revCount=7>; rel=\"immutable\"\r\n"
                            )
                        } else {
                            String::new()
                        };
                        let head = format!(
                            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n{link}Content-Length: {}\r\nConnection: close\r\n\r\n",
                            body.len()
                        );
                        [head.into_bytes(), body].concat()
                    }
                    Err(_) => {
                        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                            .to_vec()
                    }
                }
            };
            let _ = stream.write_all(&answer);
        }
    });
    address
}

#[test]
fn archives_are_fetched_over_http() {
    let world = World::new();
    world
        .write("src/top/flake.nix", "{ outputs = _: { }; }")
        .write("src/top/bin/run", "run")
        .write("src/top/empty/.keep", "");
    fs::set_permissions(
        world.path("src/top/bin/run"),
        fs::Permissions::from_mode(0o755),
    )
    .expect("permissions");
    fs::remove_file(world.path("src/top/empty/.keep")).expect("a file");
    symlink("bin/run", world.path("src/top/link")).expect("a link");
    fs::hard_link(world.path("src/top/bin/run"), world.path("src/top/hard")).expect("a link");
    world.settle("src");
    fs::create_dir(world.path("www")).expect("a folder");
    for (file, flags) in [("a.tar.gz", "-czf"), ("a.tar.xz", "-cJf"), ("a.tar", "-cf")] {
        let status = Command::new("tar")
            .args([
                "--format=pax",
                flags,
                &format!("www/{file}"),
                "-C",
                "src",
                "top",
            ])
            .current_dir(world.root())
            .status();
        assert!(status.expect("tar").success());
    }
    let base = serve(world.path("www"));
    check("http", &world, &format!("{base}/a.tar.gz"));
    check(
        "http-xz",
        &world,
        &format!("{base}/a.tar.xz?rev=ae2e6b3958682513d28f7d633734571fb18285dd"),
    );
    check(
        "http-redirect",
        &world,
        &format!("tarball+{base}/moved/a.tar"),
    );
    let latest = check("http-immutable", &world, &format!("{base}/latest/a.tar"));
    assert_eq!(latest["seen"]["revCount"], 7);
    let missing = fetch(&world, &format!("{base}/none.tar.gz")).expect_err("there is none");
    assert!(missing.contains("HTTP error 404"), "{missing}");
}

#[test]
fn a_wrong_hash_is_refused() {
    let world = World::new();
    world.flake("p", "").settle("p");
    let hash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let error = fetch(&world, &format!("path:@/p?narHash={hash}")).expect_err("another hash");
    assert!(
        error.contains(&format!("expected '{hash}' but got 'sha256-")),
        "{error}"
    );
}

/// A Git server for the repositories of a world; it ends with the test.
struct Daemon {
    process: std::process::Child,
    address: String,
}

impl Daemon {
    /// None if Git comes without its server.
    fn start(world: &World) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("an address")
            .port();
        // Not through `git`, which would leave the server behind when it is killed.
        let folder = Command::new("git").arg("--exec-path").output();
        let folder = String::from_utf8(folder.ok()?.stdout).ok()?;
        let process = Command::new(format!("{}/git-daemon", folder.trim()))
            .args(["--reuseaddr", "--export-all", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", world.root().display()))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .ok()?;
        let mut daemon = Self {
            process,
            address: format!("git://127.0.0.1:{port}"),
        };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(daemon);
            }
            if daemon.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn repositories_are_cloned_from_a_server() {
    let world = World::new();
    world.flake("r", "").write("r/a", "a").commit("r");
    world.git("r", &["branch", "dev"]);
    let first = world
        .lock("git+file://@/r?ref=dev", &support::Change::default())
        .expect("a lock");
    let first = first
        .flake
        .locked
        .input
        .rev()
        .expect("a commit")
        .expect("a commit");
    world.write("r/a", "a2").commit("r");
    let Some(daemon) = Daemon::start(&world) else {
        return;
    };
    let base = format!("{}/r", daemon.address);
    check("server", &world, &base);
    check("server-branch", &world, &format!("{base}?ref=dev"));
    check("server-commit", &world, &format!("{base}?rev={first}"));
    check("server-shallow", &world, &format!("{base}?shallow=1"));
    check(
        "server-shallow-commit",
        &world,
        &format!("{base}?shallow=1&rev={first}"),
    );
    let missing = "0123456789012345678901234567890123456789";
    let error =
        fetch(&world, &format!("{base}?ref=dev&rev={missing}")).expect_err("no such commit");
    assert!(
        error.contains(&format!(
            "Cannot find Git revision '{missing}' in ref 'dev' of repository '{base}'!"
        )),
        "{error}"
    );
    let error = fetch(&world, &format!("{base}?ref=none")).expect_err("no such branch");
    assert!(error.contains("none"), "{error}");
}

#[test]
fn sparse_archives_are_fetched_as_nix_does() {
    let world = World::new();
    world.flake("p", "");
    let file = fs::File::create(world.path("p/sparse")).expect("a file");
    file.set_len(3 << 20).expect("a hole");
    for place in 1..30 {
        file.write_all_at(b"some data", place * 100_000)
            .expect("written");
    }
    for (name, options) in [
        ("gnu", &["--format=gnu"][..]),
        ("0.0", &["--format=pax", "--sparse-version=0.0"]),
        ("0.1", &["--format=pax", "--sparse-version=0.1"]),
        ("1.0", &["--format=pax", "--sparse-version=1.0"]),
    ] {
        let status = Command::new("tar")
            .args(["--sparse", "--mtime=@1700000000", "-cf"])
            .arg(format!("{name}.tar"))
            .args(options)
            .arg("p")
            .current_dir(world.root())
            .status()
            .expect("tar");
        assert!(status.success());
        check(name, &world, &format!("tarball+file://@/{name}.tar"));
    }
}
