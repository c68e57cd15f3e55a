use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::*;

/// A server whose answers `answer` writes, given the path that is asked for. It keeps the requests' heads.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&heads), Arc::new(answer));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut head = String::new();
                    let mut reader = BufReader::new(&stream);
                    while !head.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    kept.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(head);
                    answer(&path, &mut stream);
                });
            }
        });
        Self { address, heads }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn heads(&self) -> String {
        lock(&self.heads).join("\n").to_ascii_lowercase()
    }
}

fn write(stream: &mut TcpStream, text: &str) {
    // A client that has gone away is the case under test.
    let _ = stream.write_all(text.as_bytes());
}

fn redirect(stream: &mut TcpStream, to: &str) {
    let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n");
    write(stream, &format!("{head}Connection: close\r\n\r\n"));
}

fn ok(stream: &mut TcpStream) {
    write(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
    );
}

fn http() -> Http {
    Http::new(FetchLimits {
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_millis(300),
        min_rate: 1000,
        ..FetchLimits::default()
    })
}

fn fetch(url: &str, token: Option<&str>) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    let credentials: Vec<(String, Secret)> = token
        .map(|token| ("Private-Token".to_owned(), token.into()))
        .into_iter()
        .collect();
    let request = Request {
        url,
        credentials: &credentials,
        etag: None,
        post: None,
        limit: 1 << 20,
    };
    match http().download(&request, &file) {
        Ok(_) => Ok(std::fs::read_to_string(file).expect("what was downloaded")),
        Err(error) => Err(format!("{error} {error:?}")),
    }
}

#[test]
fn credentials_go_to_the_first_origin_only() {
    let other = Server::start(|_, stream| ok(stream));
    let target = other.url("/file");
    let server = Server::start(move |path, stream| match path {
        "/elsewhere" => redirect(stream, &target),
        "/here" => redirect(stream, "/file"),
        _ => ok(stream),
    });
    let url = server.url("/elsewhere").replace("//", "//u:marker1@");
    assert_eq!(fetch(&url, Some("marker2")), Ok("body".to_owned()));
    assert!(server.heads().contains("private-token: marker2"));
    assert!(server.heads().contains("authorization: basic"));
    let heads = other.heads();
    assert!(heads.contains("get /file"), "{heads}");
    assert!(
        !heads.contains("marker") && !heads.contains("authorization"),
        "{heads}"
    );

    assert_eq!(
        fetch(&server.url("/here"), Some("marker3")),
        Ok("body".to_owned())
    );
    assert_eq!(server.heads().matches("private-token: marker3").count(), 2);
}

#[test]
fn redirects_end() {
    let server = Server::start(|_, stream| redirect(stream, "/again"));
    let error = fetch(&server.url("/"), None).expect_err("an error");
    assert!(error.contains("too many redirects"), "{error}");
    assert!(server.heads().matches("get ").count() <= 11);
}

/// The message for an answer that never ends: four attempts, each with its time limit.
fn given_up(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let server = Server::start(move |_, stream| {
        answer(stream);
        // Until the client closes the connection.
        let _ = stream.read(&mut [0]);
    });
    let start = Instant::now();
    let error = fetch(&server.url("/?token=marker"), None).expect_err("an error");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(!error.contains("marker"), "{error}");
    error
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let error = given_up(|_| {});
    assert!(
        error.contains("'127.0.0.1' sent nothing for 0.3 s"),
        "{error}"
    );
}

#[test]
fn a_server_that_stops_within_its_answer_is_given_up() {
    let error = given_up(|stream| {
        write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    });
    assert!(
        error.contains("'127.0.0.1' sent nothing for 0.3 s"),
        "{error}"
    );
}

#[test]
fn a_server_that_drips_is_given_up() {
    let error = given_up(|stream| {
        write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let expected = "'127.0.0.1' sent less than 1000 bytes per second for 0.3 s";
    assert!(error.contains(expected), "{error}");
}

/// A server that refuses the first request so, and when it was asked.
fn busy(status: &'static str, retry_after: &'static str) -> (Server, Arc<Mutex<Vec<Instant>>>) {
    let times = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&times);
    let server = Server::start(move |_, stream| {
        let mut times = lock(&kept);
        times.push(Instant::now());
        if times.len() > 1 {
            return ok(stream);
        }
        let head = format!("HTTP/1.1 {status}\r\nRetry-After: {retry_after}\r\n");
        write(
            stream,
            &format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n"),
        );
    });
    (server, times)
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    // Forges refuse with 403 as well.
    for status in ["429 Too Many Requests", "503 Unavailable", "403 Forbidden"] {
        let (server, times) = busy(status, "2");
        assert_eq!(fetch(&server.url("/"), None), Ok("body".to_owned()));
        let times = lock(&times);
        assert_eq!(times.len(), 2, "{status}");
        let pause = times[1] - times[0];
        assert!(pause >= Duration::from_secs(2), "{status}: {pause:?}");
        assert!(pause < Duration::from_secs(6), "{status}: {pause:?}");
    }
}

#[test]
fn a_pause_without_end_is_not_made_and_named() {
    let (server, times) = busy("429 Too Many Requests", "1000000000");
    let start = Instant::now();
    let error = fetch(&server.url("/"), None).expect_err("an error");
    assert!(start.elapsed() < Duration::from_secs(2));
    let expected = "429 Too Many Requests, and the server asks for a pause of 1000000000 s";
    assert!(error.contains(expected), "{error}");
    assert_eq!(lock(&times).len(), 1);
}

#[test]
fn an_answer_without_end_is_refused() {
    let server = Server::start(|_, stream| {
        write(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&vec![b'x'; 1 << 16]).is_ok() {}
    });
    let error = fetch(&server.url("/"), None).expect_err("an error");
    assert!(error.contains("is larger than 1048576 bytes"), "{error}");
}

#[test]
fn the_immutable_link_is_found_among_others() {
    assert_eq!(
        immutable_link(r#"<https://h/next>; rel="next", <https://h/x?rev=1>; rel="immutable""#),
        Some("https://h/x?rev=1".to_owned())
    );
    assert_eq!(immutable_link(r#"<https://h/next>; rel="next""#), None);
}
