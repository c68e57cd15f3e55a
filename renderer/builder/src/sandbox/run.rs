//! The part of the program that asks for a builder, and reads what it writes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix_formats::StorePath;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

use super::cancel::Cancel;
use super::child::ARGUMENT;
use super::error::SandboxError;
use super::files::{BUILD, STORE};
use super::message::{Channel, ImageSource, Job, Report, Source};
use super::outcome::{End, Outcome, Usage};
use super::request::{Folder, Image, Limits, Request};
use super::terminal::{Got, Terminal};

/// How long processes that were killed may take to end.
const GRACE: Duration = Duration::from_mins(1);

/// Runs a builder to its end, and gives each piece of what it writes to `log`. Blocks.
///
/// When this program ends, however, the builder ends too, and with it all that it started.
pub fn run(
    request: &Request,
    log: &mut dyn FnMut(&[u8]),
    cancel: &Cancel,
) -> Result<Outcome, SandboxError> {
    run_job(request, false, log, cancel)
}

/// As [`run`]; a trial ends with all set up, with no builder.
pub(super) fn run_job(
    request: &Request,
    is_trial: bool,
    log: &mut dyn FnMut(&[u8]),
    cancel: &Cancel,
) -> Result<Outcome, SandboxError> {
    let begun = Instant::now();
    let (terminal, slave) = Terminal::open().map_err(|source| SandboxError::Setup {
        action: "open a pseudoterminal (/dev/ptmx)".to_owned(),
        hint: None,
        source,
    })?;
    let mut process = start(slave)?;
    process
        .supervisor
        .send(&Job::of(request, is_trial))
        .map_err(SandboxError::Connection)?;
    let watched =
        Watch::new(&terminal, &request.limits, begun).watch(&mut process.supervisor, log, cancel);
    // It ends once it has lost the connection.
    drop(process.supervisor);
    if matches!(watched, Err(SandboxError::Stuck)) {
        // It is not waited for: it waits for them.
        let _ = process.child.kill();
    } else {
        process.child.wait().map_err(SandboxError::Connection)?;
    }
    let Ended { end, owner, usage } = watched?;
    Ok(Outcome {
        end,
        outputs: request.scratch.join(STORE),
        build_dir: request.scratch.join(BUILD),
        owner,
        duration: begun.elapsed(),
        usage,
    })
}

/// The sandbox's process.
struct Process {
    child: Child,
    supervisor: Channel,
}

fn start(slave: OwnedFd) -> Result<Process, SandboxError> {
    let (ours, theirs) = Channel::pair().map_err(SandboxError::Start)?;
    let child = Command::new("/proc/self/exe")
        .arg(ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(slave))
        .spawn()
        .map_err(SandboxError::Start)?;
    Ok(Process {
        child,
        supervisor: ours,
    })
}

impl Job {
    fn of(request: &Request, is_trial: bool) -> Self {
        let names = |paths: &[StorePath]| paths.iter().map(ToString::to_string).collect();
        let folder = |folder: &Folder| Source {
            folder: folder.folder.clone(),
            names: names(&folder.paths),
        };
        let image = |image: &Image| ImageSource {
            file: image.file.clone(),
            devices: image.devices.clone(),
            view: image.view,
            names: names(&image.paths),
        };
        Self {
            process: request.process.clone(),
            scratch: request.scratch.clone(),
            image: request.inputs.image.as_ref().map(image),
            folders: request.inputs.folders.iter().map(folder).collect(),
            shell: request.shell.clone(),
            network: request.network.clone(),
            kvm: request.kvm,
            memory: request.limits.memory,
            processes: request.limits.processes,
            is_trial,
        }
    }
}

/// What is known of a builder at its end.
struct Ended {
    end: End,
    owner: u32,
    usage: Usage,
}

/// A builder that is watched.
struct Watch<'a> {
    terminal: &'a Terminal,
    limits: &'a Limits,
    begun: Instant,
    last_output: Instant,
    written: u64,
    owner: u32,
    is_open: bool,
    /// Why it was ended, and when at the latest all is over.
    ended: Option<(Option<End>, Instant)>,
}

impl<'a> Watch<'a> {
    fn new(terminal: &'a Terminal, limits: &'a Limits, begun: Instant) -> Self {
        Self {
            terminal,
            limits,
            begun,
            last_output: begun,
            written: 0,
            owner: 0,
            is_open: true,
            ended: None,
        }
    }

    fn watch(
        mut self,
        supervisor: &mut Channel,
        log: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<Ended, SandboxError> {
        loop {
            let [said, output, asked] = self.wait(supervisor, cancel)?;
            if output {
                self.read(log)?;
            }
            if said {
                match supervisor.receive() {
                    Ok(Report::Started { owner }) => self.owner = owner,
                    Ok(Report::Denied { address }) => {
                        let line = format!("note: the flow policy denies '{address}'\n");
                        log(line.as_bytes());
                    }
                    Ok(Report::Failed(fault)) => return Err(fault.into()),
                    Ok(Report::Ended {
                        status,
                        usage,
                        is_out_of_memory,
                    }) => {
                        let end = self.end(status, is_out_of_memory, log)?;
                        let owner = self.owner;
                        return Ok(Ended { end, owner, usage });
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Err(SandboxError::Vanished);
                    }
                    Err(error) => return Err(SandboxError::Connection(error)),
                }
            }
            let now = Instant::now();
            match &self.ended {
                Some((_, latest)) if now >= *latest => return Err(SandboxError::Stuck),
                Some(_) => {}
                None => {
                    let reason = self.reason(now, asked);
                    // Nix takes a builder that closed its output for one that ended, and kills it.
                    if reason.is_some() || !self.is_open {
                        self.ended = Some((reason, now + GRACE));
                        shutdown(&*supervisor, Shutdown::Write)
                            .map_err(|error| SandboxError::Connection(error.into()))?;
                    }
                }
            }
        }
    }

    /// Waits until the supervisor says something, the builder writes, or the program asks for the end; or a time is over.
    fn wait(&self, supervisor: &Channel, cancel: &Cancel) -> Result<[bool; 3], SandboxError> {
        let event = cancel.event();
        let mut sources = vec![PollFd::new(supervisor, PollFlags::IN)];
        let output = self.is_open.then(|| {
            sources.push(PollFd::new(self.terminal.descriptor(), PollFlags::IN));
            sources.len() - 1
        });
        let asked = self.ended.is_none().then(|| {
            sources.push(PollFd::new(&event, PollFlags::IN));
            sources.len() - 1
        });
        let timeout = self.deadline().map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            // Not a moment too early: it would wait again, for no time.
            let left = left + Duration::from_micros(100);
            Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        match poll(&mut sources, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok([false; 3]),
            Err(error) => return Err(SandboxError::Connection(error.into())),
        }
        let is_ready = |source: Option<usize>| {
            source.is_some_and(|source| !sources[source].revents().is_empty())
        };
        Ok([is_ready(Some(0)), is_ready(output), is_ready(asked)])
    }

    fn deadline(&self) -> Option<Instant> {
        if let Some((_, latest)) = self.ended {
            return Some(latest);
        }
        let timeout = self
            .limits
            .timeout
            .and_then(|timeout| self.begun.checked_add(timeout));
        let silent = self
            .limits
            .max_silent_time
            .and_then(|time| self.last_output.checked_add(time));
        timeout.into_iter().chain(silent).min()
    }

    /// Why the builder is ended now.
    fn reason(&self, now: Instant, is_cancelled: bool) -> Option<End> {
        let is_over = |limit: Option<Duration>, since: Instant| {
            limit.is_some_and(|limit| now.duration_since(since) >= limit)
        };
        if is_cancelled {
            Some(End::Cancelled)
        } else if self
            .limits
            .max_log_size
            .is_some_and(|limit| self.written > limit)
        {
            Some(End::LogLimit)
        } else if is_over(self.limits.max_silent_time, self.last_output) {
            Some(End::Silent)
        } else if is_over(self.limits.timeout, self.begun) {
            Some(End::TimedOut)
        } else {
            None
        }
    }

    /// Reads one piece. What comes after the reason for an end is not part of the log.
    fn read(&mut self, log: &mut dyn FnMut(&[u8])) -> Result<(), SandboxError> {
        let mut buffer = [0; 8192];
        match self
            .terminal
            .read(&mut buffer)
            .map_err(SandboxError::Connection)?
        {
            Got::Bytes(count) => {
                self.last_output = Instant::now();
                self.written += count as u64;
                let is_over = self
                    .limits
                    .max_log_size
                    .is_some_and(|limit| self.written > limit);
                if !is_over && !matches!(self.ended, Some((Some(_), _))) {
                    log(&buffer[..count]);
                }
            }
            Got::Nothing => {}
            Got::Closed => self.is_open = false,
        }
        Ok(())
    }

    /// The builder has ended: reads the rest of what it wrote.
    fn end(
        &mut self,
        status: i32,
        is_out_of_memory: bool,
        log: &mut dyn FnMut(&[u8]),
    ) -> Result<End, SandboxError> {
        let mut before = None;
        // What the terminal holds is a few KiB, and nothing writes to it any more.
        while self.is_open && before != Some(self.written) {
            before = Some(self.written);
            self.read(log)?;
        }
        let status = ExitStatus::from_raw(status);
        let reason = self.ended.as_ref().and_then(|(reason, _)| *reason);
        let is_over = self
            .limits
            .max_log_size
            .is_some_and(|limit| self.written > limit);
        let end = match (reason, status.code(), status.signal()) {
            (Some(reason), ..) => reason,
            _ if is_over => End::LogLimit,
            (None, Some(code), _) => End::Exited(code),
            (None, None, signal) => End::Killed(signal.unwrap_or_default()),
        };
        Ok(
            if is_out_of_memory && reason.is_none() && end != End::Exited(0) {
                End::OutOfMemory
            } else {
                end
            },
        )
    }
}
