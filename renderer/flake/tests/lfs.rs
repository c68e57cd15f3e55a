//! Files of Git LFS: a server of our own, and real Nix to compare with where it is.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niphas_git::{Login, Proof};
use nix_flake::{Attrs, FetchSettings, Fetcher, Input, UseRegistries};
use nix_formats::hash::{HashAlgorithm, HashFormat};
use serde_json::{Value, json};

use support::{World, oracle, report};

/// A request: its first line and headers, and what was sent.
#[derive(Clone)]
struct Asked {
    head: String,
    body: Vec<u8>,
}

impl Asked {
    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The digests that a batch is about.
    fn digests(&self) -> Vec<String> {
        let body: Value = serde_json::from_slice(&self.body).expect("JSON");
        assert_eq!(body["operation"], "download");
        let objects = body["objects"].as_array().expect("objects");
        objects
            .iter()
            .map(|object| object["oid"].as_str().expect("a digest").to_owned())
            .collect()
    }
}

type Log = Arc<Mutex<Vec<Asked>>>;

/// An HTTP server.
struct Server {
    address: SocketAddr,
    log: Log,
}

impl Server {
    fn start(answer: impl Fn(SocketAddr, &Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let log = Log::default();
        let (kept, answer) = (Arc::clone(&log), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let _ = serve(stream, address, &kept, &*answer);
                });
            }
        });
        Self { address, log }
    }

    /// One that has these files, and says so in any repository.
    fn with(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::beside(PathBuf::new(), files)
    }

    /// One that has these files, and the repository `git`, which Git itself can fetch at `/o/r.git` since these are plain files.
    fn beside(git: PathBuf, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::start(move |address, asked| {
            if asked.path().ends_with("/objects/batch") {
                let objects: Vec<Value> = asked
                    .digests()
                    .into_iter()
                    .map(|oid| match files.get(&oid) {
                        Some(contents) => json!({
                            "oid": oid,
                            "size": contents.len(),
                            "actions": { "download": { "href": format!("http://{address}/files/{oid}") } },
                        }),
                        None => json!({ "oid": oid, "size": 0, "error": { "code": 404, "message": "no such \u{1b}[31mfile" } }),
                    })
                    .collect();
                return answer(&json!({ "objects": objects }));
            }
            if let Some(file) = asked.path().strip_prefix("/o/r.git/") {
                let file = file.split('?').next().unwrap_or_default();
                return fs::read(git.join(file)).map_or_else(|_| missing(), |file| ok(&file));
            }
            let oid = asked.path().rsplit('/').next().unwrap_or_default();
            ok(files.get(oid).map_or(&[], Vec::as_slice))
        })
    }

    fn asked(&self) -> Vec<Asked> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn serve(
    stream: TcpStream,
    address: SocketAddr,
    log: &Log,
    answer: &dyn Fn(SocketAddr, &Asked) -> Vec<u8>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.trim().parse().expect("a length"))
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let asked = Asked { head, body };
    let answer = answer(address, &asked);
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked);
    reader.get_mut().write_all(&answer)
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn missing() -> Vec<u8> {
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
}

fn answer(body: &Value) -> Vec<u8> {
    ok(body.to_string().as_bytes())
}

fn digest(contents: &[u8]) -> String {
    let hash = HashAlgorithm::Sha256.digest(contents);
    hash.to_string(HashFormat::Base16, false)
}

fn pointer(contents: &[u8]) -> String {
    let (oid, size) = (digest(contents), contents.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

/// A repository `r` whose files are in Git LFS at `server`.
fn repository(files: &[(&str, &str)], server: SocketAddr) -> World {
    let world = World::new();
    fill(&world, files, server);
    world
}

fn fill(world: &World, files: &[(&str, &str)], server: SocketAddr) {
    world.write("r/.gitattributes", "*.bin filter=lfs diff=lfs -text\n");
    for (name, contents) in files {
        world.write(&format!("r/{name}"), contents);
    }
    let url = format!("http://{server}/o/r.git/info/lfs");
    world.commit("r").git("r", &["config", "lfs.url", &url]);
}

fn head(world: &World) -> String {
    let output = std::process::Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(world.path("r"))
        .output()
        .expect("git");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

struct Got {
    root: PathBuf,
    nar_hash: String,
}

fn fetch(world: &World, change: impl FnOnce(&mut FetchSettings)) -> Result<Got, String> {
    let mut attrs = Attrs::new();
    attrs.set("type", "git");
    attrs.set("url", world.fill("file://@/r"));
    attrs.set("rev", head(world));
    attrs.set("lfs", true);
    let input = Input::from_attrs(attrs).expect("an input");
    let mut settings = FetchSettings::new(world.path("cache"));
    settings.limits.retries.attempts = 1;
    settings.limits.read_timeout = Duration::from_secs(5);
    change(&mut settings);
    let resolved = Fetcher::new(settings)
        .fetch(&input, UseRegistries::No)
        .map_err(|error| report(&error))?;
    let fetched = resolved.fetched;
    let hash = fetched.tree.nar_hash().expect("a hash");
    Ok(Got {
        root: fetched.tree.root().to_owned(),
        nar_hash: hash.to_string(HashFormat::Sri, true),
    })
}

fn left(world: &World) -> Vec<PathBuf> {
    ["trees", "tmp", "lfs"]
        .iter()
        .filter_map(|folder| fs::read_dir(world.path("cache").join(folder)).ok())
        .flatten()
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn read(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(name)).expect("a file")
}

#[test]
fn files_come_from_the_server_and_are_those_of_nix() {
    let texts: Vec<String> = (0..150).map(|number| format!("large {number}")).collect();
    let mut stored: BTreeMap<String, Vec<u8>> = texts
        .iter()
        .map(|text| (digest(text.as_bytes()), text.clone().into_bytes()))
        .collect();
    let added = "added later";
    stored.insert(digest(added.as_bytes()), added.into());
    let world = World::new();
    let server = Server::beside(world.path("r/.git"), stored);
    let pointers: Vec<(String, String)> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| (format!("sub/{number}.bin"), pointer(text.as_bytes())))
        .collect();
    let mut files: Vec<(&str, &str)> = pointers.iter().map(|(n, p)| (&n[..], &p[..])).collect();
    let long = "x".repeat(1024);
    let same = pointer(texts[0].as_bytes());
    files.extend([
        ("plain.txt", "plain"),
        // Git has a pointer, and the attributes say nothing of it.
        ("pointer.txt", same.as_str()),
        ("other/.gitattributes", "same.bin -filter\n"),
        ("other/same.bin", same.as_str()),
        ("not-a-pointer.bin", "text"),
        ("long.bin", long.as_str()),
    ]);
    fill(&world, &files, server.address);
    let program = world.path("r/sub/1.bin");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("permissions");
    world.commit("r");
    let got = fetch(&world, |_| {}).expect("the tree");
    for (number, text) in texts.iter().enumerate() {
        let file = format!("sub/{number}.bin");
        assert_eq!(read(&got.root, &file), *text, "{file}");
    }
    let mode = fs::metadata(got.root.join("sub/1.bin"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
    assert_eq!(read(&got.root, "pointer.txt"), same);
    assert_eq!(read(&got.root, "other/same.bin"), same);
    assert_eq!(read(&got.root, "not-a-pointer.bin"), "text");
    assert_eq!(read(&got.root, "long.bin"), long);
    let asked = server.asked();
    let batches = asked.iter().filter(|asked| !asked.body.is_empty()).count();
    assert_eq!((batches, asked.len()), (2, 152));
    if let Some(oracle) = oracle() {
        let rev = head(&world);
        world.git("r", &["update-server-info"]);
        let url = format!("http://{}/o/r.git", server.address);
        let fetch = format!(
            "(builtins.fetchGit {{ url = \"{url}\"; rev = \"{rev}\"; lfs = true; }}).narHash"
        );
        let nix = world.nix(&oracle, &["eval", "--raw", "--expr", &fetch]);
        assert_eq!(nix.expect("Nix's hash"), got.nar_hash);
    }
    // What is here is not fetched again, unless it was changed.
    let before = server.asked().len();
    let kept = world.path("cache/lfs").join(digest(texts[7].as_bytes()));
    fs::write(kept, "changed").expect("a file");
    world
        .write("r/added.bin", &pointer(added.as_bytes()))
        .commit("r");
    let got = fetch(&world, |_| {}).expect("the tree");
    assert_eq!(read(&got.root, "added.bin"), added);
    assert_eq!(read(&got.root, "sub/7.bin"), texts[7]);
    assert_eq!(server.asked().len() - before, 3);
}

#[test]
fn a_tree_without_lfs_keeps_its_pointers() {
    let server = Server::with(BTreeMap::new());
    let pointer = pointer(b"large");
    let world = repository(&[("a.bin", &pointer)], server.address);
    let mut attrs = Attrs::new();
    attrs.set("type", "git");
    attrs.set("url", world.fill("file://@/r"));
    attrs.set("rev", head(&world));
    let input = Input::from_attrs(attrs).expect("an input");
    let fetcher = Fetcher::new(FetchSettings::new(world.path("cache")));
    let resolved = fetcher.fetch(&input, UseRegistries::No).expect("the tree");
    assert_eq!(read(resolved.fetched.tree.root(), "a.bin"), pointer);
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn what_a_server_lies_about_is_refused_and_not_kept() {
    let contents = b"what was committed";
    let oid = digest(contents);
    let object = |more: Value| {
        let mut object = json!({ "oid": oid, "size": contents.len() });
        object
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        json!({ "objects": [object] })
    };
    let href = json!({ "actions": { "download": { "href": "http://@/file" } } });
    let headers: BTreeMap<String, String> =
        (0..17).map(|n| (format!("x-{n}"), String::new())).collect();
    let many = json!({ "actions": { "download": { "href": "http://@/file", "header": headers } } });
    let other = digest(b"WHAT WAS COMMITTED");
    let expected =
        format!("expected 18 bytes with the SHA-256 {oid}, got 18 bytes with the SHA-256 {other}");
    for (batch, file, message) in [
        (
            object(href.clone()),
            ok(b"WHAT WAS COMMITTED"),
            expected.as_str(),
        ),
        (object(href.clone()), ok(b"what"), "got 4 bytes"),
        (
            object(href.clone()),
            ok(&[b'x'; 4096]),
            "is larger than 18 bytes",
        ),
        (
            object(href),
            b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "403",
        ),
        (object(many), ok(contents), "more than 16 headers"),
        (object(json!({})), ok(contents), "does not say where it is"),
        (json!({ "objects": [] }), ok(contents), "does not name it"),
        (
            json!({ "things": [] }),
            ok(contents),
            "none of a Git LFS server",
        ),
        (
            object(json!({ "error": { "code": 404, "message": "not \u{1b}[31mhere" } })),
            ok(contents),
            "the server says: not here",
        ),
        (
            object(json!({ "actions": { "download": { "href": "file:///etc/passwd" } } })),
            ok(contents),
            "file:///etc/passwd",
        ),
    ] {
        let server = Server::start(move |address, asked| {
            if asked.body.is_empty() {
                return file.clone();
            }
            ok(batch
                .to_string()
                .replace('@', &address.to_string())
                .as_bytes())
        });
        let world = repository(&[("a.bin", &pointer(contents))], server.address);
        let error = fetch(&world, |_| {}).err().expect("an error");
        assert!(error.contains(message), "{error}\n{message}");
        assert_eq!(left(&world), Vec::<PathBuf>::new(), "{error}");
    }
}

#[test]
fn sizes_are_counted_before_anything_is_fetched() {
    let server = Server::with(BTreeMap::new());
    let huge = pointer(b"huge").replace("size 4", "size 18446744073709551615");
    let large = pointer(b"large").replace("size 5", "size 2000000");
    for (text, settings) in [
        (&huge, (u64::MAX - 1, u64::MAX - 1)),
        (&large, (1_000_000, 9_000_000)),
        (&large, (9_000_000, 1_000_000)),
    ] {
        let world = repository(&[("a.bin", text)], server.address);
        let error = fetch(&world, |found| {
            (found.max_unpacked, found.max_download) = settings;
        });
        let error = error.err().expect("an error");
        let is_limit = error.contains("larger than") || error.contains("of at most");
        assert!(is_limit, "{error}");
    }
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn a_login_goes_to_the_server_of_the_repository_only() {
    let contents = b"large";
    let elsewhere = Server::start(move |_, _| ok(contents));
    let to = elsewhere.address;
    let server = Server::start(move |address, asked| {
        let download = |address: SocketAddr| json!({ "href": format!("http://{address}/f"), "header": { "X-Proof": "of the server" } });
        let other = b"also large";
        if asked.body.is_empty() {
            return ok(other);
        }
        answer(&json!({ "objects": [
            { "oid": digest(contents), "actions": { "download": download(to) } },
            { "oid": digest(other), "actions": { "download": download(address) } },
        ] }))
    });
    let files = [
        ("a.bin", pointer(contents)),
        ("b.bin", pointer(b"also large")),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let world = repository(&files, server.address);
    let proof = Proof::Password {
        username: "git".to_owned(),
        password: "marker".into(),
    };
    let login = Login::new(&format!("http://{}/o/r.git", server.address), proof).expect("a URL");
    fetch(&world, |settings| {
        settings.git_login = Some(Arc::new(login));
    })
    .expect("the tree");
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for asked in &asked {
        assert!(
            asked.head.contains("authorization: Basic Z2l0Om1hcmtlcg=="),
            "{}",
            asked.head
        );
    }
    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].head.contains("x-proof: of the server"),
        "{}",
        asked[0].head
    );
    assert!(
        !asked[0].head.contains("authorization"),
        "{}",
        asked[0].head
    );
}

#[test]
fn a_repository_without_a_server_says_what_is_missing() {
    let server = Server::with(BTreeMap::new());
    let world = repository(&[("a.bin", &pointer(b"large"))], server.address);
    world.git("r", &["config", "--unset", "lfs.url"]);
    let error = fetch(&world, |_| {}).err().expect("an error");
    assert!(
        error.contains("Git LFS server") && error.contains("lfs.url"),
        "{error}"
    );
    world.git("r", &["remote", "add", "origin", "git@example.org:o/r.git"]);
    let error = fetch(&world, |_| {}).err().expect("an error");
    assert!(error.contains("Git LFS server"), "{error}");
    let offline = fetch(&world, |settings| settings.offline = true);
    assert!(offline.is_err());
}
