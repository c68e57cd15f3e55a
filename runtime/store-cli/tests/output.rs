//! Standard output that takes no more, caches that refuse access, and how options are named.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use niphas_store::generated::add_path;
use niphas_store::{Options, Store};
use tempfile::TempDir;

/// A store with one path, and the path.
fn store() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let path = add_path(&store, 0, 0, 10).unwrap();
    (folder, path.path().to_string())
}

fn niphas_store(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_niphas-store"));
    command.env_clear().args(args).arg("--store").arg(dir);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_is_an_error_and_a_reader_that_goes_away_is_none() {
    let (folder, path) = store();
    let file = format!("{path}/00000000/000");
    let commands: [&[&str]; 5] = [
        &["list"],
        &["list", "--output", "json"],
        &["ls", "-R", &path],
        &["cat", &file],
        &["du"],
    ];
    for args in commands {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = niphas_store(folder.path(), args);
        let output = command.stdout(Stdio::from(full)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = "error: cannot write to standard output: No space left on device";
        assert!(
            stderr(&output).starts_with(error),
            "{args:?}: {}",
            stderr(&output)
        );

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = niphas_store(folder.path(), args);
        let output = command.stdout(writer).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn a_cache_that_refuses_access_is_named_with_the_options_that_help() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cache = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).find(String::is_empty);
            let answer =
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let (folder, _) = store();
    let path = "/nix/store/pfg47v46abskcgxy7sk1rycy7573c49f-hello-1.0";
    let output = niphas_store(folder.path(), &["realise", "--cache", &cache, path])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains(&format!("{cache} refuses access (HTTP 401)")),
        "{said}"
    );
    let hint = format!(
        "hint: give the login for {cache} in a file: --netrc-file or ~/.netrc for user and password, \
         --cache-token-file for a bearer token"
    );
    assert!(said.contains(&hint), "{said}");
    let help = niphas_store(folder.path(), &["realise", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for option in [
        "--netrc-file",
        "--cache-token-file",
        "--required-signatures",
    ] {
        assert!(help.contains(option), "{option}");
    }
}
