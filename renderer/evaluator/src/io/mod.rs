//! Everything that an evaluation wants from outside, behind one trait.

mod local;

use std::io;

pub use local::LocalIo;

/// What lies at a path, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileType {
    /// A file; whether its owner may execute it.
    Regular {
        /// The owner's execute bit.
        executable: bool,
    },
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Unknown,
}

impl FileType {
    /// The name that `readFileType` gives.
    pub fn name(self) -> &'static str {
        match self {
            FileType::Regular { .. } => "regular",
            FileType::Directory => "directory",
            FileType::Symlink => "symlink",
            FileType::Unknown => "unknown",
        }
    }
}

/// An object that the evaluation puts into the store. The evaluator computes store paths itself; where these bytes go,
/// if anywhere, is for the embedding program to say.
#[derive(Clone, Copy, Debug)]
pub enum StoreObject<'o> {
    /// A text: a derivation or what `toFile` makes.
    Text(&'o [u8]),
    /// The archive (NAR) or, if `flat`, the bytes of a file tree.
    Tree {
        /// Where the tree is.
        source: &'o [u8],
        /// Which of its paths belong to it (for `filterSource`); all if `None`.
        included: Option<&'o std::collections::BTreeSet<Vec<u8>>>,
    },
}

/// What a `fetch…` builtin asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchRequest {
    /// Which builtin asks.
    pub builtin: FetchBuiltin,
    /// The input's attributes, by name, as in a lock file (`type`, `url`, `rev`, `narHash` …); a URL reference stands
    /// alone under `url`.
    pub attributes: std::collections::BTreeMap<String, FetchAttribute>,
}

/// A value of [`FetchRequest::attributes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchAttribute {
    /// A string.
    String(String),
    /// An integer.
    Int(i64),
    /// A Boolean.
    Bool(bool),
}

/// The builtins that fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchBuiltin {
    /// `fetchTree`
    Tree,
    /// `fetchGit`
    Git,
    /// `fetchTarball`
    Tarball,
    /// `fetchurl`
    Url,
}

/// What a fetch gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The store path, in full.
    pub store_path: String,
    /// Attributes in Nix's words: `narHash`, `rev`, `lastModified` …
    pub attributes: std::collections::BTreeMap<String, FetchAttribute>,
}

/// The world as an evaluation sees it. Paths are absolute and normalised. A message in an [`io::Error`] reaches the
/// user.
pub trait EvalIo {
    /// The bytes of a file; links are followed.
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>>;

    /// What lies at a path itself; `None` if nothing does.
    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>>;

    /// The entries of a folder, in any order.
    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, FileType)>>;

    /// Where a symbolic link leads.
    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>>;

    /// An environment variable.
    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>>;

    /// Seconds since 1970.
    fn current_time(&self) -> i64;

    /// Takes an object of the store; `path` is in full.
    fn add_to_store(&self, path: &str, object: StoreObject<'_>) -> io::Result<()>;

    /// There is such a store path.
    fn store_path_exists(&self, path: &str) -> bool;

    /// Fetches a tree or file.
    fn fetch(&self, request: &FetchRequest) -> io::Result<Fetched>;

    /// A message of `trace` or `warn`, without a line feed.
    fn message(&self, text: &str);
}
