//! What programs do at a host.

use niphas_http::{RetryPolicy, Secret};

use crate::answer::{Call, Page};
use crate::auth::Credentials;
use crate::commit::Commit;
use crate::error::ForgeError;
use crate::markdown::{self, Markdown};
use crate::pull_request::{Comment, Proposal, PullRequest, is_same_text};
use crate::repository::Repository;
use crate::review::{Review, approvals};
use crate::sender::{Http, Sender};
use crate::sent::{Sending, Sent};
use crate::status::{Context, Status, one_line};

/// Pages of a list that are looked through.
const MOST_PAGES: usize = 40;
/// People of whom it is asked whether they may write.
const MOST_PEOPLE: usize = 20;

/// Speaks for one account to one repository's host. Requests are sent one after the other, as GitHub asks for.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    repository: Repository,
    own_user: tokio::sync::OnceCell<String>,
}

impl Client {
    /// A client for a repository.
    pub fn new(
        http: Http,
        repository: Repository,
        credentials: Credentials,
        retries: RetryPolicy,
    ) -> Self {
        Self {
            sender: Sender::new(http, repository.clone(), credentials, retries),
            repository,
            own_user: tokio::sync::OnceCell::new(),
        }
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Gives a commit a status, unless `sent` says that the host has it.
    pub async fn set_status(
        &self,
        sent: &mut Sent,
        commit: &Commit,
        context: Context,
        status: &Status,
    ) -> Result<Sending, ForgeError> {
        let sending = sent.decide(commit, context, status);
        if sending == Sending::Sent {
            let api = self.repository.forge().api();
            self.send(&api.set_status(&self.repository, commit, context, status))
                .await?;
            sent.record(commit, context, status);
        }
        Ok(sending)
    }

    /// Opens the pull request, or gives the open one of the same branches this title and text. Labels are given when it is opened: a
    /// label that was taken off later does not come back.
    pub async fn propose(&self, proposal: &Proposal) -> Result<PullRequest, ForgeError> {
        let forge = self.repository.forge();
        let title = one_line(&proposal.title, forge.limits().title);
        let body = proposal.body.for_host(forge);
        if let Some(found) = self.find(proposal).await? {
            return self.update(found, &title, &body).await;
        }
        let call =
            forge
                .api()
                .create_pull_request(&self.repository, &proposal.branches, &title, &body);
        let created = match self.send(&call).await {
            Ok(created) => created,
            // Another attempt of ours may have opened it, of which the answer was lost.
            Err(error) if error.is_refusal(&[400, 409, 422]) => {
                let found = self.find(proposal).await?;
                return self.update(found.ok_or(error)?, &title, &body).await;
            }
            Err(error) => return Err(error),
        };
        if !proposal.labels.is_empty() {
            let call = forge
                .api()
                .add_labels(&self.repository, created.number, &proposal.labels);
            if let Some(call) = call {
                self.send(&call).await?;
            }
        }
        Ok(created)
    }

    async fn find(&self, proposal: &Proposal) -> Result<Option<PullRequest>, ForgeError> {
        let (api, branches) = (self.repository.forge().api(), &proposal.branches);
        let is_it = |pull: &PullRequest| {
            pull.is_open
                && !pull.head.is_fork
                && pull.head.branch == branches.head
                && pull.base == branches.base
        };
        let mut page = 0;
        for _ in 0..MOST_PAGES {
            let call = api.pull_requests(&self.repository, branches, page);
            let Page { items, next } = self.send(&call).await?;
            if let Some(found) = items.into_iter().find(|pull| is_it(pull)) {
                return Ok(Some(found));
            }
            let Some(next) = next else { break };
            page = next;
        }
        Ok(None)
    }

    async fn update(
        &self,
        found: PullRequest,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, ForgeError> {
        if found.title == title && is_same_text(&found.body, body) {
            return Ok(found);
        }
        let api = self.repository.forge().api();
        let call = api.update_pull_request(&self.repository, &found, title, body);
        self.send(&call).await
    }

    /// Writes the comment of this key, or changes it. It is known by a mark that is not shown, and by its author: a mark in the comment
    /// of another user means nothing.
    pub async fn comment(
        &self,
        number: u64,
        key: &str,
        text: &Markdown,
    ) -> Result<Sending, ForgeError> {
        let forge = self.repository.forge();
        let (api, body) = (forge.api(), text.marked(forge, key));
        let mark = markdown::mark(forge, key);
        let Some(found) = self.find_comment(number, &mark).await? else {
            let call = api.create_comment(&self.repository, number, &body);
            self.send(&call).await?;
            return Ok(Sending::Sent);
        };
        if is_same_text(&found.body, &body) {
            return Ok(Sending::Unchanged);
        }
        let call = api.update_comment(&self.repository, number, &found, &body);
        self.send(&call).await?;
        Ok(Sending::Sent)
    }

    async fn find_comment(&self, number: u64, mark: &str) -> Result<Option<Comment>, ForgeError> {
        let (api, own) = (self.repository.forge().api(), self.own_user().await?);
        let mut page = 0;
        for _ in 0..MOST_PAGES {
            let call = api.comments(&self.repository, number, page);
            let Page { items, next } = self.send(&call).await?;
            let is_it = |comment: &Comment| {
                comment.body.contains(mark) && comment.authors.iter().any(|author| author == own)
            };
            if let Some(found) = items.into_iter().find(is_it) {
                return Ok(Some(found));
            }
            let Some(next) = next else { break };
            page = next;
        }
        Ok(None)
    }

    async fn own_user(&self) -> Result<&str, ForgeError> {
        let ask = || async {
            if let Some(app) = self.sender.app() {
                Ok(format!("app {}", app.id()))
            } else {
                let api = self.repository.forge().api();
                self.send(&api.own_user(&self.repository)).await
            }
        };
        self.own_user.get_or_try_init(ask).await.map(String::as_str)
    }

    /// A pull request, with the full name of its commit.
    pub async fn pull_request(&self, number: u64) -> Result<PullRequest, ForgeError> {
        let api = self.repository.forge().api();
        let mut found = self
            .send(&api.pull_request(&self.repository, number))
            .await?;
        if let Some(call) = api.full_commit(&self.repository, &found.head) {
            found.head.commit = self.send(&call).await?;
        }
        match Commit::new(&found.head.commit) {
            Ok(_) => Ok(found),
            Err(_) => Err(ForgeError::Commit(
                nix_formats::shortened(&found.head.commit, 80).into_owned(),
            )),
        }
    }

    /// Who approves what the pull request's head holds now, of those who may write to the repository and those named in `trusted`.
    /// People are named as the host's API does it: GitLab by number, Bitbucket Cloud by UUID. Bitbucket does not say who may write,
    /// so only those in `trusted` count there.
    pub async fn approvers(
        &self,
        pull_request: &PullRequest,
        trusted: &[String],
    ) -> Result<Vec<String>, ForgeError> {
        let api = self.repository.forge().api();
        let mut reviews: Vec<Review> = Vec::new();
        let mut page = 0;
        // With more than that, the last word of a person may not be seen: no approval counts then.
        for count in 0.. {
            if count == MOST_PAGES {
                return Ok(Vec::new());
            }
            let call = api.reviews(&self.repository, pull_request, page);
            let found = self.send(&call).await?;
            reviews.extend(found.items);
            let Some(next) = found.next else { break };
            page = next;
        }
        let pushed = match api.pushed(&self.repository, pull_request) {
            Some(call) => self.send(&call).await?,
            None => None,
        };
        let found = approvals(&reviews, &pull_request.head.commit, pushed);
        let mut approvers = Vec::new();
        let mut asked = 0;
        for approval in found {
            let is_trusted = trusted.contains(&approval.user);
            let counts = match approval.may_write {
                _ if is_trusted => true,
                Some(may_write) => may_write,
                None if asked == MOST_PEOPLE => false,
                None => match api.may_write(&self.repository, &approval.user) {
                    Some(call) => {
                        asked += 1;
                        self.send(&call).await?
                    }
                    None => false,
                },
            };
            if counts {
                approvers.push(approval.user);
            }
        }
        Ok(approvers)
    }

    /// The token of a GitHub App's installation, which Git takes with the user `x-access-token`; `None` for other credentials.
    pub async fn installation_token(&self) -> Result<Option<Secret>, ForgeError> {
        self.sender.installation_token().await
    }

    async fn send<T: 'static>(&self, call: &Call<T>) -> Result<T, ForgeError> {
        self.sender.send(call).await
    }
}
