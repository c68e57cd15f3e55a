//! Trees, and a binary cache of them that counts what it is asked for and can misbehave.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

mod tree;

pub(crate) use tree::{Tree, arbitrary_tree, directory, executable, file, read_back, symlink};

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use binary_cache::{Caches, Limits, RetryPolicy, TrustPolicy};
use niphas_store::{
    OpenError, Options, Origin, RealiseError, RealisedClosure, Request, Store, Terms,
};
use niphas_testing::server::{self, Delivery, Reply};
use nix_formats::hash::HashAlgorithm;
use nix_formats::{
    Compression, Hash, NarHash, NarInfo, PublicKeys, SecretKey, StoreDir, StorePath,
};

pub(crate) fn key(name: &str) -> SecretKey {
    let mut seed = [0; 32];
    seed[..name.len().min(32)].copy_from_slice(&name.as_bytes()[..name.len().min(32)]);
    SecretKey::from_seed(name, seed)
}

/// A store path of this name; the hash part is made from `seed`.
pub(crate) fn store_path(seed: &str, name: &str) -> StorePath {
    let digest = HashAlgorithm::Sha256.digest(format!("{seed} {name}").as_bytes());
    let mut hash = [0; 20];
    hash.copy_from_slice(&digest.as_bytes()[..20]);
    StorePath::from_parts(hash, name).unwrap()
}

/// What a cache does instead of answering well.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Ends the connection after this many bytes.
    Truncate(usize),
    /// Sends this many bytes and then nothing.
    Stall(usize),
    /// Sends something else.
    Replace(Vec<u8>),
    /// Waits before it answers well.
    Delay(Duration),
    /// Sends this many bytes each 100 ms.
    Drip(usize),
}

#[derive(Debug, Default)]
struct Contents {
    files: HashMap<String, Vec<u8>>,
    faults: HashMap<String, Fault>,
    requests: HashMap<String, usize>,
}

/// A binary cache behind HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    contents: Arc<Mutex<Contents>>,
    url: String,
}

impl Cache {
    pub(crate) async fn start() -> Self {
        let contents: Arc<Mutex<Contents>> = Arc::default();
        let served = Arc::clone(&contents);
        let address = server::start(move |request| reply(&served, request)).await;
        let url = format!("http://{}", address.unwrap());
        let cache = Self { contents, url };
        cache.put("nix-cache-info", b"StoreDir: /nix/store\n".to_vec());
        cache
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut contents = self.contents.lock().unwrap();
        contents.files.insert(name.to_owned(), bytes);
    }

    pub(crate) fn fault(&self, name: &str, fault: Fault) {
        let mut contents = self.contents.lock().unwrap();
        contents.faults.insert(name.to_owned(), fault);
    }

    /// Nothing is answered any more but with this.
    pub(crate) fn fail_all(&self, fault: &Fault) {
        let mut contents = self.contents.lock().unwrap();
        let names: Vec<String> = contents.files.keys().cloned().collect();
        for name in names {
            contents.faults.insert(name, fault.clone());
        }
    }

    /// Everything is answered well again.
    pub(crate) fn heal(&self) {
        self.contents.lock().unwrap().faults.clear();
    }

    /// How often each file whose name starts so was asked for.
    pub(crate) fn requests(&self, prefix: &str) -> HashMap<String, usize> {
        let contents = self.contents.lock().unwrap();
        let requests = contents.requests.iter();
        requests
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, count)| (name.clone(), *count))
            .collect()
    }

    /// Adds a path whose NAR is this.
    pub(crate) fn add_nar(
        &self,
        path: &StorePath,
        nar: &[u8],
        references: &[StorePath],
        keys: &[&SecretKey],
    ) -> NarInfo {
        let url = format!("nar/{}.nar", path.hash_part());
        let mut info = NarInfo {
            path: path.clone(),
            url: url.clone(),
            compression: Compression::None,
            file_hash: None,
            file_size: None,
            nar_hash: NarHash::of(nar),
            nar_size: nar.len() as u64,
            references: references.iter().cloned().collect::<BTreeSet<_>>(),
            deriver: None,
            signatures: Vec::new(),
            ca: None,
        };
        for key in keys {
            info.sign(&StoreDir::default(), key);
        }
        self.put(&url, nar.to_vec());
        self.add_info(&info);
        info
    }

    pub(crate) fn add_info(&self, info: &NarInfo) {
        let name = format!("{}.narinfo", info.path.hash_part());
        self.put(&name, info.print(&StoreDir::default()).into_bytes());
    }

    /// Adds a path with this tree, signed by `test`.
    pub(crate) fn add(&self, name: &str, tree: &Tree, references: &[StorePath]) -> StorePath {
        let path = store_path("", name);
        self.add_nar(&path, &tree.nar(), references, &[&key("test")]);
        path
    }

    /// The same cache in a folder.
    pub(crate) fn copied(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("nar")).unwrap();
        for (name, bytes) in &self.contents.lock().unwrap().files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    /// A client that believes `test`.
    pub(crate) fn client(&self) -> Arc<Caches> {
        client(&[self], &["test"], 1)
    }
}

/// A client of a cache in a folder that believes `test`. It is made sooner than one of a server, and forgets as much.
pub(crate) fn folder_client(folder: &Path) -> Arc<Caches> {
    let keys = PublicKeys::from_iter([key("test").public_key()]);
    let url = format!("file://{}", folder.display()).parse().unwrap();
    Arc::new(Caches::new(StoreDir::default(), [url], keys, Limits::default()).unwrap())
}

/// As if a section of the configuration, one of several, had these caches.
pub(crate) fn terms(caches: &[&Cache]) -> Terms {
    Terms {
        origins: caches
            .iter()
            .map(|cache| Origin::new(&cache.url, ""))
            .collect(),
        must_be_delivered: true,
        ..Terms::default()
    }
}

/// A client of caches that believes any `required` of these keys together.
pub(crate) fn client(caches: &[&Cache], keys: &[&str], required: usize) -> Arc<Caches> {
    let keys: PublicKeys = keys.iter().map(|name| key(name).public_key()).collect();
    let policy = TrustPolicy::new(keys, NonZeroUsize::new(required).unwrap()).unwrap();
    let urls: Vec<_> = caches.iter().map(|c| c.url.parse().unwrap()).collect();
    let limits = Limits {
        retries: RetryPolicy {
            attempts: 2,
            pause: Duration::from_millis(5),
            ..RetryPolicy::default()
        },
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_millis(700),
        request_timeout: Duration::from_secs(2),
        negative_ttl: Duration::ZERO,
        cool_down: Duration::from_millis(50),
        ..Limits::default()
    };
    Arc::new(Caches::new(StoreDir::default(), urls, policy, limits).unwrap())
}

/// What is answered to a request.
fn reply(contents: &Mutex<Contents>, request: &server::Request) -> Reply {
    let mut contents = contents.lock().unwrap();
    let asked = contents.requests.entry(request.name.clone());
    *asked.or_default() += 1;
    let good = match contents.files.get(&request.name) {
        Some(file) => Reply::part(file, request),
        None => Reply::status(404),
    };
    match contents.faults.get(&request.name).cloned() {
        None => good,
        Some(Fault::Status(code)) => Reply::status(code),
        Some(Fault::Replace(other)) => Reply::file(other),
        Some(Fault::Truncate(at)) => good.sent(Delivery::Cut(at)),
        Some(Fault::Stall(at)) => good.sent(Delivery::Stalled(at)),
        Some(Fault::Delay(time)) => good.sent(Delivery::Late(time)),
        Some(Fault::Drip(size)) => good.sent(Delivery::Dripping(size, Duration::from_millis(100))),
    }
}

/// Opens a store, also one that was closed just now: what a failed realisation had begun ends on other threads, and holds the
/// store until then.
pub(crate) fn open(dir: &Path) -> Store {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open(dir, Options::default()) {
            Err(OpenError::InUse { .. }) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
}

pub(crate) fn request(roots: &[StorePath], caches: &Arc<Caches>) -> Request {
    Request {
        roots: roots.to_vec().try_into().unwrap(),
        expected: None,
        caches: Arc::clone(caches),
        terms: Terms::default(),
    }
}

pub(crate) async fn realise(
    store: &Store,
    roots: &[StorePath],
    caches: &Arc<Caches>,
) -> Result<Arc<RealisedClosure>, Arc<RealiseError>> {
    store.realise(request(roots, caches)).wait().await
}

/// Realises the closure of one path, which succeeds.
pub(crate) async fn realised(
    store: &Store,
    path: &StorePath,
    caches: &Arc<Caches>,
) -> Arc<RealisedClosure> {
    let realised = realise(store, std::slice::from_ref(path), caches).await;
    realised.unwrap()
}

/// The hash of the NAR of a stored path, as rebuilt.
pub(crate) fn rebuilt(store: &Store, path: &StorePath) -> Hash {
    let mut nar = Vec::new();
    let stored = store.info(path).unwrap();
    store.write_nar(&stored, &mut nar).unwrap();
    HashAlgorithm::Sha256.digest(&nar)
}

/// The files of a folder of the store.
pub(crate) fn names(dir: &Path, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join(folder)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The packs that small paths have in common, or that are left of paths.
pub(crate) fn packs_without_path(dir: &Path) -> Vec<PathBuf> {
    let mut names = names(dir, "packs");
    names.retain(|name| !name.contains('-'));
    names
        .iter()
        .map(|name| dir.join("packs").join(name))
        .collect()
}

/// Bytes that all packs take.
pub(crate) fn pack_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir.join("packs")).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512)
        .sum()
}

/// Pseudo-random bytes.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut reader = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    reader.fill(&mut bytes);
    bytes
}
