//! Bitbucket Cloud's bodies. <https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>

use serde::Deserialize;

use super::{Change, Event, PullRequest, PullRequestAction, Push};

#[derive(Deserialize)]
struct PushBody {
    push: Changes,
}

#[derive(Deserialize)]
struct Changes {
    changes: Vec<ReferenceChange>,
}

#[derive(Deserialize)]
struct ReferenceChange {
    /// Null if it was deleted.
    new: Option<Reference>,
    /// Null if it is new.
    old: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    r#type: String,
    name: String,
    target: Commit,
}

#[derive(Deserialize)]
struct Commit {
    hash: String,
}

#[derive(Deserialize)]
struct PullRequestBody {
    pullrequest: PullRequestEnds,
}

#[derive(Deserialize)]
struct PullRequestEnds {
    id: u64,
    source: End,
    destination: End,
}

#[derive(Deserialize)]
struct End {
    branch: Branch,
    commit: Commit,
    /// Null if the repository is gone.
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Branch {
    name: String,
}

#[derive(Deserialize)]
struct Repository {
    uuid: String,
}

pub(super) fn read(name: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
    let action = match name {
        "repo:push" => return Ok(push(serde_json::from_slice(body)?)),
        "pullrequest:created" => PullRequestAction::Opened,
        // A changed title is one, too. Acting upon it costs a look at a commit that is known.
        "pullrequest:updated" => PullRequestAction::Pushed,
        "pullrequest:fulfilled" | "pullrequest:rejected" => PullRequestAction::Closed,
        other => return Ok(Event::Other(other.to_owned())),
    };
    let PullRequestBody { pullrequest } = serde_json::from_slice(body)?;
    let PullRequestEnds {
        id,
        source,
        destination,
    } = pullrequest;
    let uuid = |end: &End| end.repository.as_ref().map(|found| found.uuid.clone());
    Ok(Event::PullRequest(PullRequest {
        number: id,
        action,
        is_from_fork: uuid(&source).is_none() || uuid(&source) != uuid(&destination),
        revision: source.commit.hash,
        base: destination.branch.name,
    }))
}

fn push(body: PushBody) -> Event {
    let changes = body.push.changes.into_iter();
    let pushes = changes.filter_map(|change| {
        let is_deleted = change.new.is_none();
        let reference = change.new.or(change.old)?;
        (reference.r#type == "branch").then_some(Push {
            branch: reference.name,
            revision: (!is_deleted).then_some(reference.target.hash),
            change: Change::Unknown,
        })
    });
    Event::Push(pushes.collect())
}
