//! Git hosts.

use std::fmt;
use std::str::FromStr;

/// A Git host that sends webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// GitHub and GitHub Enterprise.
    GitHub,
    /// GitLab, with a secret token or a signing token.
    GitLab,
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
    /// Bitbucket Cloud.
    BitbucketCloud,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
    /// Anything that signs a body: `X-Signature: sha256=…`, and a body `{"ref": …, "after": …}`.
    Generic,
}

/// A name that no provider has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {names}, found '{found}'", names = Provider::ALL.map(Provider::name).join(", "))]
pub struct UnknownProvider {
    found: String,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::GitHub,
        Self::GitLab,
        Self::Gitea,
        Self::Forgejo,
        Self::BitbucketCloud,
        Self::BitbucketServer,
        Self::Generic,
    ];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::BitbucketCloud => "bitbucket",
            Self::BitbucketServer => "bitbucket-server",
            Self::Generic => "generic",
        }
    }

    /// The headers that may name the event, the first that is there counts. Forgejo also sends Gitea's, and Gitea GitHub's.
    pub(crate) fn event_headers(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["x-github-event"],
            Self::GitLab => &["x-gitlab-event"],
            Self::Gitea => &["x-gitea-event"],
            Self::Forgejo => &["x-forgejo-event", "x-gitea-event"],
            Self::BitbucketCloud | Self::BitbucketServer => &["x-event-key"],
            Self::Generic => &[],
        }
    }

    /// The headers that may name the delivery.
    pub(crate) fn delivery_headers(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["x-github-delivery"],
            Self::GitLab => &["webhook-id", "idempotency-key", "x-gitlab-event-uuid"],
            Self::Gitea => &["x-gitea-delivery"],
            Self::Forgejo => &["x-forgejo-delivery", "x-gitea-delivery"],
            Self::BitbucketCloud => &["x-request-uuid"],
            Self::BitbucketServer => &["x-request-id"],
            Self::Generic => &["x-delivery-id"],
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        let found = Self::ALL
            .into_iter()
            .find(|provider| provider.name() == text);
        found.ok_or_else(|| UnknownProvider {
            found: text.to_owned(),
        })
    }
}
