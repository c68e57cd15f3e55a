//! Parses files and prints their trees as `nix-instantiate --parse` does: for looking at what the parser makes of
//! something, for comparing it with C++ Nix, and for measuring it.
//!
//! `parse FILE…` prints one tree a line, or `FILE:LINE:COLUMN: MESSAGE`. `parse --speed FILE…` prints megabytes a second.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use nix_evaluator::ast_print::{self, PathContext};
use nix_evaluator::parser::{ParseError, parse};

fn main() -> ExitCode {
    let mut args: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let speed = args.first().is_some_and(|arg| arg.as_os_str() == "--speed");
    if speed {
        args.remove(0);
    }
    let result = if speed { measure(&args) } else { show(&args) };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parse: {error}");
            ExitCode::from(2)
        }
    }
}

fn show(files: &[PathBuf]) -> io::Result<bool> {
    let home = env::var("HOME").unwrap_or_default();
    let mut all = true;
    let mut out = io::stdout().lock();
    for file in files {
        let source = fs::read(file)?;
        let absolute = std::path::absolute(file)?;
        let base = absolute.parent().unwrap_or(Path::new("/"));
        match parse(&source) {
            Ok(ast) => {
                let paths = PathContext {
                    base: base.as_os_str().as_encoded_bytes(),
                    home: home.as_bytes(),
                };
                out.write_all(&ast_print::print(&ast, paths))?;
            }
            Err(error) => {
                all = false;
                out.write_all(describe(&absolute, &source, &error).as_bytes())?;
            }
        }
        out.write_all(b"\n")?;
    }
    Ok(all)
}

fn describe(file: &Path, source: &[u8], error: &ParseError) -> String {
    let place = |offset: u32| {
        let (line, column) = line_and_column(source, offset as usize);
        format!("{}:{line}:{column}", file.display())
    };
    format!("{}: {}", place(error.start), error.message_with(place))
}

/// Counted from one; lines end with a line feed, a carriage return or both.
fn line_and_column(source: &[u8], offset: usize) -> (usize, usize) {
    let (mut line, mut start) = (1, 0);
    for index in 0..offset.min(source.len()) {
        let ends = match source[index] {
            b'\n' => true,
            b'\r' => source.get(index + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends {
            line += 1;
            start = index + 1;
        }
    }
    (line, offset - start + 1)
}

fn measure(files: &[PathBuf]) -> io::Result<bool> {
    let sources = files.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
    let bytes: usize = sources.iter().map(Vec::len).sum();
    let mut times: Vec<Duration> = Vec::new();
    let mut nodes = 0;
    let mut all = true;
    for _ in 0..11 {
        let begin = Instant::now();
        nodes = 0;
        for source in &sources {
            match parse(source) {
                Ok(ast) => nodes += ast.nodes.len(),
                Err(_) => all = false,
            }
        }
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!(
        "{} files, {bytes} bytes, {nodes} nodes: {:.2} ms, {:.0} MB/s",
        files.len(),
        median.as_secs_f64() * 1e3,
        bytes as f64 / median.as_secs_f64() / 1e6,
    );
    Ok(all)
}
