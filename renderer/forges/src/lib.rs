//! Statuses, pull requests and comments at Git hosts.
//!
//! - A [`Repository`] is found from the URL that it is cloned from. An [`Api`] makes [`Call`]s for it: plain values of a request and of
//!   how its answer is read. That part opens no connection.
//! - A [`Client`] sends calls, with [`Credentials`]: it keeps to the host's limits, follows redirects only where the credentials
//!   belong, and holds a bounded part of an answer.
//! - [`Sent`] remembers which statuses a host has, so that equal ones are not sent again. The caller keeps it.
//! - [`Markdown`] is the text of comments and pull requests. Names and logs in it are strangers' texts: they stand in code, where
//!   nothing is read into them: no mention, no link, no command.
//!
//! Statuses and comments tell people what happened; nothing may wait for them. An error is one of this attempt.

mod answer;
mod api;
mod auth;
mod bitbucket_cloud;
mod bitbucket_server;
mod client;
mod commit;
mod error;
mod forge;
mod gitea;
mod github;
mod gitlab;
mod limits;
mod markdown;
mod pull_request;
mod repository;
mod review;
mod sender;
mod sent;
mod status;

pub use answer::{Answer, Call, Page, ReadError};
pub use api::Api;
pub use auth::{Credentials, GitHubApp, KeyError};
pub use client::Client;
pub use commit::{Commit, CommitError};
pub use error::ForgeError;
pub use forge::{Forge, TextLimits};
pub use markdown::{Markdown, Part, code};
pub use pull_request::{Branches, Comment, Head, Proposal, PullRequest};
pub use repository::{Repository, RepositoryError};
pub use review::{Review, Verdict};
pub use sender::Http;
pub use sent::{Sending, Sent};
pub use status::{Context, State, Status};
