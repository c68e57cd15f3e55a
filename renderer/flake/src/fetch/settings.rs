//! Where to fetch to, and within which bounds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use niphas_git::Login;
use niphas_http::{RetryPolicy, Secret};
use nix_formats::store_path::StoreDir;

use crate::error::FlakeError;
use crate::registry::RegistrySettings;

/// Where to fetch to, and within which bounds.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// The cache folder; made when something is first put into it.
    pub cache_dir: PathBuf,
    /// The store directory that paths are printed with.
    pub store_dir: StoreDir,
    /// How long an answer of a server is good, where the reference doesn't say what exactly is
    /// meant.
    pub ttl: Duration,
    /// Where names are looked up.
    pub registries: RegistrySettings,
    /// Tokens by host, or by host and path, as in Nix's `access-tokens`.
    pub access_tokens: BTreeMap<String, Secret>,
    /// How to log in to Git servers. Without it, this machine's SSH agent and Git's credential helpers are asked.
    pub git_login: Option<Arc<Login>>,
    /// Whether an earlier state of a branch counts where its server cannot be asked.
    pub uses_stale: bool,
    /// Ask no server: what earlier fetches brought counts, however old it is.
    pub offline: bool,
    /// Whether work trees with uncommitted changes may be used.
    pub allow_dirty: bool,
    /// The largest download, in bytes: of an archive, a file, or what a fetch brings into a clone.
    pub max_download: u64,
    /// The largest archive once unpacked, in bytes.
    pub max_unpacked: u64,
    /// How long to wait for servers.
    pub limits: FetchLimits,
}

/// How long to wait for a server. Git servers have the limits of [`niphas_git::TimeLimits`] besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchLimits {
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Longest silence, before an answer and within it.
    pub read_timeout: Duration,
    /// Bytes per second, counted over [`Self::read_timeout`], below which an answer is given up.
    pub min_rate: u64,
    /// When a request is sent again.
    pub retries: RetryPolicy,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(30),
            min_rate: 1024,
            // Longer than for a cache: there is no other server to ask.
            retries: RetryPolicy {
                pause: Duration::from_millis(500),
                ..RetryPolicy::default()
            },
        }
    }
}

impl FetchSettings {
    /// The settings that Nix has when nothing is configured.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            store_dir: StoreDir::default(),
            ttl: Duration::from_hours(1),
            registries: RegistrySettings {
                global: "https://channels.nixos.org/flake-registry.json".to_owned(),
                ..RegistrySettings::default()
            },
            access_tokens: BTreeMap::new(),
            git_login: None,
            uses_stale: true,
            offline: false,
            allow_dirty: true,
            max_download: 8 << 30,
            max_unpacked: 32 << 30,
            limits: FetchLimits::default(),
        }
    }

    /// How long an answer of a server is good.
    pub(crate) fn ttl(&self) -> Duration {
        if self.offline {
            Duration::MAX
        } else {
            self.ttl
        }
    }

    /// Fails where servers are not asked.
    pub(crate) fn may_ask(&self, url: &str) -> Result<(), FlakeError> {
        if self.offline {
            return Err(FlakeError::Offline(url.into()));
        }
        Ok(())
    }
}
