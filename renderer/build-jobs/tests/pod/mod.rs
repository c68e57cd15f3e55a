//! A pod, and the service that it builds for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binary_cache::{
    CacheUrl, Caches, NarSource, PathInfo, PushOptions, SourceError, push, write_tree,
};
use niphas_build_jobs::agent::{self, Arguments, Places};
use niphas_build_jobs::exit::Exit;
use niphas_build_jobs::inputs::{BuildInputs, InputInfo, Inputs};
use niphas_build_jobs::standing::LastWords;
use niphas_cache_service::ingest::{Bearer, BuildSpec, Builds, Denied, Ingest, Limits, Settings};
use niphas_cache_service::protocol::{BuildName, BuildSettings, Outcome};
use niphas_daemon::{Bounds, serve_within};
use niphas_http::Secret;
use nix_formats::derivation::{DerivationError, HashModulo};
use nix_formats::{
    ContentAddress, ContentAddressMethod, Derivation, HashAlgorithm, NarHash, NarInfo, PublicKeys,
    SecretKey, StoreDir, StorePath,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "token-of-the-pod";

/// A derivation in a pod.
pub(crate) struct Made {
    pub(crate) path: StorePath,
    pub(crate) modulo: HashModulo,
    derivation: Derivation,
    aterm: Vec<u8>,
}

impl Made {
    pub(crate) fn output(&self, name: &str) -> StorePath {
        let output = &self.derivation.outputs[name];
        let path = output.path(&StoreDir::default(), &self.derivation.name, name);
        path.unwrap().unwrap()
    }
}

/// What a pod has mounted.
pub(crate) struct Pod {
    folder: TempDir,
    infos: BTreeMap<StorePath, InputInfo>,
    builds: BuildInputs,
    pub(crate) stop: CancellationToken,
}

impl Pod {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["store", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        Self {
            folder,
            infos: BTreeMap::new(),
            builds: BuildInputs::new(),
            stop: CancellationToken::new(),
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A path in the mounted folder: a text that names what it refers to.
    pub(crate) fn input(&mut self, name: &str, references: &[&StorePath]) -> StorePath {
        let references: BTreeSet<StorePath> = references.iter().copied().cloned().collect();
        let names = references.iter().map(StorePath::to_string);
        let text = [vec![name.to_owned()], names.collect()].concat().join("\n") + "\n";
        let path = StoreDir::default().make_text_path(name, text.as_bytes(), &references);
        let path = path.unwrap();
        let file = self.store().join(path.base_name());
        std::fs::write(&file, &text).unwrap();
        let mut nar = Vec::new();
        write_tree(&file, &mut nar).unwrap();
        let info = InputInfo {
            nar_hash: NarHash::of(&nar),
            nar_size: nar.len() as u64,
            references,
            content_address: Some(ContentAddress {
                method: ContentAddressMethod::Text,
                hash: HashAlgorithm::Sha256.digest(text.as_bytes()),
            }),
        };
        self.infos.insert(path.clone(), info);
        path
    }

    pub(crate) fn unmount(&self, path: &StorePath) {
        std::fs::remove_file(self.store().join(path.base_name())).unwrap();
    }

    /// A derivation that is built here, and what of the mounted folder it needs.
    pub(crate) fn add(
        &mut self,
        mut derivation: Derivation,
        inputs: &[&StorePath],
        modulo: &BTreeMap<StorePath, HashModulo>,
    ) -> Made {
        let done = derivation
            .instantiate::<DerivationError>(&StoreDir::default(), |input| Ok(modulo[input]));
        let done = done.unwrap();
        let inputs = inputs.iter().copied().cloned().collect();
        self.builds.insert(done.path.clone(), inputs);
        Made {
            path: done.path,
            modulo: done.modulo,
            derivation,
            aterm: done.aterm,
        }
    }

    pub(crate) async fn run(&self, service: &Service, made: &Made) -> Exit {
        let at = |name: &str| self.folder.path().join(name);
        let inputs = Inputs::new(&made.path, &self.builds, &self.infos, &StoreDir::default());
        if let Some(inputs) = inputs.unwrap() {
            std::fs::write(at("list"), &inputs.text).unwrap();
        }
        let arguments = Arguments {
            name: made.path.hash_part().to_owned(),
            service: service.base.clone(),
            is_verified_by_ca_file: false,
            shell: Some("/bin/busybox".into()),
        };
        let places = Places {
            work: at("work"),
            inputs: self.store(),
            inputs_list: at("list"),
            token: at("token"),
            certificates: at("ca.crt"),
            termination_log: at("termination-log"),
        };
        agent::run(&arguments, &places, self.stop.clone()).await
    }

    pub(crate) fn last_words(&self) -> Option<LastWords> {
        let text = std::fs::read(self.folder.path().join("termination-log")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }
}

/// What the pod has mounted is in the cache.
struct Mounted {
    store_dir: StoreDir,
    folder: PathBuf,
    infos: BTreeMap<StorePath, InputInfo>,
}

impl NarSource for Mounted {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        let info = |path: &StorePath| {
            let info = self.infos.get(path)?;
            Some(PathInfo {
                path: path.clone(),
                nar_hash: info.nar_hash,
                nar_size: info.nar_size,
                references: info.references.clone(),
                deriver: None,
                signatures: Vec::new(),
                ca: info.content_address,
            })
        };
        Ok(paths.iter().map(info).collect())
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn std::io::Write) -> Result<(), SourceError> {
        write_tree(&self.folder.join(info.path.base_name()), out)
    }
}

#[derive(Default)]
struct Known {
    specs: Mutex<BTreeMap<BuildName, Arc<BuildSpec>>>,
    outcomes: Mutex<BTreeMap<BuildName, Outcome>>,
}

#[derive(Clone, Default)]
struct World(Arc<Known>);

impl Builds for World {
    async fn bearer(&self, token: &Secret) -> Result<Bearer, Denied> {
        if token.expose() != TOKEN {
            return Err(Denied::Unknown);
        }
        Ok(Bearer {
            pod: "pod".parse().unwrap(),
            builds: self.0.specs.lock().unwrap().keys().cloned().collect(),
        })
    }

    async fn spec(&self, name: &BuildName) -> Result<Option<Arc<BuildSpec>>, Denied> {
        Ok(self.0.specs.lock().unwrap().get(name).cloned())
    }

    async fn finished(&self, name: &BuildName, outcome: &Outcome) {
        let mut outcomes = self.0.outcomes.lock().unwrap();
        outcomes.insert(name.clone(), outcome.clone());
    }
}

/// A service with a cache of its own.
pub(crate) struct Service {
    folder: TempDir,
    world: World,
    ingest: Ingest<World>,
    pub(crate) base: String,
    _stop: tokio_util::sync::DropGuard,
}

fn url(folder: &Path) -> CacheUrl {
    format!("file://{}", folder.display()).parse().unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_seed("test-1", [7; 32])
}

impl Service {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        std::fs::create_dir(&cache).unwrap();
        let keys = PublicKeys::from_iter([key().public_key()]);
        let limits = binary_cache::Limits {
            negative_ttl: Duration::ZERO,
            ..binary_cache::Limits::default()
        };
        let caches = Caches::new(StoreDir::default(), [url(&cache)], keys, limits).unwrap();
        let settings = Settings {
            target: url(&cache),
            caches,
            keys: Arc::new([key()]),
            staging: folder.path().join("uploads"),
            limits: Limits {
                free_space: 0,
                ..Limits::default()
            },
        };
        let world = World::default();
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
            _stop: stop.drop_guard(),
        }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Has all inputs of a pod in the cache.
    pub(crate) async fn put(&self, pod: &Pod) {
        let source = Mounted {
            store_dir: StoreDir::default(),
            folder: pod.store(),
            infos: pod.infos.clone(),
        };
        let roots: Vec<StorePath> = pod.infos.keys().cloned().collect();
        let options = PushOptions {
            keys: Arc::new([key()]),
            ..PushOptions::default()
        };
        let to = url(&self.cache());
        let pushed = push(Arc::new(source), &roots, &to, options, Arc::default());
        pushed.await.unwrap();
    }

    /// Orders what a pod has: the last with those before it.
    pub(crate) fn orders(&self, made: &[&Made], inputs: &[&StorePath]) {
        let settings = BuildSettings {
            timeout: Duration::from_mins(5),
            max_silent_time: Duration::ZERO,
            max_log_size: 1 << 20,
            cores: 1,
            systems: vec!["x86_64-linux".to_owned()],
        };
        let mut earlier: Vec<(BuildName, StorePath)> = Vec::new();
        for made in made {
            let mut all: Vec<StorePath> = inputs.iter().copied().cloned().collect();
            all.extend(earlier.iter().map(|(_, out)| out.clone()));
            let (path, aterm) = (made.path.clone(), made.aterm.clone());
            let spec = BuildSpec::new(&StoreDir::default(), path, aterm, all, settings.clone());
            let mut spec = spec.unwrap();
            spec.built_with = earlier.iter().map(|(name, _)| name.clone()).collect();
            let name = BuildName::of(&made.path);
            earlier.push((name.clone(), made.output("out")));
            let mut specs = self.world.0.specs.lock().unwrap();
            specs.insert(name, Arc::new(spec));
        }
    }

    pub(crate) fn narinfo(&self, path: &StorePath) -> Option<NarInfo> {
        let file = self.cache().join(NarInfo::file_name(path));
        let text = std::fs::read_to_string(file).ok()?;
        Some(NarInfo::parse(&StoreDir::default(), &text).unwrap())
    }

    pub(crate) fn outcome(&self, derivation: &StorePath) -> Outcome {
        self.world.0.outcomes.lock().unwrap()[&BuildName::of(derivation)].clone()
    }

    /// The log of a build that went well, as the cache has it.
    pub(crate) fn log(&self, derivation: &StorePath) -> String {
        let log = self.cache().join("log").join(derivation.base_name());
        std::fs::read_to_string(log).unwrap()
    }

    /// Waits until the log that arrived has a line.
    pub(crate) async fn saw(&self, derivation: &StorePath, line: &str) {
        let name = BuildName::of(derivation);
        for _ in 0..600 {
            let piece = self.ingest.log(&name, 0, 1 << 16).await;
            if let Some(piece) = piece.unwrap()
                && String::from_utf8_lossy(&piece.bytes).contains(line)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the log does not have '{line}'");
    }
}
