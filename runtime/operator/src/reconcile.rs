//! One reconciliation: looks, plans, applies, tells.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, Client, Resource, ResourceExt};
use niphas_api::{NiphasWorkload, NiphasWorkloadStatus};
use serde_json::json;
use tracing::{debug, info, warn};

use crate::apply::{Applier, ApplyError, is_unknown, timeout};
use crate::child::{Child, ChildKey};
use crate::metrics::Metrics;
use crate::observed::{Observed, WorkloadKey};
use crate::plan::{self, Applied, Plan, Step, fingerprint};
use crate::status::{Findings, State, Verdict, status, verdict};
use crate::{FIELD_MANAGER, SUSPEND_ANNOTATION, events};

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What reconciliations share.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) observed: Arc<Observed>,
    /// Who this replica is.
    pub(crate) identity: String,
    pub(crate) metrics: Metrics,
    /// The image that pods name.
    pub(crate) base_image: String,
    /// How often a workload is looked at when nothing happens.
    pub(crate) resync: Duration,
    pub(crate) memories: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a workload, by its UID. All of it can be lost: then some requests are made once more.
#[derive(Debug, Default, Clone)]
pub(crate) struct Memory {
    applied: HashMap<ChildKey, Applied>,
    /// The status that was written last, and the version of the workload that it was made from.
    written: Option<(Option<String>, NiphasWorkloadStatus)>,
    failures: u32,
    /// Its last verdict, for the metrics.
    pub(crate) state: Option<State>,
}

/// A workload that has to be looked at again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// Children could not be applied.
    #[error("{0}")]
    Children(String),
    /// The status could not be written.
    #[error("the status could not be written")]
    Status(#[source] ApplyError),
}

impl Context {
    fn memories(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A workload is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.memories().remove(uid);
        self.tell_states();
    }

    fn tell_states(&self) {
        let memories = self.memories();
        let states = memories.values().filter_map(|memory| memory.state);
        self.metrics.workloads(states);
    }

    /// How long to wait after a failure, the longer the more there were.
    fn pause(&self, uid: &str) -> Duration {
        let mut memories = self.memories();
        let memory = memories.entry(uid.to_owned()).or_default();
        let doubled = FIRST_PAUSE.saturating_mul(1 << memory.failures.min(16));
        memory.failures += 1;
        // Workloads that failed together are not to come back together.
        let jitter = crate::child::number(uid) % 256;
        doubled
            .min(LONGEST_PAUSE)
            .mul_f64(1.0 + jitter as f64 / 1024.0)
    }
}

/// Brings a workload's children to what it declares, and its status to how it is.
pub(crate) async fn reconcile(
    workload: Arc<NiphasWorkload>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    // Its children are being collected; to make them again would be in the way.
    if workload.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    let uid = workload.uid().unwrap_or_default();
    let mut memory = context.memories().get(&uid).cloned().unwrap_or_default();
    let result = reconcile_with(&workload, &context, &mut memory).await;
    if let Ok((_, false)) = &result {
        memory.failures = 0;
    }
    context.memories().insert(uid.clone(), memory);
    context.tell_states();
    context
        .metrics
        .reconciled(started.elapsed(), result.is_ok());
    let (_, is_refused) = result?;
    Ok(Action::requeue(if is_refused {
        // What the API server refuses it may take later: a quota grows, a kind is installed, another object goes.
        context.pause(&uid)
    } else {
        context.resync
    }))
}

/// What is done after a failure.
#[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
pub(crate) fn after_failure(
    workload: Arc<NiphasWorkload>,
    error: &ReconcileError,
    context: Arc<Context>,
) -> Action {
    let pause = context.pause(&workload.uid().unwrap_or_default());
    warn!(
        namespace = workload.namespace(),
        workload = workload.name_any(),
        error = nix_formats::chain(error),
        pause_seconds = pause.as_secs(),
        "a workload is tried again"
    );
    Action::requeue(pause)
}

/// Gives the verdict, and whether something was refused.
async fn reconcile_with(
    workload: &NiphasWorkload,
    context: &Context,
    memory: &mut Memory,
) -> Result<(Verdict, bool), ReconcileError> {
    let key = (
        workload.namespace().unwrap_or_default(),
        workload.name_any(),
    );
    let mut findings = Findings {
        is_suspended: is_suspended(workload),
        architectures: context.observed.architectures(),
        wanted_architectures: architectures(workload),
        ..Findings::default()
    };
    let owner = workload.uid().unwrap_or_default();
    let mut wanted_keys = Vec::new();
    if !findings.is_suspended {
        match niphas_api::children(workload, &context.base_image) {
            Err(error) => findings.invalid = Some(nix_formats::chain(&error)),
            Ok(wanted) => {
                wanted_keys.extend(wanted.iter().filter_map(plan::key));
                let live = context.observed.children_of(&key);
                let plan = plan::plan(&owner, wanted, &live, &memory.applied);
                let applier = Applier {
                    client: &context.client,
                    namespace: &key.0,
                    owner: &owner,
                };
                carry_out(plan, &applier, context, &key, memory, &mut findings).await;
            }
        }
    }
    let live = context.observed.children_of(&key);
    findings.rollout = live
        .iter()
        .filter(|child| child.is_controlled_by(&owner) && !child.is_deleting)
        // Of two Jobs the one that is declared.
        .filter(|child| wanted_keys.is_empty() || wanted_keys.contains(&child.key))
        .find_map(|child| child.rollout.clone());
    (findings.pending, findings.mount_failures) = context.observed.pending(&key);
    let verdict = verdict(&findings);
    memory.state = Some(verdict.state);
    tell(workload, context, memory, &findings, &verdict).await?;
    if let Some((child, problem)) = findings.failed.first() {
        return Err(ReconcileError::Children(format!("{child}: {problem}")));
    }
    let is_refused = !findings.foreign.is_empty() || !findings.refused.is_empty();
    Ok((verdict, is_refused))
}

/// Does what is planned, and notes what came of it.
async fn carry_out(
    plan: Plan,
    applier: &Applier<'_>,
    context: &Context,
    workload: &WorkloadKey,
    memory: &mut Memory,
    findings: &mut Findings,
) {
    findings.foreign = plan.foreign;
    findings.leaving = plan.leaving;
    for step in plan.steps {
        let (key, result) = match step {
            Step::Create { key, object } => {
                let result = applier.create(&key, &object).await;
                let wanted = fingerprint(&object);
                (key, result.map(|child| Some((wanted, child, "made"))))
            }
            Step::Apply {
                key,
                uid,
                object,
                keep_replicas,
            } => {
                let result = applier.apply(&key, &uid, &object, keep_replicas).await;
                let wanted = fingerprint(&object);
                (key, result.map(|child| Some((wanted, child, "applied"))))
            }
            Step::Delete { key, uid } => {
                // With something unapplied, what was there before may be needed still.
                if !findings.failed.is_empty() || !findings.refused.is_empty() {
                    continue;
                }
                let result = applier.delete(&key, &uid).await;
                if result.is_ok() {
                    context.observed.child_gone(workload, &key, &uid);
                }
                (key, result.map(|()| None))
            }
        };
        match result {
            Ok(done) => {
                context.metrics.child_changed(key.kind.name);
                let what = done.as_ref().map_or("removed", |(_, _, what)| *what);
                info!(namespace = workload.0, workload = workload.1, child = %key, "{what}");
                match done {
                    Some((wanted, child, _)) => remember(context, workload, memory, wanted, child),
                    None => {
                        memory.applied.remove(&key);
                    }
                }
            }
            Err(ApplyError::Foreign) => findings.foreign.push(key),
            Err(error @ (ApplyError::Refused(_) | ApplyError::UnknownKind(_))) => {
                findings.refused.push((key, error.to_string()));
            }
            Err(error) => findings.failed.push((key, nix_formats::chain(&error))),
        }
    }
}

fn remember(
    context: &Context,
    workload: &WorkloadKey,
    memory: &mut Memory,
    wanted: u64,
    child: Child,
) {
    let applied = Applied {
        wanted,
        uid: child.uid.clone(),
        own_fields: child.own_fields,
    };
    memory.applied.insert(child.key.clone(), applied);
    // The watch tells it too, but later.
    context.observed.child_seen(workload.clone(), child);
}

/// Writes the status if it is another one, and says so in an event if the workload is in another state.
async fn tell(
    workload: &NiphasWorkload,
    context: &Context,
    memory: &mut Memory,
    findings: &Findings,
    verdict: &Verdict,
) -> Result<(), ReconcileError> {
    let version = &workload.metadata.resource_version;
    // As long as the watch has not told of the last write, what it wrote is what is known.
    let known = match &memory.written {
        Some((made_from, status)) if made_from == version => Some(status),
        _ => workload.status.as_ref(),
    };
    let status = status(workload, known, findings, verdict, &Time(Timestamp::now()));
    if known == Some(&status) {
        return Ok(());
    }
    let before = known.and_then(|status| reason(status).map(str::to_owned));
    let name = workload.name_any();
    let namespace = workload.namespace().unwrap_or_default();
    let api: Api<NiphasWorkload> = Api::namespaced(context.client.clone(), &namespace);
    let written = json!({
        "apiVersion": NiphasWorkload::api_version(&()),
        "kind": NiphasWorkload::kind(&()),
        "metadata": { "name": name, "uid": workload.metadata.uid },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&written);
    match timeout(api.patch_status(&name, &params, &patch)).await {
        Ok(_) => {}
        // Gone, or another one by now: there is nobody to tell.
        Err(ApplyError::Changed) => return Ok(()),
        Err(ApplyError::Refused(status)) if is_unknown(&status) => return Ok(()),
        Err(error) => return Err(ReconcileError::Status(error)),
    }
    debug!(
        namespace,
        workload = name,
        reason = verdict.reason,
        "status written"
    );
    memory.written = Some((version.clone(), status));
    if before.as_deref() != Some(verdict.reason) {
        announce(workload, context, before.is_none(), verdict).await;
    }
    Ok(())
}

fn reason(status: &NiphasWorkloadStatus) -> Option<&str> {
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")?;
    Some(&ready.reason)
}

/// An event for those who look at the workload: `kubectl describe`.
async fn announce(workload: &NiphasWorkload, context: &Context, is_first: bool, verdict: &Verdict) {
    // That a new workload is on its way is no news.
    if is_first && verdict.state == State::Reconciling {
        return;
    }
    info!(
        namespace = workload.namespace(),
        workload = workload.name_any(),
        reason = verdict.reason,
        message = verdict.message,
        "the workload is in another state"
    );
    // An event is a courtesy: the status says the same.
    let sent = events::send(&context.client, &context.identity, workload, verdict).await;
    if let Err(error) = sent {
        context.metrics.event_dropped();
        warn!(
            error = nix_formats::chain(&error),
            "an event could not be sent"
        );
    }
}

fn is_suspended(workload: &NiphasWorkload) -> bool {
    workload
        .annotations()
        .get(SUSPEND_ANNOTATION)
        .is_some_and(|value| value != "false")
}

fn architectures(workload: &NiphasWorkload) -> BTreeSet<String> {
    let closures = workload.spec.closures.iter();
    closures
        .filter_map(|closure| niphas_api::architecture(&closure.system))
        .map(str::to_owned)
        .collect()
}
