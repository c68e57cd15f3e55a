//! What the caches of builds lack of what a run asks for.

use std::sync::Arc;

use binary_cache::{Caches, Refusal};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nix_builder::options::Machine;
use nix_builder::plan::{Place, Plan, PlanError, Planner, Question, Wanted};
use nix_formats::derivation::DerivationKind;
use nix_formats::{StoreDir, StorePath};

use super::graph::Graph;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPlan {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("failed to ask the caches of builds")]
    Caches(#[source] Box<binary_cache::Unavailable>),
    #[error("neither the flake nor the caches of builds have {0}")]
    Unknown(String),
    #[error(
        "the derivation '{0}' is content-addressed or impure, which Jobs do not build; push its outputs to a cache"
    )]
    Kind(StorePath),
    #[error(
        "the derivation '{path}' is for the system '{system}', which 'build.systems' of the source does not have"
    )]
    System { path: StorePath, system: String },
}

/// Plans what is asked for.
pub(super) async fn plan(
    graph: &Arc<Graph>,
    caches: &Caches,
    wanted: &[Wanted],
) -> Result<Plan, NoPlan> {
    // What machines there are is a matter of the Jobs.
    let machine = Machine::linux(std::env::consts::ARCH, "", false);
    let mut planner = Planner::new(Arc::clone(graph) as _, StoreDir::default(), machine);
    for wanted in wanted {
        planner.want(wanted)?;
    }
    let mut asked = FuturesUnordered::new();
    loop {
        loop {
            let questions = planner.questions();
            if questions.is_empty() {
                break;
            }
            for question in questions {
                match question {
                    Question::Path(path) => match graph.references(&path) {
                        Some(references) => {
                            let references = references.clone();
                            planner.answer_path(&path, Place::Here { references })?;
                        }
                        None => asked.push(look_up(caches, path)),
                    },
                    // What is content-addressed is refused below.
                    Question::Realisation { id, .. } => planner.answer_realisation(&id, None)?,
                }
            }
        }
        match asked.next().await {
            None => break,
            Some(answer) => {
                let (path, place) = answer?;
                planner.answer_path(&path, place)?;
            }
        }
    }
    let plan = planner.finish()?;
    if !plan.unknown.is_empty() {
        let unknown: Vec<&StorePath> = plan.unknown.iter().collect();
        return Err(NoPlan::Unknown(nix_formats::few(&unknown)));
    }
    let is_plain = |kind| {
        matches!(
            kind,
            DerivationKind::InputAddressed | DerivationKind::FixedOutput
        )
    };
    let mut builds = plan.builds.iter();
    match builds.find(|build| !build.derivation.kind().is_ok_and(is_plain)) {
        Some(build) => Err(NoPlan::Kind(build.path.clone())),
        None => Ok(plan),
    }
}

async fn look_up(caches: &Caches, path: StorePath) -> Result<(StorePath, Place), NoPlan> {
    let place = match caches.find(&path, None).await {
        Ok(found) => Place::Cached {
            download_size: found.info.file_size.unwrap_or(0),
            nar_size: found.info.nar_size,
            references: found.info.references.clone(),
        },
        Err(error) if is_broken(&error) => return Err(NoPlan::Caches(Box::new(error))),
        Err(_) => Place::Nowhere,
    };
    Ok((path, place))
}

/// Whether a cache that may have the path does not answer.
pub(super) fn is_broken(error: &binary_cache::Unavailable) -> bool {
    let mut refusals = error.refusals.iter();
    refusals.any(|(_, refusal)| matches!(refusal, Refusal::Failed(_)))
}
