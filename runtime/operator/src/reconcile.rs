//! One reconciliation: looks, plans, applies, tells.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, Client, Resource, ResourceExt};
use niphas_api::{NiphasWorkload, NiphasWorkloadStatus, SUSPEND_ANNOTATION};
use serde_json::json;
use tracing::{debug, info, warn};

use crate::apply::{Applier, ApplyError, is_unknown, timeout};
use crate::child::{Child, ChildKey};
use crate::fetch::{Fetched, Fetcher};
use crate::metrics::Metrics;
use crate::observed::{Observed, WorkloadKey};
use crate::plan::{self, Applied, Plan, Step, fingerprint};
use crate::status::{Declared, Findings, State, Verdict, status, verdict};
use crate::watches::SeenWorkload;
use crate::{FIELD_MANAGER, events};

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What reconciliations share.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// Asks for the metadata of objects alone.
    pub(crate) metadata: Client,
    pub(crate) fetcher: Fetcher,
    pub(crate) observed: Arc<Observed>,
    /// Who this replica is.
    pub(crate) identity: String,
    pub(crate) metrics: Metrics,
    /// How often a workload is looked at when nothing happens.
    pub(crate) resync: Duration,
    pub(crate) memories: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a workload, by its UID. All of it can be lost: then some requests are made once more.
#[derive(Debug, Default, Clone)]
pub(crate) struct Memory {
    applied: HashMap<ChildKey, Applied>,
    known: Option<Known>,
    failures: u32,
    /// Its last verdict, for the metrics.
    pub(crate) state: Option<State>,
}

/// What is known of a version of a workload: enough to tell that nothing has to be done, and how it is.
#[derive(Debug, Clone)]
struct Known {
    version: Option<String>,
    declared: Declared,
    status: Option<NiphasWorkloadStatus>,
    /// Its children with their fingerprints, or why it has none.
    wanted: Result<Vec<(ChildKey, u64)>, String>,
}

impl Known {
    fn of(fetched: &Fetched) -> Self {
        Self {
            version: fetched.version.clone(),
            declared: fetched.declared.clone(),
            status: fetched.status.clone(),
            wanted: fetched.wanted(),
        }
    }

    /// Whether it is as new as what a watch told: what the operator wrote itself the watch tells later.
    fn is_of(&self, told: Option<&str>) -> bool {
        let number =
            |version: Option<&str>| version.and_then(|version| version.parse::<u64>().ok());
        let own = self.version.as_deref();
        own == told || number(told).is_some_and(|told| Some(told) <= number(own))
    }
}

/// A workload that has to be looked at again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// Children could not be applied.
    #[error("{0}")]
    Children(String),
    /// The workload could not be read.
    #[error("failed to read the workload")]
    Fetch(#[source] ApplyError),
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
        let children = self.observed.number_of_children();
        self.metrics.children(children);
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
    workload: Arc<SeenWorkload>,
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
    if let Ok(Some(false)) = &result {
        memory.failures = 0;
    }
    if let Ok(None) = &result {
        return Ok(Action::await_change());
    }
    context.memories().insert(uid.clone(), memory);
    context.tell_states();
    context
        .metrics
        .reconciled(started.elapsed(), result.is_ok());
    Ok(Action::requeue(if result? == Some(true) {
        // What the API server refuses it may take later: a quota grows, a kind is installed, another object goes.
        context.pause(&uid)
    } else {
        context.resync
    }))
}

/// What is done after a failure.
#[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
pub(crate) fn after_failure(
    workload: Arc<SeenWorkload>,
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

/// Gives whether something was refused; none if the workload is gone.
async fn reconcile_with(
    workload: &SeenWorkload,
    context: &Context,
    memory: &mut Memory,
) -> Result<Option<bool>, ReconcileError> {
    let key = WorkloadKey {
        namespace: workload.namespace().unwrap_or_default(),
        name: workload.name_any(),
    };
    let owner = workload.uid().unwrap_or_default();
    let told = workload.metadata.resource_version.as_deref();
    let fetch = async || {
        context
            .fetcher
            .fetch(&key.namespace, &key.name, &owner)
            .await
    };
    let mut fetched = None;
    let mut known = match memory.known.take() {
        Some(known) if known.is_of(told) => known,
        _ => {
            let Some(new) = fetch().await.map_err(ReconcileError::Fetch)? else {
                return Ok(None);
            };
            let known = Known::of(&new);
            fetched = Some(new);
            known
        }
    };
    let mut findings = Findings {
        is_suspended: is_suspended(workload),
        architectures: context.observed.architectures(),
        ..Findings::default()
    };
    if !findings.is_suspended {
        let is_done = known.wanted.as_ref().is_ok_and(|wanted| {
            let live = children_of(context, &key.namespace, &owner, wanted);
            plan::is_done(&owner, wanted, &live, &memory.applied)
        });
        // Children are made of the whole workload, which is not kept.
        if !is_done && fetched.is_none() {
            let Some(new) = fetch().await.map_err(ReconcileError::Fetch)? else {
                return Ok(None);
            };
            known = Known::of(&new);
            fetched = Some(new);
        }
        if let Err(problem) = &known.wanted {
            findings.invalid = Some(problem.clone());
        }
        if let (Some(fetched), Ok(wanted)) = (fetched, &known.wanted) {
            let live = children_of(context, &key.namespace, &owner, wanted);
            let (objects, _share) = fetched.into_objects();
            let plan = plan::plan(&owner, objects, &live, &memory.applied);
            let applier = Applier {
                client: &context.client,
                namespace: &key.namespace,
                owner: &owner,
            };
            carry_out(plan, &applier, context, &key, memory, &mut findings).await;
        }
    }
    findings.wanted_architectures = known.declared.architectures();
    let wanted = known.wanted.as_deref().unwrap_or_default();
    findings.rollout = children_of(context, &key.namespace, &owner, wanted)
        .into_iter()
        .filter(|child| child.is_controlled_by(&owner) && !child.is_deleting)
        // Of two Jobs the one that is declared.
        .filter(|child| wanted.is_empty() || wanted.iter().any(|(key, _)| *key == child.key))
        .find_map(|child| child.rollout);
    (findings.pending, findings.mount_failures) = context.observed.pending(&key);
    let verdict = verdict(&findings);
    memory.state = Some(verdict.state);
    tell(workload, context, &mut known, &findings, &verdict).await?;
    memory.known = Some(known);
    if let Some((child, problem)) = findings.failed.first() {
        return Err(ReconcileError::Children(format!("{child}: {problem}")));
    }
    Ok(Some(
        !findings.foreign.is_empty() || !findings.refused.is_empty(),
    ))
}

fn children_of(
    context: &Context,
    namespace: &str,
    owner: &str,
    wanted: &[(ChildKey, u64)],
) -> Vec<Child> {
    let keys = wanted.iter().map(|(key, _)| key);
    context.observed.children_of(namespace, owner, keys)
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
                    context
                        .observed
                        .child_removed(&workload.namespace, &key, &uid);
                }
                (key, result.map(|()| None))
            }
        };
        match result {
            Ok(done) => {
                context.metrics.child_changed(key.kind.name);
                let what = done.as_ref().map_or("removed", |(_, _, what)| *what);
                info!(namespace = workload.namespace, workload = workload.name, child = %key, "{what}");
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
    context.observed.child_seen(&workload.namespace, child);
}

/// Writes the status if it is another one, and says so in an event if the workload is in another state.
async fn tell(
    workload: &SeenWorkload,
    context: &Context,
    known: &mut Known,
    findings: &Findings,
    verdict: &Verdict,
) -> Result<(), ReconcileError> {
    let before = known.status.as_ref();
    let now = Time(Timestamp::now());
    let status = status(&known.declared, before, findings, verdict, &now);
    if before == Some(&status) {
        return Ok(());
    }
    let before = before.and_then(|status| reason(status).map(str::to_owned));
    let name = workload.name_any();
    let namespace = workload.namespace().unwrap_or_default();
    // What comes back is the metadata: the version that was written.
    let api: Api<SeenWorkload> = Api::namespaced(context.metadata.clone(), &namespace);
    let written = json!({
        "apiVersion": NiphasWorkload::api_version(&()),
        "kind": NiphasWorkload::kind(&()),
        "metadata": { "name": name, "uid": workload.metadata.uid },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&written);
    match timeout(api.patch_status(&name, &params, &patch)).await {
        Ok(written) => {
            // Between the two versions others may have changed the workload: the watch tells of that one.
            let generation = written.metadata.generation;
            if generation == known.declared.generation {
                known.version = written.metadata.resource_version;
            }
        }
        // Gone, or another one by now: there is nothing to write to.
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
    known.status = Some(status);
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
async fn announce(workload: &SeenWorkload, context: &Context, is_first: bool, verdict: &Verdict) {
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

fn is_suspended(workload: &SeenWorkload) -> bool {
    workload
        .annotations()
        .get(SUSPEND_ANNOTATION)
        .is_some_and(|value| value != "false")
}
