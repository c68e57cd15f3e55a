//! OpenPGP keys: `gpg` signs, as it does for git, with the key in a home folder of its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::KeyProblem;
use crate::programs;

/// GnuPG takes a second, or a few where the machine has much to do.
const TIME_LIMIT: Duration = Duration::from_mins(1);
/// Signatures are smaller, and messages.
const OUTPUT_LIMIT: u64 = 64 * 1024;
/// Of its messages this much is repeated.
const SAID_LIMIT: usize = 400;

/// A key, in a keyring of its own that goes with it.
pub(super) struct OpenPgpKey {
    program: String,
    fingerprint: String,
    home: TempDir,
}

impl OpenPgpKey {
    pub(super) fn import(text: &str) -> Result<Self, KeyProblem> {
        let program = programs::gpg();
        let home = tempfile::Builder::new()
            .prefix("niphas-gpg-")
            // Others may not even see that it is there.
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(KeyProblem::Read)?;
        let mut key = Self {
            program,
            fingerprint: String::new(),
            home,
        };
        let imported = key.run(&["--import"], text.as_bytes())?;
        let status = String::from_utf8_lossy(&imported.said).into_owned();
        let secrets: BTreeSet<&str> = status.lines().filter_map(imported_secret).collect();
        let mut secrets = secrets.into_iter();
        match (secrets.next(), secrets.count()) {
            (Some(fingerprint), 0) => fingerprint.clone_into(&mut key.fingerprint),
            (None, _) => return Err(key.failed(&imported)),
            (Some(_), more) => return Err(KeyProblem::Several(more + 1)),
        }
        key.sign(b"")?;
        Ok(key)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<String, KeyProblem> {
        let arguments = [
            "--local-user",
            &self.fingerprint,
            "--detach-sign",
            "--armor",
        ];
        let signed = self.run(&arguments, message)?;
        let signature = String::from_utf8(signed.output.clone()).unwrap_or_default();
        if signed.status.success() && signature.starts_with("-----BEGIN PGP SIGNATURE-----") {
            Ok(signature)
        } else {
            Err(self.failed(&signed))
        }
    }

    fn failed(&self, ended: &Ended) -> KeyProblem {
        let said = String::from_utf8_lossy(&ended.said);
        // Its status is for programs.
        let said: Vec<&str> = said
            .lines()
            .filter(|line| !line.starts_with("[GNUPG:]"))
            .map(|line| line.strip_prefix("gpg: ").unwrap_or(line))
            .collect();
        let said: String = said.join("; ").chars().take(SAID_LIMIT).collect();
        KeyProblem::Failed {
            program: self.program.clone(),
            said: if said.is_empty() {
                ended.status.to_string()
            } else {
                said
            },
        }
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Ended, KeyProblem> {
        let mut command = self.command(&self.program);
        // It asks nothing: there may be no one to answer.
        command
            .args(["--batch", "--no-tty", "--pinentry-mode", "error"])
            .args(["--status-fd", "2"])
            .args(arguments);
        run(&mut command, &self.program, input)
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.arg("--homedir").arg(self.home.path());
        command
    }
}

impl Drop for OpenPgpKey {
    fn drop(&mut self) {
        // The agent that holds the key. It ends without its home as well, only later.
        let mut command = self.command("gpgconf");
        command.args(["--kill", "all"]);
        if let Err(error) = run(&mut command, "gpgconf", b"") {
            tracing::debug!("gpg-agent goes on for a while: {error}");
        }
    }
}

/// The fingerprint in a line of gpg's status about an import, if it has the secret key.
fn imported_secret(line: &str) -> Option<&str> {
    const HAS_SECRET: u32 = 16;
    let mut words = line.strip_prefix("[GNUPG:] IMPORT_OK ")?.split(' ');
    let flags: u32 = words.next()?.parse().ok()?;
    let fingerprint = words.next()?;
    let is_hex = fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    (flags & HAS_SECRET != 0 && is_hex).then_some(fingerprint)
}

/// A process that ended.
struct Ended {
    status: ExitStatus,
    output: Vec<u8>,
    /// What it wrote to standard error.
    said: Vec<u8>,
}

fn run(command: &mut Command, program: &str, input: &[u8]) -> Result<Ended, KeyProblem> {
    let failed = |source| KeyProblem::Run {
        program: program.to_owned(),
        source,
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // One that does not read to the end says why.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let (output, said) = (
        in_background(child.stdout.take()),
        in_background(child.stderr.take()),
    );
    let deadline = Instant::now() + TIME_LIMIT;
    let Some(status) = wait(&mut child, deadline).map_err(failed)? else {
        return Err(KeyProblem::TimeOut {
            program: program.to_owned(),
            seconds: TIME_LIMIT.as_secs(),
        });
    };
    let read = |bytes: Receiver<Vec<u8>>| {
        let left = deadline.saturating_duration_since(Instant::now());
        bytes.recv_timeout(left).unwrap_or_default()
    };
    Ok(Ended {
        status,
        output: read(output),
        said: read(said),
    })
}

fn in_background(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What was read until it failed is all there is.
            let _ = stream.take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Waits for the end; one that takes longer is ended.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_imported_secret_keys_count() {
        let status = "[GNUPG:] IMPORT_OK 17 ABCDEF0123";
        assert_eq!(imported_secret(status), Some("ABCDEF0123"));
        for line in [
            "[GNUPG:] IMPORT_OK 1 ABCDEF0123",
            "[GNUPG:] IMPORT_OK 17 --output",
            "[GNUPG:] IMPORT_OK 17",
            "gpg: key ABCDEF0123: secret key imported",
        ] {
            assert_eq!(imported_secret(line), None, "{line}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("/none"), "/none", b"").err().unwrap();
        assert!(matches!(error, KeyProblem::Run { program, .. } if program == "/none"));
    }
}
