use k8s_openapi::api::core::v1::ServiceAccount;
use kube::core::DynamicObject;

use super::{ChildrenError, Own, Parent, object};

pub(super) fn service_account(parent: &Parent<'_>) -> Result<Option<DynamicObject>, ChildrenError> {
    let account = parent.spec().service_account.as_ref();
    let Some(account) = account.filter(|account| account.create != Some(false)) else {
        return Ok(None);
    };
    let own = Own {
        labels: &account.labels,
        annotations: &account.annotations,
    };
    object(&ServiceAccount {
        metadata: parent.metadata_with(name(parent).unwrap_or_default(), own),
        // Pods say themselves whether they get a token.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
    .map(Some)
}

/// The name of the pods' ServiceAccount, if the workload has one.
pub(super) fn name(parent: &Parent<'_>) -> Option<String> {
    let account = parent.spec().service_account.as_ref()?;
    Some(account.name.clone().unwrap_or_else(|| parent.name()))
}
