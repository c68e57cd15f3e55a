//! An origin and nodes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use data_encoding::BASE64URL_NOPAD;
use futures::StreamExt;
use niphas_mesh::{Accounts, Directory, Gate, Keys, Node, NodeOptions, Peer};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) const PEER: &str = "system:serviceaccount:niphas-system:niphas-mesh";
pub(crate) const READER: &str = "system:serviceaccount:niphas-system:niphas-csi";

/// Bytes that do not repeat within a file, nor between files.
pub(crate) fn bytes(seed: usize, length: usize) -> Vec<u8> {
    let words = (0..=length as u64 / 8).map(|place| {
        let mixed = (place + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (seed as u64) << 40;
        mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9).to_le_bytes()
    });
    let mut all: Vec<u8> = words.flatten().collect();
    all.truncate(length);
    all
}

/// Signs tokens as the API server does.
pub(crate) struct Signer(EcdsaKeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap())
    }

    pub(crate) fn keys(&self) -> Keys {
        let point = self.0.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| BASE64URL_NOPAD.encode(&point[range]);
        let key = json!({"kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65)});
        Keys::parse(&json!({"keys": [key]}).to_string()).unwrap()
    }

    /// One that is valid for this time from now on, or was until then.
    pub(crate) fn token(&self, subject: &str, audience: &str, seconds: i64) -> String {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let claims =
            json!({"sub": subject, "aud": [audience], "exp": now.as_secs() as i64 + seconds});
        let encode = |text: String| BASE64URL_NOPAD.encode(text.as_bytes());
        let header = json!({"alg": "ES256"}).to_string();
        let signed = format!("{}.{}", encode(header), encode(claims.to_string()));
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

/// A cache.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) url: String,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

struct Shared {
    files: Mutex<HashMap<String, Bytes>>,
    sent: Mutex<u64>,
    without_ranges: AtomicBool,
    /// Bytes of an answer after which it waits.
    held: watch::Sender<Option<usize>>,
}

impl Origin {
    async fn start() -> Self {
        let shared = Arc::new(Shared {
            files: Mutex::default(),
            sent: Mutex::default(),
            without_ranges: AtomicBool::new(false),
            held: watch::Sender::new(None),
        });
        let router = Router::new().fallback(give).with_state(Arc::clone(&shared));
        let (address, stop) = serve(router).await;
        Self {
            url: format!("http://{address}/"),
            shared,
            stop,
        }
    }

    pub(crate) fn add(&self, name: &str, file: Vec<u8>) {
        let mut files = self.shared.files.lock().unwrap();
        files.insert(name.to_owned(), file.into());
    }

    /// Bytes that it sent of files so far.
    pub(crate) fn sent(&self) -> u64 {
        *self.shared.sent.lock().unwrap()
    }

    pub(crate) fn knows_no_ranges(&self) {
        self.shared.without_ranges.store(true, SeqCst);
    }

    pub(crate) fn hold_after(&self, count: usize) {
        self.shared.held.send_replace(Some(count));
    }

    pub(crate) fn go_on(&self) {
        self.shared.held.send_replace(None);
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

async fn give(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let found = shared
        .files
        .lock()
        .unwrap()
        .get(uri.path().trim_start_matches('/'))
        .cloned();
    let answer = Response::builder();
    let Some(file) = found else {
        return answer
            .status(StatusCode::NOT_FOUND)
            .body(Body::empty())
            .unwrap();
    };
    let range = headers.get("range").map(|range| {
        let (start, end) = range
            .to_str()
            .unwrap()
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let end = end.parse::<usize>().map_or(file.len(), |last| last + 1);
        (start.parse().unwrap(), end.min(file.len()))
    });
    let range: Option<(usize, usize)> = range.filter(|_| !shared.without_ranges.load(SeqCst));
    let (start, end) = range
        .filter(|(start, end)| start < end)
        .unwrap_or((0, file.len()));
    let answer = match range {
        Some((start, end)) if start < end => {
            let range = format!("bytes {start}-{}/{}", end - 1, file.len());
            answer
                .status(StatusCode::PARTIAL_CONTENT)
                .header("content-range", range)
        }
        _ => answer,
    };
    let answer = answer.header("content-length", end - start);
    let pieces = (start..end)
        .step_by(10_000)
        .map(move |at| file.slice(at..end.min(at + 10_000)));
    let pieces = futures::stream::iter(pieces).scan(0, move |given, piece| {
        *given += piece.len();
        let (shared, given) = (Arc::clone(&shared), *given);
        async move {
            let mut held = shared.held.subscribe();
            let is_free = |held: &Option<usize>| held.is_none_or(|count| given <= count + 10_000);
            held.wait_for(is_free).await.unwrap();
            *shared.sent.lock().unwrap() += piece.len() as u64;
            Some(std::io::Result::Ok(piece))
        }
    });
    answer.body(Body::from_stream(pieces)).unwrap()
}

/// Serves on a port of its own, until it is stopped.
pub(crate) async fn serve(router: Router) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let bounds = niphas_daemon::Bounds::FILES;
    tokio::spawn(niphas_daemon::serve_within(
        listener,
        router,
        bounds,
        stop.clone(),
    ));
    (address, stop)
}

/// A client that waits longer than the tests do.
pub(crate) fn client() -> reqwest::Client {
    let limits = niphas_http::Limits {
        connect_timeout: Duration::from_mins(1),
        read_timeout: Duration::from_mins(1),
    };
    niphas_http::client_without_redirects(&limits).unwrap()
}

/// Nodes, and the origin that they share.
pub(crate) struct Cluster {
    pub(crate) origin: Origin,
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) signer: Signer,
    stops: Vec<CancellationToken>,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// This many nodes, which are in this many zones.
    pub(crate) async fn start(count: usize, zones: usize) -> Self {
        Self::with_upload_rate(count, zones, None).await
    }

    /// Nodes that send at most this many bytes in a second.
    pub(crate) async fn with_upload_rate(count: usize, zones: usize, rate: Option<u64>) -> Self {
        let (origin, signer) = (Origin::start().await, Signer::new());
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, signer.token(PEER, "niphas-mesh", 600)).unwrap();
        let accounts = Accounts {
            peer: PEER.to_owned(),
            reader: READER.to_owned(),
        };
        let gate = Arc::new(Gate::new("niphas-mesh".to_owned(), accounts));
        gate.set_keys(signer.keys());
        let (mut nodes, mut peers, mut stops) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count {
            let options = NodeOptions {
                name: format!("node-{number}"),
                caches: vec![origin.url.parse().unwrap()],
                folder: folder.path().join(number.to_string()),
                most_bytes: 1 << 30,
                upload_rate: rate,
                token_file: token_file.clone(),
                gate: Arc::clone(&gate),
            };
            let node = Arc::new(Node::new(options).unwrap());
            let (address, stop) = serve(niphas_mesh::router(Arc::clone(&node))).await;
            peers.push(Peer {
                name: format!("node-{number}"),
                zone: format!("zone-{}", number % zones),
                weight: 1,
                address,
            });
            nodes.push(node);
            stops.push(stop);
        }
        let client = client();
        let cluster = Self {
            origin,
            nodes,
            peers,
            signer,
            stops,
            client,
            _folder: folder,
        };
        cluster.tell_members();
        cluster
    }

    pub(crate) fn tell_members(&self) {
        for node in &self.nodes {
            node.set_directory(Directory::new(self.peers.clone()));
        }
    }

    /// Ends a node's connections, and takes no more.
    pub(crate) fn kill(&self, node: usize) {
        self.stops[node].cancel();
    }

    pub(crate) fn url(&self, node: usize, name: &str) -> String {
        let cache = utf8_percent_encode(&self.origin.url, NON_ALPHANUMERIC);
        format!("http://{}/cache/{cache}/{name}", self.peers[node].address)
    }

    async fn send(&self, node: usize, name: &str, range: Option<&str>) -> reqwest::Response {
        let token = self.signer.token(READER, "niphas-mesh", 600);
        let request = self.client.get(self.url(node, name)).bearer_auth(token);
        let request = match range {
            Some(range) => request.header("range", range),
            None => request,
        };
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, node: usize, name: &str) -> reqwest::Response {
        self.send(node, name, None).await
    }

    pub(crate) async fn get_range(
        &self,
        node: usize,
        name: &str,
        range: &str,
    ) -> reqwest::Response {
        self.send(node, name, Some(range)).await
    }

    /// A file, or the status that there is instead.
    pub(crate) async fn read(&self, node: usize, name: &str) -> Result<Vec<u8>, u16> {
        let response = self.get(node, name).await;
        match response.status().as_u16() {
            200 => Ok(response.bytes().await.expect("the whole file").to_vec()),
            status => Err(status),
        }
    }

    /// Reads all files on all nodes at the same time, as many at once as the driver does.
    pub(crate) async fn read_everywhere(&mut self) {
        let files: HashMap<String, Bytes> = self.origin.shared.files.lock().unwrap().clone();
        let reads = (0..self.nodes.len()).map(|node| {
            let files = &files;
            let cluster = &*self;
            async move {
                let reads = files.iter().map(|(name, file)| async move {
                    let read = cluster.read(node, name).await;
                    assert!(read.as_deref() == Ok(&**file), "{name} on node {node}");
                });
                futures::stream::iter(reads)
                    .buffer_unordered(16)
                    .collect::<()>()
                    .await;
            }
        });
        let all = futures::future::join_all(reads);
        tokio::time::timeout(Duration::from_mins(1), all)
            .await
            .expect("all files in time");
    }
}
