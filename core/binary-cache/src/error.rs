//! What can go wrong.

use crate::{summary::summary, transport::failure_of_s3, url::CacheUrlError};
use niphas_http::{Failure, is_of_certificates};
use nix_formats::{
    Compression, HashFormat, StoreDir, StorePath, chain,
    hash::{Hash, HashAlgorithm},
    nar::ReaderError,
    narinfo::NarInfoError,
    signature::SignatureError,
};
use std::{fmt, io, sync::Arc, time::Duration};
use thiserror::Error;

/// The caches can't be used at all.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A cache's URL.
    #[error(transparent)]
    Url(#[from] CacheUrlError),
    /// A public key.
    #[error("a trusted public key is not valid")]
    PublicKey(#[from] SignatureError),
    /// The HTTP client can't be made.
    #[error(transparent)]
    Http(#[from] niphas_http::SetupError),
    /// The S3 client can't be made.
    // As for `FetchError::S3`.
    #[error("cannot set up the S3 client: {0}")]
    S3(object_store::Error),
}

/// A file of a cache can't be fetched.
#[derive(Debug, Clone, Error)]
pub enum FetchError {
    /// Reading a folder.
    #[error("cannot read '{path}'")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Connection, protocol, or the body ended too early.
    #[error("the request for '{name}' failed")]
    Http {
        /// The file.
        name: String,
        /// Why.
        source: Arc<reqwest::Error>,
    },
    /// Nothing came for too long.
    #[error("no answer to the request for '{name}' in time")]
    Timeout {
        /// The file.
        name: String,
    },
    /// The server knows of no such file or won't give it, or is in trouble.
    #[error("the server answered HTTP {status} for '{name}'{}", pause(*.retry_after))]
    Status {
        /// The file.
        name: String,
        /// What it said.
        status: u16,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// More bytes than such a file has.
    #[error("'{name}' is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        name: String,
        /// What it may have.
        limit: usize,
    },
    /// A name that leads out of the cache.
    #[error("'{name}' does not stay within the cache")]
    Outside {
        /// The name.
        name: String,
    },
    /// The server encodes the file in a way that was not asked for, or badly.
    #[error("'{name}' came with the content encoding '{encoding}', which can't be decoded")]
    Encoding {
        /// The file.
        name: String,
        /// The encoding.
        encoding: String,
    },
    /// Writing a folder.
    #[error("cannot write '{path}'")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// S3.
    // Its own causes are in its text, more than once: they are not told again.
    #[error("the S3 request for '{name}' failed: {error}")]
    S3 {
        /// The file.
        name: String,
        /// Why.
        error: Arc<object_store::Error>,
    },
    /// The token file can't be read.
    #[error("cannot read the token file '{path}'")]
    Token {
        /// The file.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// There is no such file.
    #[error("there is no '{name}'")]
    Missing {
        /// The file.
        name: String,
    },
    /// A NAR is not what its narinfo says.
    #[error("the NAR of '{path}' is not sound")]
    BadNar {
        /// The path.
        path: StorePath,
    },
    /// The server was asked for the rest of a file and gave something else.
    #[error("the server did not give the rest of '{name}'")]
    Range {
        /// The file.
        name: String,
    },
    /// The file changed while it was fetched.
    #[error("'{name}' was changed while it was fetched")]
    Changed {
        /// The file.
        name: String,
    },
    /// The body ended early, though the server did not say so.
    #[error("'{name}' ended after {actual} of {expected} bytes")]
    Truncated {
        /// The file.
        name: String,
        /// What it is to have.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// Bytes came, but too few for too long.
    #[error("'{name}' came with less than {rate} bytes per second")]
    Slow {
        /// The file.
        name: String,
        /// How fast it has to be.
        rate: u64,
    },
    /// Caches answered more than may be held at once.
    #[error(
        "what caches said of other paths takes the memory that there is for it, {limit} bytes for all caches; try again later"
    )]
    Memory {
        /// The memory for what all caches say.
        limit: usize,
    },
    /// `nix-cache-info` is missing or is none.
    #[error("it does not appear to be a binary cache: nix-cache-info is missing or damaged")]
    NotACache,
    /// The cache serves another store.
    #[error("it serves the store folder '{theirs}', not '{ours}'")]
    OtherStoreDir {
        /// What it serves.
        theirs: String,
        /// The store folder that is expected.
        ours: StoreDir,
    },
}

impl FetchError {
    /// How the request failed.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Timeout { .. } | Self::Truncated { .. } | Self::Slow { .. } => Failure::Broken,
            Self::Http { source, .. } => Failure::of(source),
            Self::Status {
                status,
                retry_after,
                ..
            } => Failure::Status {
                status: *status,
                retry_after: *retry_after,
            },
            Self::S3 { error, .. } => failure_of_s3(error),
            _ => Failure::Lasting,
        }
    }

    /// Whether to try again may help.
    pub(crate) fn is_transient(&self) -> bool {
        self.failure().is_passing()
    }

    /// Whether the server's certificate cannot be verified.
    pub(crate) fn is_of_certificates(&self) -> bool {
        matches!(self, Self::Http { source, .. } if is_of_certificates(source))
    }
}

/// What a server asks for, after its status.
fn pause(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |pause| {
        format!(" and asks for a pause of {} s", pause.as_secs())
    })
}

/// Why one cache does not give one path.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// It has no narinfo for it.
    Missing,
    /// It wants credentials, or refuses those it got (HTTP status).
    Denied(u16),
    /// It can't be asked.
    Failed(FetchError),
    /// Its narinfo is damaged.
    Malformed(NarInfoError),
    /// Its narinfo is about another path.
    OtherPath(StorePath),
    /// It has the path, but no trusted key signed it. The names of the keys
    /// that are said to have signed, the first few.
    Untrusted(Vec<String>),
    /// It has the path, but fewer keys signed it than the policy wants.
    TooFewSignatures {
        /// The trusted keys that signed.
        signers: Vec<String>,
        /// Trusted keys that did not, the first few.
        missing: Vec<String>,
        /// How many must have.
        required: usize,
    },
    /// It has the path, unsigned, and its content address is by an algorithm that does not prove contents.
    WeakAddress(HashAlgorithm),
}

impl Refusal {
    /// Whether the cache has the path, but not with the signatures that are required.
    pub fn is_for_trust(&self) -> bool {
        matches!(
            self,
            Self::Untrusted(_) | Self::TooFewSignatures { .. } | Self::WeakAddress(_)
        )
    }

    /// Whether it says nothing of the path, only that there is no memory for an answer.
    pub fn is_for_memory(&self) -> bool {
        matches!(self, Self::Failed(FetchError::Memory { .. }))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not have it"),
            Self::Denied(status) => write!(f, "refuses access (HTTP {status})"),
            Self::Failed(error) => write!(f, "cannot be asked: {}", chain(error)),
            Self::Malformed(error) => write!(f, "has a damaged narinfo: {}", chain(error)),
            Self::OtherPath(path) => write!(f, "answers with another path, '{path}'"),
            Self::Untrusted(keys) if keys.is_empty() => f.write_str("has it, but unsigned"),
            Self::Untrusted(keys) => {
                write!(
                    f,
                    "has it, signed only by keys that are not trusted: {}",
                    keys.join(", ")
                )
            }
            Self::TooFewSignatures {
                signers,
                missing,
                required,
            } => write!(
                f,
                "has it, signed by {}, but {required} trusted keys must have signed; not signed by {}",
                signers.join(", "),
                missing.join(", ")
            ),
            Self::WeakAddress(algorithm) => write!(
                f,
                "has it, but unsigned, and its {algorithm} content address does not prove its contents"
            ),
        }
    }
}

/// No cache gives a path, and what each said.
#[derive(Debug, Clone)]
pub struct Unavailable {
    /// The store folder.
    pub store_dir: StoreDir,
    /// The path.
    pub path: StorePath,
    /// A path that refers to it; none if it is a root.
    pub needed_by: Option<StorePath>,
    /// The caches in the order asked, and what they said.
    pub refusals: Arc<Vec<(String, Refusal)>>,
    /// Whether there is no trusted key at all.
    pub without_keys: bool,
}

impl std::error::Error for Unavailable {}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no cache gives store path {}", self.needed())?;
        if self.refusals.is_empty() {
            f.write_str(": there are no caches")?;
        }
        for (cache, refusal) in self.refusals.iter() {
            write!(f, "\n  {cache} {refusal}")?;
        }
        Ok(())
    }
}

impl Unavailable {
    /// Whether there is no memory for the answer: so it is for the other paths of a closure too.
    pub fn is_for_memory(&self) -> bool {
        self.refusals
            .iter()
            .any(|(_, refusal)| refusal.is_for_memory())
    }

    /// Whether no cache could be asked for it, so that nothing is known of the path itself.
    pub fn is_for_access(&self) -> bool {
        let is_of_cache =
            |refusal: &Refusal| matches!(refusal, Refusal::Denied(_) | Refusal::Failed(_));
        !self.refusals.is_empty()
            && self
                .refusals
                .iter()
                .all(|(_, refusal)| is_of_cache(refusal))
    }

    /// The path, and what needs it.
    pub(crate) fn needed(&self) -> String {
        let path = self.store_dir.print(&self.path);
        match &self.needed_by {
            Some(by) => format!("'{path}', which '{}' needs", self.store_dir.print(by)),
            None => format!("'{path}'"),
        }
    }
}

/// A closure can't be told.
#[derive(Debug, Clone, Error)]
pub enum ClosureError {
    /// Paths that no cache gives; never empty.
    #[error("{}", list(.0))]
    Unavailable(Vec<Unavailable>),
    /// More paths than any closure has.
    #[error("the closure has more than {0} paths")]
    TooLarge(usize),
    /// More references than any closure has.
    #[error("the paths of the closure have more than {0} references")]
    TooManyReferences(usize),
}

fn lines(failures: &[NarError]) -> String {
    let lines: Vec<String> = failures.iter().map(|failure| chain(failure)).collect();
    format!("\n  {}", lines.join("\n  "))
}

fn list(paths: &[Unavailable]) -> String {
    const SHOWN: usize = 10;
    if let [path] = paths {
        return path.to_string();
    }
    let paths: Vec<&Unavailable> = paths.iter().collect();
    let summary = summary(&paths, SHOWN, |_| String::new());
    format!("no cache gives {} store paths:\n{summary}", paths.len())
}

/// A NAR can't be fetched, or is not what its narinfo says.
#[derive(Debug, Error)]
pub enum NarError {
    /// The file.
    #[error("cannot fetch the NAR of '{path}' from {cache}")]
    Fetch {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// Why.
        source: FetchError,
    },
    /// The cache has the narinfo, but not the NAR.
    #[error("{cache} has no NAR for '{path}', only its narinfo")]
    Missing {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
    },
    /// A compression that is not known.
    #[error("the NAR of '{path}' is compressed with '{}', which is not supported", .compression.name())]
    Compression {
        /// The path.
        path: StorePath,
        /// The compression.
        compression: Compression,
    },
    /// Its decoder would take too much memory.
    #[error(
        "the NAR of '{path}' from {cache} is compressed so that its decoder looks back on {needed} bytes, more than the {limit} that it may"
    )]
    LooksBack {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// What its first bytes ask for.
        needed: u64,
        /// The most.
        limit: u64,
    },
    /// The NAR has another size.
    #[error("the NAR of '{path}' from {cache} has {}{actual} bytes instead of {expected}", if .actual > .expected { "at least " } else { "" })]
    Size {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// What the narinfo says.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// The NAR has another hash.
    #[error("the NAR of '{path}' from {cache} has the hash {} instead of {}", .actual.to_string(HashFormat::Sri, true), .expected.to_string(HashFormat::Sri, true))]
    Hash {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// What the narinfo says.
        expected: Hash,
        /// What came.
        actual: Hash,
    },
    /// The path is unsigned and its contents are not those of its content address.
    #[error("the contents of '{path}' from {cache} do not have the content address {expected}")]
    ContentAddress {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// What the narinfo says.
        expected: nix_formats::ContentAddress,
    },
    /// The bytes are those that were signed, but no archive that a store takes.
    #[error("the NAR of '{path}' is what its narinfo says, but no archive that can be used")]
    Malformed {
        /// The path.
        path: StorePath,
        /// What is wrong.
        source: ReaderError,
    },
    /// What the caller does with the bytes failed, which other bytes can't mend.
    #[error("cannot use the NAR of '{path}'")]
    Consumer {
        /// The path.
        path: StorePath,
        /// Why.
        source: io::Error,
    },
    /// Several caches were tried, and none gave the NAR.
    #[error("no cache gives a sound NAR of '{path}':{}", lines(.failures))]
    Everywhere {
        /// The path.
        path: StorePath,
        /// What was wrong with each, in the order tried; at least two.
        failures: Vec<NarError>,
    },
    /// Decompressing.
    #[error("cannot read the NAR of '{path}' from {cache}")]
    Read {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// Why.
        source: io::Error,
    },
}
