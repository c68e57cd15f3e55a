//! Long results on a terminal, through the pager that git would use.

use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::process::{Command, Stdio};

use niphas_terminal::print_bytes;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell says of a program that it cannot run.
const NOT_RUN: [i32; 2] = [126, 127];

/// Whether the reader of standard output is a person.
pub(crate) fn is_for_people() -> bool {
    stdout().is_terminal()
}

/// Prints a text through the pager that git would use: `GIT_PAGER`, the user's `core.pager`, `PAGER`, or `less`.
/// Where there is none, or it cannot be run, the text is printed as it is.
pub(crate) fn print(text: &[u8]) {
    let named = env::var_os("GIT_PAGER")
        .or_else(|| niphas_gitops::pager().map(OsString::from))
        .or_else(|| env::var_os("PAGER"));
    let command = named.unwrap_or_else(|| OsString::from("less"));
    let is_none = command.is_empty() || command == "cat";
    if is_none || !show(text, &command) {
        print_bytes(text);
    }
}

/// Whether the pager could be run.
fn show(text: &[u8], command: &OsString) -> bool {
    let mut shell = Command::new("sh");
    // As git has it, a setting is a line for the shell.
    shell.arg("-c").arg(command).stdin(Stdio::piped());
    // Colours, and no pager at all for what one screen shows.
    if env::var_os("LESS").is_none() {
        shell.env("LESS", "FRX");
    }
    if env::var_os("LV").is_none() {
        shell.env("LV", "-c");
    }
    let _ignored = ignore_interrupts();
    let Ok(mut pager) = shell.spawn() else {
        return false;
    };
    if let Some(mut stdin) = pager.stdin.take() {
        // A pager that is left early closes its end.
        let _ = stdin.write_all(text);
    }
    match pager.wait() {
        Ok(status) => status.code().is_none_or(|code| !NOT_RUN.contains(&code)),
        Err(_) => false,
    }
}

/// Leaves Ctrl-C to the pager, which stops a search with it: without niphas the terminal would be the shell's and the pager's at
/// once.
fn ignore_interrupts() -> Option<(tokio::runtime::Runtime, Signal)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .ok()?;
    let interrupts = runtime.block_on(async { signal(SignalKind::interrupt()) });
    Some((runtime, interrupts.ok()?))
}
