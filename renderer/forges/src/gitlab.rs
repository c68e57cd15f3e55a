//! GitLab: `/api/v4`, docs.gitlab.com/api.

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::answer::{Answer, Call, Page, ReadError};
use crate::api::Api;
use crate::commit::Commit;
use crate::forge::Forge;
use crate::github::after;
use crate::pull_request::{Branches, Comment, Head, PullRequest};
use crate::repository::Repository;
use crate::review::{Review, Verdict};
use crate::status::{Context, State, Status};

pub(crate) struct GitLab;

const FORGE: Forge = Forge::GitLab;
/// Items of a page: the most that GitLab gives.
const PAGE: usize = 100;
/// The access level of developers: the least that may push.
const DEVELOPER: u32 = 30;

#[derive(Deserialize)]
struct User {
    id: u64,
    username: String,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    state: String,
    #[serde(default)]
    draft: bool,
    web_url: String,
    title: String,
    description: Option<String>,
    author: Option<User>,
    source_branch: String,
    target_branch: String,
    sha: Option<String>,
    source_project_id: Option<u64>,
    target_project_id: u64,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    body: String,
    author: Option<User>,
    #[serde(default)]
    system: bool,
    created_at: String,
}

#[derive(Deserialize)]
struct Version {
    head_commit_sha: Option<String>,
    created_at: String,
}

#[derive(Deserialize)]
struct Member {
    access_level: u32,
}

impl From<MergeRequest> for PullRequest {
    fn from(found: MergeRequest) -> Self {
        let source = found.source_project_id;
        Self {
            number: found.iid,
            is_open: found.state == "opened",
            is_draft: found.draft,
            author: found.author.map(|user| user.username).unwrap_or_default(),
            link: found.web_url,
            title: found.title,
            body: found.description.unwrap_or_default(),
            head: Head {
                branch: found.source_branch,
                commit: found.sha.unwrap_or_default(),
                // Projects are known by number: the API has `projects/7` as well as `projects/group%2Fname`.
                repository: source.map(|id| id.to_string()),
                is_fork: source != Some(found.target_project_id),
            },
            base: found.target_branch,
            kept: Value::Null,
        }
    }
}

fn url(repository: &Repository, more: &[&str]) -> Url {
    let name = repository.full_name();
    let head = ["projects", name.as_str()];
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
fn merge_request(found: MergeRequest) -> Result<PullRequest, ReadError> {
    Ok(found.into())
}

/// GitLab refuses a status that is what the commit has, or that leads back from running to pending.
fn read_status(answer: &Answer) -> Result<(), ReadError> {
    let is_no_change = answer.status == 400
        && String::from_utf8_lossy(&answer.body).contains("Cannot transition status");
    if is_no_change {
        return Ok(());
    }
    answer.success()
}

impl Api for GitLab {
    fn set_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        context: Context,
        status: &Status,
    ) -> Call<()> {
        let state = match status.state {
            State::Pending => "pending",
            State::Running => "running",
            State::Success => "success",
            State::Failure | State::Error => "failed",
            State::Cancelled => "canceled",
        };
        let mut body = json!({
            "state": state,
            "name": context.name(),
            "description": status.description(FORGE),
        });
        if let Some(link) = status.link(FORGE) {
            body["target_url"] = link.into();
        }
        let url = url(repository, &["statuses", commit.as_str()]);
        Call::new(FORGE, Method::POST, &url, Some(&body), read_status).repeated()
    }

    fn pull_requests(
        &self,
        repository: &Repository,
        branches: &Branches,
        page: u64,
    ) -> Call<Page<PullRequest>> {
        let mut url = url(repository, &["merge_requests"]);
        url.query_pairs_mut()
            .append_pair("state", "opened")
            .append_pair("source_branch", &branches.head)
            .append_pair("target_branch", &branches.base);
        let read = move |found: Vec<MergeRequest>| {
            let next = after(page, found.len(), PAGE);
            let items = found.into_iter().map(PullRequest::from).collect();
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
        let body = json!({
            "title": title,
            "description": body,
            "source_branch": branches.head,
            "target_branch": branches.base,
        });
        let url = url(repository, &["merge_requests"]);
        Call::json(FORGE, Method::POST, &url, Some(&body), merge_request)
    }

    fn update_pull_request(
        &self,
        repository: &Repository,
        found: &PullRequest,
        title: &str,
        body: &str,
    ) -> Call<PullRequest> {
        let body = json!({"title": title, "description": body});
        let url = url(repository, &["merge_requests", &found.number.to_string()]);
        Call::json(FORGE, Method::PUT, &url, Some(&body), merge_request)
    }

    /// A comma separates labels, so none can have one.
    fn add_labels(
        &self,
        repository: &Repository,
        number: u64,
        labels: &[String],
    ) -> Option<Call<()>> {
        let labels: Vec<String> = labels.iter().map(|label| label.replace(',', " ")).collect();
        let body = json!({"add_labels": labels.join(",")});
        let url = url(repository, &["merge_requests", &number.to_string()]);
        let call = Call::new(FORGE, Method::PUT, &url, Some(&body), |answer| {
            answer.success()
        });
        Some(call)
    }

    fn pull_request(&self, repository: &Repository, number: u64) -> Call<PullRequest> {
        let url = url(repository, &["merge_requests", &number.to_string()]);
        Call::json(FORGE, Method::GET, &url, None, merge_request)
    }

    fn comments(&self, repository: &Repository, number: u64, page: u64) -> Call<Page<Comment>> {
        let mut url = url(
            repository,
            &["merge_requests", &number.to_string(), "notes"],
        );
        url.query_pairs_mut()
            .append_pair("sort", "asc")
            .append_pair("order_by", "created_at");
        let read = move |notes: Vec<Note>| {
            let next = after(page, notes.len(), PAGE);
            let written = notes.into_iter().filter(|note| !note.system);
            let items = written.map(|note| Comment {
                id: note.id,
                version: None,
                authors: note
                    .author
                    .map(|user| format!("user {}", user.id))
                    .into_iter()
                    .collect(),
                body: note.body,
            });
            let items = items.collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }

    fn create_comment(&self, repository: &Repository, number: u64, body: &str) -> Call<()> {
        let url = url(
            repository,
            &["merge_requests", &number.to_string(), "notes"],
        );
        let body = json!({ "body": body });
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
        let url = url(repository, &["merge_requests", &number, "notes", &id]);
        let body = json!({ "body": body });
        Call::new(FORGE, Method::PUT, &url, Some(&body), |answer| {
            answer.success()
        })
    }

    fn own_user(&self, repository: &Repository) -> Call<String> {
        let read = |user: User| Ok(format!("user {}", user.id));
        Call::json(FORGE, Method::GET, &repository.url(["user"]), None, read)
    }

    /// Approvals are notes that GitLab itself writes, which no user can.
    fn reviews(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
        page: u64,
    ) -> Call<Page<Review>> {
        let number = pull_request.number.to_string();
        let mut url = url(repository, &["merge_requests", &number, "notes"]);
        url.query_pairs_mut()
            .append_pair("sort", "asc")
            .append_pair("order_by", "created_at");
        let read = move |notes: Vec<Note>| {
            let next = after(page, notes.len(), PAGE);
            let items = notes.into_iter().filter_map(|note| {
                let verdict = match note.body.trim() {
                    "approved this merge request" if note.system => Verdict::Approved,
                    "unapproved this merge request" | "requested changes" if note.system => {
                        Verdict::Withdrawn
                    }
                    _ => return None,
                };
                Some(Review {
                    user: note.author?.id.to_string(),
                    verdict,
                    commit: None,
                    time: note.created_at.parse().ok(),
                    may_write: None,
                })
            });
            let items = items.collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }

    fn pushed(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
    ) -> Option<Call<Option<Timestamp>>> {
        let number = pull_request.number.to_string();
        let url = url(repository, &["merge_requests", &number, "versions"]);
        let head = pull_request.head.commit.clone();
        // The newest first. If that is not of the head, GitLab has not made it yet.
        let read = move |versions: Vec<Version>| {
            let newest = versions.into_iter().next();
            let newest = newest.filter(|version| version.head_commit_sha.as_ref() == Some(&head));
            Ok(newest.and_then(|version| version.created_at.parse().ok()))
        };
        Some(Call::json(FORGE, Method::GET, &url, None, read))
    }

    fn may_write(&self, repository: &Repository, user: &str) -> Option<Call<bool>> {
        let url = url(repository, &["members", "all", user]);
        let call = Call::new(FORGE, Method::GET, &url, None, |answer| {
            if answer.status == 404 {
                return Ok(false);
            }
            let member: Member = answer.json()?;
            Ok(member.access_level >= DEVELOPER)
        });
        Some(call)
    }
}
