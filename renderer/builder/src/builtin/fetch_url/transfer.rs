//! Fetches files by HTTP.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::thread;
use std::time::{Duration, Instant};

use binary_cache::Netrc;
use flate2::write::MultiGzDecoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION};
use reqwest::{Client, Response};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::super::failure::{Failure, shown, warn};
use super::refused::Refused;
use super::{FetchSettings, copy_local, local_path};

/// Where the sandbox has certificates.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// How often a file is asked for.
const ATTEMPTS: u32 = 5;
/// How often a server may send on.
const HOPS: usize = 10;
/// What is read of an answer that is no file.
const LONGEST_BODY: usize = 64 << 10;
const TIMES: niphas_http::Limits = niphas_http::Limits {
    connect_timeout: Duration::from_secs(15),
    read_timeout: Duration::from_mins(5),
};

/// Fetches files.
pub(super) struct Transfer {
    runtime: Runtime,
    client: Client,
    netrc: Netrc,
}

impl Transfer {
    pub(super) fn new(settings: &FetchSettings) -> Result<Self, Failure> {
        let certificates = if settings.certificates.is_empty() {
            fs::read(CERTIFICATES).unwrap_or_default()
        } else {
            settings.certificates.clone()
        };
        let client = niphas_http::client_of_certificates(&TIMES, &certificates);
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            runtime: runtime.map_err(|error| Failure::system("setting up the network", &error))?,
            client: client.map_err(|error| Failure::error(nix_formats::chain(&error)))?,
            netrc: Netrc::parse(&settings.netrc)
                .map_err(|error| Failure::error(nix_formats::chain(&error)))?,
        })
    }

    /// Writes what a URL has to a file, from its beginning.
    pub(super) fn fetch(&self, url: &str, out: &mut File) -> Result<(), Refused> {
        let Some((scheme, _)) = url.split_once(':') else {
            let text = format!("URL '{}' doesn't have a scheme", shown(url));
            return Err(Refused { text, pause: None });
        };
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            let text = "URL rejected: Malformed input to a URL function";
            return Err(
                Refused::curl("URL using bad/illegal format or missing URL", 3, text).about(url),
            );
        }
        if let Some(path) = local_path(url) {
            return copy_local(&path, out).map_err(|refused| refused.about(url));
        }
        let parsed = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(parsed) = parsed else {
            let text = format!("Protocol \"{scheme}\" not supported");
            return Err(Refused::curl("Unsupported protocol", 1, &text).about(url));
        };
        let mut attempt = 1;
        loop {
            let result = out
                .rewind()
                .and_then(|()| out.set_len(0))
                .map_err(Refused::write);
            let result =
                result.and_then(|()| self.runtime.block_on(self.attempt(parsed.clone(), out)));
            let refused = match result {
                Ok(()) => return Ok(()),
                Err(refused) => refused.about(url),
            };
            match refused.pause {
                Some(pause) if attempt < ATTEMPTS => {
                    let pause = pause * (1 << (attempt - 1));
                    let (text, pause_ms) = (&refused.text, pause.as_millis());
                    warn(format_args!(
                        "{text}; retrying in {pause_ms} ms (attempt {attempt}/{ATTEMPTS})"
                    ));
                    thread::sleep(pause);
                }
                _ => return Err(refused),
            }
            attempt += 1;
        }
    }

    /// Follows redirects wherever they lead: what comes of it is compared with the hash, and where builds may connect to is
    /// decided by the sandbox.
    async fn attempt(&self, mut url: Url, out: &mut File) -> Result<(), Refused> {
        for _ in 0..=HOPS {
            let begin = Instant::now();
            let host = url.host_str().unwrap_or_default().to_owned();
            let port = url.port_or_known_default().unwrap_or_default();
            let failed =
                |error: reqwest::Error| Refused::request(&error, &host, port, begin.elapsed());
            let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "gzip");
            let login = self
                .netrc
                .login(&host)
                .filter(|_| url.username().is_empty());
            if let Some(login) = login {
                request = request.basic_auth(&login.user, Some(login.password.expose()));
            }
            let response = request.send().await.map_err(failed)?;
            match next(&url, &response) {
                Some(next) => url = next,
                None => return receive(response, out, failed).await,
            }
        }
        let text = format!("Maximum ({HOPS}) redirects followed");
        Err(Refused::curl(
            "Number of redirects hit maximum amount",
            47,
            &text,
        ))
    }
}

/// Where a server sends on to.
fn next(url: &Url, response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let next = url.join(location).ok()?;
    matches!(next.scheme(), "http" | "https").then_some(next)
}

/// Writes an answer's contents.
async fn receive(
    mut response: Response,
    out: &mut File,
    failed: impl Fn(reqwest::Error) -> Refused,
) -> Result<(), Refused> {
    let status = response.status().as_u16();
    if !matches!(status, 200 | 201 | 204 | 206) {
        let mut body = Vec::new();
        while body.len() < LONGEST_BODY
            && let Ok(Some(piece)) = response.chunk().await
        {
            body.extend_from_slice(&piece);
        }
        body.truncate(LONGEST_BODY);
        return Err(Refused::status(status, &body));
    }
    let encoding = response
        .headers()
        .get(CONTENT_ENCODING)
        .map(|value| value.as_bytes().to_ascii_lowercase());
    let mut out: Box<dyn Write + '_> = match encoding.as_deref() {
        None | Some(b"" | b"identity") => Box::new(out),
        Some(b"gzip" | b"x-gzip") => Box::new(MultiGzDecoder::new(out)),
        Some(_) => {
            let text = "Unrecognized or bad HTTP Content or Transfer-Encoding";
            return Err(Refused::curl(
                text,
                61,
                "Unrecognized content encoding type",
            ));
        }
    };
    while let Some(piece) = response.chunk().await.map_err(&failed)? {
        out.write_all(&piece).map_err(written)?;
    }
    out.flush().map_err(written)
}

/// What is not written is the disk's fault, or that of the server if it is no compressed data.
fn written(error: io::Error) -> Refused {
    if matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    ) {
        let text = "Unrecognized or bad HTTP Content or Transfer-Encoding";
        return Refused::curl(text, 61, &error.to_string());
    }
    Refused::write(error)
}
