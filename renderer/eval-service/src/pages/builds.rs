//! From what is remembered of a run's builds to what its page shows; pure.

use std::time::SystemTime;

use niphas_pages::model::{BuildCounts, BuildNode, BuildState, Failure};

use crate::builds::{RecordedState, RunRecord};

/// More failures are not shown, so their logs need not be read.
const FAILURES: usize = 20;

pub(super) fn state(state: RecordedState) -> BuildState {
    match state {
        RecordedState::Waiting => BuildState::Waiting,
        RecordedState::Running => BuildState::Running,
        RecordedState::Built => BuildState::Built,
        RecordedState::Cached => BuildState::Cached,
        RecordedState::Failed => BuildState::Failed,
        RecordedState::Blocked => BuildState::DependencyFailed,
    }
}

/// The graph. A run that `is_over` builds nothing, whatever was written before its service was killed.
pub(super) fn nodes(record: &RunRecord, is_over: bool, now: SystemTime) -> Vec<BuildNode> {
    let nodes = record.builds.iter().map(|build| {
        let is_under_way = build.state == RecordedState::Running;
        let is_given_up = is_over && is_under_way;
        BuildNode {
            derivation: build.derivation.clone(),
            system: build.system.clone(),
            state: match build.state {
                _ if is_given_up => BuildState::Waiting,
                other => state(other),
            },
            took: build.took(now).filter(|_| !is_given_up),
            job: build.job.clone(),
            inputs: build.inputs.clone(),
            has_log: match build.state {
                RecordedState::Running => build.began.is_some(),
                RecordedState::Built | RecordedState::Failed => true,
                _ => false,
            },
        }
    });
    nodes.collect()
}

/// What failed by itself, without logs.
pub(super) fn failures(record: &RunRecord, hint: &str) -> Vec<Failure> {
    let builds = record.builds.iter().enumerate();
    let failed = builds.filter(|(_, build)| build.state == RecordedState::Failed);
    let failures = failed.take(FAILURES).map(|(place, build)| Failure {
        derivation: build.derivation.clone(),
        reason: build.reason.clone().unwrap_or_default(),
        log: Vec::new(),
        dependents: record.blocked_by(place),
        hint: Some(hint.to_owned()),
    });
    failures.collect()
}

pub(super) fn counts(nodes: &[BuildNode]) -> BuildCounts {
    let mut counts = BuildCounts::default();
    for node in nodes {
        *match node.state {
            BuildState::Failed | BuildState::DependencyFailed => &mut counts.failed,
            BuildState::Running => &mut counts.running,
            BuildState::Waiting => &mut counts.waiting,
            BuildState::Built => &mut counts.built,
            BuildState::Cached => &mut counts.cached,
        } += 1;
    }
    counts
}
