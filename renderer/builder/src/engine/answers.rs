//! Answering the questions of a plan: what is here, and what caches have.

use std::collections::BTreeSet;
use std::sync::Arc;

use binary_cache::{Caches, DerivationOutput, RealisationError, Refusal, Unavailable};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use nix_formats::StorePath;

use super::failure::InputError;
use super::places::Places;
use super::trace::BuildTrace;
use crate::plan::{OutputId, Place, Plan, PlanError, Planner, Question};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The derivations do not allow one.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What is here cannot be looked up.
    #[error("failed to look up what is here")]
    Here(#[source] InputError),
    /// A cache that may have a path fails.
    #[error("failed to ask the caches; 'fallback' builds what they do not give")]
    Cache(#[source] Box<Unavailable>),
    /// A cache that may know what an output became fails.
    #[error("failed to ask the caches; 'fallback' builds what they do not give")]
    Realisation(#[source] RealisationError),
    /// The build trace of the store cannot be read.
    #[error("failed to read the build trace of the store")]
    Trace(#[source] std::io::Error),
}

/// Who knows the answers.
pub(super) struct Answers<'a> {
    pub(super) places: &'a Arc<Places>,
    pub(super) caches: &'a Caches,
    pub(super) trace: &'a BuildTrace,
    /// What caches promised and did not give.
    pub(super) lost: &'a BTreeSet<StorePath>,
    /// Whether what a cache does not tell because it fails is built.
    pub(super) fallback: bool,
}

enum Answer {
    Path(StorePath, Place),
    Realisation(OutputId, Option<StorePath>),
}

impl Answers<'_> {
    /// Answers all questions of a planner.
    pub(super) async fn plan(&self, mut planner: Planner) -> Result<Plan, AskError> {
        let mut asked: FuturesUnordered<BoxFuture<'_, Result<Answer, AskError>>> =
            FuturesUnordered::new();
        loop {
            // What is here is answered at once, and what it leads to.
            loop {
                let questions = planner.questions();
                if questions.is_empty() {
                    break;
                }
                for question in questions {
                    match question {
                        Question::Path(path) => match self.here(&path)? {
                            Some(place) => planner.answer_path(&path, place)?,
                            None if self.lost.contains(&path) => {
                                planner.answer_path(&path, Place::Nowhere)?;
                            }
                            None => asked.push(Box::pin(self.cached(path))),
                        },
                        Question::Realisation { id, from_caches } => {
                            let known = self.trace.get(&id).map_err(AskError::Trace)?;
                            if known.is_none() && from_caches {
                                asked.push(Box::pin(self.realisation(id)));
                            } else {
                                planner.answer_realisation(&id, known.as_ref())?;
                            }
                        }
                    }
                }
            }
            match asked.next().await {
                None => return Ok(planner.finish()?),
                Some(answer) => match answer? {
                    Answer::Path(path, place) => planner.answer_path(&path, place)?,
                    Answer::Realisation(id, path) => {
                        planner.answer_realisation(&id, path.as_ref())?;
                    }
                },
            }
        }
    }

    fn here(&self, path: &StorePath) -> Result<Option<Place>, AskError> {
        if let Some(located) = self.places.locate(path).map_err(AskError::Here)? {
            let references = located.info.references.clone();
            return Ok(Some(if located.is_in_folder() {
                Place::Valid
            } else {
                Place::Here { references }
            }));
        }
        let references = self.places.source_references(path);
        Ok(references.map(|references| Place::Here { references }))
    }

    async fn cached(&self, path: StorePath) -> Result<Answer, AskError> {
        let place = match self.caches.find(&path, None).await {
            Ok(found) => Place::Cached {
                download_size: found.info.file_size.unwrap_or(0),
                nar_size: found.info.nar_size,
                references: found.info.references.clone(),
            },
            Err(error) => {
                let is_failed = |(_, refusal): &_| matches!(refusal, Refusal::Failed(_));
                if !self.fallback && error.refusals.iter().any(is_failed) {
                    return Err(AskError::Cache(Box::new(error)));
                }
                Place::Nowhere
            }
        };
        Ok(Answer::Path(path, place))
    }

    async fn realisation(&self, id: OutputId) -> Result<Answer, AskError> {
        let output: Option<DerivationOutput> = id.to_string().parse().ok();
        let found = match output {
            Some(output) => self.caches.realisation(&output).await,
            None => Ok(None),
        };
        let path = match found {
            Ok(found) => found.map(|found| found.path),
            Err(error @ RealisationError::Untrusted { .. }) => {
                tracing::debug!(error = %nix_formats::chain(&error), "a realisation is not taken");
                None
            }
            Err(error) if !self.fallback => return Err(AskError::Realisation(error)),
            Err(_) => None,
        };
        Ok(Answer::Realisation(id, path))
    }
}
