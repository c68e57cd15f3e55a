//! Bitbucket Cloud: developer.atlassian.com/cloud/bitbucket/rest.

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

pub(crate) struct BitbucketCloud;

const FORGE: Forge = Forge::BitbucketCloud;
/// Items of a page: the most that pull requests come in.
const PAGE: usize = 50;

#[derive(Deserialize)]
struct User {
    uuid: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct Paged<T> {
    values: Vec<T>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Hash {
    hash: String,
}

#[derive(Deserialize)]
struct Repo {
    full_name: String,
}

#[derive(Deserialize)]
struct End {
    branch: Name,
    commit: Option<Hash>,
    repository: Option<Repo>,
}

#[derive(Deserialize)]
struct Links {
    html: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct Pull {
    id: u64,
    state: String,
    #[serde(default)]
    draft: bool,
    links: Links,
    title: String,
    description: Option<String>,
    author: Option<User>,
    source: End,
    destination: End,
}

#[derive(Deserialize)]
struct Content {
    raw: Option<String>,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    content: Content,
    user: Option<User>,
    #[serde(default)]
    deleted: bool,
    inline: Option<Value>,
}

#[derive(Deserialize)]
struct Activity {
    approval: Option<By>,
    changes_requested: Option<By>,
    update: Option<Update>,
}

#[derive(Deserialize)]
struct By {
    user: Option<User>,
}

#[derive(Deserialize)]
struct Update {
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    commit: Option<Hash>,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let name = |end: &End| end.repository.as_ref().map(|repo| repo.full_name.clone());
        let (source, destination) = (name(&pull.source), name(&pull.destination));
        let author = pull
            .author
            .and_then(|user| user.nickname.or(user.display_name));
        Self {
            number: pull.id,
            is_open: pull.state == "OPEN",
            is_draft: pull.draft,
            author: author.unwrap_or_default(),
            link: pull.links.html.map(|link| link.href).unwrap_or_default(),
            title: pull.title,
            body: pull.description.unwrap_or_default(),
            head: Head {
                branch: pull.source.branch.name,
                commit: pull
                    .source
                    .commit
                    .map(|commit| commit.hash)
                    .unwrap_or_default(),
                is_fork: source.is_none() || source != destination,
                repository: source,
            },
            base: pull.destination.branch.name,
            kept: Value::Null,
        }
    }
}

fn url(repository: &Repository, more: &[&str]) -> Url {
    let head = ["repositories", repository.owner(), repository.name()];
    repository.url(head.into_iter().chain(more.iter().copied()))
}

fn page_of(mut url: Url, page: u64) -> Url {
    url.query_pairs_mut()
        .append_pair("pagelen", &PAGE.to_string())
        .append_pair("page", &(page + 1).to_string());
    url
}

/// A string of Bitbucket's query language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "answers are read by functions of one form"
)]
fn pull(pull: Pull) -> Result<PullRequest, ReadError> {
    Ok(pull.into())
}

impl Api for BitbucketCloud {
    /// A status has a key, and an address that must be there.
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
            State::Cancelled => "STOPPED",
        };
        let page = format!(
            "https://bitbucket.org/{}/commits/{commit}",
            repository.full_name()
        );
        let body = json!({
            "key": context.name(),
            "name": context.name(),
            "state": state,
            "description": status.description(FORGE),
            "url": status.link(FORGE).unwrap_or(&page),
        });
        let url = url(
            repository,
            &["commit", commit.as_str(), "statuses", "build"],
        );
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
        let mut url = url(repository, &["pullrequests"]);
        let query = format!(
            "state=\"OPEN\" AND source.branch.name={} AND destination.branch.name={}",
            quoted(&branches.head),
            quoted(&branches.base)
        );
        url.query_pairs_mut().append_pair("q", &query);
        let read = move |found: Paged<Pull>| {
            let next = found.next.map(|_| page + 1);
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
        let body = json!({
            "title": title,
            "description": body,
            "source": {"branch": {"name": branches.head}},
            "destination": {"branch": {"name": branches.base}},
        });
        let url = url(repository, &["pullrequests"]);
        Call::json(FORGE, Method::POST, &url, Some(&body), pull)
    }

    fn update_pull_request(
        &self,
        repository: &Repository,
        found: &PullRequest,
        title: &str,
        body: &str,
    ) -> Call<PullRequest> {
        let body = json!({"title": title, "description": body});
        let url = url(repository, &["pullrequests", &found.number.to_string()]);
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
        let url = url(repository, &["pullrequests", &number.to_string()]);
        Call::json(FORGE, Method::GET, &url, None, pull)
    }

    /// Pull requests name commits by their first twelve digits.
    fn full_commit(&self, repository: &Repository, head: &Head) -> Option<Call<String>> {
        if Commit::new(&head.commit).is_ok() {
            return None;
        }
        let name = head.repository.as_deref()?;
        let (owner, name) = name.split_once('/')?;
        let url = repository.url(["repositories", owner, name, "commit", &head.commit]);
        let first = head.commit.clone();
        let read = move |commit: Hash| {
            if !first.is_empty() && commit.hash.starts_with(&first) {
                Ok(commit.hash)
            } else {
                Err(ReadError::Value("the commit that was asked for"))
            }
        };
        Some(Call::json(FORGE, Method::GET, &url, None, read))
    }

    fn comments(&self, repository: &Repository, number: u64, page: u64) -> Call<Page<Comment>> {
        let url = url(
            repository,
            &["pullrequests", &number.to_string(), "comments"],
        );
        let read = move |found: Paged<Note>| {
            let next = found.next.map(|_| page + 1);
            let notes = found
                .values
                .into_iter()
                .filter(|note| !note.deleted && note.inline.is_none());
            let items = notes.map(|note| Comment {
                id: note.id,
                version: None,
                authors: note
                    .user
                    .and_then(|user| user.uuid)
                    .map(|id| format!("user {id}"))
                    .into_iter()
                    .collect(),
                body: note.content.raw.unwrap_or_default(),
            });
            let items = items.collect();
            Ok(Page { items, next })
        };
        Call::json(FORGE, Method::GET, &page_of(url, page), None, read)
    }

    fn create_comment(&self, repository: &Repository, number: u64, body: &str) -> Call<()> {
        let url = url(
            repository,
            &["pullrequests", &number.to_string(), "comments"],
        );
        let body = json!({"content": {"raw": body}});
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
        let url = url(repository, &["pullrequests", &number, "comments", &id]);
        let body = json!({"content": {"raw": body}});
        Call::new(FORGE, Method::PUT, &url, Some(&body), |answer| {
            answer.success()
        })
    }

    fn own_user(&self, repository: &Repository) -> Call<String> {
        let read = |user: User| {
            let id = user.uuid.ok_or(ReadError::Value("the user's uuid"))?;
            Ok(format!("user {id}"))
        };
        Call::json(FORGE, Method::GET, &repository.url(["user"]), None, read)
    }

    /// The newest activities come first. Approvals do not say of which commit they are; those since the head was pushed are of it. The
    /// first page is enough: what is in later ones is older.
    fn reviews(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
        _page: u64,
    ) -> Call<Page<Review>> {
        let number = pull_request.number.to_string();
        let mut url = url(repository, &["pullrequests", &number, "activity"]);
        url.query_pairs_mut()
            .append_pair("pagelen", &PAGE.to_string());
        let head = pull_request.head.commit.clone();
        let read = move |found: Paged<Activity>| {
            let is_of_head = |update: &Update| {
                let commit = update.source.commit.as_ref();
                commit.is_some_and(|commit| {
                    !commit.hash.is_empty()
                        && (head.starts_with(&commit.hash) || commit.hash.starts_with(&head))
                })
            };
            let mut items = Vec::new();
            for activity in found.values {
                if activity
                    .update
                    .as_ref()
                    .is_some_and(|update| !is_of_head(update))
                {
                    break;
                }
                for (by, verdict) in [
                    (activity.approval, Verdict::Approved),
                    (activity.changes_requested, Verdict::Withdrawn),
                ] {
                    let user = by.and_then(|by| by.user).and_then(|user| user.uuid);
                    items.extend(user.map(|user| Review {
                        user,
                        verdict,
                        commit: Some(head.clone()),
                        time: None,
                        may_write: None,
                    }));
                }
            }
            items.reverse();
            Ok(Page { items, next: None })
        };
        Call::json(FORGE, Method::GET, &url, None, read)
    }
}
