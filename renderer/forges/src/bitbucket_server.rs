//! Bitbucket Server and Data Center: developer.atlassian.com/server/bitbucket/rest, from 7.4 on.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::answer::{Call, Page, ReadError};
use crate::api::Api;
use crate::commit::Commit;
use crate::forge::Forge;
use crate::pull_request::{Branches, Comment, Head, PullRequest};
use crate::repository::Repository;
use crate::review::{Review, Verdict};
use crate::status::{Context, State, Status};

pub(crate) struct BitbucketServer;

const FORGE: Forge = Forge::BitbucketServer;
/// Items of a page.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paged<T> {
    values: Vec<T>,
    #[serde(default)]
    is_last_page: bool,
    next_page_start: Option<u64>,
}

impl<T> Paged<T> {
    fn next(&self) -> Option<u64> {
        self.next_page_start.filter(|_| !self.is_last_page)
    }
}

#[derive(Deserialize)]
struct User {
    name: String,
}

#[derive(Deserialize)]
struct Project {
    key: String,
}

#[derive(Deserialize)]
struct Repo {
    slug: String,
    project: Project,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    id: String,
    #[serde(default)]
    latest_commit: String,
    repository: Repo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Participant {
    user: User,
    #[serde(default)]
    status: String,
    last_reviewed_commit: Option<String>,
}

#[derive(Deserialize)]
struct Links {
    #[serde(default, rename = "self")]
    own: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    id: u64,
    version: u64,
    state: String,
    #[serde(default)]
    draft: bool,
    title: String,
    description: Option<String>,
    author: Option<Participant>,
    #[serde(default)]
    reviewers: Vec<Participant>,
    from_ref: End,
    to_ref: End,
    links: Option<Links>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Activity {
    action: String,
    comment_action: Option<String>,
    comment: Option<Note>,
    comment_anchor: Option<Value>,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    version: u64,
    text: String,
    author: Option<User>,
}

fn branch(reference: &str) -> String {
    let name = reference.strip_prefix("refs/heads/").unwrap_or(reference);
    name.to_owned()
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let name = |end: &End| format!("{}/{}", end.repository.project.key, end.repository.slug);
        let (from, to) = (name(&pull.from_ref), name(&pull.to_ref));
        let reviewers: Vec<Value> = pull
            .reviewers
            .iter()
            .map(|reviewer| json!({"user": {"name": reviewer.user.name}}))
            .collect();
        let link = pull.links.and_then(|links| links.own.into_iter().next());
        Self {
            number: pull.id,
            is_open: pull.state == "OPEN",
            is_draft: pull.draft,
            author: pull
                .author
                .map(|author| author.user.name)
                .unwrap_or_default(),
            link: link.map(|link| link.href).unwrap_or_default(),
            title: pull.title,
            body: pull.description.unwrap_or_default(),
            head: Head {
                branch: branch(&pull.from_ref.id),
                commit: pull.from_ref.latest_commit,
                is_fork: from != to,
                repository: Some(from),
            },
            base: branch(&pull.to_ref.id),
            kept: json!({"version": pull.version, "reviewers": reviewers}),
        }
    }
}

fn url(repository: &Repository, more: &[&str]) -> Url {
    let head = [
        "api",
        "1.0",
        "projects",
        repository.owner(),
        "repos",
        repository.name(),
    ];
    repository.url(head.into_iter().chain(more.iter().copied()))
}

fn page_of(mut url: Url, start: u64) -> Url {
    url.query_pairs_mut()
        .append_pair("limit", &PAGE.to_string())
        .append_pair("start", &start.to_string());
    url
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "answers are read by functions of one form"
)]
fn pull(pull: Pull) -> Result<PullRequest, ReadError> {
    Ok(pull.into())
}

impl Api for BitbucketServer {
    fn set_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        context: Context,
        status: &Status,
    ) -> Call<()> {
        let state = match status.state {
            State::Pending | State::Running => "INPROGRESS",
            State::Success => "SUCCESSFUL",
            State::Failure | State::Error => "FAILED",
            State::Cancelled => "CANCELLED",
        };
        let page = repository.api().join(&format!(
            "../projects/{}/repos/{}/commits/{commit}",
            repository.owner(),
            repository.name()
        ));
        let page = page.unwrap_or_else(|_| repository.api().clone());
        let body = json!({
            "key": context.name(),
            "name": context.name(),
            "state": state,
            "description": status.description(FORGE),
            "url": status.link(FORGE).unwrap_or(page.as_str()),
        });
        let url = url(repository, &["commits", commit.as_str(), "builds"]);
        Call::new(FORGE, Method::POST, &url, Some(&body), |answer| {
            answer.success()
        })
        .repeated()
    }

    fn pull_requests(
        &self,
        repository: &Repository,
        branches: &Branches,
        page: u64,
    ) -> Call<Page<PullRequest>> {
        let mut url = url(repository, &["pull-requests"]);
        url.query_pairs_mut()
            .append_pair("state", "OPEN")
            .append_pair("direction", "OUTGOING")
            .append_pair("at", &format!("refs/heads/{}", branches.head));
        let read = |found: Paged<Pull>| {
            let next = found.next();
            let items = found.values.into_iter().map(PullRequest::from).collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }

    fn create_pull_request(
        &self,
        repository: &Repository,
        branches: &Branches,
        title: &str,
        body: &str,
    ) -> Call<PullRequest> {
        let end = |branch: &str| {
            json!({
                "id": format!("refs/heads/{branch}"),
                "repository": {"slug": repository.name(), "project": {"key": repository.owner()}},
            })
        };
        let body = json!({
            "title": title,
            "description": body,
            "fromRef": end(&branches.head),
            "toRef": end(&branches.base),
        });
        let url = url(repository, &["pull-requests"]);
        Call::json(FORGE, Method::POST, &url, Some(&body), pull)
    }

    /// Reviewers that are not sent back are taken away.
    fn update_pull_request(
        &self,
        repository: &Repository,
        found: &PullRequest,
        title: &str,
        body: &str,
    ) -> Call<PullRequest> {
        let body = json!({
            "title": title,
            "description": body,
            "version": found.kept["version"],
            "reviewers": found.kept["reviewers"],
        });
        let url = url(repository, &["pull-requests", &found.number.to_string()]);
        Call::json(FORGE, Method::PUT, &url, Some(&body), pull)
    }

    fn add_labels(
        &self,
        _repository: &Repository,
        _number: u64,
        _labels: &[String],
    ) -> Option<Call<()>> {
        None
    }

    fn pull_request(&self, repository: &Repository, number: u64) -> Call<PullRequest> {
        let url = url(repository, &["pull-requests", &number.to_string()]);
        Call::json(FORGE, Method::GET, &url, None, pull)
    }

    /// Comments are among the activities, the newest first.
    fn comments(&self, repository: &Repository, number: u64, page: u64) -> Call<Page<Comment>> {
        let number = number.to_string();
        let url = url(repository, &["pull-requests", &number, "activities"]);
        let read = |found: Paged<Activity>| {
            let next = found.next();
            let written = found.values.into_iter().filter(|activity| {
                activity.action == "COMMENTED"
                    && activity.comment_action.as_deref() == Some("ADDED")
                    && activity.comment_anchor.is_none()
            });
            let items = written.filter_map(|activity| {
                let note = activity.comment?;
                let author = note.author.map(|user| format!("user {}", user.name));
                Some(Comment {
                    id: note.id,
                    version: Some(note.version),
                    authors: author.into_iter().collect(),
                    body: note.text,
                })
            });
            let items = items.collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }

    fn create_comment(&self, repository: &Repository, number: u64, body: &str) -> Call<()> {
        let number = number.to_string();
        let url = url(repository, &["pull-requests", &number, "comments"]);
        let body = json!({ "text": body });
        Call::new(FORGE, Method::POST, &url, Some(&body), |answer| {
            answer.success()
        })
    }

    fn update_comment(
        &self,
        repository: &Repository,
        number: u64,
        comment: &Comment,
        body: &str,
    ) -> Call<()> {
        let (number, id) = (number.to_string(), comment.id.to_string());
        let url = url(repository, &["pull-requests", &number, "comments", &id]);
        let body = json!({"text": body, "version": comment.version});
        Call::new(FORGE, Method::PUT, &url, Some(&body), |answer| {
            answer.success()
        })
    }

    /// Every answer to a request with credentials names their user.
    fn own_user(&self, repository: &Repository) -> Call<String> {
        let url = url(repository, &[]);
        Call::new(FORGE, Method::GET, &url, None, |answer| {
            answer.success()?;
            let name = answer.header("x-ausername");
            let name = name.ok_or(ReadError::Value("the header X-AUSERNAME"))?;
            Ok(format!("user {name}"))
        })
    }

    fn reviews(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
        page: u64,
    ) -> Call<Page<Review>> {
        let number = pull_request.number.to_string();
        let url = url(repository, &["pull-requests", &number, "participants"]);
        let read = |found: Paged<Participant>| {
            let next = found.next();
            let items = found.values.into_iter().map(|participant| Review {
                user: participant.user.name,
                verdict: match participant.status.as_str() {
                    "APPROVED" => Verdict::Approved,
                    _ => Verdict::Withdrawn,
                },
                commit: participant.last_reviewed_commit,
                time: None,
                may_write: None,
            });
            let items = items.collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }
}
