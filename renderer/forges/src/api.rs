//! What is asked of every host.

use jiff::Timestamp;

use crate::answer::{Call, Page};
use crate::commit::Commit;
use crate::pull_request::{Branches, Comment, Head, PullRequest};
use crate::repository::Repository;
use crate::review::Review;
use crate::status::{Context, Status};

/// How a host is spoken to: what it is asked, and how it answers. Pages of lists are asked for by 0, and then by [`Page::next`].
pub trait Api: Sync {
    /// Gives a commit a status.
    fn set_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        context: Context,
        status: &Status,
    ) -> Call<()>;

    /// The open pull requests of these branches of the repository itself; hosts may give others, too.
    fn pull_requests(
        &self,
        repository: &Repository,
        branches: &Branches,
        page: u64,
    ) -> Call<Page<PullRequest>>;

    /// Opens a pull request.
    fn create_pull_request(
        &self,
        repository: &Repository,
        branches: &Branches,
        title: &str,
        body: &str,
    ) -> Call<PullRequest>;

    /// Changes title and text.
    fn update_pull_request(
        &self,
        repository: &Repository,
        found: &PullRequest,
        title: &str,
        body: &str,
    ) -> Call<PullRequest>;

    /// Adds labels, which may be there. `None`: the host has none.
    fn add_labels(
        &self,
        repository: &Repository,
        number: u64,
        labels: &[String],
    ) -> Option<Call<()>>;

    /// A pull request.
    fn pull_request(&self, repository: &Repository, number: u64) -> Call<PullRequest>;

    /// The full name of a head's commit, if the pull request gives a part of it.
    fn full_commit(&self, _repository: &Repository, _head: &Head) -> Option<Call<String>> {
        None
    }

    /// Comments of a pull request that are of no line, the first ones first.
    fn comments(&self, repository: &Repository, number: u64, page: u64) -> Call<Page<Comment>>;

    /// Writes a comment.
    fn create_comment(&self, repository: &Repository, number: u64, body: &str) -> Call<()>;

    /// Changes a comment.
    fn update_comment(
        &self,
        repository: &Repository,
        number: u64,
        comment: &Comment,
        body: &str,
    ) -> Call<()>;

    /// Whom the credentials are of, as in [`Comment::authors`].
    fn own_user(&self, repository: &Repository) -> Call<String>;

    /// What people said of a pull request, in the order of time.
    fn reviews(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
        page: u64,
    ) -> Call<Page<Review>>;

    /// When the head was pushed, where reviews do not say of which commit they are.
    fn pushed(
        &self,
        _repository: &Repository,
        _pull_request: &PullRequest,
    ) -> Option<Call<Option<Timestamp>>> {
        None
    }

    /// Whether the user of a review may write to the repository. `None`: the host does not say that to everyone.
    fn may_write(&self, _repository: &Repository, _user: &str) -> Option<Call<bool>> {
        None
    }
}
