//! `builtin:fetchurl` against a server of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use nix_builder::builtin::{Builtin, FetchSettings, run};
use nix_formats::nar::Writer;

/// A server that answers by path, and remembers requests.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&mut stream.unwrap(), &seen);
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(stream: &mut TcpStream, seen: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let mut seen = seen.lock().unwrap();
    let before = seen
        .iter()
        .filter(|other| other.split(' ').nth(1) == Some(&path))
        .count();
    seen.push(request);
    let (head, body) = match path.as_str() {
        "/moved" => ("302 Found\r\nLocation: /file", Vec::new()),
        "/circle" => ("302 Found\r\nLocation: /circle", Vec::new()),
        "/busy" if before == 0 => ("503 Busy", b"later".to_vec()),
        "/file" | "/busy" | "/no.xz" => ("200 OK", b"x".to_vec()),
        "/gzip" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(b"x").unwrap();
            (
                "200 OK\r\nContent-Encoding: gzip",
                encoder.finish().unwrap(),
            )
        }
        "/nar" => ("200 OK", nar()),
        "/nar.xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(&nar()).unwrap();
            ("200 OK", encoder.finish().unwrap())
        }
        "/mirror/sha256/abc" => ("200 OK", b"mirrored".to_vec()),
        _ => ("404 Not Found", b"not here \n".to_vec()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
}

/// A folder with a program, a file in a folder, and a link.
fn nar() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.begin_directory().unwrap();
    writer.entry(b"a").unwrap();
    writer.file(true, b"program").unwrap();
    writer.entry(b"b").unwrap();
    writer.begin_directory().unwrap();
    writer.entry(b"c").unwrap();
    writer.file(false, b"text").unwrap();
    writer.end_directory().unwrap();
    writer.entry(b"d").unwrap();
    writer.symlink(b"b/c").unwrap();
    writer.end_directory().unwrap();
    writer.finish().unwrap()
}

struct Fetched {
    _folder: tempfile::TempDir,
    out: PathBuf,
    result: Result<(), String>,
}

impl Fetched {
    fn contents(&self) -> String {
        assert_eq!(self.result, Ok(()));
        fs::read_to_string(&self.out).unwrap()
    }

    /// The error without colours, and with `OUT` for the output.
    fn error(&self) -> String {
        let mut text = self.result.clone().unwrap_err();
        for colour in ["\u{1b}[31;1m", "\u{1b}[35;1m", "\u{1b}[0m"] {
            text = text.replace(colour, "");
        }
        text.replace(self.out.to_str().unwrap(), "OUT")
    }
}

fn fetch_with(attributes: &[(&str, &str)], change: impl Fn(&mut Builtin)) -> Fetched {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let attributes = attributes
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    let mut builtin = Builtin {
        name: b"fetchurl".to_vec(),
        attributes: attributes.collect(),
        outputs: [("out".to_owned(), out.to_str().unwrap().to_owned())].into(),
        may_fetch: true,
        ..Builtin::default()
    };
    change(&mut builtin);
    let result = run(&builtin);
    Fetched {
        _folder: folder,
        out,
        result,
    }
}

fn fetch(url: &str) -> Fetched {
    fetch_with(&[("url", url)], |_| {})
}

#[test]
fn files_come_by_http_and_from_files() {
    let server = Server::start();
    let url = |path: &str| format!("{}{path}", server.url);
    assert_eq!(fetch(&url("/file")).contents(), "x");
    assert_eq!(fetch(&url("/moved")).contents(), "x");
    assert_eq!(fetch(&url("/busy")).contents(), "x");
    assert_eq!(fetch(&url("/gzip")).contents(), "x");

    let executable = fetch_with(&[("url", &url("/file")), ("executable", "1")], |_| {});
    assert_eq!(executable.contents(), "x");
    assert_eq!(
        fs::metadata(&executable.out).unwrap().permissions().mode() & 0o777,
        0o755
    );

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a b"), "local").unwrap();
    let local = format!("file://{}/a%20b", folder.path().display());
    assert_eq!(fetch(&local).contents(), "local");
}

#[test]
fn nars_are_unpacked() {
    let server = Server::start();
    for path in ["/nar", "/nar.xz"] {
        let url = format!("{}{path}", server.url);
        let fetched = fetch_with(&[("url", &url), ("unpack", "1")], |_| {});
        assert_eq!(fetched.result, Ok(()));
        assert_eq!(fs::read_to_string(fetched.out.join("d")).unwrap(), "text");
        assert_eq!(
            fs::read_link(fetched.out.join("d")).unwrap().to_str(),
            Some("b/c")
        );
        let mode = |name: &str| {
            fs::metadata(fetched.out.join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o111
        };
        assert_eq!((mode("a") != 0, mode("b/c")), (true, 0));
    }
    let url = format!("{}/no.xz", server.url);
    let fetched = fetch_with(&[("url", &url), ("unpack", "1")], |_| {});
    assert_eq!(fetched.error(), "error: input compression not recognized");
}

#[test]
fn mirrors_are_asked_first_and_passed_by_where_they_fail() {
    let server = Server::start();
    let url = format!("{}/file", server.url);
    let mirror = |name: &str| {
        fetch_with(&[("url", &url)], |builtin| {
            builtin.mirrored = Some(name.to_owned());
            builtin.fetch.hashed_mirrors = vec![format!("{}/mirror", server.url)];
        })
    };
    assert_eq!(mirror("sha256/abc").contents(), "mirrored");
    assert_eq!(mirror("sha256/def").contents(), "x");
}

#[test]
fn logins_go_to_the_hosts_that_they_are_for_and_are_not_printed() {
    let server = Server::start();
    let url = format!("{}/file", server.url);
    let settings = |machine: &str| FetchSettings {
        netrc: format!("machine {machine} login me password hidden"),
        ..FetchSettings::default()
    };
    for machine in ["127.0.0.1", "other.example"] {
        fetch_with(&[("url", &url)], |builtin| {
            builtin.fetch = settings(machine);
        })
        .contents();
    }
    let requests = server.requests();
    let has_login = |request: &String| {
        request
            .to_ascii_lowercase()
            .contains("authorization: basic bwu6aglkzgvu")
    };
    assert_eq!(
        requests.iter().map(has_login).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(!format!("{:?}", settings("a")).contains("hidden"));
}

#[test]
fn errors_are_in_the_words_of_nix() {
    let server = Server::start();
    let url = |path: &str| format!("{}{path}", server.url);
    let within =
        |text: &str| format!("error:\n       … writing file \"OUT\"\n\n       error: {text}");
    let missing = url("/missing");
    let text = format!(
        "unable to download '{missing}': HTTP error 404\n\n       response body:\n\n       not here"
    );
    assert_eq!(fetch(&missing).error(), within(&text));
    let circle = url("/circle");
    let text = format!(
        "unable to download '{circle}': Number of redirects hit maximum amount (47) Maximum (10) redirects followed"
    );
    assert_eq!(fetch(&circle).error(), within(&text));
    for (url, text) in [
        ("", "URL '' doesn't have a scheme"),
        ("foo/bar", "URL 'foo/bar' doesn't have a scheme"),
        (
            "gopher9://x/y",
            "unable to download 'gopher9://x/y': Unsupported protocol (1) Protocol \"gopher9\" not supported",
        ),
        (
            "file:///nope",
            "unable to download 'file:///nope': Could not read a file:// file (37) Could not open file /nope",
        ),
        (
            "http://a/fi le",
            "unable to download 'http://a/fi le': URL using bad/illegal format or missing URL (3) URL rejected: Malformed input to a URL function",
        ),
    ] {
        assert_eq!(fetch(url).error(), within(text));
    }
    assert_eq!(fetch_with(&[], |_| {}).error(), "map::at");
    let not_fixed = fetch_with(&[("url", "http://a")], |builtin| builtin.may_fetch = false);
    assert_eq!(
        not_fixed.error(),
        "error: 'builtin:fetchurl' must be a fixed-output or impure derivation"
    );
    let no_out = fetch_with(&[("url", "http://a")], |builtin| builtin.outputs.clear());
    assert_eq!(
        no_out.error(),
        "error: 'builtin:fetchurl' requires an 'out' output"
    );
}
