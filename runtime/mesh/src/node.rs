//! What the parts of one node's mesh share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use niphas_mesh_policy::{FileId, Name, Rate, Standing, Uploads};
use nix_formats::{Hash, NarInfo, StoreDir};
use reqwest::Client;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use crate::arrival::PIECE;
use crate::directory::Directory;
use crate::file_name::FileName;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::peers::Token;
use crate::tokens::Gate;

/// How long a peer may take to be connected to. Above a second, after which the kernel sends a lost first packet again.
const CONNECT_TIME: Duration = Duration::from_millis(1_200);

/// How long a peer may say nothing. Shorter than readers of the mesh wait before they ask a cache itself.
pub(crate) const PEER_SILENCE: Duration = Duration::from_millis(2_500);

/// How long an origin may take to be connected to, and may say nothing.
const ORIGIN_CONNECT_TIME: Duration = Duration::from_secs(5);
const ORIGIN_SILENCE: Duration = Duration::from_secs(15);

/// Uploads at the same time, in all and to one peer.
const MOST_UPLOADS: usize = 128;
const MOST_UPLOADS_OF_PEER: usize = 64;

/// Requests to origins at the same time.
const MOST_FROM_ORIGINS: usize = 64;

/// How long a cache that failed is not asked.
const DOWN_TIME: Duration = Duration::from_secs(5);

/// Files whose hashes are remembered.
const MOST_HASHES: usize = 32_768;

/// A node cannot be set up.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The HTTP clients.
    #[error(transparent)]
    Client(#[from] niphas_http::SetupError),
    /// The folder of its parts.
    #[error("failed to prepare the folder '{}'", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A cache that cannot be shared.
    #[error("expected the http:// or https:// URL of a cache without credentials, found '{0}'")]
    Cache(String),
}

/// What a node is set up with.
#[derive(Debug)]
pub struct NodeOptions {
    /// Its name among the members.
    pub name: String,
    /// The caches whose files it shares: no others are asked for anything. Every node of the cluster may read all of them.
    pub caches: Vec<Url>,
    /// The folder that parts are kept in. What is in it is removed.
    pub folder: PathBuf,
    /// Bytes of parts that are kept.
    pub most_bytes: u64,
    /// Bytes that peers are sent in a second at most. None: as fast as they take them.
    pub upload_rate: Option<u64>,
    /// The file of the token that it shows to peers, read again when it changes.
    pub token_file: PathBuf,
    /// Who may ask it.
    pub gate: Arc<Gate>,
}

/// A node's mesh.
#[derive(Debug)]
pub struct Node {
    pub(crate) name: Name,
    pub(crate) caches: Vec<Url>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) token: Token,
    pub(crate) parts: Parts,
    pub(crate) origin: Client,
    pub(crate) peers: Client,
    from_origins: Semaphore,
    pub(crate) metrics: Metrics,
    directory: RwLock<Arc<Directory>>,
    standing: Mutex<Standing>,
    uploads: Mutex<Uploads>,
    pub(crate) upload_rate: Option<u64>,
    rate: Option<Mutex<Rate>>,
    /// What files must hash to, as narinfos say that were asked for here.
    hashes: Mutex<HashMap<FileId, Hash>>,
    /// When each cache failed last.
    down: Mutex<Vec<Option<Instant>>>,
    began: Instant,
}

impl Node {
    /// A node without peers.
    pub fn new(options: NodeOptions) -> Result<Self, NodeError> {
        let mut caches = Vec::new();
        for mut url in options.caches {
            let has_login = !url.username().is_empty() || url.password().is_some();
            let is_plain = url.query().is_none() && url.fragment().is_none();
            if !matches!(url.scheme(), "http" | "https") || has_login || !is_plain {
                return Err(NodeError::Cache(niphas_http::redacted(url.as_str())));
            }
            if !url.path().ends_with('/') {
                let path = format!("{}/", url.path());
                url.set_path(&path);
            }
            caches.push(url);
        }
        let of_origin = niphas_http::Limits {
            connect_timeout: ORIGIN_CONNECT_TIME,
            read_timeout: ORIGIN_SILENCE,
        };
        let of_peers = niphas_http::Limits {
            connect_timeout: CONNECT_TIME,
            read_timeout: PEER_SILENCE,
        };
        let needs_https = caches.iter().any(|url| url.scheme() == "https");
        let folder = options.folder.join("parts");
        let parts = Parts::new(&folder, options.most_bytes);
        Ok(Self {
            name: options.name.into(),
            gate: options.gate,
            token: Token::new(options.token_file),
            parts: parts.map_err(|source| NodeError::Folder {
                path: folder,
                source,
            })?,
            origin: niphas_http::client(&of_origin, needs_https)?,
            peers: niphas_http::client_without_redirects(&of_peers)?,
            from_origins: Semaphore::new(MOST_FROM_ORIGINS),
            metrics: Metrics::default(),
            directory: RwLock::default(),
            standing: Mutex::default(),
            uploads: Mutex::new(Uploads::new(
                most_uploads(options.upload_rate),
                MOST_UPLOADS_OF_PEER,
            )),
            rate: options
                .upload_rate
                .map(|bytes| Mutex::new(Rate::new(bytes))),
            upload_rate: options.upload_rate,
            hashes: Mutex::default(),
            down: Mutex::new(vec![None; caches.len()]),
            began: Instant::now(),
            caches,
        })
    }

    /// What the node counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Replaces what the node knows of the members.
    pub fn set_directory(&self, directory: Directory) {
        let mut known = self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(directory);
    }

    pub(crate) fn directory(&self) -> Arc<Directory> {
        let known = self
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&known)
    }

    /// The time since the node's start.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a cache gave no answer, however often it was asked.
    pub(crate) fn note_down(&self, cache: usize) {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)[cache] = Some(Instant::now());
    }

    /// Whether that was a moment ago.
    pub(crate) fn is_down(&self, cache: usize) -> bool {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down[cache].is_some_and(|since| since.elapsed() < DOWN_TIME)
    }

    pub(crate) fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an upload to a peer for as long as what it gives lives. None: there are too many.
    pub(crate) fn upload(self: &Arc<Self>, peer: &Name) -> Option<Upload> {
        let begun = self.uploads().begin(peer);
        begun.then(|| Upload {
            node: Arc::clone(self),
            peer: Name::clone(peer),
        })
    }

    /// Waits until bytes may be sent to a peer.
    pub(crate) async fn pace(&self, bytes: u64) {
        let Some(rate) = &self.rate else {
            return;
        };
        let wait = {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.take(bytes, self.now())
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Waits for a turn at the caches.
    pub(crate) async fn turn_at_origin(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(permit) = self.from_origins.try_acquire() {
            return Some(permit);
        }
        let _queued = self.metrics.queue();
        self.from_origins.acquire().await.ok()
    }

    /// Looks at the gauges.
    pub(crate) fn measure(&self) {
        let avoided = self.standing().avoided(self.now());
        let members = self.directory().membership().iter().len();
        let uploads = self.uploads().len();
        self.metrics
            .measured(self.parts.kept(), uploads, members, avoided);
    }

    /// The file of a cache that is named by its URL.
    pub(crate) fn file_name(&self, cache: &str, name: String) -> Option<FileName> {
        // However it is written.
        let cache = Url::parse(cache).ok()?;
        let bare = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let index = self
            .caches
            .iter()
            .position(|url| bare(url) == bare(&cache))?;
        FileName::new(index, self.caches[index].as_str(), name)
    }

    /// Remembers what the file of a NAR must hash to.
    pub(crate) fn note_narinfo(&self, file: &FileName, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let Ok(info) = NarInfo::parse(&StoreDir::default(), text) else {
            return;
        };
        let url = self.caches[file.cache].as_str();
        if let Some(hash) = info.file_hash
            && let Some(nar) = FileName::new(file.cache, url, info.url)
        {
            let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
            if hashes.len() >= MOST_HASHES {
                hashes.clear();
            }
            hashes.insert(nar.id, hash);
        }
    }

    pub(crate) fn hash(&self, file: FileId) -> Option<Hash> {
        let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.get(&file).copied()
    }
}

/// As many uploads as leave each a piece per second, so that peers do not take one for silent.
fn most_uploads(rate: Option<u64>) -> usize {
    let pieces = rate.map_or(u64::MAX, |bytes| bytes / PIECE);
    usize::try_from(pieces).map_or(MOST_UPLOADS, |pieces| pieces.clamp(1, MOST_UPLOADS))
}

/// An upload that goes on.
pub(crate) struct Upload {
    node: Arc<Node>,
    peer: Name,
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.node.uploads().end(&self.peer);
    }
}
