//! What is remembered of the builds of a run, for its page: the derivations, what they need of each other, and how each stands. Pure.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use niphas_build_jobs::job::{job_name, system};
use niphas_build_jobs::schedule::{BuildState, RunProgress};
use nix_builder::Derivations;
use nix_builder::plan::Plan;
use nix_formats::{StorePath, shortened};
use serde::{Deserialize, Serialize};

/// More derivations of a run are counted only.
const MOST_BUILDS: usize = 5_000;
/// More inputs from caches are not named.
const MOST_CACHED: usize = 500;
/// Lines between derivations.
const MOST_INPUTS: usize = 100_000;
/// Characters of a name, a system and a reason.
const MOST_TEXT: usize = 400;

/// The builds of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RunRecord {
    /// What had to be built, in the order of the plan; after that what caches had of the inputs.
    pub(crate) builds: Vec<BuildRecord>,
}

/// A derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BuildRecord {
    /// The base name of its path.
    pub(crate) derivation: String,
    pub(crate) system: String,
    pub(crate) state: RecordedState,
    /// When its pod began and when it ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) began: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<u64>,
    /// The name of its Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
    /// Places of what it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inputs: Vec<usize>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// How a derivation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RecordedState {
    Waiting,
    Running,
    Built,
    Cached,
    Failed,
    Blocked,
}

/// What pods tell of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attempted {
    pub(crate) job: Option<String>,
    pub(crate) began: Option<SystemTime>,
    pub(crate) ended: Option<SystemTime>,
}

impl RunRecord {
    /// A plan of which nothing is built yet.
    pub(super) fn of_plan(plan: &Plan, derivations: &dyn Derivations) -> Self {
        let mut room = MOST_INPUTS;
        let planned = &plan.builds[..plan.builds.len().min(MOST_BUILDS)];
        let mut places: HashMap<&StorePath, usize> = HashMap::new();
        let mut builds = Vec::with_capacity(planned.len());
        for (place, build) in planned.iter().enumerate() {
            places.insert(&build.path, place);
            let inputs: Vec<usize> = build.needs.iter().copied().take(room).collect();
            room -= inputs.len();
            builds.push(BuildRecord::new(&build.path, &system(build), inputs));
        }
        let most = planned.len() + MOST_CACHED;
        for (place, build) in planned.iter().enumerate() {
            for input in build.derivation.input_derivations.keys() {
                let known = places.get(input).copied();
                if room == 0 || known.is_some_and(|known| known < planned.len()) {
                    continue;
                }
                let known = match known {
                    Some(known) => known,
                    None if builds.len() == most => continue,
                    None => {
                        let found = derivations.derivation(input).ok().flatten();
                        let platform = found.map(|found| found.platform.clone());
                        let platform = platform.unwrap_or_default();
                        let system = String::from_utf8_lossy(&platform);
                        let mut cached = BuildRecord::new(input, &system, Vec::new());
                        cached.state = RecordedState::Cached;
                        places.insert(input, builds.len());
                        builds.push(cached);
                        builds.len() - 1
                    }
                };
                builds[place].inputs.push(known);
                room -= 1;
            }
        }
        Self { builds }
    }

    /// Takes over how far the run is; whether that is news.
    pub(super) fn update(
        &mut self,
        progress: &RunProgress,
        attempted: impl Fn(&StorePath) -> Attempted,
        now: SystemTime,
    ) -> bool {
        let reasons: HashMap<&str, &str> = progress
            .failed
            .iter()
            .map(|(path, failure)| (path.base_name(), reason(&failure.message)))
            .collect();
        let mut is_news = false;
        for (build, state) in self.builds.iter_mut().zip(&progress.states) {
            let state = RecordedState::from(*state);
            let is_open =
                |build: &BuildRecord| build.state == RecordedState::Running || build.state != state;
            if build.state == RecordedState::Cached || !is_open(build) {
                continue;
            }
            let before = build.clone();
            let reason = reasons.get(&*build.derivation);
            build.reason = reason.map(|reason| shortened(reason, MOST_TEXT).into_owned());
            build.stands(state, &attempted, now);
            is_news |= *build != before;
        }
        is_news
    }

    /// The run is over: nothing of it is under way any more.
    pub(super) fn end(&mut self) {
        for build in &mut self.builds {
            if build.state == RecordedState::Running {
                build.state = RecordedState::Waiting;
                build.began = None;
            }
        }
    }

    /// How many derivations cannot be built without one, directly or not.
    pub(crate) fn blocked_by(&self, place: usize) -> u64 {
        let mut is_blocked = vec![false; self.builds.len()];
        is_blocked[place] = true;
        let mut count = 0;
        // Inputs stand before what needs them.
        for (place, build) in self.builds.iter().enumerate() {
            let needs = |input: &usize| is_blocked.get(*input).copied().unwrap_or(false);
            if build.state == RecordedState::Blocked && build.inputs.iter().any(needs) {
                is_blocked[place] = true;
                count += 1;
            }
        }
        count
    }
}

impl BuildRecord {
    fn new(path: &StorePath, system: &str, inputs: Vec<usize>) -> Self {
        Self {
            derivation: path.base_name().to_owned(),
            system: shortened(system, MOST_TEXT).into_owned(),
            state: RecordedState::Waiting,
            began: None,
            ended: None,
            job: None,
            inputs,
            reason: None,
        }
    }

    fn stands(
        &mut self,
        state: RecordedState,
        attempted: impl Fn(&StorePath) -> Attempted,
        now: SystemTime,
    ) {
        self.state = state;
        (self.began, self.ended) = (None, None);
        let Ok(path) = StorePath::from_base_name(self.derivation.as_str()) else {
            return;
        };
        let Attempted { job, began, ended } = attempted(&path);
        match state {
            RecordedState::Waiting | RecordedState::Blocked | RecordedState::Cached => {
                self.job = None;
            }
            RecordedState::Running => (self.job, self.began) = (job, began.map(milliseconds)),
            RecordedState::Built => {
                self.job = job;
                (self.began, self.ended) = (began.map(milliseconds), ended.map(milliseconds));
            }
            RecordedState::Failed => {
                // A Job remembers it, if it was made before this service was started.
                self.job = job.or_else(|| Some(job_name(&path)));
                self.began = began.map(milliseconds);
                self.ended = self.began.map(|_| milliseconds(ended.unwrap_or(now)));
            }
        }
    }

    /// How long its build took, or takes until `now`.
    pub(crate) fn took(&self, now: SystemTime) -> Option<Duration> {
        let end = match self.state {
            RecordedState::Running => milliseconds(now),
            _ => self.ended?,
        };
        Some(Duration::from_millis(end.saturating_sub(self.began?)))
    }
}

/// Why a derivation was not built, in a line: of what Nix says in some, the one with the reason.
pub(super) fn reason(message: &str) -> &str {
    let mut lines = message.lines().map(str::trim);
    let reason = lines
        .clone()
        .find_map(|line| line.strip_prefix("Reason: "))
        .map(|reason| reason.strip_suffix('.').unwrap_or(reason));
    reason.unwrap_or_else(|| lines.find(|line| !line.is_empty()).unwrap_or_default())
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl From<BuildState> for RecordedState {
    fn from(state: BuildState) -> Self {
        match state {
            BuildState::Waiting => Self::Waiting,
            BuildState::Running => Self::Running,
            BuildState::Built => Self::Built,
            BuildState::Failed => Self::Failed,
            BuildState::Blocked => Self::Blocked,
        }
    }
}

#[cfg(test)]
mod tests {
    use niphas_build_jobs::{Cause, Failure};

    use super::*;

    fn path(name: &str) -> StorePath {
        let hash = nix_formats::HashAlgorithm::Sha256.digest(name.as_bytes());
        let bytes: [u8; 20] = hash.as_bytes()[..20].try_into().unwrap();
        StorePath::from_parts(bytes, &format!("{name}.drv")).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// `end` needs `site`, which needs `tools` and `title`.
    fn record() -> RunRecord {
        let build =
            |name, inputs: &[usize]| BuildRecord::new(&path(name), "x86_64-linux", inputs.to_vec());
        let mut cached = build("shell", &[]);
        cached.state = RecordedState::Cached;
        let mut tools = build("tools", &[]);
        tools.inputs = vec![4];
        let title = build("title", &[]);
        let builds = vec![
            tools,
            title,
            build("site", &[0, 1]),
            build("end", &[2]),
            cached,
        ];
        RunRecord { builds }
    }

    fn progress(states: [BuildState; 4]) -> RunProgress {
        RunProgress {
            states: states.to_vec(),
            ..RunProgress::default()
        }
    }

    #[test]
    fn builds_have_the_times_of_their_pods_and_their_job() {
        use BuildState::{Built, Running, Waiting};
        let mut record = record();
        let began = |path: &StorePath| Attempted {
            job: Some(job_name(path)),
            began: Some(at(10)),
            ended: None,
        };
        let ended = |path: &StorePath| Attempted {
            ended: Some(at(17)),
            ..began(path)
        };
        assert!(!record.update(&progress([Waiting; 4]), began, at(5)));
        let none = |_: &StorePath| Attempted::default();
        let running = progress([Running, Waiting, Waiting, Waiting]);
        assert!(record.update(&running, none, at(9)));
        assert_eq!(record.builds[0].took(at(30)), None, "its pod waits");
        assert!(record.update(&running, began, at(11)));
        assert_eq!(record.builds[0].took(at(30)), Some(Duration::from_secs(20)));
        assert!(record.update(&progress([Built, Waiting, Waiting, Waiting]), ended, at(18)));
        assert_eq!(record.builds[0].took(at(30)), Some(Duration::from_secs(7)));
        assert_eq!(record.builds[0].job, Some(job_name(&path("tools"))));
        // What is settled stays, whatever is known of it later.
        assert!(!record.update(&progress([Built, Waiting, Waiting, Waiting]), none, at(60)));
        assert_eq!(record.builds[4].state, RecordedState::Cached);
    }

    #[test]
    fn a_failure_has_its_reason_and_counts_what_waits_for_it() {
        use BuildState::{Blocked, Built, Failed};
        let mut record = record();
        let mut progress = progress([Failed, Built, Blocked, Blocked]);
        let failure = Failure::new(Cause::Build(100), "the build failed");
        progress.failed.push((path("tools"), failure));
        record.update(&progress, |_| Attempted::default(), at(9));
        let tools = &record.builds[0];
        assert_eq!(tools.reason.as_deref(), Some("the build failed"));
        assert_eq!(tools.job, Some(job_name(&path("tools"))));
        assert_eq!(record.blocked_by(0), 2);
        assert_eq!(record.blocked_by(3), 0);
    }

    #[test]
    fn a_reason_is_one_line() {
        let message = "Cannot build '/nix/store/x.drv'.\nReason: builder failed with exit code 3.\nOutput paths:\n  /nix/store/y";
        assert_eq!(reason(message), "builder failed with exit code 3");
        assert_eq!(reason("\nits pod was evicted\n"), "its pod was evicted");
        assert_eq!(reason(""), "");
    }

    #[test]
    fn a_run_that_ended_has_nothing_under_way() {
        use BuildState::{Built, Running, Waiting};
        let mut record = record();
        let states = progress([Built, Running, Waiting, Waiting]);
        record.update(&states, |_| Attempted::default(), at(9));
        record.end();
        let states: Vec<RecordedState> = record.builds.iter().map(|it| it.state).collect();
        use RecordedState as R;
        assert_eq!(
            states,
            [R::Built, R::Waiting, R::Waiting, R::Waiting, R::Cached]
        );
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<RunRecord>(&text).unwrap(), record);
    }
}
