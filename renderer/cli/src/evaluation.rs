//! What evaluations need of the command line, and how their failures are reported.

use std::os::unix::ffi::OsStrExt;

use niphas_environments::EvaluationError;
use niphas_render::nearest;
use nix_evaluator::ErrorKind;
use nix_evaluator::io::{EvalIo, LocalIo};

use crate::failure::Failure;

/// Prints what evaluations say.
pub(crate) fn hear(message: &str) {
    LocalIo::default().message(message);
}

/// The report of an error, with what the user can do about it.
pub(crate) fn failure(error: EvaluationError) -> Failure {
    match error {
        EvaluationError::Nix(mut report) => {
            if report.kind == ErrorKind::ImportFromDerivation {
                let hint = "\nhint: let it be built with --allow-import-from-derivation, or generate the file that is \
                            imported and commit it";
                report.text.extend_from_slice(hint.as_bytes());
            }
            match report.kind {
                ErrorKind::HashMismatch => Failure::HashMismatch(report.text),
                ErrorKind::Build { status } => Failure::Build(report.text, status),
                _ => Failure::Nix(report.text),
            }
        }
        EvaluationError::NoEnvironments {
            similar: Some(ref similar),
        } => {
            let hint = format!("it has '{similar}': name that niphasConfigurations");
            Failure::with_hint(error, hint)
        }
        EvaluationError::UnknownEnvironment {
            ref name,
            ref known,
        } => {
            let nearest = nearest(name, known.iter().map(String::as_str));
            let hint = nearest.map(|nearest| format!("did you mean '{nearest}'?"));
            Failure::Other {
                error: error.into(),
                hint,
            }
        }
        EvaluationError::NoEnvironments { similar: None } => Failure::with_hint(
            error,
            "declare environments with niphas.lib.mkEnvironment, as docs/reference/environment.md shows",
        ),
        error => Failure::Other {
            error: error.into(),
            hint: None,
        },
    }
}

/// The folder that relative paths start in.
pub(crate) fn here() -> Vec<u8> {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    here.as_os_str().as_bytes().to_vec()
}

/// A path from the command line, absolute.
pub(crate) fn absolute(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return nix_evaluator::normalise(path);
    }
    nix_evaluator::normalise(&[&here()[..], b"/", path].concat())
}
