//! How a failed run is told.

use std::io::{IsTerminal, Write, stderr};

use binary_cache::ClosureError;
use niphas_http::redacted;
use niphas_render::{ClosureId, Problems};
use nix_formats::printable;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A report in Nix's form, "error: …" with source lines.
    Nix(Vec<u8>),
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
        Failure::Other {
            error: error.into(),
            hint: None,
        }
    }
}

impl Failure {
    /// A failure that the user can do something about.
    pub(crate) fn with_hint(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Self {
        Failure::Other {
            error: error.into(),
            hint: Some(hint.into()),
        }
    }

    /// What is wrong with an environment's workloads.
    pub(crate) fn problems(environment: &str, problems: &Problems) -> Self {
        anyhow::anyhow!("environment '{environment}' cannot be rendered:\n{problems}").into()
    }

    /// Why the repository was not written to.
    pub(crate) fn gitops(error: niphas_gitops::Error) -> Self {
        let hint = error.hint();
        Failure::Other {
            error: error.into(),
            hint,
        }
    }

    /// The closures that no cache gives.
    pub(crate) fn closures(missing: &[(String, ClosureId, ClosureError)]) -> Self {
        let mut lines = vec!["not every closure is in the caches:".to_owned()];
        for (environment, id, error) in missing {
            let (workload, system) = (&id.workload, &id.system);
            lines.push(format!(
                "workload '{workload}' of environment '{environment}' on {system}:"
            ));
            let error = error.to_string();
            lines.extend(error.lines().map(|line| format!("  {line}")));
        }
        Failure::Other {
            error: anyhow::anyhow!(lines.join("\n")),
            hint: missing.first().and_then(|(_, _, error)| error.hint()),
        }
    }

    /// Prints the failure to standard error.
    pub(crate) fn report(&self) {
        let text = match self {
            Failure::Nix(report) => match str::from_utf8(report) {
                Ok(report) => redacted(report).into_bytes(),
                Err(_) => report.clone(),
            },
            Failure::Other { error, hint } => {
                let mut lines = vec![format!("error: {error}")];
                let causes = error.chain().skip(1);
                lines.extend(causes.map(|cause| format!("  caused by: {cause}")));
                lines.extend(hint.iter().map(|hint| format!("hint: {hint}")));
                redacted(&lines.join("\n")).into_bytes()
            }
        };
        // Names and messages in it are those of flakes, caches and servers.
        let text = printable(&text, in_colour());
        let report = match text.strip_prefix(b"error:") {
            Some(rest) if in_colour() => [b"\x1b[31;1merror:\x1b[0m", rest, b"\n"].concat(),
            _ => [&text[..], b"\n"].concat(),
        };
        // Where even this cannot be written there is nobody to tell.
        let _ = stderr().write_all(&report);
    }
}

/// Whether standard error is to be coloured.
pub(crate) fn in_colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("NO_COLOR") {
        return false;
    }
    set("CLICOLOR_FORCE") || stderr().is_terminal()
}
