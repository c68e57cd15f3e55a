//! Gitea and Forgejo: `/api/v1`, as their Swagger documents describe it.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::answer::{Call, Page, ReadError};
use crate::api::Api;
use crate::commit::Commit;
use crate::forge::Forge;
use crate::github::after;
use crate::pull_request::{Branches, Comment, Head, PullRequest};
use crate::repository::Repository;
use crate::review::{Review, Verdict};
use crate::status::{Context, State, Status};

pub(crate) struct Gitea;

/// What both have in common is read by one name.
const FORGE: Forge = Forge::Gitea;
/// Items of a page: the most that an instance gives by default.
const PAGE: usize = 50;

#[derive(Deserialize)]
struct User {
    id: i64,
    login: String,
}

#[derive(Deserialize)]
struct Repo {
    full_name: String,
}

#[derive(Deserialize)]
struct End {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo_id: i64,
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    state: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
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
}

#[derive(Deserialize)]
struct Reviewed {
    user: Option<User>,
    state: String,
    commit_id: Option<String>,
    #[serde(default)]
    official: bool,
    #[serde(default)]
    stale: bool,
    #[serde(default)]
    dismissed: bool,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        // Of a fork that is gone the number is 0 or -1.
        let is_fork = pull.head.repo.is_none() || pull.head.repo_id != pull.base.repo_id;
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
        let authors = note.user.map(|user| format!("user {}", user.id));
        Self {
            id: note.id,
            version: None,
            authors: authors.into_iter().collect(),
            body: note.body.unwrap_or_default(),
        }
    }
}

fn url(repository: &Repository, more: &[&str]) -> Url {
    let head = ["repos", repository.owner(), repository.name()];
    repository.url(head.into_iter().chain(more.iter().copied()))
}

fn page_of(mut url: Url, page: u64) -> Url {
    url.query_pairs_mut()
        .append_pair("limit", &PAGE.to_string())
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

impl Api for Gitea {
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
            State::Error => "error",
            State::Cancelled => "warning",
        };
        let body = json!({
            "state": state,
            "context": context.name(),
            "description": status.description(FORGE),
            "target_url": status.link(FORGE).unwrap_or_default(),
        });
        let url = url(repository, &["statuses", commit.as_str()]);
        Call::new(FORGE, Method::POST, &url, Some(&body), |answer| {
            answer.success()
        })
        .repeated()
    }

    /// Forgejo and older versions of Gitea do not look at `base_branch`.
    fn pull_requests(
        &self,
        repository: &Repository,
        branches: &Branches,
        page: u64,
    ) -> Call<Page<PullRequest>> {
        let mut url = url(repository, &["pulls"]);
        url.query_pairs_mut()
            .append_pair("state", "open")
            .append_pair("sort", "recentupdate")
            .append_pair("base_branch", &branches.base);
        // An instance may give shorter pages: only an empty one is the last.
        let read = move |pulls: Vec<Pull>| {
            let next = after(page, pulls.len(), 1);
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

    /// Labels that the repository or its organisation has; others are passed over.
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

    /// All of them: the list has no pages.
    fn comments(&self, repository: &Repository, number: u64, _page: u64) -> Call<Page<Comment>> {
        let url = url(repository, &["issues", &number.to_string(), "comments"]);
        let read = |notes: Vec<Note>| {
            let items = notes.into_iter().map(Comment::from).collect();
            Ok(Page { items, next: None })
        };
        Call::json(FORGE, Method::GET, &url, None, read)
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

    /// A review is official if its author may write, or is one of those whom the branch's protection names. Only administrators may
    /// ask for permissions.
    fn reviews(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
        page: u64,
    ) -> Call<Page<Review>> {
        let number = pull_request.number.to_string();
        let url = url(repository, &["pulls", &number, "reviews"]);
        let read = move |reviews: Vec<Reviewed>| {
            let next = after(page, reviews.len(), 1);
            let items = reviews.into_iter().filter_map(|review| {
                let verdict = match review.state.as_str() {
                    "APPROVED" if !review.dismissed && !review.stale => Verdict::Approved,
                    "APPROVED" | "REQUEST_CHANGES" => Verdict::Withdrawn,
                    _ => return None,
                };
                Some(Review {
                    user: review.user?.login,
                    verdict,
                    commit: review.commit_id,
                    time: None,
                    may_write: Some(review.official),
                })
            });
            let items = items.collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }
}
