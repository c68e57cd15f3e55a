//! A workload's status: a pure function of what was found and done.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use niphas_api::{NiphasWorkloadStatus, RunningClosure, WORKLOAD_LABEL, WorkloadKind};

use crate::child::ChildKey;
use crate::pods::{MountFailure, PendingPod};
use crate::rollout::{Rollout, Stage};

/// Kubernetes takes no longer messages in conditions; the reader takes far less.
const MAX_MESSAGE: usize = 1024;

/// What the status tells of what is declared.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    /// The workload's name.
    pub(crate) name: String,
    pub(crate) generation: Option<i64>,
    pub(crate) kind: WorkloadKind,
    pub(crate) closures: Vec<RunningClosure>,
}

impl Declared {
    /// The architectures that there are closures for.
    pub(crate) fn architectures(&self) -> BTreeSet<String> {
        let closures = self.closures.iter();
        closures
            .filter_map(|closure| niphas_api::architecture(&closure.system))
            .map(str::to_owned)
            .collect()
    }
}

/// What a reconciliation found and did.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Reconciling is suspended.
    pub(crate) is_suspended: bool,
    /// Why the workload has no children.
    pub(crate) invalid: Option<String>,
    /// Children that are there and belong to another owner.
    pub(crate) foreign: Vec<ChildKey>,
    /// Children that the API server did not take, and why.
    pub(crate) refused: Vec<(ChildKey, String)>,
    /// Children that could not be applied this time, and why.
    pub(crate) failed: Vec<(ChildKey, String)>,
    /// Children whose predecessors are not gone yet.
    pub(crate) leaving: Vec<ChildKey>,
    /// How far the pods are; none if there is no object yet that makes them.
    pub(crate) rollout: Option<Rollout>,
    /// Pods that have not started.
    pub(crate) pending: Vec<PendingPod>,
    /// What could not be mounted into them.
    pub(crate) mount_failures: Vec<MountFailure>,
    /// The architectures that nodes have; empty if there is no node.
    pub(crate) architectures: BTreeSet<String>,
    /// The architectures that the workload has closures for.
    pub(crate) wanted_architectures: BTreeSet<String>,
}

/// How a workload is, in one word of kstatus, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) state: State,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Reconciling,
    Stalled,
    Suspended,
}

impl Verdict {
    fn stalled(reason: &'static str, message: String) -> Self {
        Self {
            state: State::Stalled,
            reason,
            message,
        }
    }

    fn reconciling(reason: &'static str, message: String) -> Self {
        Self {
            state: State::Reconciling,
            reason,
            message,
        }
    }
}

/// How a workload is. Of several reasons the one that the others follow from.
pub(crate) fn verdict(findings: &Findings) -> Verdict {
    if findings.is_suspended {
        return Verdict {
            state: State::Suspended,
            reason: "Suspended",
            message: format!(
                "the annotation {} is set: the children are left as they are",
                niphas_api::SUSPEND_ANNOTATION
            ),
        };
    }
    if let Some(problem) = &findings.invalid {
        return Verdict::stalled("InvalidWorkload", problem.clone());
    }
    if let Some(child) = findings.foreign.first() {
        let others = and_others(findings.foreign.len());
        return Verdict::stalled(
            "ChildConflict",
            format!(
                "{child}{others} is there already and does not belong to this workload, so it is left alone: \
                 delete it, or give the workload another name"
            ),
        );
    }
    if let Some((child, problem)) = findings.refused.first() {
        let others = and_others(findings.refused.len());
        return Verdict::stalled(
            "ChildRefused",
            format!("{child}{others} is refused: {problem}"),
        );
    }
    if let Some((child, problem)) = findings.failed.first() {
        let others = and_others(findings.failed.len());
        return Verdict::reconciling(
            "ApplyFailed",
            format!("{child}{others} could not be applied, and is tried again: {problem}"),
        );
    }
    if let Some(child) = findings.leaving.first() {
        return Verdict::reconciling(
            "WaitingForRemoval",
            format!("{child} of before is not gone yet"),
        );
    }
    if let Some(failure) = mount_failures(findings).find(|failure| failure.is_final) {
        return Verdict::stalled("MountRefused", on_node(failure));
    }
    if let Some(message) = no_node(findings) {
        return Verdict::stalled("NoNode", message);
    }
    let Some(rollout) = &findings.rollout else {
        return Verdict::reconciling("Applying", "the children are being made".to_owned());
    };
    of_rollout(&rollout.stage, findings)
}

/// How a workload is whose children are all as declared: as far as their pods are.
fn of_rollout(stage: &Stage, findings: &Findings) -> Verdict {
    match stage {
        Stage::Failed { reason, message } => Verdict::stalled(reason, message.clone()),
        Stage::Complete(message) => Verdict {
            state: State::Ready,
            reason: "Ready",
            message: message.clone(),
        },
        Stage::Progressing(message) => {
            if let Some(failure) = mount_failures(findings).next() {
                Verdict::reconciling("Mounting", on_node(failure))
            } else if let Some(why) = first(findings, |pod| pod.unschedulable.as_ref()) {
                Verdict::reconciling("Unschedulable", format!("{message}; {why}"))
            } else if let Some(why) = first(findings, |pod| pod.waiting.as_ref()) {
                Verdict::reconciling("ContainerWaiting", format!("{message}; {why}"))
            } else {
                Verdict::reconciling("RollingOut", message.clone())
            }
        }
    }
}

/// The status of a workload.
pub(crate) fn status(
    declared: &Declared,
    known: Option<&NiphasWorkloadStatus>,
    findings: &Findings,
    verdict: &Verdict,
    now: &Time,
) -> NiphasWorkloadStatus {
    let generation = declared.generation;
    let empty = NiphasWorkloadStatus::default();
    let known = known.unwrap_or(&empty);
    let condition = |name: &str, (status, reason, message): (&str, &str, String)| {
        let before = known
            .conditions
            .iter()
            .find(|condition| condition.type_ == name && condition.status == status);
        Condition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: shorten(message),
            observed_generation: generation,
            last_transition_time: before.map_or_else(
                || now.clone(),
                |condition| condition.last_transition_time.clone(),
            ),
        }
    };
    let is = |state: State| {
        if verdict.state == state {
            "True"
        } else {
            "False"
        }
    };
    let all = |status| (status, verdict.reason, verdict.message.clone());
    let ready = match verdict.state {
        State::Suspended => "Unknown",
        _ => is(State::Ready),
    };
    let selects = matches!(
        declared.kind,
        WorkloadKind::Deployment | WorkloadKind::StatefulSet
    );
    let (closures, previous_closures) = closures(declared, known, findings, verdict);
    NiphasWorkloadStatus {
        observed_generation: generation,
        replicas: findings.rollout.as_ref().map(|rollout| rollout.replicas),
        ready_replicas: findings.rollout.as_ref().map(|rollout| rollout.ready),
        selector: selects.then(|| format!("{WORKLOAD_LABEL}={}", declared.name)),
        closures,
        previous_closures,
        conditions: vec![
            condition("Ready", all(ready)),
            condition("Reconciling", all(is(State::Reconciling))),
            condition("Stalled", all(is(State::Stalled))),
            condition("ClosureDeclared", are_declared(findings)),
            condition("RolloutComplete", rolled_out(findings)),
            condition("Mounted", mounted(findings)),
        ],
    }
}

/// The closures that run, and those before: they move on when a rollout is complete.
fn closures(
    declared: &Declared,
    known: &NiphasWorkloadStatus,
    findings: &Findings,
    verdict: &Verdict,
) -> (Vec<RunningClosure>, Vec<RunningClosure>) {
    let is_complete = findings
        .rollout
        .as_ref()
        .is_some_and(|rollout| matches!(rollout.stage, Stage::Complete(_)));
    if verdict.state != State::Ready || !is_complete || declared.closures == known.closures {
        (known.closures.clone(), known.previous_closures.clone())
    } else {
        (declared.closures.clone(), known.closures.clone())
    }
}

fn are_declared(findings: &Findings) -> (&'static str, &'static str, String) {
    let makes_pods = |key: &&ChildKey| key.kind.makes_pods;
    let missing = findings
        .foreign
        .iter()
        .chain(findings.refused.iter().map(|(key, _)| key))
        .chain(findings.failed.iter().map(|(key, _)| key))
        .chain(&findings.leaving)
        .find(makes_pods);
    if let Some(problem) = &findings.invalid {
        ("False", "InvalidWorkload", problem.clone())
    } else if let Some(child) = missing {
        ("False", "NotApplied", format!("{child} is not applied"))
    } else if findings.rollout.is_none() {
        (
            "Unknown",
            "Applying",
            "what makes the pods is not there yet".to_owned(),
        )
    } else {
        (
            "True",
            "Declared",
            "the pods name the declared closures".to_owned(),
        )
    }
}

fn rolled_out(findings: &Findings) -> (&'static str, &'static str, String) {
    match findings.rollout.as_ref().map(|rollout| &rollout.stage) {
        None => (
            "Unknown",
            "Applying",
            "what makes the pods is not there yet".to_owned(),
        ),
        Some(Stage::Complete(message)) => ("True", "Complete", message.clone()),
        Some(Stage::Progressing(message)) => ("False", "RollingOut", message.clone()),
        Some(Stage::Failed { reason, message }) => ("False", reason, message.clone()),
    }
}

fn mounted(findings: &Findings) -> (&'static str, &'static str, String) {
    let mut failures: Vec<&MountFailure> = mount_failures(findings).collect();
    failures.sort_by_key(|failure| !failure.is_final);
    match failures.first() {
        Some(failure) if failure.is_final => ("False", "MountRefused", on_node(failure)),
        Some(failure) => ("False", "Mounting", on_node(failure)),
        None if findings.rollout.as_ref().is_some_and(|r| r.ready > 0) => {
            ("True", "Mounted", "no pod waits for its closure".to_owned())
        }
        None => ("Unknown", "NoPod", "no pod has started yet".to_owned()),
    }
}

/// What keeps pods from starting. Where a container waits for something else, all is mounted.
fn mount_failures(findings: &Findings) -> impl Iterator<Item = &MountFailure> {
    findings.mount_failures.iter().filter(|failure| {
        findings
            .pending
            .iter()
            .any(|pod| pod.key == failure.pod && pod.waiting.is_none())
    })
}

fn on_node(failure: &MountFailure) -> String {
    format!("on {}: {}", failure.node, failure.message)
}

/// Says so if no node can run any of the closures.
fn no_node(findings: &Findings) -> Option<String> {
    let rollout = findings.rollout.as_ref()?;
    let can_run = !findings
        .architectures
        .is_disjoint(&findings.wanted_architectures);
    // A cluster without nodes may be one that makes them as they are needed.
    if can_run || findings.architectures.is_empty() || !rollout.wants_pods {
        return None;
    }
    let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
    Some(format!(
        "no node can run the closures: they are for {}, and the nodes are {}",
        list(&findings.wanted_architectures),
        list(&findings.architectures)
    ))
}

fn first(findings: &Findings, what: impl Fn(&PendingPod) -> Option<&String>) -> Option<&String> {
    // The same of several pods, whatever order they are in.
    findings.pending.iter().filter_map(what).min()
}

fn and_others(number: usize) -> String {
    match number {
        0 | 1 => String::new(),
        2 => " and another".to_owned(),
        more => format!(" and {} others", more - 1),
    }
}

pub(crate) fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE - 3));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests;
