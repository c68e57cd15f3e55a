//! Which replica leads: the one that holds a Lease, and renews it.
//!
//! The same rules as client-go's: clocks of replicas are never compared. A lease is free when it was not renewed for as long as it
//! says, counted from when this replica saw it change. Who cannot renew it gives up before it is free for others.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// For how long a lease holds.
const DURATION: Duration = Duration::from_secs(15);
/// When to give up a lease that cannot be renewed.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often to try.
const PERIOD: Duration = Duration::from_secs(2);

/// A Lease, as one of its candidates sees it.
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// The lease as it was read last, and when it was first seen so.
    seen: Option<(Lease, Instant)>,
}

impl Election {
    /// Of replicas that compete for the Lease of this name; `identity` is this one.
    pub fn new(client: Client, namespace: &str, name: String, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name,
            identity,
            seen: None,
        }
    }

    /// Waits until the lease is held. Gives whether it is: not if `stop` came first.
    pub async fn win(&mut self, stop: &CancellationToken) -> bool {
        let mut told = String::new();
        loop {
            match self.attempt().await {
                Ok(true) => return true,
                Ok(false) => {
                    let holder = self.holder().unwrap_or_default().to_owned();
                    if holder != told {
                        info!(lease = self.name, holder, "another replica leads");
                        told = holder;
                    }
                }
                Err(error) => warn!(
                    lease = self.name,
                    error = nix_formats::chain(&error),
                    "cannot get the lease"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = stop.cancelled() => return false,
            }
        }
    }

    /// Renews the lease until it is lost, or `stop`. Gives whether it was lost.
    pub async fn keep(&mut self, stop: &CancellationToken) -> bool {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = stop.cancelled() => return false,
            }
            let left = DEADLINE.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) | Err(_) => return true,
                Ok(Err(error)) => warn!(
                    lease = self.name,
                    error = nix_formats::chain(&error),
                    "cannot renew the lease"
                ),
            }
            if renewed.elapsed() >= DEADLINE {
                return true;
            }
        }
    }

    /// Lets another replica have the lease at once.
    pub async fn release(&mut self) {
        let Some((lease, _)) = self.seen.take() else {
            return;
        };
        let mut free = lease;
        let spec = free.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return;
        }
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        let params = PostParams::default();
        let replace = self.api.replace(&self.name, &params, &free);
        match tokio::time::timeout(PERIOD, replace).await {
            Ok(Ok(_)) => info!(lease = self.name, "released"),
            Ok(Err(error)) => warn!(
                error = nix_formats::chain(&error),
                "cannot release the lease"
            ),
            Err(_) => warn!("cannot release the lease: no answer"),
        }
    }

    fn holder(&self) -> Option<&str> {
        let (lease, _) = self.seen.as_ref()?;
        lease.spec.as_ref()?.holder_identity.as_deref()
    }

    /// Tries to get or to renew the lease. Gives whether it is held.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        // What is held is renewed without asking; a change in between makes that a conflict.
        if self.holder() != Some(&self.identity) {
            let lease = self.api.get_opt(&self.name).await?;
            self.saw(lease);
        }
        let now = Timestamp::now();
        let wanted = match &self.seen {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(held(LeaseSpec::default(), &self.identity, now)),
                };
                return match self.api.create(&PostParams::default(), &lease).await {
                    Ok(lease) => {
                        self.saw(Some(lease));
                        Ok(true)
                    }
                    Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
                    Err(error) => Err(error),
                };
            }
            Some((lease, since)) if is_free(lease, *since, &self.identity) => Lease {
                spec: Some(held(
                    lease.spec.clone().unwrap_or_default(),
                    &self.identity,
                    now,
                )),
                ..lease.clone()
            },
            Some(_) => return Ok(false),
        };
        let params = PostParams::default();
        match self.api.replace(&self.name, &params, &wanted).await {
            Ok(lease) => {
                self.saw(Some(lease));
                Ok(true)
            }
            // Another candidate was faster, or it was deleted: look again.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                let lease = self.api.get_opt(&self.name).await?;
                let is_held = lease.as_ref().is_some_and(|lease| {
                    let spec = lease.spec.as_ref();
                    spec.and_then(|spec| spec.holder_identity.as_deref()) == Some(&self.identity)
                });
                self.saw(lease);
                Ok(is_held)
            }
            Err(error) => Err(error),
        }
    }

    fn saw(&mut self, lease: Option<Lease>) {
        let is_same = match (&self.seen, &lease) {
            (Some((known, _)), Some(lease)) => known.spec == lease.spec,
            _ => false,
        };
        if let (true, Some((known, _)), Some(lease)) = (is_same, &mut self.seen, &lease) {
            known.metadata.clone_from(&lease.metadata);
        } else {
            self.seen = lease.map(|lease| (lease, Instant::now()));
        }
    }
}

/// Whether the lease can be taken: it is ours, has no holder, or was not renewed in time since it was seen so.
fn is_free(lease: &Lease, since: Instant, identity: &str) -> bool {
    let Some(spec) = &lease.spec else { return true };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    holder.is_empty()
        || holder == identity
        || since.elapsed() >= Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

fn held(before: LeaseSpec, identity: &str, now: Timestamp) -> LeaseSpec {
    let is_ours = before.holder_identity.as_deref() == Some(identity);
    let transitions = before.lease_transitions.unwrap_or_default();
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(DURATION.as_secs() as i32),
        acquire_time: before
            .acquire_time
            .filter(|_| is_ours)
            .or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions + i32::from(!is_ours)),
        ..before
    }
}
