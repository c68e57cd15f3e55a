//! Serves pages of made-up sources, for people who look at them and for the browser of `ci/pages`.
//!
//! `/` has what a team would have; `/hostile/` the same pages, with texts that attack them. The address is printed.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints, and ends where something is wrong"
)]

mod samples;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use niphas_pages::{
    ASSETS, CONTENT_SECURITY_POLICY, Frame, LogText, closures_page, log_page, message_page, paths,
    run_page, source_page, sources_page,
};

use crate::samples::Samples;

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
}

fn answer(mut stream: TcpStream) -> Option<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    reader.read_line(&mut line).ok()?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? < 3 {
            break;
        }
    }
    let path = line.split(' ').nth(1)?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (base, path) = match path.strip_prefix("/hostile") {
        Some(rest) => ("/hostile", rest),
        None => ("", path),
    };
    let path = if path.is_empty() { "/" } else { path };
    if path.ends_with("/events") {
        return live(&mut stream, query);
    }
    let (status, content_type, body) = match ASSETS.iter().find(|asset| asset.path == path) {
        Some(asset) => (200, asset.content_type, asset.parts.concat()),
        None => match page(base, path) {
            Some(page) => (200, "text/html; charset=utf-8", page),
            None => (404, "text/html; charset=utf-8", missing(base)),
        },
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
         content-security-policy: {CONTENT_SECURITY_POLICY}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()
}

fn frame(base: &str) -> Frame<'_> {
    Frame {
        base,
        now: samples::now(),
        version: "0.1.0",
    }
}

fn missing(base: &str) -> String {
    message_page(
        &frame(base),
        "Not found",
        "There is no such page, or you may not see it.",
    )
}

fn page(base: &str, path: &str) -> Option<String> {
    let frame = frame(base);
    let samples = Samples {
        is_hostile: !base.is_empty(),
    };
    if path == paths::SOURCES {
        return Some(sources_page(&frame, &samples.sources()));
    }
    if path.starts_with("/logs/") {
        return Some(log_page(&frame, &samples.log(path.ends_with("live.drv"))));
    }
    let source = samples.sources().into_iter().next()?;
    match path.rsplit('/').next()? {
        "closures" => Some(closures_page(
            &frame,
            &source.name,
            "128",
            &samples.closures(),
        )),
        "129" => Some(run_page(&frame, &samples.large_run())),
        _ if path.contains("/runs/") => Some(run_page(&frame, &samples.run())),
        _ if path.starts_with("/sources/") => Some(source_page(&frame, &source, &samples.runs())),
        _ => None,
    }
}

/// Some lines, a second apart by tenths, and the end.
fn live(stream: &mut TcpStream, query: &str) -> Option<()> {
    let from = query.strip_prefix("from=")?.parse().ok()?;
    let mut text = LogText::new(from);
    let head = format!(
        "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
         content-security-policy: {CONTENT_SECURITY_POLICY}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    for number in 0..20 {
        let line = format!("\x1b[32mlive\x1b[0m line {number} <img src=x onerror=alert(1)>\n");
        if let Some(event) = text.event(line.as_bytes()) {
            stream.write_all(event.as_bytes()).ok()?;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    stream.write_all(text.end().as_bytes()).ok()
}
