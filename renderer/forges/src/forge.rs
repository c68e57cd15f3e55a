//! Git hosts that have an API.

use std::fmt;

use niphas_webhooks::Provider;

use crate::api::Api;
use crate::bitbucket_cloud::BitbucketCloud;
use crate::bitbucket_server::BitbucketServer;
use crate::gitea::Gitea;
use crate::github::GitHub;
use crate::gitlab::GitLab;

/// A Git host with an API for statuses and pull requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forge {
    /// GitHub and GitHub Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea.
    Gitea,
    /// Forgejo. Its API is Gitea's.
    Forgejo,
    /// Bitbucket Cloud.
    BitbucketCloud,
    /// Bitbucket Server and Data Center, from 7.4 on.
    BitbucketServer,
}

/// The longest texts that a host takes, in bytes: those that count characters take at least as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLimits {
    /// A status's description.
    pub description: usize,
    /// A status's link. One that is longer is left out.
    pub link: usize,
    /// A pull request's title.
    pub title: usize,
    /// The text of a pull request or of a comment.
    pub body: usize,
}

impl Forge {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::GitHub,
        Self::GitLab,
        Self::Gitea,
        Self::Forgejo,
        Self::BitbucketCloud,
        Self::BitbucketServer,
    ];

    /// Its name in settings, the same as the provider's of webhooks.
    pub fn name(self) -> &'static str {
        match self {
            Self::GitHub => Provider::GitHub.name(),
            Self::GitLab => Provider::GitLab.name(),
            Self::Gitea => Provider::Gitea.name(),
            Self::Forgejo => Provider::Forgejo.name(),
            Self::BitbucketCloud => Provider::BitbucketCloud.name(),
            Self::BitbucketServer => Provider::BitbucketServer.name(),
        }
    }

    /// How it is spoken to.
    pub fn api(self) -> &'static dyn Api {
        match self {
            Self::GitHub => &GitHub,
            Self::GitLab => &GitLab,
            Self::Gitea | Self::Forgejo => &Gitea,
            Self::BitbucketCloud => &BitbucketCloud,
            Self::BitbucketServer => &BitbucketServer,
        }
    }

    /// How long texts may be. GitHub's body is documented by its errors ("is too long (maximum is 65536 characters)"), GitLab's by
    /// its limits of instances, Bitbucket's by its errors ("32768 characters").
    pub fn limits(self) -> TextLimits {
        let (description, link, title, body) = match self {
            Self::GitHub => (140, 2048, 256, 65_000),
            Self::GitLab => (255, 255, 255, 500_000),
            Self::Gitea | Self::Forgejo => (255, 2048, 255, 65_000),
            Self::BitbucketCloud => (255, 512, 255, 32_000),
            Self::BitbucketServer => (255, 450, 255, 32_000),
        };
        TextLimits {
            description,
            link,
            title,
            body,
        }
    }

    /// Whether comments may hold HTML, as `<details>` and comments that are not shown.
    pub(crate) fn renders_html(self) -> bool {
        !matches!(self, Self::BitbucketCloud | Self::BitbucketServer)
    }
}

impl fmt::Display for Forge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<Provider> for Forge {
    /// The provider: it sends webhooks, and has no API.
    type Error = Provider;

    fn try_from(provider: Provider) -> Result<Self, Provider> {
        let found = Self::ALL
            .into_iter()
            .find(|forge| forge.name() == provider.name());
        found.ok_or(provider)
    }
}
