//! Pull requests of a flake's repository: evaluated, looked up and rendered, but for the commit. They get statuses, and one comment with
//! what would change.
//!
//! A webhook says that something happened to a pull request ([`announced`]); which commit it has now, and who approved that, the host is
//! asked ([`look`]). A pull request of a fork is code of a stranger: nothing of it is fetched before a person who may write to the
//! repository approved that very commit. What pull requests are evaluated with is kept apart from what branches are.

mod announced;
mod comment;
mod look;
mod receive;

use std::collections::{BTreeMap, HashMap, VecDeque};

use kube::ResourceExt as _;
use niphas_api::PULL_REQUESTS_ANNOTATION;
use niphas_api::source::{NiphasSource, PullRequestRun};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::key_of;
use crate::controller::Context;
use crate::queue::Key;
use announced::{Announced, Announcements, read};

pub(crate) use receive::{announce, why_skipped};

/// Pull requests that are run at the same time, each of another source. Evaluations among them take turns with those of branches.
const MOST_RUNS: usize = 4;
/// Reports that wait.
const REPORTS: usize = 64;

/// What a run of a pull request says.
pub(crate) enum PullRequestReport {
    /// How it stands with it.
    Stands(Key, PullRequestRun),
    /// The task for it ended.
    Ended(Key),
}

/// The pull requests that are known, wait and run.
pub(crate) struct PullRequests {
    known: HashMap<Key, Announcements>,
    /// Each at most once.
    waiting: VecDeque<(Key, u64)>,
    running: HashMap<Key, (u64, CancellationToken)>,
    reports: mpsc::Sender<PullRequestReport>,
    tasks: TaskTracker,
}

impl PullRequests {
    pub(crate) fn new() -> (Self, mpsc::Receiver<PullRequestReport>) {
        let (reports, reported) = mpsc::channel(REPORTS);
        let this = Self {
            known: HashMap::new(),
            waiting: VecDeque::new(),
            running: HashMap::new(),
            reports,
            tasks: TaskTracker::new(),
        };
        (this, reported)
    }

    /// Takes over what a source's annotation says.
    pub(crate) fn observe(&mut self, source: &NiphasSource) {
        let key = key_of(source);
        let is_on = source.spec.pull_requests.is_some() && !source.spec.suspend;
        let annotation = source.annotations().get(PULL_REQUESTS_ANNOTATION);
        let now = annotation.filter(|_| is_on).map(|text| read(text));
        let now = now.unwrap_or_default();
        let before = self.known.remove(&key).unwrap_or_default();
        let (changed, gone) = differences(&before, &now);
        for number in changed.iter().chain(&gone) {
            self.stop(&key, *number);
        }
        self.waiting
            .extend(changed.into_iter().map(|number| (key.clone(), number)));
        if !now.is_empty() {
            self.known.insert(key, now);
        }
    }

    /// Whether a pull request is one that may be run.
    pub(crate) fn knows(&self, key: &Key, number: i64) -> bool {
        let known = self.known.get(key);
        known.is_some_and(|known| {
            u64::try_from(number).is_ok_and(|number| known.contains_key(&number))
        })
    }

    /// Forgets a source that is gone.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.known.remove(key);
        self.waiting.retain(|(of, _)| of != key);
        if let Some((_, cancelled)) = self.running.get(key) {
            cancelled.cancel();
        }
    }

    /// Ends what is done for a pull request, of which there is something newer.
    fn stop(&mut self, key: &Key, number: u64) {
        self.waiting
            .retain(|(of, waiting)| (of, *waiting) != (key, number));
        if let Some((running, cancelled)) = self.running.get(key)
            && *running == number
        {
            cancelled.cancel();
        }
    }

    /// The task of a pull request ended.
    pub(crate) fn ended(&mut self, key: &Key) {
        self.running.remove(key);
    }

    /// Begins what may begin.
    pub(crate) fn begin(&mut self, context: &Context) {
        while self.running.len() < MOST_RUNS {
            let is_free = |(key, _): &(Key, u64)| !self.running.contains_key(key);
            let Some(next) = self.waiting.iter().position(is_free) else {
                return;
            };
            let Some((key, number)) = self.waiting.remove(next) else {
                return;
            };
            let Some(announced) = self.known.get(&key).and_then(|known| known.get(&number)) else {
                continue;
            };
            let cancelled = CancellationToken::new();
            self.running
                .insert(key.clone(), (number, cancelled.clone()));
            let look = look::Look {
                context: context.clone(),
                key: key.clone(),
                number,
                announced: announced.clone(),
                reports: self.reports.clone(),
                cancelled: cancelled.clone(),
            };
            let reports = self.reports.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = cancelled.cancelled() => {}
                    () = look.run() => {}
                }
                let _ = reports.send(PullRequestReport::Ended(key)).await;
            });
        }
    }
}

/// The numbers that are new or other than before, and those that are there no more.
fn differences(before: &Announcements, now: &Announcements) -> (Vec<u64>, Vec<u64>) {
    let is_other = |(number, of): &(&u64, &Announced)| before.get(number) != Some(of);
    let changed = now.iter().filter(is_other).map(|(number, _)| *number);
    let gone = before.keys().filter(|number| !now.contains_key(number));
    (changed.collect(), gone.copied().collect())
}

/// Takes a run over into those of a status: by number, of at most as many as are announced.
pub(crate) fn update(runs: &mut Vec<PullRequestRun>, run: PullRequestRun) {
    let mut all: BTreeMap<i64, PullRequestRun> = std::mem::take(runs)
        .into_iter()
        .map(|run| (run.number, run))
        .collect();
    all.insert(run.number, run);
    while all.len() > announced::MOST {
        all.pop_first();
    }
    runs.extend(all.into_values());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(annotation: &str, suspend: bool) -> NiphasSource {
        serde_json::from_value(json!({
            "apiVersion": "niphas.io/v1alpha1",
            "kind": "NiphasSource",
            "metadata": { "name": "web", "namespace": "shop", "annotations": { PULL_REQUESTS_ANNOTATION: annotation } },
            "spec": {
                "flake": { "url": "https://git.example.org/web", "branch": "main" },
                "target": { "url": "https://git.example.org/gitops", "branch": "main" },
                "pullRequests": { "from": "Repository" },
                "suspend": suspend,
            },
        }))
        .unwrap()
    }

    #[test]
    fn what_happened_is_looked_at_once_and_what_is_newer_ends_what_runs() {
        let (mut all, _reports) = PullRequests::new();
        let waiting = |all: &PullRequests| -> Vec<u64> {
            all.waiting.iter().map(|(_, number)| *number).collect()
        };
        all.observe(&source("1:10,2:10", false));
        all.observe(&source("1:10,2:10", false));
        assert_eq!(waiting(&all), [1, 2]);
        let key = all.waiting.pop_front().unwrap().0;
        let cancelled = CancellationToken::new();
        all.running.insert(key.clone(), (1, cancelled.clone()));
        all.observe(&source("1:10,2:11,3:1", false));
        assert_eq!(waiting(&all), [2, 3]);
        assert!(!cancelled.is_cancelled());
        all.observe(&source("1:12,3:1", false));
        assert_eq!(waiting(&all), [3, 1]);
        assert!(cancelled.is_cancelled());
        assert!(all.knows(&key, 1) && !all.knows(&key, 2) && !all.knows(&key, -1));
        all.observe(&source("1:12,3:1", true));
        assert!(waiting(&all).is_empty() && !all.knows(&key, 1));
    }

    #[test]
    fn a_status_has_one_entry_for_each_pull_request() {
        let run = |number: i64, revision: &str| PullRequestRun {
            number,
            revision: revision.to_owned(),
            result: None,
            message: None,
        };
        let mut runs = vec![run(7, "a")];
        update(&mut runs, run(3, "b"));
        update(&mut runs, run(7, "c"));
        assert_eq!(runs, [run(3, "b"), run(7, "c")]);
        for number in 0..200 {
            update(&mut runs, run(number, "d"));
        }
        assert_eq!(runs.len(), announced::MOST);
        assert_eq!(runs.last(), Some(&run(199, "d")));
    }
}
