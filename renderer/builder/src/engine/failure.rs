//! Why derivations are not built, in Nix's words, and the exit status that comes of it.

use std::fmt;
use std::sync::Arc;

use niphas_store::{PackError, RealiseError, StoreError};
use nix_formats::derivation::DerivationError;
use nix_formats::{StoreDir, StorePath};
use thiserror::Error;

use super::AskError;
use crate::UnreadSource;
use crate::environment::EnvironmentError;
use crate::options::Refusal;
use crate::outputs::{OutputError, OutputFailure};
use crate::sandbox::SandboxError;

/// A derivation that is not built.
#[derive(Debug)]
pub struct Failure {
    /// The derivation: the resolved one, where one was built in its place.
    pub derivation: StorePath,
    /// Why.
    pub reason: Reason,
    /// The paths that it would have made, sorted, as far as they are known.
    pub outputs: Vec<StorePath>,
    /// The last lines of its log.
    pub log_tail: Vec<Vec<u8>>,
}

/// Why a derivation is not built.
#[derive(Debug, Error)]
pub enum Reason {
    /// Its builder failed.
    #[error("builder {}", Status(*status))]
    Builder {
        /// How it ended.
        status: BuilderStatus,
        /// Whether what it did could come out otherwise next time: it had the network, or the disk was full.
        is_transient: bool,
        /// Whether the disk was nearly full.
        is_disk_full: bool,
    },
    /// Things that it needs were not built.
    #[error("{count} {} failed", if *count == 1 { "dependency" } else { "dependencies" })]
    Dependencies {
        /// How many.
        count: usize,
    },
    /// Its inputs are known, and what it is with these was not built.
    #[error("build of resolved derivation '{0}' failed")]
    Resolved(String),
    /// This machine cannot build it.
    #[error("{0}")]
    Refused(Refusal),
    /// No builds are allowed.
    #[error("local builds are disabled (max-jobs = 0)")]
    Disabled,
    /// It took, or was silent, for longer than it may.
    #[error("timed out after {0} seconds")]
    TimedOut(u64),
    /// It wrote more than it may.
    #[error("killed after writing more than {0} bytes of log output")]
    LogLimit(u64),
    /// It took more memory than it may.
    #[error(
        "the builder took more memory than it may, and was killed; allow it more, or build fewer derivations at once"
    )]
    OutOfMemory,
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Its outputs are refused.
    #[error(transparent)]
    Outputs(Box<OutputError>),
    /// There is nothing to compare a second build with.
    #[error(
        "some outputs of '{0}' are not valid, so checking is not possible\nHint: --rebuild and --check error if the derivation was not previously built and cannot be substituted.\n      Remove it to perform a fresh build, or use --repair to rewrite missing or corrupted builds in the store."
    )]
    NothingToCheck(String),
    /// It asks for something that is not given.
    #[error("{0}")]
    NotAllowed(String),
    /// Its builder cannot be started.
    #[error(transparent)]
    Environment(Box<EnvironmentError>),
    /// The sandbox.
    #[error("failed to run the builder of '{derivation}' in a sandbox")]
    Sandbox {
        /// The derivation.
        derivation: String,
        /// Why.
        #[source]
        source: SandboxError,
    },
    /// Its inputs can't be had.
    #[error("failed to get the inputs of '{derivation}'")]
    Inputs {
        /// The derivation.
        derivation: String,
        /// Why.
        #[source]
        source: Box<InputError>,
    },
    /// Outputs that caches said they have did not come.
    #[error(
        "some substitutes for the outputs of derivation '{derivation}' failed (usually happens due to networking issues); try '--fallback' to build derivation from source"
    )]
    Substitutes {
        /// The derivation.
        derivation: String,
        /// Why.
        #[source]
        source: Arc<RealiseError>,
    },
    /// It cannot be resolved.
    #[error("failed to resolve derivation '{derivation}'")]
    Resolve {
        /// The derivation.
        derivation: String,
        /// Why.
        #[source]
        source: DerivationError,
    },
    /// What it is with its inputs cannot be planned.
    #[error(transparent)]
    Plan(Box<AskError>),
    /// A file of the build store.
    #[error("failed to {action}")]
    Io {
        /// What was tried: a verb with its object.
        action: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// An input that can't be had.
#[derive(Debug, Error)]
pub enum InputError {
    /// It is neither here nor in a cache.
    #[error("don't know how to build path '{0}'")]
    Unknown(String),
    /// A source of the evaluation.
    #[error(transparent)]
    Source(#[from] UnreadSource),
    /// It cannot be put into the store.
    #[error("failed to store '{path}'")]
    Pack {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: PackError,
    },
    /// The store of this machine.
    #[error("failed to read the store of this machine")]
    Machine(#[from] binary_cache::SourceError),
    /// Caches do not give it.
    #[error(transparent)]
    Fetch(#[from] Arc<RealiseError>),
    /// The build store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a builder ended that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuilderStatus {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

struct Status(BuilderStatus);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            BuilderStatus::Code(code) => write!(f, "failed with exit code {code}"),
            BuilderStatus::Signal(signal) => {
                write!(f, "failed due to signal {signal} ({})", signal_name(signal))
            }
        }
    }
}

/// As `strsignal` of glibc names signals.
fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 32] = [
        "",
        "Hangup",
        "Interrupt",
        "Quit",
        "Illegal instruction",
        "Trace/breakpoint trap",
        "Aborted",
        "Bus error",
        "Floating point exception",
        "Killed",
        "User defined signal 1",
        "Segmentation fault",
        "User defined signal 2",
        "Broken pipe",
        "Alarm clock",
        "Terminated",
        "Stack fault",
        "Child exited",
        "Continued",
        "Stopped (signal)",
        "Stopped",
        "Stopped (tty input)",
        "Stopped (tty output)",
        "Urgent I/O condition",
        "CPU time limit exceeded",
        "File size limit exceeded",
        "Virtual timer expired",
        "Profiling timer expired",
        "Window changed",
        "I/O possible",
        "Power failure",
        "Bad system call",
    ];
    match usize::try_from(signal)
        .ok()
        .and_then(|signal| NAMES.get(signal))
    {
        Some(name) if !name.is_empty() => (*name).to_owned(),
        // The two before are the C library's own.
        _ if (34..=64).contains(&signal) => format!("Real-time signal {}", signal - 34),
        _ => format!("Unknown signal {signal}"),
    }
}

/// How a failure's message is written.
#[derive(Debug, Clone, Copy)]
pub struct MessageStyle<'a> {
    /// The store folder.
    pub store_dir: &'a StoreDir,
    /// The command that shows a log, such as `nix log`. None: the log was shown as it came, and its end is not repeated.
    pub log_command: Option<&'a str>,
}

impl From<AskError> for Reason {
    fn from(error: AskError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl From<OutputError> for Reason {
    fn from(error: OutputError) -> Self {
        Self::Outputs(Box::new(error))
    }
}

impl From<EnvironmentError> for Reason {
    fn from(error: EnvironmentError) -> Self {
        Self::Environment(Box::new(error))
    }
}

impl Failure {
    /// Nix's message, without `error: `. Its further lines are not indented. Causes, where there are any, follow as in
    /// [`nix_formats::chain`].
    pub fn message(&self, style: MessageStyle<'_>) -> String {
        let derivation = style.store_dir.print(&self.derivation);
        match &self.reason {
            Reason::Builder { is_disk_full, .. } => {
                let mut message = self.cannot_build(&derivation, style.store_dir);
                if let Some(command) = style.log_command.filter(|_| !self.log_tail.is_empty()) {
                    let lines = self.log_tail.iter();
                    let lines: String = lines
                        .map(|line| ["> ", &String::from_utf8_lossy(line), "\n"].concat())
                        .collect();
                    let count = self.log_tail.len();
                    message = format!(
                        "{message}\nLast {count} log lines:\n{lines}For full logs, run:\n  {command} {derivation}"
                    );
                }
                if *is_disk_full {
                    message +=
                        "\nnote: build failure may have been caused by lack of free disk space";
                }
                message
            }
            Reason::Dependencies { .. } => self.cannot_build(&derivation, style.store_dir),
            Reason::Refused(refusal) => format!("Cannot build '{derivation}'.\n{refusal}"),
            Reason::Disabled => format!(
                "Cannot build '{derivation}'.\nReason: {}\nHint: set 'max-jobs' to a non-zero value to enable local builds, or configure remote builders via 'builders'",
                self.reason
            ),
            Reason::LogLimit(_) => format!("building derivation '{derivation}' {}", self.reason),
            Reason::OutOfMemory | Reason::Cancelled => {
                format!("Cannot build '{derivation}'.\nReason: {}.", self.reason)
            }
            reason => nix_formats::chain(reason),
        }
    }

    fn cannot_build(&self, derivation: &str, store_dir: &StoreDir) -> String {
        let paths = self.outputs.iter();
        let paths: String = paths
            .map(|path| ["\n  ", &store_dir.print(path)].concat())
            .collect();
        let title = if paths.is_empty() {
            ""
        } else {
            "\nOutput paths:"
        };
        format!(
            "Cannot build '{derivation}'.\nReason: {}.{title}{paths}",
            self.reason
        )
    }

    /// Whether the same could come out otherwise when it is tried again.
    pub fn is_transient(&self) -> bool {
        match &self.reason {
            Reason::Builder { is_transient, .. } => *is_transient,
            Reason::Substitutes { .. } | Reason::Io { .. } | Reason::Cancelled => true,
            Reason::Inputs { source, .. } => !matches!(**source, InputError::Unknown(_)),
            Reason::Outputs(error) => error.failure() == OutputFailure::Misc,
            Reason::Sandbox { source, .. } => {
                matches!(source, SandboxError::Vanished | SandboxError::Stuck)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        StorePath::from_base_name(format!("44r15qp3hx522xqaf9szcv8j812p14b7-{name}")).unwrap()
    }

    fn failure(reason: Reason) -> Failure {
        Failure {
            derivation: path("x.drv"),
            reason,
            outputs: vec![path("x"), path("x-dev")],
            log_tail: vec![b"one".to_vec(), b"two".to_vec()],
        }
    }

    fn builder(status: BuilderStatus) -> Reason {
        Reason::Builder {
            status,
            is_transient: false,
            is_disk_full: false,
        }
    }

    fn message(reason: Reason, log_command: Option<&str>) -> String {
        let store_dir = &StoreDir::default();
        failure(reason).message(MessageStyle {
            store_dir,
            log_command,
        })
    }

    /// As Nix 2.34.8 prints them.
    #[test]
    fn messages_are_those_of_nix() {
        let p = |name: &str| StoreDir::default().print(&path(name));
        let outputs = format!("Output paths:\n  {}\n  {}", p("x"), p("x-dev"));
        assert_eq!(
            message(builder(BuilderStatus::Code(3)), Some("nix log")),
            format!(
                "Cannot build '{0}'.\nReason: builder failed with exit code 3.\n{outputs}\n\
                 Last 2 log lines:\n> one\n> two\nFor full logs, run:\n  nix log {0}",
                p("x.drv")
            )
        );
        assert_eq!(
            message(builder(BuilderStatus::Signal(9)), None),
            format!(
                "Cannot build '{}'.\nReason: builder failed due to signal 9 (Killed).\n{outputs}",
                p("x.drv")
            )
        );
        assert_eq!(
            message(Reason::Dependencies { count: 1 }, None),
            format!(
                "Cannot build '{}'.\nReason: 1 dependency failed.\n{outputs}",
                p("x.drv")
            )
        );
        assert!(
            message(Reason::Dependencies { count: 3 }, None).contains("3 dependencies failed.")
        );
        assert_eq!(
            message(Reason::TimedOut(2), None),
            "timed out after 2 seconds"
        );
        assert_eq!(
            message(Reason::LogLimit(1000), None),
            format!(
                "building derivation '{}' killed after writing more than 1000 bytes of log output",
                p("x.drv")
            )
        );
        let full = Reason::Builder {
            status: BuilderStatus::Code(1),
            is_transient: true,
            is_disk_full: true,
        };
        assert!(
            message(full, None)
                .ends_with("\nnote: build failure may have been caused by lack of free disk space")
        );
    }
}
