//! What pods deliver: which pod a token is bound to, and which builds are its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use niphas_build_jobs::job::JobIdentity;
use niphas_cache_service::ingest::{Bearer, BuildSpec, Builds, Denied};
use niphas_cache_service::protocol::{BuildName, Outcome};
use niphas_http::Secret;
use tracing::{info, warn};

use super::shop::{PodBegan, Shop};
use crate::cluster::{ClusterError, patiently};

/// The pods of builds.
#[derive(Clone)]
pub(super) struct Pods(pub(super) Arc<Shop>);

/// What Kubernetes says of the pod that a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

impl Builds for Pods {
    async fn bearer(&self, token: &Secret) -> Result<Bearer, Denied> {
        let user = self
            .user(token)
            .await
            .map_err(|error| unavailable(&error))?;
        let user = user.ok_or(Denied::Unknown)?;
        let (name, uid) = self.pod_of(&user).ok_or(Denied::Unknown)?;
        let identity = self
            .job_of(&name, &uid)
            .await
            .map_err(|error| unavailable(&error))?;
        let (identity, began) = identity.ok_or(Denied::Unknown)?;
        // kubelet may not have told yet that its container runs.
        let began = began.unwrap_or_else(SystemTime::now);
        let pod = uid.parse().map_err(|_| Denied::Unknown)?;
        self.0.note(&identity, &PodBegan { uid, began });
        let builds = identity.members.iter().chain([&identity.derivation]);
        Ok(Bearer {
            pod,
            builds: builds.map(BuildName::of).collect::<BTreeSet<_>>(),
        })
    }

    async fn spec(&self, name: &BuildName) -> Result<Option<Arc<BuildSpec>>, Denied> {
        match self.0.spec(name) {
            Ok(Some(spec)) => Ok(Some(spec)),
            // Its pod runs already: the service was started since, and its source has yet to be evaluated.
            Ok(None) => Err(Denied::Unavailable(
                "no run of this service has named the build yet".to_owned(),
            )),
            Err(error) => {
                warn!(build = %name, error = nix_formats::chain(&*error), "a build has no order");
                Ok(None)
            }
        }
    }

    async fn finished(&self, name: &BuildName, outcome: &Outcome) {
        let Some(path) = self.0.path_of(name) else {
            return;
        };
        match outcome {
            Outcome::Stored { .. } => {
                info!(derivation = %path, "a build was delivered");
                self.0.metrics.build("delivered");
                self.0.ended(&path, true);
                // If the executor has ended, the service has too.
                let _ = self.0.builds.built(path).await;
            }
            Outcome::Failed(failure) => {
                info!(derivation = %path, failure = failure.message, "a pod says that its build failed");
                self.0.metrics.build("failed");
                self.0.ended(&path, false);
            }
        }
    }
}

fn unavailable(error: &ClusterError) -> Denied {
    Denied::Unavailable(format!(
        "failed to ask whose a token is: {}",
        nix_formats::chain(&error)
    ))
}

impl Pods {
    /// Whose a token is, if it is one for this service.
    async fn user(&self, token: &Secret) -> Result<Option<UserInfo>, ClusterError> {
        let audience = &self.0.settings.jobs.audience;
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![audience.clone()]),
                token: Some(token.expose().to_owned()),
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.0.client.clone());
        let review = patiently(api.create(&PostParams::default(), &review)).await?;
        let status = review.status.unwrap_or_default();
        let audiences = status.audiences.unwrap_or_default();
        let is_good = status.authenticated == Some(true) && audiences.contains(audience);
        Ok(status.user.filter(|_| is_good))
    }

    /// The pod that a token of the builds' ServiceAccount is bound to: its name and its UID.
    fn pod_of(&self, user: &UserInfo) -> Option<(String, String)> {
        let jobs = &self.0.settings.jobs;
        let (namespace, account) = (&jobs.namespace, &jobs.service_account);
        let expected = format!("system:serviceaccount:{namespace}:{account}");
        if user.username.as_ref() != Some(&expected) {
            return None;
        }
        let extra = |name: &str| user.extra.as_ref()?.get(name)?.first().cloned();
        Some((extra(POD_NAME)?, extra(POD_UID)?))
    }

    /// What the Job of a pod builds, and when the pod began.
    async fn job_of(
        &self,
        name: &str,
        uid: &str,
    ) -> Result<Option<(JobIdentity, Option<SystemTime>)>, ClusterError> {
        let namespace = &self.0.settings.jobs.namespace;
        let pods: Api<Pod> = Api::namespaced(self.0.client.clone(), namespace);
        let Some(pod) = patiently(pods.get_opt(name)).await? else {
            return Ok(None);
        };
        if pod.metadata.uid.as_deref() != Some(uid) {
            return Ok(None);
        }
        let began = began(&pod);
        let owners = pod.metadata.owner_references.unwrap_or_default();
        let is_job =
            |kind: &str, controller: Option<bool>| kind == "Job" && controller == Some(true);
        let mut owners = owners.into_iter();
        let Some(owner) = owners.find(|owner| is_job(&owner.kind, owner.controller)) else {
            return Ok(None);
        };
        let jobs: Api<Job> = Api::namespaced(self.0.client.clone(), namespace);
        let job = patiently(jobs.get_opt(&owner.name)).await?;
        let job = job.filter(|job| job.metadata.uid.as_ref() == Some(&owner.uid));
        let identity = job.and_then(|job| JobIdentity::of(&job).ok());
        Ok(identity.map(|identity| (identity, began)))
    }
}

/// When the only container of a pod began.
fn began(pod: &Pod) -> Option<SystemTime> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let state = statuses.first()?.state.as_ref()?;
    let running = state.running.as_ref().map(|it| it.started_at.as_ref());
    let ended = || state.terminated.as_ref().map(|it| it.started_at.as_ref());
    let time = running.or_else(ended)?;
    time.map(|time| time.0.into())
}
