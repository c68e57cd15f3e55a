//! The APIs of Git hosts, with the logins of sources.

use std::time::Duration;

use kube::Client;
use niphas_api::source::{Provider, SecretReference};
use niphas_forges::{Forge, Http, Repository};
use niphas_http::{Limits, RetryPolicy, SetupError};

use crate::cluster::{ClusterError, secret};
use crate::login::{self, LoginError};

/// How often a request is sent before its failure counts. Statuses are tried again later.
const RETRIES: RetryPolicy = RetryPolicy {
    attempts: 3,
    pause: Duration::from_millis(500),
    patience: Duration::from_secs(20),
};

/// Why the API of a host is not asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Repository(#[from] niphas_forges::RepositoryError),
    #[error("the namespace has no Secret '{0}'")]
    NoSecret(String),
}

/// A repository of a source at its host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) provider: Option<Provider>,
    pub(crate) url: &'a str,
    pub(crate) secret: Option<&'a SecretReference>,
}

/// The connections to all hosts.
#[derive(Debug, Clone)]
pub(crate) struct Hosts(Http);

impl Hosts {
    pub(crate) fn new() -> Result<Self, SetupError> {
        let limits = Limits {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
        };
        Http::new(&limits).map(Self)
    }

    /// The API for a repository. `None`: its host is not known, or has none, or there is no login for it.
    pub(crate) async fn client(
        &self,
        cluster: &Client,
        place: Place<'_>,
    ) -> Result<Option<niphas_forges::Client>, HostError> {
        let forge = place.provider.and_then(forge);
        let (Some(forge), Some(SecretReference { name })) = (forge, place.secret) else {
            return Ok(None);
        };
        let found = secret(cluster, place.namespace, name).await?;
        let found = found.ok_or_else(|| HostError::NoSecret(name.clone()))?;
        let Some(credentials) = login::for_api(forge, &found)? else {
            return Ok(None);
        };
        let repository = Repository::new(forge, place.url, None)?;
        let http = self.0.clone();
        let client = niphas_forges::Client::new(http, repository, credentials, RETRIES);
        Ok(Some(client))
    }
}

/// The host's API, if it has one.
pub(crate) fn forge(provider: Provider) -> Option<Forge> {
    match provider {
        Provider::GitHub => Some(Forge::GitHub),
        Provider::GitLab => Some(Forge::GitLab),
        Provider::Gitea => Some(Forge::Gitea),
        Provider::Forgejo => Some(Forge::Forgejo),
        Provider::Bitbucket => Some(Forge::BitbucketCloud),
        Provider::BitbucketServer => Some(Forge::BitbucketServer),
        Provider::Generic => None,
    }
}
