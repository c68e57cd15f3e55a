//! Looks at a pull request, and runs it if it may be run.

use std::time::Duration;

use niphas_api::source::{
    NiphasSource, PullRequestOrigin, PullRequestRun, PullRequests, RunResult,
};
use niphas_forges::{Client, Commit, ForgeError, PullRequest};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::PullRequestReport;
use super::announced::Announced;
use super::comment::{About, outcome};
use crate::controller::Context;
use crate::forge::{HostError, Place};
use crate::queue::Key;
use crate::reports::first_line;
use crate::run::{Failure, Run, Step};
use crate::source;
use crate::target::Mode;

/// How often what may pass by itself is tried.
const MOST_TRIES: u32 = 5;
/// The first pause between two tries. It doubles.
const PAUSE: Duration = Duration::from_secs(15);
/// The longest: others wait for their turn.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// A look at one pull request.
pub(super) struct Look {
    pub(super) context: Context,
    pub(super) key: Key,
    pub(super) number: u64,
    pub(super) announced: Announced,
    pub(super) reports: mpsc::Sender<PullRequestReport>,
    pub(super) cancelled: CancellationToken,
}

/// Why the host did not answer.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

/// What was done.
enum Done {
    /// All there is to do.
    All,
    /// It failed by something that may pass.
    Again(String),
}

impl Look {
    /// Does all of it.
    pub(super) async fn run(&self) {
        let mut pause = PAUSE;
        for tries in 1..=MOST_TRIES {
            let why = match self.attempt().await {
                Ok(Done::All) => return,
                Ok(Done::Again(why)) => why,
                Err(error) => {
                    if let LookError::Forge(error) = &error {
                        pause = error.pause().unwrap_or(pause);
                    }
                    nix_formats::chain(&error)
                }
            };
            warn!(source = %self.key, number = self.number, tries, why, "a pull request was not run to its end");
            if tries < MOST_TRIES {
                tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
            }
            pause *= 2;
        }
    }

    async fn attempt(&self) -> Result<Done, LookError> {
        let Some(source) = self.context.sources.get(&self.key) else {
            return Ok(Done::All);
        };
        let spec = &source.spec;
        let is_admitted = self
            .context
            .policy
            .admits(&self.key.namespace, spec)
            .is_ok();
        let Some(wanted) = spec.pull_requests.as_ref().filter(|_| is_admitted) else {
            return Ok(Done::All);
        };
        let Some(host) = self.host(&source).await? else {
            warn!(source = %self.key, "pull requests need a login for the API of the Git host; give the Secret of flake.secretRef the entry 'token'");
            return Ok(Done::All);
        };
        let found = host.pull_request(self.number).await?;
        let Ok(commit) = Commit::new(&found.head.commit) else {
            return Ok(Done::All);
        };
        if !found.is_open
            || found.base != spec.flake.branch
            || is_done(&source, self.number, &commit)
        {
            return Ok(Done::All);
        }
        let page = self.context.reporter.page(&self.key, None, None);
        let about = About {
            commit: &commit,
            page: page.as_ref(),
        };
        if !self.is_approved(&host, wanted, &found, &commit).await? {
            if wanted.from == PullRequestOrigin::Approved {
                let waits = about.waits(&wanted.label);
                self.context.reporter.tell(&self.key, waits);
            }
            return Ok(Done::All);
        }
        self.evaluate(&source, &host, &about).await
    }

    async fn host(&self, source: &NiphasSource) -> Result<Option<Client>, HostError> {
        let spec = &source.spec;
        let place = Place {
            namespace: &self.key.namespace,
            provider: spec.webhook.as_ref().map(|webhook| webhook.provider),
            url: &spec.flake.url,
            secret: spec.flake.secret_ref.as_ref(),
        };
        self.context.hosts.client(&self.context.client, place).await
    }

    /// Whether the commit may be fetched and evaluated: it is of the repository itself, or a person who may write there approved it.
    async fn is_approved(
        &self,
        host: &Client,
        wanted: &PullRequests,
        found: &PullRequest,
        commit: &Commit,
    ) -> Result<bool, ForgeError> {
        if !found.head.is_fork {
            return Ok(true);
        }
        if wanted.from != PullRequestOrigin::Approved {
            return Ok(false);
        }
        if self.announced.labelled.as_ref() == Some(commit) {
            return Ok(true);
        }
        Ok(!host.approvers(found, &[]).await?.is_empty())
    }

    async fn evaluate(
        &self,
        source: &NiphasSource,
        host: &Client,
        about: &About<'_>,
    ) -> Result<Done, LookError> {
        let (reporter, commit) = (&self.context.reporter, about.commit);
        info!(source = %self.key, number = self.number, %commit, "a pull request is run");
        self.report(self.stands(commit, None)).await;
        reporter.tell(&self.key, about.began());
        let tell = |step: Step| reporter.tell(&self.key, about.came(&step));
        let result = match source::prepare(&self.context, source, false).await {
            Ok(run) => self.reviewing(run, commit).run(tell).await,
            Err(failure) => Err(failure),
        };
        if matches!(&result, Err(failure) if failure.result == RunResult::Superseded) {
            return Ok(Done::All);
        }
        let note = match &result {
            Ok(_) => "",
            Err(failure) => &*failure.message,
        };
        info!(source = %self.key, number = self.number, %commit, note, "a pull request was run");
        reporter.tell(&self.key, about.ended(&result));
        let comment = host
            .comment(self.number, &self.mark(), &about.comment(&result))
            .await;
        if let Err(Failure {
            is_passing: true,
            message,
            ..
        }) = result
        {
            let said = Some(format!("{}; it is tried again", first_line(&message)));
            self.report(self.stands(commit, said)).await;
            return Ok(Done::Again(message));
        }
        if let Err(error) = comment {
            let why = nix_formats::chain(&error);
            warn!(source = %self.key, number = self.number, why, "failed to comment on a pull request");
        }
        self.report(outcome(self.number, commit, &result)).await;
        Ok(Done::All)
    }

    /// A run that did not come to its end.
    fn stands(&self, commit: &Commit, message: Option<String>) -> PullRequestRun {
        PullRequestRun {
            number: i64::try_from(self.number).unwrap_or(i64::MAX),
            revision: commit.to_string(),
            result: None,
            message: message.map(|message| nix_formats::shortened(&message, 500).into_owned()),
        }
    }

    /// The run of a branch as that of a pull request: of its commit, apart from what branches are evaluated with, and without a commit.
    fn reviewing(&self, run: Run, commit: &Commit) -> Run {
        Run {
            revision: Some(commit.to_string()),
            mode: Mode::Review,
            folder: run.folder.join("pull-requests"),
            cancelled: self.cancelled.clone(),
            ..run
        }
    }

    /// By what the comment is found. Another source of the same repository has another.
    fn mark(&self) -> String {
        format!("pull request of {}", self.key)
    }

    async fn report(&self, run: PullRequestRun) {
        let report = PullRequestReport::Stands(self.key.clone(), run);
        let _ = self.reports.send(report).await;
    }
}

/// Whether the status says that this commit was run to its end.
fn is_done(source: &NiphasSource, number: u64, commit: &Commit) -> bool {
    let runs = source
        .status
        .iter()
        .flat_map(|status| &status.pull_requests);
    runs.into_iter().any(|run| {
        u64::try_from(run.number) == Ok(number)
            && run.revision == commit.as_str()
            && run.result.is_some()
    })
}
