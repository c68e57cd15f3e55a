//! Which caches a namespace's pods are served from, and whom they believe; kept as the configuration file says.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use binary_cache::{CacheMemory, CacheUrl, CacheUrlError, Caches, Limits, Netrc, TrustPolicy};
use niphas_store::Origin;
use nix_formats::{PublicKey, PublicKeys, StoreDir};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::{
    CacheEntry, CacheWithToken, Config, ConfigError, Section, SectionLimits, read,
};
use crate::metrics::{Metrics, Outcome};

/// How often to look whether the configuration or a secret changed. A ConfigMap takes kubelet a minute anyhow.
const INTERVAL: Duration = Duration::from_secs(5);

/// Bytes of memory for what the caches of all sections answered. The driver may have 256 MiB.
const CACHE_MEMORY: usize = 64 << 20;

/// How far the decoder of a NAR may look back, in bytes: as far as xz -9 does. One at a time does.
const MOST_LOOKED_BACK: u64 = 64 << 20;

/// A section and what its files hold: if neither changed, the caches made of it live on, with what they remember.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    section: Section,
    netrc: Option<String>,
    limits: SectionLimits,
    /// Whether other namespaces have other sections.
    is_one_of_many: bool,
    mesh: Option<CacheWithToken>,
}

#[derive(Debug, Clone)]
struct Made {
    source: Source,
    caches: Arc<Caches>,
    origins: Arc<[Origin]>,
}

/// What serves the pods of a namespace.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) caches: Arc<Caches>,
    /// What the caches are known as, in their order.
    pub(crate) origins: Arc<[Origin]>,
    /// Whether paths of the store count only if these caches have delivered them.
    pub(crate) must_be_delivered: bool,
    pub(crate) limits: SectionLimits,
}

#[derive(Debug, Clone)]
struct Snapshot {
    defaults: Made,
    namespaces: HashMap<String, Made>,
}

/// The caches of every namespace.
#[derive(Debug)]
pub(crate) struct Trust {
    file: PathBuf,
    memory: CacheMemory,
    current: RwLock<Snapshot>,
}

impl Trust {
    /// Reads the configuration file.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigError> {
        let memory = CacheMemory::new(CACHE_MEMORY);
        let snapshot = snapshot(file, None, &memory)?;
        Ok(Self {
            file: file.to_owned(),
            memory,
            current: RwLock::new(snapshot),
        })
    }

    /// What serves a pod in this namespace. With an empty name, as if kubelet did not say: nothing, if the configuration tells
    /// namespaces apart.
    pub(crate) fn serving(&self, namespace: &str) -> Option<Served> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        if namespace.is_empty() && !current.namespaces.is_empty() {
            return None;
        }
        let made = current
            .namespaces
            .get(namespace)
            .unwrap_or(&current.defaults);
        Some(Served {
            caches: Arc::clone(&made.caches),
            origins: Arc::clone(&made.origins),
            must_be_delivered: made.source.is_one_of_many,
            limits: made.source.limits,
        })
    }

    /// Reads the file again. Whether anything changed; on an error what was there stays.
    fn reload(&self) -> Result<bool, ConfigError> {
        let old = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let new = snapshot(&self.file, Some(&old), &self.memory)?;
        let is_same = |old: &Made, new: &Made| Arc::ptr_eq(&old.caches, &new.caches);
        let changed = !is_same(&old.defaults, &new.defaults)
            || old.namespaces.len() != new.namespaces.len()
            || new.namespaces.iter().any(|(name, made)| {
                !old.namespaces
                    .get(name)
                    .is_some_and(|old| is_same(old, made))
            });
        if changed {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
        Ok(changed)
    }

    /// Follows the file until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, metrics: Metrics, stop: CancellationToken) {
        let mut last_error = String::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let this = Arc::clone(&self);
            let Ok(result) = tokio::task::spawn_blocking(move || this.reload()).await else {
                return;
            };
            match result {
                Ok(changed) => {
                    if changed || !last_error.is_empty() {
                        info!(file = %self.file.display(), "reloaded the configuration");
                        metrics.config_reloaded(Outcome::Ok);
                    }
                    last_error.clear();
                }
                Err(problem) => {
                    let text = nix_formats::chain(&problem);
                    if text != last_error {
                        error!(
                            error = text,
                            "the changed configuration cannot be used: the old one stays"
                        );
                        metrics.config_reloaded(Outcome::Failed);
                        last_error = text;
                    }
                }
            }
        }
    }
}

fn snapshot(
    file: &Path,
    old: Option<&Snapshot>,
    memory: &CacheMemory,
) -> Result<Snapshot, ConfigError> {
    let config = Config::parse(file, &read(file)?)?;
    let reuse = |source: Source, old: Option<&Made>, name: &str| match old {
        Some(old) if old.source == source => Ok(old.clone()),
        _ => make(source, name, memory),
    };
    let limits = SectionLimits::default().with(&config.limits);
    let is_one_of_many = !config.namespaces.is_empty();
    let source = |section: Section| -> Result<Source, ConfigError> {
        Ok(Source {
            netrc: section.netrc_file.as_deref().map(read).transpose()?,
            limits: limits.with(&section.limits),
            is_one_of_many,
            mesh: config.mesh.clone(),
            section,
        })
    };
    let defaults = reuse(
        source(config.defaults)?,
        old.map(|old| &old.defaults),
        "defaults",
    )?;
    let namespaces = config
        .namespaces
        .into_iter()
        .map(|(name, section)| {
            let old = old.and_then(|old| old.namespaces.get(&name));
            let made = reuse(source(section)?, old, &format!("namespaces.{name}"))?;
            Ok((name, made))
        })
        .collect::<Result<_, ConfigError>>()?;
    Ok(Snapshot {
        defaults,
        namespaces,
    })
}

fn make(source: Source, name: &str, memory: &CacheMemory) -> Result<Made, ConfigError> {
    fn failed<E: std::error::Error + Send + Sync + 'static>(
        section: &str,
        what: &'static str,
    ) -> impl FnOnce(E) -> ConfigError {
        let section = section.to_owned();
        move |source| ConfigError::Caches {
            section,
            what,
            source: Box::new(source),
        }
    }
    let section = &source.section;
    let netrc = source.netrc.as_deref().map(Netrc::parse);
    let netrc = netrc
        .transpose()
        .map_err(failed(name, "the netrc file is not valid"))?;
    let (mut urls, mut origins) = (Vec::new(), Vec::new());
    for entry in &section.caches {
        let url = cache_url(entry, netrc.as_ref());
        let url = url.map_err(failed(name, "a cache's URL is not valid"))?;
        let origin = origin(entry, section, netrc.as_ref());
        // What the mesh gives is the cache's: the same bytes, which others fetched before.
        let by_mesh = match (&source.mesh, entry) {
            (Some(mesh), CacheEntry::Url(text)) if !has_login(text, netrc.as_ref()) => {
                by_mesh(mesh, text).map_err(failed("mesh", "the mesh's URL is not valid"))?
            }
            _ => None,
        };
        for url in by_mesh.into_iter().chain([url]) {
            urls.push(url);
            origins.push(origin);
        }
    }
    let keys = section
        .trusted_keys
        .iter()
        .map(|key| key.parse::<PublicKey>())
        .collect::<Result<PublicKeys, _>>()
        .map_err(failed(name, "a trusted key is not valid"))?;
    let policy = match section.required_signatures {
        None => TrustPolicy::from(keys),
        Some(required) => TrustPolicy::new(keys, required)
            .map_err(failed(name, "more signatures than trusted keys"))?,
    };
    let store_dir = StoreDir::default();
    let limits = Limits {
        max_looked_back: MOST_LOOKED_BACK,
        ..Limits::default()
    };
    let caches = Caches::new_within(memory, store_dir, urls, policy, limits)
        .map_err(failed(name, "the caches cannot be used"))?;
    Ok(Made {
        source,
        caches: Arc::new(caches),
        origins: origins.into(),
    })
}

fn cache_url(entry: &CacheEntry, netrc: Option<&Netrc>) -> Result<CacheUrl, CacheUrlError> {
    let (text, token) = match entry {
        CacheEntry::Url(url) => (url, None),
        CacheEntry::WithToken(cache) => (&cache.url, Some(&cache.token_file)),
    };
    let mut url = text.parse::<CacheUrl>()?;
    if let Some(netrc) = netrc {
        url = url.with_netrc(netrc);
    }
    Ok(match token {
        Some(file) => url.with_token_file(file.clone()),
        None => url,
    })
}

/// What a cache is known as. A secret is named by where it is kept and who it logs in, so that it can be rotated.
fn origin(entry: &CacheEntry, section: &Section, netrc: Option<&Netrc>) -> Origin {
    let (text, token) = match entry {
        CacheEntry::Url(url) => (url, None),
        CacheEntry::WithToken(cache) => (&cache.url, Some(&cache.token_file)),
    };
    if let Some(file) = token {
        return Origin::new(text, &format!("token {}", file.display()));
    }
    // Of a netrc file only what is said of the cache's own host counts: a public cache is the same with and without it.
    let login = netrc.and_then(|netrc| netrc.login(host(text)));
    let credentials = match (login, &section.netrc_file) {
        (Some(login), Some(file)) => format!("netrc {} {}", login.user, file.display()),
        _ => String::new(),
    };
    Origin::new(text, &credentials)
}

/// User, host and port of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or("")
}

fn host(url: &str) -> &str {
    let host = authority(url).rsplit('@').next().unwrap_or("");
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}

/// Whether a cache wants to know who asks. What is in it is no concern of other nodes then.
fn has_login(url: &str, netrc: Option<&Netrc>) -> bool {
    let of_host = netrc.and_then(|netrc| netrc.login(host(url)));
    of_host.is_some() || authority(url).contains('@')
}

/// A cache as the mesh has it. None for one that is no server.
fn by_mesh(mesh: &CacheWithToken, cache: &str) -> Result<Option<CacheUrl>, CacheUrlError> {
    let cache = cache.split(['?', '#']).next().unwrap_or_default();
    if !cache.starts_with("https://") && !cache.starts_with("http://") {
        return Ok(None);
    }
    let cache = utf8_percent_encode(cache, NON_ALPHANUMERIC);
    let url = format!("{}/cache/{cache}/", mesh.url.trim_end_matches('/'));
    let url = url.parse::<CacheUrl>()?;
    Ok(Some(url.with_token_file(mesh.token_file.clone())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KEY: &str = "demo-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn write(folder: &tempfile::TempDir, text: &str) -> PathBuf {
        let file = folder.path().join("csi.yaml");
        fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn a_namespace_has_its_own_caches_and_nothing_of_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("defaults: {{ trustedKeys: ['{KEY}'] }}\nnamespaces: {{ shop: {{}} }}");
        let trust = Trust::load(&write(&folder, &text)).unwrap();
        let keys = |namespace| {
            trust
                .serving(namespace)
                .map(|served| served.caches.policy().keys().iter().count())
        };
        assert_eq!(keys("default"), Some(1));
        assert_eq!(keys("shop"), Some(0));
        assert_eq!(keys(""), None);
    }

    #[test]
    fn caches_live_on_unless_what_they_are_made_of_changes() {
        let folder = tempfile::tempdir().unwrap();
        let netrc = folder.path().join("netrc");
        fs::write(&netrc, "machine a login b password c").unwrap();
        let shop = format!(
            "namespaces: {{ shop: {{ netrcFile: {} }} }}",
            netrc.display()
        );
        let trust = Trust::load(&write(&folder, &shop)).unwrap();
        let caches = |namespace| trust.serving(namespace).unwrap().caches;
        let (before_shop, before) = (caches("shop"), caches("x"));
        assert!(!trust.reload().unwrap());
        fs::write(&netrc, "machine a login b password d").unwrap();
        assert!(trust.reload().unwrap());
        assert!(!Arc::ptr_eq(&before_shop, &caches("shop")));
        assert!(Arc::ptr_eq(&before, &caches("x")));
    }

    #[test]
    fn an_origin_is_a_url_and_whose_login_it_is_not_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let netrc = folder.path().join("netrc");
        fs::write(&netrc, "machine private login shop password c").unwrap();
        let text = |more: &str| {
            format!(
                "namespaces:\n  shop: {{ netrcFile: {}, caches: ['https://public', 'https://private/x'{more}] }}\n  \
                 bank: {{ caches: ['https://private/x', 'https://public', {{ url: 'https://public', tokenFile: /t }}] }}",
                netrc.display()
            )
        };
        let trust = Trust::load(&write(&folder, &text(""))).unwrap();
        let origins = |namespace| trust.serving(namespace).unwrap().origins;
        let (shop, bank) = (origins("shop"), origins("bank"));
        assert_eq!(shop[0], bank[1]);
        assert_ne!(shop[1], bank[0]);
        assert_ne!(bank[2], bank[1]);
        // Another secret of the same login, a key or a cache more: what was delivered counts on.
        fs::write(&netrc, "machine private login shop password d").unwrap();
        write(&folder, &text(", 'https://more'"));
        assert!(trust.reload().unwrap());
        assert_eq!(origins("shop")[..2], shop[..]);
        fs::write(&netrc, "machine private login other password d").unwrap();
        assert!(trust.reload().unwrap());
        assert_ne!(origins("shop")[1], shop[1]);
        assert!(trust.serving("shop").unwrap().must_be_delivered);
    }

    #[test]
    fn the_mesh_stands_before_each_cache_that_needs_no_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let netrc = folder.path().join("netrc");
        fs::write(&netrc, "machine private login shop password c").unwrap();
        let caches = "[file:///cache, 'https://public?priority=3', 'https://private/x', 'https://a:b@other', \
             { url: 'https://token', tokenFile: /t }, 'http://10.0.0.1:80/x']";
        let text = format!(
            "mesh: {{ url: 'http://mesh:9812', tokenFile: /token }}\n\
             defaults: {{ netrcFile: {}, caches: {caches} }}",
            netrc.display()
        );
        let trust = Trust::load(&write(&folder, &text)).unwrap();
        let served = trust.serving("x").unwrap();
        let names: Vec<&str> = served.caches.names().collect();
        assert_eq!(
            names,
            [
                "file:///cache",
                "http://mesh:9812/cache/https%3A%2F%2Fpublic",
                "https://public",
                "https://private/x",
                "https://other",
                "https://token",
                "http://mesh:9812/cache/http%3A%2F%2F10%2E0%2E0%2E1%3A80%2Fx",
                "http://10.0.0.1/x",
            ]
        );
        assert_eq!(served.origins[1], served.origins[2]);
        assert_ne!(served.origins[2], served.origins[3]);
        let before = served.caches;
        write(&folder, &text.replace("9812", "9813"));
        assert!(trust.reload().unwrap());
        assert!(!Arc::ptr_eq(&before, &trust.serving("x").unwrap().caches));
        write(&folder, &text.replace("http://mesh", "mesh"));
        let error = nix_formats::chain(&trust.reload().unwrap_err());
        assert!(
            error.starts_with("mesh: the mesh's URL is not valid"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust::load(&write(
            &folder,
            &format!("defaults: {{ trustedKeys: ['{KEY}'] }}"),
        ))
        .unwrap();
        let before = trust.serving("x").unwrap().caches;
        for bad in [
            "defaults: { caches: [nonsense] }",
            "defaults: { trustedKeys: [nonsense] }",
            &format!("defaults: {{ trustedKeys: ['{KEY}'], requiredSignatures: 2 }}"),
            "defaults: { netrcFile: /does/not/exist }",
            "[",
        ] {
            write(&folder, bad);
            assert!(trust.reload().is_err(), "{bad}");
            assert!(Arc::ptr_eq(&before, &trust.serving("x").unwrap().caches));
        }
    }
}
