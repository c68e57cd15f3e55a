//! What the administrator says of builds: a part of the service's file. Without it nothing is built.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration as StdDuration;

use anyhow::Context as _;
use binary_cache::{CacheUrl, Caches, TrustPolicy, read_keys};
use niphas_api::source::Duration;
use niphas_build_jobs::{job, policy, schedule};
use niphas_cache_service::serve::ReadTokens;
use niphas_http::Secret;
use nix_formats::{PublicKey, PublicKeys, SecretKey, StoreDir};
use serde::Deserialize;

use crate::child::protocol::GraphLimits;

/// What the administrator says of builds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildSettings {
    /// The file with the secret key that signs what is built, as `nix key generate-secret` and `niphas key generate` write it.
    pub signing_key_file: PathBuf,
    /// The folder with the cache for what is built, and with what pods upload. It must outlive the service.
    pub folder: PathBuf,
    /// The file with the tokens by which the cache may be read, one in a line. Left out, it may be read by all who reach it.
    #[serde(default)]
    pub read_tokens_file: Option<PathBuf>,
    /// The caches that inputs of builds come from, beside the service's own.
    #[serde(default)]
    pub caches: Vec<String>,
    /// The keys whose signatures count for them.
    #[serde(default)]
    pub trusted_public_keys: Vec<String>,
    /// What is the same for all Jobs.
    pub jobs: job::Settings,
    /// What builds get.
    #[serde(default)]
    pub policy: policy::Policy,
    /// How much is built.
    #[serde(default)]
    pub limits: BuildLimits,
    /// What the cache keeps.
    #[serde(default)]
    pub keep: Keep,
}

/// How much is built.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BuildLimits {
    /// Jobs at one time.
    pub jobs: NonZeroUsize,
    /// Jobs at one time for the sources of one namespace.
    pub jobs_of_namespace: NonZeroUsize,
    /// Jobs at one time for a system. Others have no limit of their own.
    pub jobs_of_system: BTreeMap<String, usize>,
    /// How long a Job goes on that no run needs any more.
    pub grace: Duration,
    /// Derivations and sources that one run may name.
    pub derivations: NonZeroUsize,
    /// What they may have together, in MiB.
    pub mebibytes: NonZeroUsize,
}

impl Default for BuildLimits {
    fn default() -> Self {
        let number = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            jobs: number(20),
            jobs_of_namespace: number(10),
            jobs_of_system: BTreeMap::new(),
            grace: Duration::from_secs(120),
            derivations: number(20_000),
            mebibytes: number(256),
        }
    }
}

/// What the cache keeps, beside what workloads of the cluster run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Keep {
    /// How many of the last commits of each source have all that they need.
    pub generations: NonZeroUsize,
    /// How long all that is built stays: as long as a commit that names it may take to reach its cluster.
    pub all_for: Duration,
    /// How much of what is older stays, in MiB: the newest.
    pub mebibytes: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            generations: NonZeroUsize::new(3).unwrap_or(NonZeroUsize::MIN),
            all_for: Duration::from_secs(30 * 24 * 3600),
            mebibytes: 20 << 10,
        }
    }
}

impl BuildLimits {
    pub(crate) fn schedule(&self) -> schedule::Limits {
        schedule::Limits {
            total: self.jobs.get(),
            per_namespace: self.jobs_of_namespace.get(),
            per_system: self.jobs_of_system.clone(),
            grace: self.grace.as_std(),
        }
    }

    pub(crate) fn graph(&self) -> GraphLimits {
        GraphLimits {
            count: self.derivations.get(),
            bytes: (self.mebibytes.get() as u64) << 20,
        }
    }
}

impl BuildSettings {
    /// What is wrong with a value, and where.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let absolute = [
            ("builds.signingKeyFile", &self.signing_key_file),
            ("builds.folder", &self.folder),
        ];
        for (field, path) in absolute {
            if !path.is_absolute() {
                return Err((field, "expected an absolute path".to_owned()));
            }
        }
        for cache in &self.caches {
            let url = cache.parse::<CacheUrl>();
            url.map_err(|error| ("builds.caches", error.to_string()))?;
        }
        let none: [PathBuf; 0] = [];
        let keys = read_keys(&self.trusted_public_keys, &none);
        keys.map_err(|error| ("builds.trustedPublicKeys", nix_formats::chain(&error)))?;
        let service = url::Url::parse(&self.jobs.service);
        match service {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
            _ => Err((
                "builds.jobs.service",
                "expected the URL by which pods of builds reach the service".to_owned(),
            )),
        }
    }

    /// The folder of the cache.
    pub(crate) fn cache_folder(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// The file with how long builds took.
    pub(crate) fn durations_file(&self) -> PathBuf {
        self.folder.join("durations.json")
    }

    /// The URL of the cache, as the service writes and reads it.
    pub(crate) fn own_cache(&self) -> anyhow::Result<CacheUrl> {
        let folder = self.cache_folder();
        let folder = folder
            .to_str()
            .context("builds.folder is not valid UTF-8")?;
        Ok(format!("file://{folder}").parse::<CacheUrl>()?)
    }

    pub(crate) fn signing_key(&self) -> anyhow::Result<SecretKey> {
        let path = self.signing_key_file.display();
        let text = std::fs::read_to_string(&self.signing_key_file)
            .with_context(|| format!("failed to read the signing key '{path}'"))?;
        let text = Secret::from(text.trim());
        let key = text.expose().parse::<SecretKey>();
        // The cause could repeat a part of the key.
        key.map_err(|_| anyhow::anyhow!("'{path}' has no secret key of the form NAME:BASE64"))
    }

    pub(crate) fn read_tokens(&self) -> anyhow::Result<Option<ReadTokens>> {
        let Some(file) = &self.read_tokens_file else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("failed to read '{}'", file.display()))?;
        let tokens = text.lines().map(str::trim).map(Secret::from);
        Ok(Some(tokens.collect()))
    }

    /// The caches that inputs of builds come from, the service's own among them.
    pub(crate) fn caches(&self, own: &PublicKey) -> anyhow::Result<Caches> {
        let mut urls = vec![self.own_cache()?];
        for cache in &self.caches {
            urls.push(cache.parse()?);
        }
        let none: [PathBuf; 0] = [];
        let keys = read_keys(&self.trusted_public_keys, &none)?;
        let policy = TrustPolicy::from(with_key(&keys, own));
        let limits = binary_cache::Limits {
            // What is built in one moment is an input in the next.
            negative_ttl: StdDuration::ZERO,
            ..binary_cache::Limits::default()
        };
        Ok(Caches::new(StoreDir::default(), urls, policy, limits)?)
    }
}

/// Keys, and one more.
pub(crate) fn with_key(keys: &PublicKeys, key: &PublicKey) -> PublicKeys {
    keys.iter().chain([key]).cloned().collect()
}
