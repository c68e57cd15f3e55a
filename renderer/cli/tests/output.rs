//! Where standard output takes no more.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

const COMMANDS: [&[&str]; 4] = [
    &["crd"],
    &["completions", "bash"],
    &["eval", "--expr", "builtins.genList (x: x) 100000"],
    &["cache", "closure", "--help"],
];

/// Without `HOME`, as services are.
fn niphas(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_niphas"));
    command.args(args).env_clear();
    command
}

/// As `niphas … | head -1`.
#[test]
fn a_reader_that_wants_no_more_is_no_error() {
    for args in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = niphas(args).stdout(writer).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && stderr.is_empty(),
            "{args:?}: {stderr}"
        );
    }
}

#[test]
fn a_full_disk_is_told() {
    for args in &COMMANDS[..3] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = niphas(args).stdout(Stdio::from(full)).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr.contains("cannot write to standard output: No space left on device"),
            "{args:?}: {stderr}"
        );
    }
}
