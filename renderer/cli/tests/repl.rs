//! `niphas repl`: lines from a pipe and from a terminal.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

struct Said {
    stdout: String,
    stderr: String,
}

fn repl(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_niphas"));
    command.arg("repl").env_clear().env("NO_COLOR", "1");
    command
        .env("HOME", folder.path())
        .current_dir(folder.path());
    command
}

fn say_in(folder: &TempDir, lines: &str) -> Said {
    let mut command = repl(folder);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Said {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn say(lines: &str) -> Said {
    say_in(&TempDir::new().unwrap(), lines)
}

#[test]
fn expressions_are_printed_one_level_deep_and_errors_do_not_end_the_session() {
    let said = say(
        "1 + 2\n{ a = { b = 1; }; c = [ 1 [ 2 ] ]; }\nnope\n1 + \"x\"\n:p { a = { b = 1; }; }\n",
    );
    assert_eq!(
        said.stdout,
        "3\n{\n  a = { ... };\n  c = [ ... ];\n}\n{\n  a = { b = 1; };\n}\n"
    );
    assert!(
        said.stderr.contains("error: undefined variable 'nope'"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr
            .contains("error: cannot add a string to an integer"),
        "{}",
        said.stderr
    );
}

#[test]
fn definitions_are_evaluated_when_they_are_used() {
    let said = say("x = throw \"late\"\ny = 2\nz = y * 3;\ny = 5\nz\nx\n:t x: x\n:t { }\n");
    assert_eq!(said.stdout, "6\na function\na set\n");
    assert_eq!(
        said.stderr.matches("error: late").count(),
        1,
        "{}",
        said.stderr
    );
}

#[test]
fn what_is_not_complete_goes_on_in_the_next_line() {
    let said = say("let\n  x = 1;\nin\nx + 1\nf = x:\n  x * 2\nf 4\n''\n  text\n''\n:p [\n1 ]\n");
    assert_eq!(said.stdout, "2\n8\n\"text\\n\"\n[ 1 ]\n");
}

#[test]
fn files_are_loaded_and_loaded_again_when_they_change() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file.nix");
    fs::write(
        &file,
        "{ answer ? 1 }: { inherit answer; twice = answer * 2; }",
    )
    .unwrap();
    let said = say_in(&folder, ":l ./file.nix\ntwice\nown = 1\n:env\n");
    assert_eq!(said.stdout, "Added 2 variables.\n2\nanswer\nown\ntwice\n");

    let mut command = repl(&folder);
    command.arg("./file.nix");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdin.write_all(b"answer\n").unwrap();
    let mut seen = String::new();
    while !seen.contains("1\n") || !seen.ends_with("1\n") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{seen}");
        seen.push(char::from(byte[0]));
    }
    fs::write(&file, "{ answer = 2; }").unwrap();
    stdin.write_all(b":r\nanswer\n:q\nanswer\n").unwrap();
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "Added 1 variables.\n2\n");
    child.wait().unwrap();
}

#[test]
fn flakes_are_loaded() {
    let folder = TempDir::new().unwrap();
    let flake = "{ outputs = { self }: { lib.double = x: x * 2; }; }";
    fs::write(folder.path().join("flake.nix"), flake).unwrap();
    let reference = format!("path:{}", folder.path().display());
    let said = say_in(&folder, &format!(":lf {reference}\nlib.double 21\n"));
    assert!(
        said.stdout.ends_with("variables.\n42\n"),
        "{}{}",
        said.stdout,
        said.stderr
    );
}

#[test]
fn documentation_is_what_stands_before_a_function() {
    let folder = TempDir::new().unwrap();
    let file = "{\n  /**\n    Twice as much.\n\n    # Example\n  */\n  double = x: x * 2;\n  plain = x: x;\n}\n";
    fs::write(folder.path().join("file.nix"), file).unwrap();
    let said = say_in(
        &folder,
        ":l ./file.nix\n:doc double\n:doc map\n:doc plain\n",
    );
    assert!(
        said.stdout.contains("\nTwice as much.\n\n# Example\n"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("builtins.map takes 2 arguments."),
        "{}",
        said.stdout
    );
    assert!(
        said.stderr.contains("nothing is written about this"),
        "{}",
        said.stderr
    );
}

#[test]
fn what_is_no_command_is_told() {
    let said = say(":nope\n:te maybe\n:te true\n:?\n");
    assert!(
        said.stderr.contains("error: there is no command ':nope'"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr
            .contains("error: 'maybe' is neither true nor false"),
        "{}",
        said.stderr
    );
    assert!(
        said.stdout.contains("showing the whole of traces"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains(":lf, :load-flake <flake>"),
        "{}",
        said.stdout
    );
}

/// Types into a session on a terminal, and says what is on the screen in the end.
fn on_a_terminal(folder: &TempDir, typed: &[&str]) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap()
    };
    let mut command = repl(folder);
    command
        .stdin(open())
        .stdout(open())
        .stderr(open())
        .env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut terminal = File::from(terminal);
    let mut reader = terminal.try_clone().unwrap();
    let screen = std::thread::spawn(move || {
        let mut screen = Vec::new();
        // Ends with an error when the other side is not open.
        let _ = reader.read_to_end(&mut screen);
        String::from_utf8_lossy(&screen).into_owned()
    });
    for text in typed {
        std::thread::sleep(Duration::from_millis(300));
        terminal.write_all(text.as_bytes()).unwrap();
    }
    child.wait().unwrap();
    screen.join().unwrap()
}

#[test]
fn on_a_terminal_names_are_completed_and_what_was_typed_is_remembered() {
    let folder = TempDir::new().unwrap();
    // A tab after `fooba` and after `builtins.genericC`; then a bracket that is closed in the next line.
    let typed = [
        "foobar = { inner = 41; }\r",
        "fooba\t.inn\t + 1\r",
        "builtins.isFunction builtins.genericC\t\r",
        "[ 1\r",
        "2 ] ++ [ 3 ]\r",
        ":q\r",
    ];
    let screen = on_a_terminal(&folder, &typed);
    assert!(screen.contains("Type :? for help."), "{screen}");
    assert!(screen.contains("42"), "{screen}");
    assert!(screen.contains("true"), "{screen}");
    let history = folder.path().join(".local/state/niphas/repl-history");
    let history = fs::read_to_string(history).unwrap();
    assert!(history.contains("foobar.inner + 1"), "{history}");
    // The line before is one key away.
    let screen = on_a_terminal(&folder, &["\u{10}\u{10}\r", ":q\r"]);
    assert!(screen.contains('3'), "{screen}");
}
