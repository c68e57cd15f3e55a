//! The loop: what watches, commands and time say goes into the schedule, and what the schedule says becomes requests.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Executor;
use super::control::Command;
use super::site::Site;
use super::workshop::Workshop;
use crate::job::APP_LABEL;
use crate::policy::Policy;
use crate::schedule::Limits;

/// How often time is looked at: for pods that wait too long, and Jobs that no run needs.
const TICK: Duration = Duration::from_secs(5);

/// Runs builds until `stop`. All that it knows of builds it reads from Jobs, so it may be killed at any time.
pub async fn run<W: Workshop>(
    executor: Executor,
    workshop: Arc<W>,
    policy: Policy,
    limits: Limits,
    mut commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    let selector = format!("{}={}", APP_LABEL.0, APP_LABEL.1);
    let config = || watcher::Config::default().labels(&selector);
    let jobs = watcher(executor.jobs.clone(), config()).default_backoff();
    let pods = watcher(executor.pods.clone(), config()).default_backoff();
    let (mut jobs, mut pods) = (pin!(jobs), pin!(pods));
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut site = Site::new(executor, workshop, policy, limits);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(event) = jobs.next() => match event {
                Ok(event) => { let changes = site.observed.jobs(event); site.apply(changes); }
                Err(error) => warn!(%error, "failed to watch the Jobs of builds"),
            },
            Some(event) = pods.next() => match event {
                Ok(event) => { let changes = site.observed.pods(event); site.apply(changes); }
                Err(error) => warn!(%error, "failed to watch the pods of builds"),
            },
            command = commands.recv() => match command {
                Some(command) => site.command(command),
                None => return,
            },
            Some(started) = site.starts.join_next(), if !site.starts.is_empty() => {
                let (start, started) = finished(started);
                site.started(&start, started);
            }
            Some(confirmed) = site.confirmations.join_next(), if !site.confirmations.is_empty() => {
                let (identity, is_built) = finished(confirmed);
                site.confirmed(&identity, is_built);
            }
            Some(done) = site.requests.join_next(), if !site.requests.is_empty() => {
                if let Err(error) = finished(done) {
                    warn!(error = nix_formats::chain(&error), "a request about a build failed; it is made again");
                    site.look_again();
                }
            }
            _ = tick.tick() => site.tick(),
        }
        site.start();
        site.publish();
    }
}

/// What a task gave. One that panicked takes the service with it: what it was to do would never be done.
fn finished<T>(joined: Result<T, JoinError>) -> T {
    joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
