//! What others ask the executor for, and hear from it.

use std::collections::HashMap;
use std::time::Duration;

use nix_formats::StorePath;
use tokio::sync::{mpsc, oneshot, watch};

use crate::job::JobIdentity;
use crate::schedule::{BadRun, Need, Progress, RunId, RunProgress, SourceRef};

/// A run to take on.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its number.
    pub run: RunId,
    /// Whose it is.
    pub source: SourceRef,
    /// The most Jobs of its source at one time.
    pub max_jobs: Option<usize>,
    /// What it needs.
    pub needs: Vec<Need>,
    /// How long derivations took before, by [`duration_key`](crate::schedule::duration_key).
    pub durations: HashMap<String, Duration>,
}

/// Something that is asked of the executor.
#[derive(Debug)]
pub enum Command {
    /// Take on a run, and tell how far it is.
    Add {
        /// The run.
        run: Box<NewRun>,
        /// Whether it was taken on, and where to hear of it.
        answer: oneshot::Sender<Result<watch::Receiver<RunProgress>, BadRun>>,
    },
    /// A run is not needed any more.
    Remove(RunId),
    /// The outputs of a derivation are in the cache.
    Built(StorePath),
    /// Try a derivation again that failed.
    Retry(StorePath),
    /// Tell how a derivation is, and its pod.
    Progress {
        /// The derivation.
        derivation: StorePath,
        /// How it is; none if no run needs it and no Job remembers it.
        answer: oneshot::Sender<Option<BuildProgress>>,
    },
    /// Tell which Jobs there are.
    Jobs {
        /// What they say of themselves; none before all were listed.
        answer: oneshot::Sender<Option<Vec<JobIdentity>>>,
    },
}

/// How a derivation is, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildProgress {
    /// Where it stands.
    pub progress: Progress,
    /// How its Job is, in a sentence.
    pub details: Option<String>,
}

/// Asks the executor. Clones ask the same.
#[derive(Debug, Clone)]
pub struct Builds {
    commands: mpsc::Sender<Command>,
}

/// The executor has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the executor of builds has ended")]
pub struct Ended;

impl Builds {
    /// With the other end, which [`run`](super::run) needs.
    pub fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(64);
        (Self { commands }, receiver)
    }

    async fn send(&self, command: Command) -> Result<(), Ended> {
        self.commands.send(command).await.map_err(|_| Ended)
    }

    /// Takes on a run. It goes on until it is [removed](Self::remove).
    pub async fn add(
        &self,
        run: NewRun,
    ) -> Result<Result<watch::Receiver<RunProgress>, BadRun>, Ended> {
        let (answer, answered) = oneshot::channel();
        let run = Box::new(run);
        self.send(Command::Add { run, answer }).await?;
        answered.await.map_err(|_| Ended)
    }

    /// A run is not needed any more.
    pub async fn remove(&self, run: RunId) -> Result<(), Ended> {
        self.send(Command::Remove(run)).await
    }

    /// The outputs of a derivation are in the cache, whether its Job has ended or not.
    pub async fn built(&self, derivation: StorePath) -> Result<(), Ended> {
        self.send(Command::Built(derivation)).await
    }

    /// A derivation that failed is tried again.
    pub async fn retry(&self, derivation: StorePath) -> Result<(), Ended> {
        self.send(Command::Retry(derivation)).await
    }

    /// How a derivation is; none if no run needs it and no Job remembers it.
    pub async fn progress(&self, derivation: StorePath) -> Result<Option<BuildProgress>, Ended> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Progress { derivation, answer }).await?;
        answered.await.map_err(|_| Ended)
    }

    /// The Jobs there are, also those that have ended; none before all were listed.
    pub async fn jobs(&self) -> Result<Option<Vec<JobIdentity>>, Ended> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Jobs { answer }).await?;
        answered.await.map_err(|_| Ended)
    }
}
