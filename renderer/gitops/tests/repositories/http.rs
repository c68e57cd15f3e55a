//! A small HTTP server in front of `git http-backend`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
}

struct Settings {
    root: PathBuf,
    /// What the `Authorization` header must be.
    authorization: Option<String>,
}

impl Server {
    /// Serves the repositories below `root`; the threads end with the process.
    pub(crate) fn start(root: &Path, authorization: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let authorization = authorization.map(str::to_owned);
        let settings = Arc::new(Settings {
            root: root.to_owned(),
            authorization,
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let settings = Arc::clone(&settings);
                std::thread::spawn(move || settings.answer(&stream));
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.address)
    }
}

struct Asked {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Settings {
    /// A client that goes away is no failure of the test.
    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let asked = read_request(stream)?;
        let mut stream = stream;
        if self.authorization.is_some()
            && asked.headers.get("authorization") != self.authorization.as_ref()
        {
            let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n\
                           Content-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.write_all(refusal.as_bytes()).ok();
        }
        let header = |name: &str| asked.headers.get(name).cloned().unwrap_or_default();
        let mut backend = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", &asked.method)
            .env("PATH_INFO", &asked.path)
            .env("QUERY_STRING", &asked.query)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", asked.body.len().to_string())
            .env("REMOTE_USER", "test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = backend.stdin.take().unwrap();
        let body = asked.body;
        let writer = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let output = backend.wait_with_output().unwrap().stdout;
        writer.join().unwrap();
        let end = output.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, body) = (str::from_utf8(&output[..end]).unwrap(), &output[end + 4..]);
        let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
        let rest: Vec<_> = head
            .lines()
            .filter(|line| !line.starts_with("Status: "))
            .collect();
        let head = format!(
            "HTTP/1.1 {}\r\n{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            status.unwrap_or("200 OK"),
            rest.join("\r\n"),
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let mut body = Vec::new();
    if headers
        .get("transfer-encoding")
        .is_some_and(|encoding| encoding == "chunked")
    {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = u64::from_str_radix(size.trim(), 16).ok()?;
            reader.by_ref().take(size).read_to_end(&mut body).ok()?;
            reader.read_line(&mut String::new()).ok()?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = headers.get("content-length") {
        reader
            .take(length.parse().ok()?)
            .read_to_end(&mut body)
            .ok()?;
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    })
}
