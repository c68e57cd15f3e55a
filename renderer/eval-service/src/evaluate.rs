//! The service's side of the process that evaluates.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use niphas_environments::EvaluatedEnvironments;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::child::protocol::{Answer, COMMAND, Request};

/// What is kept of what the process says: warnings and traces.
const MAX_MESSAGES: u64 = 64 << 10;

/// Why nothing was evaluated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    /// The flake fails, or takes too much.
    #[error("{0}")]
    Flake(String),
    /// The service cannot evaluate, whatever the flake.
    #[error("{0}")]
    Service(String),
}

/// Ends a process when it is dropped. There are no others: one that evaluates cannot start any.
struct Killer(Option<OwnedFd>);

impl Drop for Killer {
    fn drop(&mut self) {
        if let Some(process) = &self.0 {
            // It may have ended by itself.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

/// Evaluates in a process of its own. It is killed when the future is dropped.
pub(crate) async fn evaluate(
    request: &Request,
    max_output: u64,
) -> Result<EvaluatedEnvironments, EvaluateError> {
    let talk = run(request, None, max_output).await?;
    if talk.output.len() as u64 > max_output {
        return Err(EvaluateError::Flake(format!(
            "the evaluation gave more than {max_output} bytes"
        )));
    }
    match answer(&talk.output, &talk, request)? {
        Answer::Evaluated(data) => EvaluatedEnvironments::from_data(&data)
            .map_err(|error| EvaluateError::Flake(error.to_string())),
        _ => Err(EvaluateError::Flake(ended(talk.status, request))),
    }
}

/// The longest line that is no graph.
const MAX_LINE: u64 = 1 << 20;

/// Evaluates as [`evaluate`] does, and has what builds the environments written to a file. Gives the rest of the file: it is what the
/// process wrote, and nothing of it was looked at.
pub(crate) async fn write_graph(
    request: &Request,
    file: File,
) -> Result<BufReader<File>, EvaluateError> {
    let output = file
        .try_clone()
        .map_err(|error| failed("open a file", &error))?;
    let talk = run(request, Some(output), 0).await?;
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    let read = file
        .rewind()
        .and_then(|()| (&mut file).take(MAX_LINE).read_until(b'\n', &mut line));
    read.map_err(|error| failed("read what an evaluation wrote", &error))?;
    match answer(&line, &talk, request)? {
        Answer::Graph => Ok(file),
        _ => Err(EvaluateError::Flake(ended(talk.status, request))),
    }
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> EvaluateError {
    EvaluateError::Service(format!("failed to {what}: {error}"))
}

/// Runs the process to its end. What it writes goes to a file, or to memory.
async fn run(
    request: &Request,
    output: Option<File>,
    max_output: u64,
) -> Result<Talk, EvaluateError> {
    let service = |what: &str, error: &dyn std::fmt::Display| {
        EvaluateError::Service(format!("failed to {what}: {error}"))
    };
    let text = serde_json::to_vec(request).map_err(|error| service("write a request", &error))?;
    let (talked, killer) = start(text, output, max_output)
        .map_err(|error| service("start the process that evaluates", &error))?;
    let time = request.limits.time;
    let Ok(talked) = tokio::time::timeout(time, talked).await else {
        return Err(EvaluateError::Flake(format!(
            "the evaluation took more than {} s",
            time.as_secs()
        )));
    };
    drop(killer);
    let talk = talked.map_err(|error| service("talk to the process that evaluates", &error))?;
    talk.map_err(|error| service("talk to the process that evaluates", &error))
}

/// What the process answered.
fn answer(text: &[u8], talk: &Talk, request: &Request) -> Result<Answer, EvaluateError> {
    let messages = String::from_utf8_lossy(&talk.messages);
    if !messages.is_empty() {
        debug!(%messages, "an evaluation said");
    }
    match serde_json::from_slice(text) {
        Ok(Answer::Failed(message)) => Err(EvaluateError::Flake(message)),
        Ok(Answer::NotIsolated(message)) => Err(EvaluateError::Service(format!(
            "evaluations cannot be isolated here: {message}"
        ))),
        Ok(answer) => Ok(answer),
        Err(_) => {
            warn!(status = ?talk.status, %messages, "an evaluation ended without an answer");
            Err(EvaluateError::Flake(ended(talk.status, request)))
        }
    }
}

struct Talk {
    output: Vec<u8>,
    messages: Vec<u8>,
    status: ExitStatus,
}

/// Starts the process. What comes of it is awaited; it ends when the killer is dropped.
fn start(
    request: Vec<u8>,
    output: Option<File>,
    max_output: u64,
) -> std::io::Result<(impl Future<Output = TalkResult>, Killer)> {
    let (tell, told) = oneshot::channel();
    let (started, start) = std::sync::mpsc::sync_channel(1);
    // The kernel ends the process with the thread that started it, so that thread is one that stays.
    std::thread::Builder::new()
        .name("evaluation".to_owned())
        .spawn(move || {
            // The program of this very process, also while a newer one is put in its place.
            let child = Command::new("/proc/self/exe")
                .arg(COMMAND)
                .env_clear()
                .current_dir("/")
                .stdin(Stdio::piped())
                .stdout(output.map_or_else(Stdio::piped, Stdio::from))
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn();
            let mut child = match child {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
                Ok(process) => drop(started.send(Ok(process))),
                Err(error) => {
                    // It could not be ended any more.
                    let _ = child.kill().and_then(|()| child.wait());
                    return drop(started.send(Err(error.into())));
                }
            }
            let _ = tell.send(talk(&mut child, &request, max_output));
        })?;
    let process = start.recv().map_err(std::io::Error::other)??;
    Ok((told, Killer(Some(process))))
}

type TalkResult = Result<std::io::Result<Talk>, oneshot::error::RecvError>;

fn talk(child: &mut Child, request: &[u8], max_output: u64) -> std::io::Result<Talk> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (output, messages) = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A process that ended early says more by its exit code.
            stdin.map(|mut stdin| stdin.write_all(request))
        });
        let messages = scope.spawn(move || limited(stderr, MAX_MESSAGES));
        // More than may be given is not read, and the process ends as it cannot write it.
        (limited(stdout, max_output + 1), messages.join())
    });
    Ok(Talk {
        output: output?,
        messages: messages.unwrap_or_else(|_| Ok(Vec::new()))?,
        status: child.wait()?,
    })
}

fn limited(stream: Option<impl Read>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn ended(status: ExitStatus, request: &Request) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let mebibytes = request.limits.memory >> 20;
    match status.signal() {
        Some(24) => "the evaluation took more processor time than it may".to_owned(),
        Some(6 | 9 | 11) => {
            format!("the evaluation was ended: it may have needed more memory than {mebibytes} MiB")
        }
        _ => format!("the process that evaluates ended with {status}"),
    }
}
