//! Why environments cannot be evaluated, checked or resolved.

use std::io;
use std::path::PathBuf;

use binary_cache::ClosureError;
use niphas_render::{ClosureId, Problems};
use nix_evaluator::{ErrorKind, EvalError};
use nix_flake::FlakeError;
use thiserror::Error;

/// An evaluation of a flake failed.
#[derive(Debug, Error)]
pub enum EvaluationError {
    /// The Nix code failed, or took more than it may.
    #[error("{}", String::from_utf8_lossy(&.0.text))]
    Nix(NixReport),
    /// The flake cannot be fetched or locked.
    #[error(transparent)]
    Flake(#[from] FlakeError),
    /// Something else stands where the outputs should be.
    #[error("the flake's outputs are not a set")]
    OutputsAreNoSet,
    /// The flake declares no environments.
    #[error("the flake has no output 'niphasConfigurations'")]
    NoEnvironments {
        /// An output that may have been meant to be that.
        similar: Option<String>,
    },
    /// The flake does not have an environment of this name.
    #[error(
        "the flake has no environment '{name}'; it has: {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    UnknownEnvironment {
        /// The name.
        name: String,
        /// The names of those that it has.
        known: Vec<String>,
    },
    /// Workloads of environments do not fit the API.
    #[error(transparent)]
    Problems(#[from] RefusedEnvironments),
    /// The profile cannot be written.
    #[error("writing the profile '{}'", path.display())]
    Profile {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// An error of the Nix code, as Nix reports it: `error: …` with lines of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NixReport {
    /// What sort of error it is.
    pub kind: ErrorKind,
    /// The report. File names and strings in it can have any bytes.
    pub text: Vec<u8>,
}

/// An environment does not fit the API, or cannot become files.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("environment '{environment}' cannot be rendered:\n{problems}")]
pub struct EnvironmentProblems {
    /// The environment's name.
    pub environment: String,
    /// All that is wrong with it.
    pub problems: Problems,
}

/// Environments that cannot be rendered, all of them; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct RefusedEnvironments(pub Vec<EnvironmentProblems>);

impl RefusedEnvironments {
    /// Nothing if there are none.
    pub(crate) fn unless_empty(environments: Vec<EnvironmentProblems>) -> Result<(), Self> {
        if environments.is_empty() {
            Ok(())
        } else {
            Err(Self(environments))
        }
    }
}

/// Closures of environments cannot be resolved.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The caches do not give these closures; never empty.
    #[error("{}", lines(.0))]
    Unresolved(Vec<UnresolvedClosure>),
    /// A closure is not one that a workload can have.
    #[error("the closure of workload '{}' on {}", id.workload, id.system)]
    Lines {
        /// Which one.
        id: ClosureId,
        /// Why.
        source: niphas_api::ClosureError,
    },
    /// A bug ended the task that looked for a closure.
    #[error(transparent)]
    Panicked(#[from] tokio::task::JoinError),
}

/// A closure that the caches do not give.
#[derive(Clone, Debug)]
pub struct UnresolvedClosure {
    /// The environment that needs it.
    pub environment: String,
    /// The workload and the system that it is for.
    pub id: ClosureId,
    /// Why.
    pub error: ClosureError,
}

fn lines(closures: &[UnresolvedClosure]) -> String {
    let lines = closures.iter().map(|closure| {
        let UnresolvedClosure {
            environment,
            id: ClosureId { workload, system },
            error,
        } = closure;
        format!("workload '{workload}' of environment '{environment}' on {system}: {error}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Why work on an evaluated flake failed, while there still is the evaluator that can report it.
#[derive(Debug)]
pub(crate) enum WorkError {
    Eval(Box<EvalError>),
    Other(EvaluationError),
}

impl From<Box<EvalError>> for WorkError {
    fn from(error: Box<EvalError>) -> Self {
        WorkError::Eval(error)
    }
}

impl From<EvaluationError> for WorkError {
    fn from(error: EvaluationError) -> Self {
        WorkError::Other(error)
    }
}
