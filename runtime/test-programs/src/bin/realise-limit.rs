//! The least that realising a closure can cost, for `ci/bench.d/store`: fetches the narinfo and the NAR of each path,
//! decompresses and hashes the NAR, and writes it to one flat file. It knows all paths beforehand, checks no signature, and
//! forgets everything.
//!
//! `realise-limit URL LIST FOLDER THREADS`: LIST has the hash part of a path on each line; one connection a thread, HTTP/1.1 with
//! keep-alive, zstd.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix_formats::HashFormat;
use nix_formats::hash::{HashAlgorithm, Hasher};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, list, folder, threads] = arguments.as_slice() else {
        return Err("usage: realise-limit URL LIST FOLDER THREADS".into());
    };
    let host = url.strip_prefix("http://").ok_or("an http:// URL")?;
    let list = std::fs::read_to_string(list)?;
    let wanted: Vec<&str> = list.lines().collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut server = BufReader::with_capacity(128 << 10, TcpStream::connect(host)?);
            let mut piece = vec![0; 128 << 10];
            while let Some(path) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let to = Path::new(folder).join(path);
                fetch(&mut server, host, path, &to, &mut piece)?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..threads.parse()?).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}

/// Sends a request; gives the length of the body, which comes next.
fn request(server: &mut BufReader<TcpStream>, host: &str, name: &str) -> Result<u64> {
    let request = format!("GET /{name} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    server.get_mut().write_all(request.as_bytes())?;
    let mut length = None;
    let mut line = String::new();
    loop {
        line.clear();
        server.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            return length.ok_or_else(|| "no Content-Length".into());
        }
        if let Some((field, value)) = line.split_once(':')
            && field.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<u64>()?);
        }
    }
}

fn fetch(
    server: &mut BufReader<TcpStream>,
    host: &str,
    path: &str,
    to: &Path,
    piece: &mut [u8],
) -> Result<()> {
    let length = request(server, host, &format!("{path}.narinfo"))?;
    let mut info = String::new();
    server.by_ref().take(length).read_to_string(&mut info)?;
    let field = |name: &str| {
        let mut values = info.lines().filter_map(|line| line.strip_prefix(name));
        values.next().ok_or("a narinfo without URL or NarHash")
    };
    let (name, hash) = (field("URL: ")?, field("NarHash: ")?);
    let length = request(server, host, name)?;
    let body = server.take(length);
    let mut nar =
        zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(128 << 10, body))?;
    let mut file = File::create(to)?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    loop {
        let count = match nar.read(piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        hasher.update(&piece[..count]);
        file.write_all(&piece[..count])?;
    }
    let actual = hasher.finish().to_string(HashFormat::Nix32, true);
    if actual != hash {
        return Err(format!("{name} has the hash {actual} instead of {hash}").into());
    }
    Ok(())
}
