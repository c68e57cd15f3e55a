use k8s_openapi::api::core::v1::ServiceAccount;
use kube::core::DynamicObject;

use super::{ChildrenError, Parent, non_empty, object};

pub(super) fn service_account(parent: &Parent<'_>) -> Result<Option<DynamicObject>, ChildrenError> {
    let Some(account) = &parent.spec().service_account else {
        return Ok(None);
    };
    let mut metadata = parent.metadata();
    metadata.annotations = non_empty(&account.annotations);
    object(&ServiceAccount {
        metadata,
        // Pods say themselves whether they get a token.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
    .map(Some)
}
