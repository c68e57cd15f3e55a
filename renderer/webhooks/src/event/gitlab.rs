//! GitLab's bodies. <https://docs.gitlab.com/user/project/integrations/webhook_events/>

use serde::Deserialize;

use super::{Commit, Event, PullRequest, PullRequestAction, Push, branch, change, revision};

#[derive(Deserialize)]
struct PushBody {
    r#ref: String,
    after: String,
    #[serde(default)]
    commits: Vec<Commit>,
    #[serde(default)]
    total_commits_count: usize,
}

#[derive(Deserialize)]
struct MergeRequestBody {
    object_attributes: MergeRequest,
    #[serde(default)]
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    #[serde(default)]
    action: Option<String>,
    /// Only where an update brought other commits.
    #[serde(default)]
    oldrev: Option<String>,
    target_branch: String,
    source_project_id: u64,
    target_project_id: u64,
    last_commit: LastCommit,
}

#[derive(Deserialize)]
struct LastCommit {
    id: String,
}

#[derive(Deserialize)]
struct Changes {
    #[serde(default)]
    labels: Option<Labels>,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    previous: Vec<Label>,
    #[serde(default)]
    current: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    title: String,
}

pub(super) fn read(name: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
    Ok(match name {
        "Push Hook" => push(serde_json::from_slice(body)?),
        "Merge Request Hook" => merge_request(serde_json::from_slice(body)?),
        other => Event::Other(other.to_owned()),
    })
}

fn push(body: PushBody) -> Event {
    let Some(branch) = branch(&body.r#ref) else {
        return Event::Other(format!("push of {}", body.r#ref));
    };
    let are_all = body.commits.len() == body.total_commits_count;
    Event::Push(vec![Push {
        branch,
        revision: revision(body.after),
        change: change(body.commits, are_all),
    }])
}

fn merge_request(body: MergeRequestBody) -> Event {
    let request = body.object_attributes;
    let labels = body.changes.and_then(|changes| changes.labels);
    // One of the labels that are new.
    let label = labels.and_then(|labels| {
        let is_new = |label: &Label| labels.previous.iter().all(|old| old.title != label.title);
        labels.current.into_iter().find(is_new)
    });
    let action = match (request.action.as_deref(), request.oldrev, label) {
        (Some("open" | "reopen"), ..) => PullRequestAction::Opened,
        (Some("update"), Some(_), _) => PullRequestAction::Pushed,
        (Some("update"), None, Some(label)) => PullRequestAction::Labelled(label.title),
        (Some("approval" | "approved" | "unapproval" | "unapproved"), ..) => {
            PullRequestAction::Reviewed
        }
        (Some("merge" | "close"), ..) => PullRequestAction::Closed,
        _ => PullRequestAction::Other,
    };
    Event::PullRequest(PullRequest {
        number: request.iid,
        action,
        revision: request.last_commit.id,
        base: request.target_branch,
        is_from_fork: request.source_project_id != request.target_project_id,
    })
}
