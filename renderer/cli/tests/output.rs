//! What is printed where, and where standard output takes no more.

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

/// Another has the closure, so it is no error; but a user may want to know.
#[test]
fn a_cache_that_cannot_be_used_is_named_with_the_reason() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/hello");
    let key = std::fs::read_to_string(format!("{example}/cache-demo-key.public")).unwrap();
    let output = niphas(&["cache", "closure", "--trusted-public-key", key.trim()])
        .args(["--cache", "file:///none", "--cache"])
        .arg(format!("file://{example}/cache"))
        .arg("/nix/store/pfg47v46abskcgxy7sk1rycy7573c49f-hello-1.0")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let warning =
        "warning: the cache is not usable (cache file:///none): there is no folder '/none'";
    assert!(stderr.contains(warning), "{stderr}");
}

/// As Nix 2.34 prints them; an error of the whole is one.
#[test]
fn errors_within_a_printed_value_stand_in_their_place() {
    for (expression, printed) in [
        (
            r#"{ a = throw "x"; b = 1; }"#,
            "{ a = «error: x»; b = 1; }\n",
        ),
        (
            "let a = a; in { inherit a; }",
            "{ a = «error: infinite recursion encountered»; }\n",
        ),
        (
            r#"[ 1 (abort "y") { c = assert false; 1; } ]"#,
            "[ 1 «error: evaluation aborted with the following error message: 'y'» \
             { c = «error: assertion 'false' failed»; } ]\n",
        ),
        (
            r#"{ d = derivation { name = throw "s"; system = "x"; builder = "b"; }; }"#,
            "{ d = «error: s»; }\n",
        ),
    ] {
        let output = niphas(&["eval", "--expr", expression]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), printed);
        assert!(output.status.success(), "{expression}");
    }
    for args in [
        ["--expr", r#"throw "x""#, "--show-trace"],
        ["--json", "--expr", r#"{ a = throw "x"; }"#],
    ] {
        let output = niphas(&[&["eval"], &args[..]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
    }
}
