//! Bitbucket Server's bodies. <https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html>

use serde::Deserialize;

use super::{Change, Event, PullRequest, PullRequestAction, Push, branch};

#[derive(Deserialize)]
struct PushBody {
    changes: Vec<ReferenceChange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReferenceChange {
    ref_id: String,
    to_hash: String,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullRequestBody {
    pull_request: PullRequestEnds,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullRequestEnds {
    id: u64,
    from_ref: End,
    to_ref: End,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    id: String,
    latest_commit: String,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
}

pub(super) fn read(name: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
    let action = match name {
        "diagnostics:ping" => return Ok(Event::Ping),
        "repo:refs_changed" => return Ok(push(serde_json::from_slice(body)?)),
        "pr:opened" => PullRequestAction::Opened,
        "pr:from_ref_updated" => PullRequestAction::Pushed,
        "pr:merged" | "pr:declined" | "pr:deleted" => PullRequestAction::Closed,
        other => return Ok(Event::Other(other.to_owned())),
    };
    let PullRequestBody { pull_request } = serde_json::from_slice(body)?;
    let PullRequestEnds {
        id,
        from_ref,
        to_ref,
    } = pull_request;
    Ok(Event::PullRequest(PullRequest {
        number: id,
        action,
        revision: from_ref.latest_commit,
        base: branch(&to_ref.id).unwrap_or(to_ref.id),
        is_from_fork: from_ref.repository.id != to_ref.repository.id,
    }))
}

fn push(body: PushBody) -> Event {
    let changes = body.changes.into_iter();
    let pushes = changes.filter_map(|change| {
        Some(Push {
            branch: branch(&change.ref_id)?,
            revision: (change.r#type != "DELETE").then_some(change.to_hash),
            change: Change::Unknown,
        })
    });
    Event::Push(pushes.collect())
}
