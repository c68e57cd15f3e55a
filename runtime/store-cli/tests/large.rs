//! Memory does not grow with the number of files that a store, or a path, has.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use niphas_store::generated::add_path;
use niphas_store::{Options, Store};
use niphas_testing::memory::peak;

const PATHS: u64 = 4;
const FILES: u64 = 200_000;

/// The most memory that a child had resident, in bytes.
fn peak_of(mut child: Child) -> u64 {
    let (id, mut most) = (child.id().to_string(), 0);
    loop {
        most = most.max(peak(&id).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return most;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn run(dir: &Path, arguments: &[&str]) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_niphas-store"));
    let command = command.args(arguments).arg("--store").arg(dir);
    peak_of(command.stdout(Stdio::null()).spawn().unwrap())
}

/// One test, for it measures its own process first.
#[test]
fn paths_of_many_files_are_written_opened_and_mounted_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let store = Store::open(dir, Options::default()).unwrap();
    let before = peak("self").unwrap();
    let paths: Vec<_> = thread::scope(|scope| {
        let add = |path| add_path(&store, path, path, FILES).unwrap();
        let added = (0..PATHS).map(|path| scope.spawn(move || add(path)));
        let added: Vec<_> = added.collect();
        added.into_iter().map(|path| path.join().unwrap()).collect()
    });
    // An entry in memory for each file was 105 MiB; records and tables of the paths that are being written as much again.
    let written = peak("self").unwrap() - before;
    assert!(written < 80 << 20, "{written} bytes to write");
    let names: Vec<String> = paths.iter().map(|path| path.path().to_string()).collect();
    drop(store);

    // As a store of a version before is: nothing is known without reading records.
    fs::remove_dir_all(dir.join("index")).unwrap();
    let least = run(Path::new("/"), &["--help"]);
    let read = run(dir, &["list"]) - least;
    assert!(read < 16 << 20, "{read} bytes to read all records");
    let indexed = run(dir, &["gc", "--dry-run"]) - least;
    assert!(indexed < 64 << 20, "{indexed} bytes to make the index");
    let started = Instant::now();
    let opened = run(dir, &["gc", "--dry-run"]) - least;
    assert!(opened < 16 << 20, "{opened} bytes to open");
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );

    let mut arguments = vec!["image"];
    arguments.extend(names.iter().map(String::as_str));
    let image = run(dir, &arguments) - least;
    assert!(image < 48 << 20, "{image} bytes to make an image");
}
