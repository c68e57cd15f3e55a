//! How Nix is evaluated, and what an evaluation may reach.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use nix_evaluator::io::{Builds, EvalIo, LocalIo, RestrictedIo, Restriction};
use nix_evaluator::{Bump, EvalError, Evaluator, Settings};
use nix_flake::{Fetcher, FlakeIo, install_get_flake};
use serde::Serialize;

use crate::error::{EvaluationError, NixReport, WorkError};
use crate::record::EvaluationRecord;
use crate::trace::{hide_what_is_not_the_users, name_the_users_files};

/// Receives what evaluations say: warnings, and messages of `builtins.trace`. Several threads call it.
pub type Hear = dyn Fn(&str) + Send + Sync;

/// How Nix is evaluated.
#[derive(Clone)]
pub struct Evaluation {
    /// The evaluator's settings.
    pub settings: Settings,
    /// Use what earlier runs found, and keep what this one finds.
    pub uses_cache: bool,
    /// What it may reach, beside what purity forbids.
    pub access: Access,
    /// Where to write which functions the time goes to.
    pub profile: Option<PathBuf>,
    /// Where messages go.
    pub hear: Arc<Hear>,
    /// Keeps the derivations, sources and texts of the evaluation. What is known from earlier runs is not evaluated, and so
    /// not in it.
    pub record: Option<Arc<EvaluationRecord>>,
    /// Builds what the evaluation imports from derivations; nothing is built if `None`. Needs a record.
    pub builds: Option<Arc<dyn Builds>>,
}

impl fmt::Debug for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluation").finish_non_exhaustive()
    }
}

/// What an evaluation may reach, beside what purity forbids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Access {
    /// Everything.
    Everything,
    /// Of URLs only these, and what is below them.
    Urls(Vec<String>),
    /// Of URLs only these, and of files only those of the look-up path.
    Restricted(Vec<String>),
}

/// What answers depend on beside the flake and the evaluator's settings.
#[derive(Serialize)]
struct AboutKey<'a> {
    about: &'a str,
    access: &'a Access,
    /// Import from derivation is allowed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    builds: bool,
    /// Where it matters.
    search_path: Option<&'a [(Vec<u8>, Vec<u8>)]>,
}

/// What an arena starts with. Each further chunk is twice as large as the one before; with what a chunk needs for itself
/// the first is a little smaller than a huge page, so that small evaluations need none, and the others fill theirs.
const FIRST_CHUNK: usize = (2 << 20) - 4096;

impl Evaluation {
    /// Runs `work` with an evaluator that fetches, and that sees this machine as `local` shows it.
    pub fn run<T>(
        &self,
        fetcher: &Fetcher,
        local: LocalIo,
        work: impl FnOnce(&mut Evaluator<'_>) -> Result<T, Box<EvalError>>,
    ) -> Result<T, EvaluationError> {
        let settings = self.settings.clone();
        let hear = Arc::clone(&self.hear);
        let local = self.equip(local, fetcher);
        let local = local.with_messages(move |message| hear(message));
        let io = FlakeIo::new(fetcher, local, settings.pure);
        self.with_view(&io, |io| {
            self.run_on(io, fetcher, settings, |evaluator| Ok(work(evaluator)?))
        })
    }

    /// Runs `work` with an evaluator that sees the world through `io`, and has settings of its own.
    pub(crate) fn run_on<T>(
        &self,
        io: &dyn EvalIo,
        fetcher: &Fetcher,
        mut settings: Settings,
        work: impl FnOnce(&mut Evaluator<'_>) -> Result<T, WorkError>,
    ) -> Result<T, EvaluationError> {
        settings.write_store |= self.record.is_some();
        let pure = settings.pure;
        let arena = Bump::with_capacity(FIRST_CHUNK);
        let mut evaluator = Evaluator::new(&arena, io, settings);
        install_get_flake(&mut evaluator, fetcher, pure);
        let result = evaluator.on_stack(work);
        self.write_profile(&mut evaluator)?;
        result.map_err(|error| match error {
            WorkError::Eval(mut error) => {
                let (positions, whole) = (evaluator.positions(), self.settings.show_trace);
                if !whole {
                    hide_what_is_not_the_users(&mut error, positions);
                }
                name_the_users_files(&mut error, &|path| io.shown_path(path));
                EvaluationError::Nix(NixReport {
                    kind: error.kind,
                    text: error.report_bytes(positions, whole),
                })
            }
            WorkError::Other(error) => error,
        })
    }

    /// Lets a view of this machine keep what the evaluation adds to the store, and build.
    pub(crate) fn equip(&self, mut local: LocalIo, fetcher: &Fetcher) -> LocalIo {
        if let Some(record) = &self.record {
            record.see(fetcher.sources().clone());
            local = local.with_objects(Arc::clone(record.objects()));
        }
        match &self.builds {
            Some(builds) => local.with_builds(Arc::clone(builds)),
            None => local,
        }
    }

    /// Does `work` with what the evaluation sees of `io`.
    pub(crate) fn with_view<T>(&self, io: &dyn EvalIo, work: impl FnOnce(&dyn EvalIo) -> T) -> T {
        let (restriction, urls) = match &self.access {
            Access::Everything => return work(io),
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
        work(&view)
    }

    /// What earlier runs found may be used: the evaluation itself is not what the caller is after.
    pub(crate) fn uses_answers(&self) -> bool {
        self.uses_cache && self.can_be_shared()
    }

    /// Other threads may help.
    pub(crate) fn can_be_shared(&self) -> bool {
        self.profile.is_none() && !self.settings.write_store
    }

    /// What answers about something depend on beside the flake and the evaluator's settings, as JSON.
    pub(crate) fn about_key(&self, about: &str) -> String {
        let Self {
            settings,
            uses_cache: _,
            access,
            profile: _,
            hear: _,
            record: _,
            builds,
        } = self;
        let key = AboutKey {
            about,
            access,
            builds: builds.is_some(),
            search_path: match access {
                Access::Restricted(_) => Some(&settings.search_path),
                Access::Everything | Access::Urls(_) => None,
            },
        };
        serde_json::to_string(&key).expect("texts and numbers are JSON")
    }

    /// Writes the profile, if there is one.
    fn write_profile(&self, evaluator: &mut Evaluator<'_>) -> Result<(), EvaluationError> {
        let Some(path) = &self.profile else {
            return Ok(());
        };
        let written = File::create(path).and_then(|file| {
            let mut file = BufWriter::new(file);
            evaluator.write_profile(&mut file)?;
            file.flush()
        });
        written.map_err(|source| EvaluationError::Profile {
            path: path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(access: Access) -> Evaluation {
        Evaluation {
            settings: Settings {
                search_path: vec![(b"n".to_vec(), b"/a".to_vec())],
                ..Settings::default()
            },
            uses_cache: true,
            access,
            profile: None,
            hear: Arc::new(|_| ()),
            record: None,
            builds: None,
        }
    }

    #[test]
    fn the_key_of_a_question_is_this_text() {
        let of = |access| evaluation(access).about_key("show");
        assert_eq!(
            of(Access::Everything),
            r#"{"about":"show","access":"Everything","search_path":null}"#
        );
        assert_eq!(
            of(Access::Urls(vec!["https://a/".to_owned()])),
            r#"{"about":"show","access":{"Urls":["https://a/"]},"search_path":null}"#
        );
        assert_eq!(
            of(Access::Restricted(Vec::new())),
            r#"{"about":"show","access":{"Restricted":[]},"search_path":[[[110],[47,97]]]}"#
        );
    }

    #[test]
    fn watched_evaluations_are_not_kept() {
        let mut evaluation = evaluation(Access::Everything);
        assert!(evaluation.uses_answers());
        evaluation.profile = Some("profile".into());
        assert!(!evaluation.uses_answers());
        evaluation.profile = None;
        evaluation.settings.write_store = true;
        assert!(!evaluation.uses_answers());
    }
}
