//! GitHub: docs.github.com/rest, version 2022-11-28.

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

pub(crate) struct GitHub;

const FORGE: Forge = Forge::GitHub;
/// Items of a page: the most that GitHub gives.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Repo {
    id: u64,
    full_name: String,
}

#[derive(Deserialize)]
struct End {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    state: String,
    #[serde(default)]
    draft: bool,
    html_url: String,
    title: String,
    body: Option<String>,
    user: Option<User>,
    head: End,
    base: End,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    body: Option<String>,
    user: Option<User>,
    performed_via_github_app: Option<App>,
}

#[derive(Deserialize)]
struct App {
    id: u64,
    client_id: Option<String>,
}

#[derive(Deserialize)]
struct Reviewed {
    user: Option<User>,
    state: String,
    commit_id: Option<String>,
}

#[derive(Deserialize)]
struct Permission {
    permission: String,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let id = |end: &End| end.repo.as_ref().map(|repo| repo.id);
        let is_fork = id(&pull.head).is_none() || id(&pull.head) != id(&pull.base);
        Self {
            number: pull.number,
            is_open: pull.state == "open",
            is_draft: pull.draft,
            author: pull.user.map(|user| user.login).unwrap_or_default(),
            link: pull.html_url,
            title: pull.title,
            body: pull.body.unwrap_or_default(),
            head: Head {
                branch: pull.head.branch,
                commit: pull.head.sha,
                repository: pull.head.repo.map(|repo| repo.full_name),
                is_fork,
            },
            base: pull.base.branch,
            kept: Value::Null,
        }
    }
}

impl From<Note> for Comment {
    fn from(note: Note) -> Self {
        let mut authors = Vec::new();
        authors.extend(note.user.map(|user| format!("user {}", user.id)));
        if let Some(app) = note.performed_via_github_app {
            authors.push(format!("app {}", app.id));
            authors.extend(app.client_id.map(|id| format!("app {id}")));
        }
        Self {
            id: note.id,
            version: None,
            authors,
            body: note.body.unwrap_or_default(),
        }
    }
}

/// The page that follows one that is full.
pub(crate) fn after(page: u64, count: usize, full: usize) -> Option<u64> {
    (count >= full).then_some(page + 1)
}

fn url(repository: &Repository, more: &[&str]) -> Url {
    let head = ["repos", repository.owner(), repository.name()];
    repository.url(head.into_iter().chain(more.iter().copied()))
}

fn page_of(mut url: Url, page: u64) -> Url {
    url.query_pairs_mut()
        .append_pair("per_page", &PAGE.to_string())
        .append_pair("page", &(page + 1).to_string());
    url
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "answers are read by functions of one form"
)]
fn pull(pull: Pull) -> Result<PullRequest, ReadError> {
    Ok(pull.into())
}

impl Api for GitHub {
    fn set_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        context: Context,
        status: &Status,
    ) -> Call<()> {
        let state = match status.state {
            State::Pending | State::Running => "pending",
            State::Success => "success",
            State::Failure => "failure",
            State::Error | State::Cancelled => "error",
        };
        let mut body = json!({
            "state": state,
            "context": context.name(),
            "description": status.description(FORGE),
        });
        if let Some(link) = status.link(FORGE) {
            body["target_url"] = link.into();
        }
        let url = url(repository, &["statuses", commit.as_str()]);
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
        let mut url = url(repository, &["pulls"]);
        let head = format!("{}:{}", repository.owner(), branches.head);
        url.query_pairs_mut()
            .append_pair("state", "open")
            .append_pair("head", &head)
            .append_pair("base", &branches.base);
        let read = move |pulls: Vec<Pull>| {
            let next = after(page, pulls.len(), PAGE);
            let items = pulls.into_iter().map(PullRequest::from).collect();
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
        let body =
            json!({"title": title, "body": body, "head": branches.head, "base": branches.base});
        let url = url(repository, &["pulls"]);
        Call::json(FORGE, Method::POST, &url, Some(&body), pull)
    }

    fn update_pull_request(
        &self,
        repository: &Repository,
        found: &PullRequest,
        title: &str,
        body: &str,
    ) -> Call<PullRequest> {
        let body = json!({"title": title, "body": body});
        let url = url(repository, &["pulls", &found.number.to_string()]);
        Call::json(FORGE, Method::PATCH, &url, Some(&body), pull)
    }

    fn add_labels(
        &self,
        repository: &Repository,
        number: u64,
        labels: &[String],
    ) -> Option<Call<()>> {
        let url = url(repository, &["issues", &number.to_string(), "labels"]);
        let body = json!({ "labels": labels });
        let call = Call::new(FORGE, Method::POST, &url, Some(&body), |answer| {
            answer.success()
        });
        Some(call.repeated())
    }

    fn pull_request(&self, repository: &Repository, number: u64) -> Call<PullRequest> {
        let url = url(repository, &["pulls", &number.to_string()]);
        Call::json(FORGE, Method::GET, &url, None, pull)
    }

    fn comments(&self, repository: &Repository, number: u64, page: u64) -> Call<Page<Comment>> {
        let url = url(repository, &["issues", &number.to_string(), "comments"]);
        let read = move |notes: Vec<Note>| {
            let next = after(page, notes.len(), PAGE);
            let items = notes.into_iter().map(Comment::from).collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }

    fn create_comment(&self, repository: &Repository, number: u64, body: &str) -> Call<()> {
        let url = url(repository, &["issues", &number.to_string(), "comments"]);
        let body = json!({ "body": body });
        Call::new(FORGE, Method::POST, &url, Some(&body), |answer| {
            answer.success()
        })
    }

    fn update_comment(
        &self,
        repository: &Repository,
        _number: u64,
        comment: &Comment,
        body: &str,
    ) -> Call<()> {
        let url = url(repository, &["issues", "comments", &comment.id.to_string()]);
        let body = json!({ "body": body });
        Call::new(FORGE, Method::PATCH, &url, Some(&body), |answer| {
            answer.success()
        })
    }

    fn own_user(&self, repository: &Repository) -> Call<String> {
        let read = |user: User| Ok(format!("user {}", user.id));
        Call::json(FORGE, Method::GET, &repository.url(["user"]), None, read)
    }

    fn reviews(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
        page: u64,
    ) -> Call<Page<Review>> {
        let number = pull_request.number.to_string();
        let url = url(repository, &["pulls", &number, "reviews"]);
        let read = move |reviews: Vec<Reviewed>| {
            let next = after(page, reviews.len(), PAGE);
            let items = reviews.into_iter().filter_map(|review| {
                let verdict = match review.state.as_str() {
                    "APPROVED" => Verdict::Approved,
                    "CHANGES_REQUESTED" | "DISMISSED" => Verdict::Withdrawn,
                    _ => return None,
                };
                Some(Review {
                    user: review.user?.login,
                    verdict,
                    commit: review.commit_id,
                    time: None,
                    may_write: None,
                })
            });
            let items = items.collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }

    fn may_write(&self, repository: &Repository, user: &str) -> Option<Call<bool>> {
        let url = url(repository, &["collaborators", user, "permission"]);
        let call = Call::new(FORGE, Method::GET, &url, None, |answer| {
            if answer.status == 404 {
                return Ok(false);
            }
            let found: Permission = answer.json()?;
            Ok(matches!(found.permission.as_str(), "admin" | "write"))
        });
        Some(call)
    }
}
