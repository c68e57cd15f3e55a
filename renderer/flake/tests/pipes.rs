//! Pipes and devices where files are expected: an error, not a wait for a writer that never comes.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

mod support;

use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use nix_evaluator::io::{EvalIo, LocalIo};
use nix_flake::UseRegistries;

use support::{World, report};

impl World {
    fn pipe(&self, name: &str) -> &Self {
        let path = self.path(name);
        let _ = std::fs::remove_file(&path);
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.expect("mkfifo").success());
        self
    }

    /// What becomes of a reference; this does not wait for ever.
    fn fetch(&self, reference: &str) -> Result<(), String> {
        let input = self.reference(reference).input;
        let fetcher = self.fetcher();
        in_time(move || {
            fetcher
                .fetch(&input, UseRegistries::No)
                .map(drop)
                .map_err(|error| report(&error))
        })
    }

    fn refuse(&self, reference: &str, expected: &str) {
        let error = self.fetch(reference).expect_err("a pipe");
        assert!(error.contains(expected), "{reference}: {error}");
    }
}

fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    let result = result.recv_timeout(Duration::from_secs(20));
    result.expect("it waits for a pipe")
}

const PIPE: &str = "expected a regular file, found a pipe";

#[test]
fn pipes_in_folders_are_no_files() {
    let world = World::new();
    world.flake("flake", "").pipe("flake/pipe");
    world.refuse("path:@/flake", "has an unsupported type");
    world.pipe("pipe");
    for reference in [
        "file+file://@/pipe",
        "tarball+file://@/pipe",
        "file+file://@/link",
    ] {
        let _ = symlink("pipe", world.path("link"));
        world.refuse(reference, PIPE);
    }
}

#[test]
fn a_null_device_is_an_empty_file() {
    let world = World::new();
    let fetched = world.fetch("file+file:///dev/null");
    assert_eq!(fetched, Ok(()));
}

#[test]
fn pipes_in_repositories_are_refused_where_git_reads_them() {
    for pipe in [
        ".gitattributes",
        ".gitignore",
        "below/.gitignore",
        ".gitmodules",
        ".git/config",
        ".git/HEAD",
        ".git/index",
        ".git/info/attributes",
        ".git/info/exclude",
        ".git/refs/heads/main",
    ] {
        let world = World::new();
        world.flake("r", "").write("r/below/file", "x").commit("r");
        world.write("r/below/file", "another");
        world.pipe(&format!("r/{pipe}"));
        world.refuse("git+file://@/r?submodules=1", PIPE);
    }
    let world = World::new();
    world.flake("r", "").commit("r");
    world.git("r", &["worktree", "add", "-q", "../linked"]);
    world.git(".", &["clone", "-q", "--bare", "r", "bare.git"]);
    assert_eq!(world.fetch("git+file://@/linked"), Ok(()));
    world.pipe("r/.git/refs/heads/other").pipe("bare.git/HEAD");
    world.refuse("git+file://@/linked", PIPE);
    world.refuse("git+file://@/bare.git?ref=main", PIPE);
}

#[test]
fn a_pipe_in_the_place_of_a_tracked_file_is_no_file() {
    let world = World::new();
    world.flake("r", "").write("r/file", "x").commit("r");
    world.pipe("r/file").pipe("r/untracked");
    // Git takes the file for removed.
    assert_eq!(world.fetch("git+file://@/r"), Ok(()));
}

#[test]
fn expressions_read_no_pipes() {
    let world = World::new();
    let path = world.pipe("pipe").path("pipe");
    let path = path.to_str().expect("UTF-8").to_owned().into_bytes();
    let read = move || LocalIo::default().read_file(&path);
    let error = in_time(read).expect_err("a pipe");
    assert_eq!(error.to_string(), PIPE);
    let null = LocalIo::default().read_file(b"/dev/null");
    assert_eq!(null.expect("an empty file"), b"");
}
