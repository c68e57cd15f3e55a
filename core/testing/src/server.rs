//! A small HTTP server that can misbehave.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A silence that no client waits for.
const SILENCE: Duration = Duration::from_mins(1);

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, or another one.
    pub method: String,
    /// The path, without the slash that it begins with.
    pub name: String,
    /// The head as it came.
    head: String,
}

impl Request {
    /// The value of a header, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found.eq_ignore_ascii_case(name)).then(|| value.trim())
        })
    }

    /// Where the part starts that is asked for.
    pub fn start(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.split('-').next()?.parse().ok()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers beside the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What becomes of it.
    pub delivery: Delivery,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy)]
pub enum Delivery {
    /// As it should be.
    Whole,
    /// After this time.
    Late(Duration),
    /// This many bytes of the body, and then the connection ends.
    Cut(usize),
    /// Without its length: the end of the connection ends it.
    Unannounced,
    /// This many bytes of the body, and then nothing.
    Stalled(usize),
    /// Not even a head.
    Silent,
    /// Pieces of this many bytes, with a pause before each.
    Dripping(usize, Duration),
    /// Bytes without an end.
    Endless,
}

impl Reply {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            delivery: Delivery::Whole,
        }
    }

    /// A file.
    pub fn file(body: Vec<u8>) -> Self {
        Self {
            body,
            ..Self::status(200)
        }
    }

    /// The part of a file that is asked for.
    pub fn part(file: &[u8], request: &Request) -> Self {
        match request.start() {
            Some(start) if start > 0 && start < file.len() => {
                let range = format!("bytes {start}-{}/{}", file.len() - 1, file.len());
                Self {
                    status: 206,
                    ..Self::file(file[start..].to_vec()).with("content-range", range)
                }
            }
            _ => Self::file(file.to_vec()),
        }
    }

    /// With one header more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sent so.
    #[must_use]
    pub fn sent(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }
}

/// Starts a server that gives what `reply` says, for as long as the runtime lives.
pub async fn start(
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let reply = Arc::new(reply);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let reply = Arc::clone(&reply);
            // Whether the client goes away early is its own affair.
            tokio::spawn(async move { converse(stream, &*reply).await });
        }
    });
    Ok(address)
}

/// Answers what comes on a connection, until something ends it.
async fn converse(mut stream: TcpStream, reply: &impl Fn(&Request) -> Reply) -> io::Result<()> {
    // Head and body are written one after the other.
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while let Some(request) = next(&mut stream, &mut received).await? {
        if !send(&mut stream, &reply(&request)).await? {
            break;
        }
    }
    Ok(())
}

/// The next request. Its body is passed over.
async fn next(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Ok(None);
        }
        received.extend_from_slice(&piece[..count]);
    };
    let head: Vec<u8> = received.drain(..end).collect();
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let name = target.strip_prefix('/').unwrap_or(target).to_owned();
    let request = Request { method, name, head };
    let length = request
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let mut left: usize = length.unwrap_or(0);
    while left > received.len() {
        left -= received.len();
        received.clear();
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
    received.drain(..left);
    Ok(Some(request))
}

/// Sends an answer. Whether another may follow on this connection.
async fn send(stream: &mut TcpStream, reply: &Reply) -> io::Result<bool> {
    match reply.delivery {
        Delivery::Silent => {
            tokio::time::sleep(SILENCE).await;
            return Ok(false);
        }
        Delivery::Late(time) => tokio::time::sleep(time).await,
        _ => {}
    }
    let body = &reply.body;
    let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if let Delivery::Endless = reply.delivery {
        head += "transfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 65536], b"\r\n"].concat();
        loop {
            stream.write_all(&chunk).await?;
        }
    }
    if let Delivery::Unannounced = reply.delivery {
        head += "connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        return Ok(false);
    }
    let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    match reply.delivery {
        Delivery::Cut(length) | Delivery::Stalled(length) if length < body.len() => {
            stream.write_all(&body[..length]).await?;
            if let Delivery::Stalled(_) = reply.delivery {
                tokio::time::sleep(SILENCE).await;
            }
            return Ok(false);
        }
        Delivery::Dripping(size, pause) => {
            for piece in body.chunks(size) {
                tokio::time::sleep(pause).await;
                stream.write_all(piece).await?;
            }
        }
        _ => stream.write_all(body).await?,
    }
    Ok(true)
}
