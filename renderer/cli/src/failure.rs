//! Why a command failed.

use std::collections::BTreeMap;

use binary_cache::{ClosureError, Unavailable};
use niphas_environments::{EvaluationError, UnresolvedClosure};
use nix_builder::engine::{AskError, EngineError};
use nix_builder::plan::PlanError;
use nix_flake::FlakeError;
use nix_formats::StorePath;

use crate::evaluation;
use crate::hints::{hint, missing_hint};
use crate::selection::SelectionArgs;

/// Paths that a failing cache keeps away and that are named.
const FEW_PATHS: usize = 3;
/// Paths that are named at most.
const MOST_PATHS: usize = 100;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A report in Nix's form, "error: …" with source lines.
    Nix(Vec<u8>),
    /// The same, of something that was fetched and has another hash than asked for.
    HashMismatch(Vec<u8>),
    /// The same, of a build that an evaluation needs, with the status that Nix's programs exit with.
    Build(Vec<u8>, u8),
    /// Anything else, with its causes, and what can be done about it.
    Other {
        /// What went wrong.
        error: anyhow::Error,
        /// What to do.
        hint: Option<String>,
    },
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error: anyhow::Error = error.into();
        match error.downcast::<EvaluationError>() {
            Ok(error) => evaluation::failure(error),
            Err(error) => {
                if let Some(report) = traced(&error) {
                    Failure::Nix(report.into_bytes())
                } else {
                    let hint = hint(&error);
                    Failure::Other { error, hint }
                }
            }
        }
    }
}

/// The report of an error whose causes Nix prints as a trace: what was done, and then the fault.
fn traced(error: &anyhow::Error) -> Option<String> {
    let is_traced = matches!(
        error.downcast_ref(),
        Some(EngineError::Plan(AskError::Plan(PlanError::Options { .. })))
    );
    let mut texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    let fault = texts.pop().filter(|_| is_traced)?;
    let doing: Vec<String> = texts
        .iter()
        .map(|it| format!("\n       … {it}\n"))
        .collect();
    let fault = fault.replace('\n', "\n       ");
    Some(format!("error:{}\n       error: {fault}", doing.concat()))
}

impl Failure {
    /// A failure that the user can do something about.
    pub(crate) fn with_hint(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Self {
        Failure::Other {
            error: error.into(),
            hint: Some(hint.into()),
        }
    }

    /// The closures that no cache gives, each with its environment.
    pub(crate) fn closures(missing: &[UnresolvedClosure], selection: &SelectionArgs) -> Self {
        let mut lines = Vec::new();
        let mut unavailable: BTreeMap<&StorePath, (&Unavailable, Vec<String>)> = BTreeMap::new();
        for UnresolvedClosure {
            environment,
            id,
            error,
        } in missing
        {
            let (workload, system) = (&id.workload, &id.system);
            let of = format!("workload '{workload}' of environment '{environment}' on {system}");
            match error {
                ClosureError::Unavailable(paths) => {
                    for path in paths {
                        let known = unavailable.entry(&path.path);
                        known.or_insert((path, Vec::new())).1.push(of.clone());
                    }
                }
                error => lines.push(format!("{of}: {error}")),
            }
        }
        let mut paths: Vec<&Unavailable> = unavailable.values().map(|(path, _)| *path).collect();
        if !paths.is_empty() {
            // First those that can be built, pushed or signed. Of the others there is nothing to say but what ails the cache.
            paths.sort_by_key(|path| path.is_for_access());
            let own = paths.iter().filter(|path| !path.is_for_access()).count();
            let shown = own.clamp(FEW_PATHS, MOST_PATHS);
            let summary = binary_cache::summary(&paths, shown, |path| {
                let needed_for = unavailable.get(&path.path);
                needed_for.map_or(String::new(), |(_, needed_for)| match &needed_for[..] {
                    [first, others @ ..] if !others.is_empty() => {
                        format!(", for {first} and {} more", others.len())
                    }
                    all => format!(", for {}", all.concat()),
                })
            });
            lines.push(match paths.len() {
                1 => format!("no cache gives a store path that workloads need:\n{summary}"),
                count => {
                    format!("no cache gives {count} store paths that workloads need:\n{summary}")
                }
            });
        }
        Failure::Other {
            error: anyhow::anyhow!(lines.join("\n")),
            hint: paths.first().map(|path| missing_hint(path, selection)),
        }
    }

    /// Whether something that was fetched has another hash than asked for.
    pub(crate) fn is_hash_mismatch(&self) -> bool {
        match self {
            Failure::Nix(_) | Failure::Build(..) => false,
            Failure::HashMismatch(_) => true,
            Failure::Other { error, .. } => error
                .downcast_ref()
                .is_some_and(FlakeError::is_hash_mismatch),
        }
    }

    /// What went wrong, as one text.
    pub(crate) fn message(&self) -> String {
        match self {
            Failure::Nix(report) | Failure::HashMismatch(report) | Failure::Build(report, _) => {
                String::from_utf8_lossy(report).into_owned()
            }
            Failure::Other { error, hint } => {
                let hint = hint.as_ref().map(|hint| format!("\nhint: {hint}"));
                format!("{error:#}{}", hint.unwrap_or_default())
            }
        }
    }

    /// Prints the failure to standard error.
    pub(crate) fn report(&self) {
        match self {
            Failure::Nix(report) | Failure::HashMismatch(report) | Failure::Build(report, _) => {
                niphas_terminal::report_text(report);
            }
            Failure::Other { error, hint } => {
                niphas_terminal::report(error.as_ref(), hint.as_deref());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix_builder::options::OptionsError;

    use super::*;

    /// As Nix 2.34.8 prints it.
    #[test]
    fn what_a_derivation_asks_for_wrongly_is_a_trace() {
        let source = OptionsError::GraphTokens("g".to_owned());
        let path = "/nix/store/wjkgp14hc5jqzgg0lf5hnnwcv26pbi6h-x.drv".to_owned();
        let error = EngineError::Plan(AskError::Plan(PlanError::Options { path, source }));
        assert_eq!(
            Failure::from(error).message(),
            "error:\n       … while parsing derivation '/nix/store/wjkgp14hc5jqzgg0lf5hnnwcv26pbi6h-x.drv'\n\n       \
             error: odd number of tokens in 'exportReferencesGraph': 'g'"
        );
        let other = Failure::from(EngineError::Cancelled);
        assert_eq!(other.message(), "the build was cancelled");
    }
}
