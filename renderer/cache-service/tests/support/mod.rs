//! A service, its cache, and derivations to build.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binary_cache::{
    CacheUrl, Caches, Limits as CacheLimits, NarSource, PathInfo, PushOptions, SourceError,
    push_paths,
};
use niphas_cache_service::client::{Client, Options, Token};
use niphas_cache_service::ingest::{Bearer, BuildSpec, Builds, Denied, Ingest, Limits, Settings};
use niphas_cache_service::protocol::{BuildName, BuildSettings, Outcome, OutputClaim};
use niphas_daemon::{Bounds, serve_within};
use niphas_http::{RetryPolicy, Secret};
use nix_formats::nar::Writer;
use nix_formats::{Derivation, DerivationOutput, NarHash, SecretKey, StoreDir, StorePath};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) fn store_dir() -> StoreDir {
    StoreDir::default()
}

/// A NAR of one file.
pub(crate) fn nar(contents: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.file(false, contents).unwrap();
    writer.finish().unwrap()
}

/// NARs in memory.
pub(crate) struct Nars(pub(crate) BTreeMap<StorePath, Vec<u8>>);

impl NarSource for Nars {
    fn store_dir(&self) -> &StoreDir {
        static STORE_DIR: std::sync::OnceLock<StoreDir> = std::sync::OnceLock::new();
        STORE_DIR.get_or_init(StoreDir::default)
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        Ok(vec![None; paths.len()])
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        out.write_all(&self.0[&info.path])
            .map_err(SourceError::Write)
    }
}

pub(crate) fn info(path: &StorePath, nar: &[u8], references: &[&StorePath]) -> PathInfo {
    PathInfo {
        path: path.clone(),
        nar_hash: NarHash::of(nar),
        nar_size: nar.len() as u64,
        references: references.iter().copied().cloned().collect(),
        deriver: None,
        signatures: Vec::new(),
        ca: None,
    }
}

/// Puts a path into the cache in a folder.
pub(crate) async fn put(cache: &Path, path: &StorePath, nar: Vec<u8>, references: &[&StorePath]) {
    let info = info(path, &nar, references);
    let source = Nars(BTreeMap::from([(path.clone(), nar)]));
    let options = PushOptions {
        keys: Arc::new([key()]),
        ..PushOptions::default()
    };
    let to = url(cache);
    push_paths(Arc::new(source), vec![info], &to, options, Arc::default())
        .await
        .unwrap();
}

pub(crate) fn url(folder: &Path) -> CacheUrl {
    format!("file://{}", folder.display()).parse().unwrap()
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed("test-1", [7; 32])
}

pub(crate) fn path(name: &str) -> StorePath {
    store_dir()
        .make_text_path(name, name.as_bytes(), &[].into())
        .unwrap()
}

/// A derivation that needs `inputs`, with these outputs and environment.
pub(crate) fn derivation(
    name: &str,
    inputs: &[&StorePath],
    outputs: &[(&str, DerivationOutput)],
    env: &[(&str, &str)],
) -> Derivation {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let outputs = outputs.iter().cloned();
    let mut derivation = Derivation {
        name: name.to_owned(),
        outputs: outputs
            .map(|(name, output)| (name.to_owned(), output))
            .collect(),
        input_sources: inputs.iter().copied().cloned().collect(),
        platform: bytes("x86_64-linux"),
        builder: bytes("/bin/sh"),
        env: env
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect(),
        ..Derivation::default()
    };
    let lookup = |_: &StorePath| Err(nix_formats::derivation::DerivationError::NoOutput);
    derivation.instantiate(&store_dir(), lookup).unwrap();
    derivation
}

pub(crate) fn spec(derivation: &Derivation) -> BuildSpec {
    let aterm = derivation.to_aterm(&store_dir()).unwrap();
    let path = derivation.store_path(&store_dir(), &aterm).unwrap();
    let settings = BuildSettings {
        timeout: Duration::from_mins(1),
        max_silent_time: Duration::ZERO,
        max_log_size: 1 << 20,
        cores: 1,
        systems: vec!["x86_64-linux".to_owned()],
    };
    let inputs = derivation.input_sources.iter().cloned().collect();
    BuildSpec::new(&store_dir(), path, aterm, inputs, settings).unwrap()
}

/// The token of a pod is its name; it builds what is listed for it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) specs: Mutex<BTreeMap<BuildName, Arc<BuildSpec>>>,
    pub(crate) pods: Mutex<BTreeMap<String, Vec<BuildName>>>,
    pub(crate) outcomes: Mutex<Vec<(BuildName, Outcome)>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World(pub(crate) Arc<Known>);

impl Builds for World {
    async fn bearer(&self, token: &Secret) -> Result<Bearer, Denied> {
        let pods = self.0.pods.lock().unwrap();
        let builds = pods.get(token.expose()).ok_or(Denied::Unknown)?;
        Ok(Bearer {
            pod: token.expose().parse().unwrap(),
            builds: builds.iter().cloned().collect(),
        })
    }

    async fn spec(&self, name: &BuildName) -> Result<Option<Arc<BuildSpec>>, Denied> {
        Ok(self.0.specs.lock().unwrap().get(name).cloned())
    }

    async fn finished(&self, name: &BuildName, outcome: &Outcome) {
        let mut outcomes = self.0.outcomes.lock().unwrap();
        outcomes.push((name.clone(), outcome.clone()));
    }
}

impl World {
    /// A pod that builds something.
    pub(crate) fn add(&self, pod: &str, spec: BuildSpec) -> BuildName {
        let name = BuildName::of(spec.path());
        let mut specs = self.0.specs.lock().unwrap();
        specs.insert(name.clone(), Arc::new(spec));
        let mut pods = self.0.pods.lock().unwrap();
        pods.entry(pod.to_owned()).or_default().push(name.clone());
        name
    }
}

/// A service that runs.
pub(crate) struct Service {
    pub(crate) folder: TempDir,
    pub(crate) world: World,
    pub(crate) ingest: Ingest<World>,
    pub(crate) base: String,
    pub(crate) stop: CancellationToken,
}

pub(crate) fn small_limits() -> Limits {
    Limits {
        output_size: 8 << 20,
        build_size: 12 << 20,
        staging_size: 64 << 20,
        free_space: 0,
        idle: Duration::from_millis(500),
        ..Limits::default()
    }
}

impl Service {
    pub(crate) async fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = World::default();
        Self::start_in(folder, world, limits).await
    }

    pub(crate) async fn start_in(folder: TempDir, world: World, limits: Limits) -> Self {
        let cache = folder.path().join("cache");
        std::fs::create_dir_all(&cache).unwrap();
        let keys = nix_formats::PublicKeys::from_iter([key().public_key()]);
        let cache_limits = CacheLimits {
            negative_ttl: Duration::ZERO,
            ..CacheLimits::default()
        };
        let caches = Caches::new(store_dir(), [url(&cache)], keys, cache_limits).unwrap();
        let settings = Settings {
            target: url(&cache),
            caches,
            keys: Arc::new([key()]),
            staging: folder.path().join("uploads"),
            limits,
        };
        let ingest = Ingest::new(world.clone(), settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let pages = ingest.router();
        tokio::spawn(serve_within(listener, pages, Bounds::FILES, stop.clone()));
        Self {
            folder,
            world,
            ingest,
            base,
            stop,
        }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(crate) fn client(&self, pod: &str) -> Client {
        client(&self.base, pod)
    }

    /// Sends a request of a pod, by hand.
    pub(crate) fn send(&self, pod: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        let request = http().request(method, format!("{}{path}", self.base));
        request.bearer_auth(pod)
    }

    /// What of a path the cache says.
    pub(crate) fn narinfo(&self, path: &StorePath) -> Option<nix_formats::NarInfo> {
        let file = self.cache().join(nix_formats::NarInfo::file_name(path));
        let text = std::fs::read_to_string(file).ok()?;
        Some(nix_formats::NarInfo::parse(&store_dir(), &text).unwrap())
    }

    /// Names of files with uploads.
    pub(crate) fn uploads(&self) -> Vec<String> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.folder.path().join("uploads")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                for file in std::fs::read_dir(&path).unwrap() {
                    names.push(file.unwrap().file_name().into_string().unwrap());
                }
            }
        }
        names.sort();
        names
    }
}

pub(crate) fn http() -> reqwest::Client {
    niphas_http::client_without_redirects(&niphas_http::Limits {
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(30),
    })
    .unwrap()
}

pub(crate) fn client(base: &str, pod: &str) -> Client {
    let options = Options {
        retries: RetryPolicy {
            attempts: 8,
            pause: Duration::from_millis(20),
            patience: Duration::from_secs(20),
        },
        request_size: 1 << 20,
        log_interval: Duration::from_millis(20),
        ..Options::default()
    };
    let token = Token::Secret(Secret::from(pod));
    Client::new(http(), base.parse().unwrap(), token, options)
}

pub(crate) fn claim(path: &StorePath, nar: &[u8]) -> OutputClaim {
    OutputClaim {
        path: path.clone(),
        nar_hash: NarHash::of(nar),
        nar_size: nar.len() as u64,
    }
}
