//! Sends statuses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use niphas_api::source::{NiphasSource, NiphasSourceStatus, Run};
use niphas_forges::{ForgeError, Sending, Sent};
use niphas_pages::model::SourceName;
use niphas_pages::paths;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};
use url::Url;

use super::statuses::{CommitStatus, of_runs, run_id};
use crate::cluster::Sources;
use crate::forge::{HostError, Hosts, Place};
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::queue::Key;

/// Sources whose hosts are spoken to at the same time.
const MOST_TURNS: usize = 8;
/// Statuses of one source that wait: those of some pull requests.
const MOST_WAITING: usize = 60;
/// How often one is tried.
const MOST_TRIES: u32 = 5;
/// The first pause after a failure that says of none.
const PAUSE: Duration = Duration::from_secs(2);
/// No host limits requests for longer.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Sends what hosts have to know. A newer status takes the place of one that waits.
pub(crate) struct Reporter {
    cluster: Client,
    policy: Arc<Policy>,
    sources: Arc<Sources>,
    hosts: Hosts,
    metrics: Metrics,
    outboxes: Mutex<HashMap<Key, Outbox>>,
    turns: Semaphore,
    tasks: TaskTracker,
}

/// What one source has to send.
#[derive(Default)]
struct Outbox {
    /// The oldest first.
    waiting: Vec<CommitStatus>,
    /// What the host has; not here while it is being sent to.
    sent: Option<Sent>,
    is_sending: bool,
}

/// Why a status was not sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

impl Reporter {
    pub(crate) fn new(
        cluster: Client,
        policy: Arc<Policy>,
        sources: Arc<Sources>,
        hosts: Hosts,
        metrics: Metrics,
    ) -> Self {
        Self {
            cluster,
            policy,
            sources,
            hosts,
            metrics,
            outboxes: Mutex::default(),
            turns: Semaphore::new(MOST_TURNS),
            tasks: TaskTracker::new(),
        }
    }

    fn outboxes(&self) -> MutexGuard<'_, HashMap<Key, Outbox>> {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the host of a source how its last runs stand.
    pub(crate) fn tell_runs(self: &Arc<Self>, key: &Key, status: &NiphasSourceStatus) {
        let page = |run: &Run, log: Option<&str>| self.page(key, Some(run), log);
        self.tell(key, of_runs(status, page));
    }

    /// The page of a run, or of the log of one of its derivations, or that of its source.
    pub(crate) fn page(&self, key: &Key, run: Option<&Run>, log: Option<&str>) -> Option<Url> {
        let base = self.policy.pages_url.as_ref()?;
        let name = SourceName {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        };
        let path = match (run, log) {
            (Some(run), Some(log)) => paths::log_of_run(log, &name, &run_id(run)),
            (Some(run), None) => paths::run(&name, &run_id(run)),
            (None, _) => paths::source(&name),
        };
        let base = base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path}")).ok()
    }

    /// Sends statuses as soon as it may be.
    pub(crate) fn tell(self: &Arc<Self>, key: &Key, statuses: Vec<CommitStatus>) {
        let source = self.sources.get(key);
        if statuses.is_empty() || !source.is_some_and(|source| self.has_host(key, &source)) {
            return;
        }
        let mut outboxes = self.outboxes();
        let outbox = outboxes.entry(key.clone()).or_default();
        for status in statuses {
            outbox.add(status);
        }
        if !std::mem::replace(&mut outbox.is_sending, true) {
            let (this, key) = (Arc::clone(self), key.clone());
            self.tasks.spawn(async move { this.send_all(&key).await });
        }
    }

    /// Whether anything is sent for a source: it names a host and a login, and it may do what it says.
    fn has_host(&self, key: &Key, source: &NiphasSource) -> bool {
        let spec = &source.spec;
        let provider = spec.webhook.as_ref().map(|webhook| webhook.provider);
        provider.is_some_and(|provider| crate::forge::forge(provider).is_some())
            && spec.flake.secret_ref.is_some()
            && self.policy.admits(&key.namespace, spec).is_ok()
    }

    /// Forgets a source that is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.outboxes().remove(key);
    }

    async fn send_all(&self, key: &Key) {
        let mut sent = {
            let mut outboxes = self.outboxes();
            let outbox = outboxes.get_mut(key);
            outbox
                .and_then(|outbox| outbox.sent.take())
                .unwrap_or_default()
        };
        let (mut client, mut tries) = (None, 0);
        while let Some(status) = self.next(key, &mut sent) {
            let result = {
                let _turn = self.turns.acquire().await;
                self.send(key, &mut client, &mut sent, &status).await
            };
            let Err(error) = result else {
                tries = 0;
                continue;
            };
            client = None;
            tries += 1;
            let why = nix_formats::chain(&error);
            if tries == MOST_TRIES {
                warn!(source = %key, why, "a status of a commit was not sent");
                self.metrics.status("failed");
                self.give_up(key);
                continue;
            }
            debug!(source = %key, why, tries, "a status of a commit is sent later");
            let pause = match &error {
                SendError::Forge(error) => error.pause(),
                SendError::Host(_) => None,
            };
            self.put_back(key, status);
            let pause = pause.unwrap_or(PAUSE * 2_u32.pow(tries));
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    /// The next status; at the end of them `sent` is kept.
    fn next(&self, key: &Key, sent: &mut Sent) -> Option<CommitStatus> {
        let mut outboxes = self.outboxes();
        let outbox = outboxes.get_mut(key)?;
        if outbox.waiting.is_empty() {
            outbox.is_sending = false;
            outbox.sent = Some(std::mem::take(sent));
            return None;
        }
        Some(outbox.waiting.remove(0))
    }

    fn put_back(&self, key: &Key, status: CommitStatus) {
        if let Some(outbox) = self.outboxes().get_mut(key)
            && !outbox.waiting.iter().any(|other| other.is_of(&status))
        {
            outbox.waiting.insert(0, status);
        }
    }

    /// What waits is not sent: the host does not take it, and newer statuses will come.
    fn give_up(&self, key: &Key) {
        if let Some(outbox) = self.outboxes().get_mut(key) {
            outbox.waiting.clear();
        }
    }

    async fn send(
        &self,
        key: &Key,
        client: &mut Option<niphas_forges::Client>,
        sent: &mut Sent,
        said: &CommitStatus,
    ) -> Result<(), SendError> {
        if client.is_none() {
            let Some(source) = self.sources.get(key) else {
                return Ok(());
            };
            let spec = &source.spec;
            let place = Place {
                namespace: &key.namespace,
                provider: spec.webhook.as_ref().map(|webhook| webhook.provider),
                url: &spec.flake.url,
                secret: spec.flake.secret_ref.as_ref(),
            };
            *client = self.hosts.client(&self.cluster, place).await?;
        }
        if let Some(client) = client {
            let sending = client
                .set_status(sent, &said.commit, said.context, &said.status)
                .await?;
            if sending == Sending::Sent {
                self.metrics.status("sent");
            }
        }
        Ok(())
    }
}

impl CommitStatus {
    fn is_of(&self, other: &Self) -> bool {
        (&self.commit, self.context) == (&other.commit, other.context)
    }
}

impl Outbox {
    fn add(&mut self, status: CommitStatus) {
        self.waiting.retain(|other| !other.is_of(&status));
        self.waiting.push(status);
        let more = self.waiting.len().saturating_sub(MOST_WAITING);
        self.waiting.drain(..more);
    }
}

#[cfg(test)]
mod tests {
    use niphas_forges::{Commit, Context, State, Status};

    use super::*;

    fn status(number: usize, context: Context, description: &str) -> CommitStatus {
        CommitStatus {
            commit: Commit::new(&format!("{number:040x}")).unwrap(),
            context,
            status: Status {
                state: State::Running,
                description: description.to_owned(),
                link: None,
            },
        }
    }

    #[test]
    fn a_newer_status_takes_the_place_of_one_that_waits() {
        let mut outbox = Outbox::default();
        outbox.add(status(1, Context::Evaluate, "old"));
        outbox.add(status(1, Context::Build, "one"));
        outbox.add(status(2, Context::Evaluate, "other"));
        outbox.add(status(1, Context::Evaluate, "new"));
        let waiting: Vec<&str> = outbox
            .waiting
            .iter()
            .map(|status| &*status.status.description)
            .collect();
        assert_eq!(waiting, ["one", "other", "new"]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut outbox = Outbox::default();
        for number in 0..10 * MOST_WAITING {
            outbox.add(status(number, Context::Evaluate, ""));
        }
        assert_eq!(outbox.waiting.len(), MOST_WAITING);
        let newest = status(10 * MOST_WAITING - 1, Context::Evaluate, "");
        assert_eq!(outbox.waiting.last(), Some(&newest));
    }
}
