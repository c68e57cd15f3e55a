//! GitHub's bodies, which Gitea and Forgejo send too.
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use serde::Deserialize;

use super::{
    Change, Commit, Event, PullRequest, PullRequestAction, Push, branch, change, revision,
};

/// More commits are not listed by GitHub.
const MOST_COMMITS: usize = 2048;

#[derive(Deserialize)]
struct PushBody {
    r#ref: String,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    forced: bool,
    #[serde(default)]
    commits: Vec<Commit>,
    /// Gitea and Forgejo list some commits only, and say how many there are.
    #[serde(default)]
    total_commits: Option<usize>,
}

#[derive(Deserialize)]
struct PullRequestBody {
    action: String,
    number: u64,
    pull_request: Ends,
    #[serde(default)]
    label: Option<Label>,
}

#[derive(Deserialize)]
struct ReviewBody {
    pull_request: Reviewed,
}

#[derive(Deserialize)]
struct Reviewed {
    number: u64,
    #[serde(flatten)]
    ends: Ends,
}

#[derive(Deserialize)]
struct Ends {
    head: End,
    base: End,
}

#[derive(Deserialize)]
struct End {
    r#ref: String,
    sha: String,
    /// Null if the repository is gone.
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

pub(super) fn read(name: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
    Ok(match name {
        "ping" => Event::Ping,
        "push" => push(serde_json::from_slice(body)?),
        "pull_request" => pull_request(serde_json::from_slice(body)?),
        // GitHub's name, and two of Gitea and Forgejo.
        "pull_request_review" | "pull_request_approved" | "pull_request_rejected" => {
            reviewed(serde_json::from_slice(body)?)
        }
        other => Event::Other(other.to_owned()),
    })
}

fn push(body: PushBody) -> Event {
    let Some(branch) = branch(&body.r#ref) else {
        return Event::Other(format!("push of {}", body.r#ref));
    };
    let listed = body.commits.len();
    let are_all = !body.forced
        && listed < MOST_COMMITS
        && body.total_commits.is_none_or(|total| total == listed);
    let revision = body.after.map(revision);
    let change = match revision {
        Some(None) => Change::Unknown,
        _ => change(body.commits, are_all),
    };
    Event::Push(vec![Push {
        branch,
        revision: revision.flatten(),
        change,
    }])
}

fn reviewed(body: ReviewBody) -> Event {
    let of = body.pull_request;
    event(of.number, PullRequestAction::Reviewed, of.ends)
}

fn pull_request(body: PullRequestBody) -> Event {
    let action = match (body.action.as_str(), body.label) {
        ("opened" | "reopened" | "ready_for_review", _) => PullRequestAction::Opened,
        ("synchronize" | "synchronized", _) => PullRequestAction::Pushed,
        ("labeled", Some(label)) => PullRequestAction::Labelled(label.name),
        ("closed", _) => PullRequestAction::Closed,
        _ => PullRequestAction::Other,
    };
    event(body.number, action, body.pull_request)
}

fn event(number: u64, action: PullRequestAction, Ends { head, base }: Ends) -> Event {
    let id = |end: &End| end.repo.as_ref().map(|repository| repository.id);
    Event::PullRequest(PullRequest {
        number,
        action,
        is_from_fork: id(&head).is_none() || id(&head) != id(&base),
        revision: head.sha,
        base: base.r#ref,
    })
}
