//! The requests that make, remember and remove Jobs.
//!
//! Creating a Job is taking the lock of its derivation. If the name is taken, the service attaches to the Job that is there. So two services, and
//! one that was killed between any two requests, never build the same at the same time.

mod control;
mod memory;
mod observed;
mod run;
mod site;
mod workshop;

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Api, Client};
use nix_formats::StorePath;
use thiserror::Error;

use crate::failure::Failure;
use crate::job::{FIELD_MANAGER, ForeignJob, JobIdentity, job_name};
use crate::policy::Policy;

pub use control::{BuildProgress, Builds, Command, Ended, NewRun};
pub use memory::{Memory, memory};
pub use observed::{Changes, JobView, Observed};
pub use run::run;
pub use workshop::{Prepare, Workshop, WorkshopError};

/// No request that is made here takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a request did not do what it should.
#[derive(Debug, Error)]
pub enum ExecutorError {
    /// The name is taken by something else.
    #[error(
        "the Job {name} is not one of niphas' builds: {source}; remove it, or keep others out of the namespace"
    )]
    Foreign {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: ForeignJob,
    },
    /// The server does not take the Job, however often it is asked.
    #[error("the API server refuses the Job: {}", .0.message)]
    Refused(Box<Status>),
    /// Nothing came back.
    #[error("the API server did not answer in {} s", PATIENCE.as_secs())]
    Timeout,
    /// Another time it may go well.
    #[error("failed to ask the API server")]
    Client(#[source] kube::Error),
    /// Whether the outputs are there by now is not known.
    #[error("failed to look into the cache")]
    Cache(#[source] WorkshopError),
}

impl From<kube::Error> for ExecutorError {
    fn from(error: kube::Error) -> Self {
        match error {
            // 422 invalid, 403 forbidden (quota, admission, RBAC), 404 no such namespace, 400, 405, 413, 415.
            kube::Error::Api(status)
                if (400..500).contains(&status.code)
                    && !matches!(status.code, 401 | 408 | 409 | 429) =>
            {
                Self::Refused(status)
            }
            error => Self::Client(error),
        }
    }
}

/// What came of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// The Job was made.
    Created,
    /// There is one already, which goes on.
    Attached(JobIdentity),
    /// All outputs are in the cache by now.
    Built,
    /// It failed before, and that lasts.
    Failed(Failure),
    /// What was there of that name is being removed: the next try comes when it is gone.
    Ending,
}

/// Makes and removes Jobs in one namespace.
#[derive(Clone)]
pub struct Executor {
    jobs: Api<Job>,
    pods: Api<Pod>,
}

impl Executor {
    /// For the namespace of builds.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            jobs: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client, namespace),
        }
    }

    /// Takes the lock of a derivation and has it built, unless the cache has it by then. `is_built` looks into the cache when it is polled: after the
    /// lock was taken, since before that another one may just have built it.
    pub async fn start(
        &self,
        derivation: &StorePath,
        job: &Job,
        is_built: impl Future<Output = Result<bool, WorkshopError>> + Send,
    ) -> Result<Started, ExecutorError> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match timeout(self.jobs.create(&params, job)).await {
            Ok(made) => {
                if is_built.await.map_err(ExecutorError::Cache)? {
                    self.delete(&made).await?;
                    return Ok(Started::Built);
                }
                Ok(Started::Created)
            }
            Err(ExecutorError::Client(kube::Error::Api(status))) if is_taken(&status) => {
                self.attach(derivation, is_built).await
            }
            Err(error) => Err(error),
        }
    }

    async fn attach(
        &self,
        derivation: &StorePath,
        is_built: impl Future<Output = Result<bool, WorkshopError>> + Send,
    ) -> Result<Started, ExecutorError> {
        let name = job_name(derivation);
        let Some(there) = timeout(self.jobs.get_opt(&name)).await? else {
            return Ok(Started::Ending);
        };
        let foreign = |source| ExecutorError::Foreign {
            name: name.clone(),
            source,
        };
        let identity = JobIdentity::of(&there).map_err(foreign)?;
        if identity.derivation != *derivation {
            return Err(foreign(ForeignJob::Derivation(identity.derivation)));
        }
        if there.metadata.deletion_timestamp.is_some() {
            return Ok(Started::Ending);
        }
        if !is_finished(&there) {
            return Ok(Started::Attached(identity));
        }
        match memory(&there) {
            Memory::Failed(failure) if failure.is_lasting() => return Ok(Started::Failed(failure)),
            // It has not been looked at yet: the watch does that.
            Memory::Nothing if !is_complete(&there) => return Ok(Started::Attached(identity)),
            Memory::Failed(_) | Memory::Nothing | Memory::Retried => {}
        }
        if is_built.await.map_err(ExecutorError::Cache)? {
            return Ok(Started::Built);
        }
        // It is done, and the cache has lost what it made; or its failure counts no longer.
        self.delete(&there).await?;
        Ok(Started::Ending)
    }

    /// Removes a Job with its pods. Its name is free when they have ended.
    pub async fn delete(&self, job: &Job) -> Result<(), ExecutorError> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let only = Preconditions {
            uid: job.metadata.uid.clone(),
            ..Preconditions::default()
        };
        let params = DeleteParams::foreground().preconditions(only);
        gone(timeout(self.jobs.delete(name, &params)).await)
    }

    /// Removes a pod whose node does not answer, so that another takes its place. Its token is worth nothing from then on.
    pub async fn delete_lost_pod(&self, name: &str, uid: &str) -> Result<(), ExecutorError> {
        let only = Preconditions {
            uid: Some(uid.to_owned()),
            ..Preconditions::default()
        };
        let params = DeleteParams::default().grace_period(0).preconditions(only);
        gone(timeout(self.pods.delete(name, &params)).await)
    }

    /// Writes a failure to its Job, and lets that live as long as failures are remembered.
    pub async fn remember(
        &self,
        job: &Job,
        failure: &Failure,
        policy: &Policy,
    ) -> Result<(), ExecutorError> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let patch = Patch::Merge(memory::patch(job, failure, policy));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        gone(timeout(self.jobs.patch(name, &params, &patch)).await)
    }
}

/// Whether a Job has ended.
pub(crate) fn is_finished(job: &Job) -> bool {
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    { conditions }
        .any(|it| matches!(it.type_.as_str(), "Complete" | "Failed") && it.status == "True")
}

fn is_complete(job: &Job) -> bool {
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    { conditions }.any(|it| it.type_ == "Complete" && it.status == "True")
}

fn is_taken(status: &Status) -> bool {
    status.code == 409 && status.reason == "AlreadyExists"
}

/// What is not there any more, or another one by now, needs nothing done to it.
fn gone<T>(answer: Result<T, ExecutorError>) -> Result<(), ExecutorError> {
    match answer {
        Err(ExecutorError::Refused(status)) if status.code == 404 => Ok(()),
        Err(ExecutorError::Client(kube::Error::Api(status))) if status.code == 409 => Ok(()),
        answer => answer.map(|_| ()),
    }
}

/// Waits for an answer, though not for ever.
async fn timeout<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ExecutorError> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ExecutorError::Timeout),
    }
}
