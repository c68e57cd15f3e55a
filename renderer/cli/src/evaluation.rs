//! How a command evaluates Nix, whatever its options are.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::Context as _;
use nix_evaluator::io::{EvalIo, RestrictedIo, Restriction};
use nix_evaluator::{ErrorKind, EvalError, Evaluator, Settings};
use serde::Serialize;

use crate::failure::Failure;

/// How a command evaluates Nix.
#[derive(Clone)]
pub(crate) struct Evaluation {
    pub settings: Settings,
    /// Use what earlier runs found, and keep what this one finds.
    pub uses_cache: bool,
    pub access: Access,
    /// Where to write which functions the time goes to.
    pub profile: Option<PathBuf>,
}

/// What an evaluation may reach, beside what purity forbids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Access {
    Everything,
    /// Of URLs only these, and what is below them.
    Urls(Vec<String>),
    /// Of URLs only these, and of files only those of the look-up path.
    Restricted(Vec<String>),
}

/// What answers depend on beside the flake and the evaluator's settings.
#[derive(Serialize)]
struct AnswersKey<'a> {
    about: &'a str,
    access: &'a Access,
    /// Where it matters.
    search_path: Option<&'a [(Vec<u8>, Vec<u8>)]>,
}

impl Evaluation {
    /// What the evaluation sees of `io`; nothing where it sees all.
    pub(crate) fn restricted<I: EvalIo>(&self, io: I) -> Option<RestrictedIo<I>> {
        let (restriction, urls) = match &self.access {
            Access::Everything => return None,
            Access::Urls(urls) => (Restriction::Urls, urls),
            Access::Restricted(urls) => (Restriction::Restricted, urls),
        };
        let mut view = RestrictedIo::new(io, restriction);
        for url in urls {
            view.allow_url(url);
        }
        for (_, location) in &self.settings.search_path {
            view.allow(location);
        }
        Some(view)
    }

    /// What earlier runs found may be used: this evaluation itself is not what the user wants to see.
    pub(crate) fn uses_cache(&self) -> bool {
        self.uses_cache && self.can_be_shared()
    }

    /// Other threads may help.
    pub(crate) fn can_be_shared(&self) -> bool {
        self.profile.is_none() && !self.settings.write_store
    }

    /// What answers about something depend on beside the flake and the evaluator's settings.
    pub(crate) fn cache_key(&self, about: &str) -> String {
        let Self {
            settings,
            uses_cache: _,
            access,
            profile: _,
        } = self;
        let key = AnswersKey {
            about,
            access,
            search_path: match access {
                Access::Restricted(_) => Some(&settings.search_path),
                Access::Everything | Access::Urls(_) => None,
            },
        };
        serde_json::to_string(&key).expect("texts and numbers are JSON")
    }

    /// Writes the profile, if there is one.
    pub(crate) fn write_profile(&self, evaluator: &mut Evaluator<'_>) -> Result<(), Failure> {
        let Some(path) = &self.profile else {
            return Ok(());
        };
        let written = File::create(path).and_then(|file| {
            let mut file = BufWriter::new(file);
            evaluator.write_profile(&mut file)?;
            file.flush()
        });
        Ok(written.with_context(|| format!("writing the profile '{}'", path.display()))?)
    }

    /// The report of an error.
    pub(crate) fn failure(&self, evaluator: &Evaluator<'_>, error: &EvalError) -> Failure {
        let mut report = error.report_bytes(evaluator.positions(), self.settings.show_trace);
        if error.kind == ErrorKind::ImportFromDerivation {
            let hint = "\nhint: niphas evaluates without building; build the derivation beforehand and refer to its \
                        output, or generate the file that is imported and commit it";
            report.extend_from_slice(hint.as_bytes());
        }
        Failure::Nix(report)
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
