//! What a webhook of a pull request does: it notes at the source that something happened.

use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use niphas_api::PULL_REQUESTS_ANNOTATION;
use niphas_api::source::{NiphasSource, PullRequestOrigin};
use niphas_forges::Commit;
use niphas_webhooks::{PullRequest, PullRequestAction};
use serde_json::json;

use super::announced::{Happening, note, read, write};
use crate::cluster::{ClusterError, FIELD_MANAGER, patiently};
use crate::queue::Key;

/// How often it is tried while others write to the same source.
const MOST_TRIES: usize = 8;

/// Why an event does not count; none if it does.
pub(crate) fn why_skipped(source: &NiphasSource, event: &PullRequest) -> Option<String> {
    let Some(wanted) = &source.spec.pull_requests else {
        return Some("the source has no pullRequests".to_owned());
    };
    let branch = &source.spec.flake.branch;
    match &event.action {
        // Whatever it is of: what is known of it is forgotten.
        PullRequestAction::Closed => None,
        PullRequestAction::Other => Some("nothing that changes what is built".to_owned()),
        PullRequestAction::Labelled(label) if *label != wanted.label => {
            Some("the label says nothing about builds".to_owned())
        }
        _ if source.spec.suspend => Some("the source is suspended".to_owned()),
        _ if event.base != *branch => Some(format!("the source is of the branch '{branch}'")),
        _ if event.is_from_fork && wanted.from == PullRequestOrigin::Repository => {
            Some("pull requests of forks are not evaluated".to_owned())
        }
        _ => None,
    }
}

/// Tells the replica that leads.
pub(crate) async fn announce(
    client: &Client,
    key: &Key,
    event: &PullRequest,
) -> Result<(), ClusterError> {
    let api: Api<NiphasSource> = Api::namespaced(client.clone(), &key.namespace);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for tries in 1.. {
        let found = patiently(api.get_metadata(&key.name)).await?;
        let annotations = found.metadata.annotations.unwrap_or_default();
        let before = annotations.get(PULL_REQUESTS_ANNOTATION);
        let mut announcements = before.map(|text| read(text)).unwrap_or_default();
        let now = Timestamp::now().as_second();
        note(&mut announcements, event.number, happening(event), now);
        // With the version, the second of two replicas that write at the same time gets a conflict.
        let patch = Patch::Merge(json!({ "metadata": {
            "resourceVersion": found.metadata.resource_version,
            "annotations": { PULL_REQUESTS_ANNOTATION: write(&announcements) },
        } }));
        match patiently(api.patch_metadata(&key.name, &params, &patch)).await {
            Err(ClusterError::Kube(kube::Error::Api(status)))
                if status.is_conflict() && tries < MOST_TRIES => {}
            result => return result.map(|_| ()),
        }
    }
    Ok(())
}

fn happening(event: &PullRequest) -> Happening {
    match &event.action {
        PullRequestAction::Closed => Happening::Closed,
        PullRequestAction::Labelled(_) => {
            Commit::new(&event.revision).map_or(Happening::Changed, Happening::Labelled)
        }
        _ => Happening::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(from: &str) -> NiphasSource {
        serde_json::from_value(json!({
            "apiVersion": "niphas.io/v1alpha1",
            "kind": "NiphasSource",
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": {
                "flake": { "url": "https://git.example.org/web", "branch": "main" },
                "target": { "url": "https://git.example.org/gitops", "branch": "main" },
                "webhook": { "provider": "github", "secretRefs": [{ "name": "hook" }] },
                "pullRequests": { "from": from },
            },
        }))
        .unwrap()
    }

    fn event(action: PullRequestAction, base: &str, is_from_fork: bool) -> PullRequest {
        PullRequest {
            number: 7,
            action,
            revision: "a".repeat(40),
            base: base.to_owned(),
            is_from_fork,
        }
    }

    #[test]
    fn forks_and_other_branches_are_skipped_unless_they_may_be_approved() {
        use PullRequestAction::{Closed, Labelled, Other, Pushed, Reviewed};
        let label = |name: &str| Labelled(name.to_owned());
        let mut none = source("Repository");
        none.spec.pull_requests = None;
        let skipped = |source: &NiphasSource, action, base, is_from_fork| {
            why_skipped(source, &event(action, base, is_from_fork)).is_some()
        };
        assert!(skipped(&none, Pushed, "main", false));
        for (from, action, base, is_from_fork, expected) in [
            ("Repository", Pushed, "main", false, false),
            ("Repository", Pushed, "main", true, true),
            ("Repository", Pushed, "other", false, true),
            ("Repository", Other, "main", false, true),
            ("Repository", Closed, "main", true, false),
            ("Approved", Pushed, "main", true, false),
            ("Approved", Reviewed, "main", true, false),
            ("Approved", label("niphas-build"), "main", true, false),
            ("Approved", label("bug"), "main", true, true),
        ] {
            let is_skipped = skipped(&source(from), action.clone(), base, is_from_fork);
            assert_eq!(
                is_skipped, expected,
                "{from} {action:?} {base} {is_from_fork}"
            );
        }
    }

    #[test]
    fn a_label_is_of_the_commit_that_the_host_names() {
        let labelled = |revision: &str| {
            let mut event = event(PullRequestAction::Labelled("x".to_owned()), "main", true);
            event.revision = revision.to_owned();
            happening(&event)
        };
        let commit = "b".repeat(40);
        assert_eq!(
            labelled(&commit),
            Happening::Labelled(Commit::new(&commit).unwrap())
        );
        // Bitbucket gives some digits: a commit that begins with them can be made.
        assert_eq!(labelled("bbbbbbbbbbbb"), Happening::Changed);
    }
}
