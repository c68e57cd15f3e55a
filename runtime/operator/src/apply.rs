//! The requests that change a workload's children.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::{DynamicObject, Status};
use kube::{Api, Client};
use serde_json::json;
use thiserror::Error;

use crate::FIELD_MANAGER;
use crate::child::{Child, ChildKey, Seen};
use crate::kinds::Kind;

/// No request that is made here takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A version that no object has: it goes with what must not be there yet, and is a conflict with whatever is.
const NOT_THERE: &str = "1";

/// Who keeps the number of pods from falling to the default while it passes to an autoscaler.
const REPLICAS_MANAGER: &str = "niphas-operator-replicas";

/// Why a request changed nothing.
#[derive(Debug, Error)]
pub(crate) enum ApplyError {
    /// There is an object of that name, and it does not belong to the workload.
    #[error("there already, and not the workload's")]
    Foreign,
    /// The API server will not take it, however often it is asked.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// The API server does not know the kind.
    #[error("the cluster knows no {} of {}/{}: install what defines it", .0.name, .0.group, .0.version)]
    UnknownKind(&'static Kind),
    /// It changed meanwhile.
    #[error("it changed meanwhile")]
    Changed,
    /// Nothing came back.
    #[error("no answer in {} s", PATIENCE.as_secs())]
    Timeout,
    /// Another time it may go well.
    #[error(transparent)]
    Client(kube::Error),
}

impl From<kube::Error> for ApplyError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_conflict() => Self::Changed,
            // 422 invalid, 403 forbidden (quota, admission, RBAC), 404 unknown kind, 400, 405, 413, 415.
            kube::Error::Api(status)
                if (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 429) =>
            {
                Self::Refused(status)
            }
            error => Self::Client(error),
        }
    }
}

/// Changes the children of workloads in one namespace.
pub(crate) struct Applier<'a> {
    pub(crate) client: &'a Client,
    pub(crate) namespace: &'a str,
    /// The workload's UID.
    pub(crate) owner: &'a str,
}

impl Applier<'_> {
    fn api(&self, kind: &Kind) -> Api<Seen> {
        Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource())
    }

    /// Makes an object, if there is none of its name, or one of the workload's that lost its label.
    pub(crate) async fn create(
        &self,
        key: &ChildKey,
        object: &DynamicObject,
    ) -> Result<Child, ApplyError> {
        match self.send(key, object, FIELD_MANAGER, Only::New).await {
            Err(ApplyError::Changed) => {}
            // The namespace is there, as the workload is.
            Err(ApplyError::Refused(status)) if is_unknown(&status) => {
                return Err(ApplyError::UnknownKind(key.kind));
            }
            result => return result,
        }
        let Some(there) = timeout(self.api(key.kind).get_opt(&key.name)).await? else {
            return Err(ApplyError::Changed);
        };
        let there = Child::of(key.kind, &there);
        if !there.is_controlled_by(self.owner) {
            return Err(ApplyError::Foreign);
        }
        self.apply(key, &there.uid, object, None).await
    }

    /// Brings an object of the workload's to what is declared.
    pub(crate) async fn apply(
        &self,
        key: &ChildKey,
        uid: &str,
        object: &DynamicObject,
        keep_replicas: Option<i32>,
    ) -> Result<Child, ApplyError> {
        if let Some(replicas) = keep_replicas {
            let mut kept = DynamicObject {
                types: object.types.clone(),
                metadata: ObjectMeta::default(),
                data: json!({ "spec": { "replicas": replicas } }),
            };
            kept.metadata.name.clone_from(&object.metadata.name);
            self.send(key, &kept, REPLICAS_MANAGER, Only::This(uid))
                .await?;
        }
        self.send(key, object, FIELD_MANAGER, Only::This(uid)).await
    }

    /// Removes an object of the workload's, and what hangs on it.
    pub(crate) async fn delete(&self, key: &ChildKey, uid: &str) -> Result<(), ApplyError> {
        let only = Preconditions {
            uid: Some(uid.to_owned()),
            ..Preconditions::default()
        };
        let params = DeleteParams::background().preconditions(only);
        match timeout(self.api(key.kind).delete(&key.name, &params)).await {
            // Not there any more, or another one by now.
            Ok(_) | Err(ApplyError::Changed) => Ok(()),
            Err(ApplyError::Refused(status)) if is_unknown(&status) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        key: &ChildKey,
        object: &DynamicObject,
        manager: &str,
        only: Only<'_>,
    ) -> Result<Child, ApplyError> {
        let mut object = object.clone();
        match only {
            Only::New => object.metadata.resource_version = Some(NOT_THERE.to_owned()),
            Only::This(uid) => object.metadata.uid = Some(uid.to_owned()),
        }
        // Forced only over the fields that are declared here, of an object that is the workload's.
        let params = PatchParams::apply(manager).force();
        let api = self.api(key.kind);
        let seen = timeout(api.patch(&key.name, &params, &Patch::Apply(&object))).await?;
        Ok(Child::of(key.kind, &seen))
    }
}

/// Whether the server says that there is no such thing. Of a kind it does not know it says so in a text of its own, not in a
/// status.
pub(crate) fn is_unknown(status: &Status) -> bool {
    status.code == 404
}

/// Which object a request is for.
#[derive(Clone, Copy)]
enum Only<'a> {
    /// One that is not there yet.
    New,
    /// The one with this UID.
    This(&'a str),
}

/// Waits for an answer, though not for ever.
pub(crate) async fn timeout<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApplyError> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ApplyError::Timeout),
    }
}
