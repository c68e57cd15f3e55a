//! Everything that an evaluation wants from outside, behind one trait.

mod builds;
mod files;
mod local;
mod restricted;
mod store_folder;
mod store_objects;

use std::collections::BTreeMap;
use std::io;

use nix_formats::{Hash, StorePath};

pub use builds::{BuildFailure, Builds, Outputs, WantedOutput};
pub use files::Files;
pub use local::LocalIo;
pub use restricted::{RestrictedIo, Restriction};
pub use store_folder::StoreFolder;
pub use store_objects::{KeptObject, StoreObjects};

/// The inner error of a fetch that gave other contents than those of the hash that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HashMismatch(pub String);

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
    /// The same, as a folder tells it.
    pub fn kind(self) -> EntryKind {
        match self {
            FileType::Regular { .. } => EntryKind::Regular,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Unknown => EntryKind::Unknown,
        }
    }
}

/// What a folder tells of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A file.
    Regular,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Unknown,
}

impl EntryKind {
    /// The name that `readFileType` and `readDir` give.
    pub fn name(self) -> &'static str {
        match self {
            EntryKind::Regular => "regular",
            EntryKind::Directory => "directory",
            EntryKind::Symlink => "symlink",
            EntryKind::Unknown => "unknown",
        }
    }
}

/// An object that the evaluation puts into the store. The evaluator computes store paths itself; where these bytes go,
/// if anywhere, is for the embedding program to say.
#[derive(Clone, Copy, Debug)]
pub enum StoreObject<'o> {
    /// A text: a derivation or what `toFile` makes.
    Text {
        /// The text.
        contents: &'o [u8],
        /// What it refers to.
        references: &'o [StorePath],
    },
    /// The archive (NAR) or, if `flat`, the bytes of a file tree.
    Tree {
        /// Where the tree is.
        source: &'o [u8],
        /// Which of its paths belong to it (for `filterSource`); all if `None`.
        included: Option<&'o std::collections::BTreeSet<Vec<u8>>>,
    },
}

/// Attributes of an input, by name, as in a lock file: `type`, `url`, `rev`, `narHash` …
pub type FetchAttributes = BTreeMap<String, FetchAttribute>;

/// A value of [`FetchAttributes`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchAttribute {
    /// A string.
    String(String),
    /// An integer, not negative.
    Int(i64),
    /// A Boolean.
    Bool(bool),
}

/// What a `fetch…` builtin asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchRequest {
    /// A tree or file with what is known of it.
    Tree {
        /// Which builtin asks.
        builtin: FetchBuiltin,
        /// What to fetch.
        input: FetchInput,
        /// Refuse what is not locked: "in pure evaluation mode, '…' doesn't fetch unlocked input '…'".
        pure: bool,
    },
    /// What lies at a URL.
    Url {
        /// The URL.
        url: String,
        /// The name that the store path is to have.
        name: String,
        /// The file is an archive: its contents are wanted.
        unpack: bool,
        /// The SHA-256 of the file, or of the NAR of the archive's contents. The evaluation checks it.
        expected: Option<Hash>,
    },
}

/// What [`FetchRequest::Tree`] wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchInput {
    /// Attributes. The `url` of [`FetchBuiltin::Git`] may still be in a form that only git knows.
    Attributes(FetchAttributes),
    /// A reference as a URL.
    Reference(String),
}

/// The builtins that fetch trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchBuiltin {
    /// `fetchTree`
    Tree,
    /// `fetchGit`: of a dirty tree it also gives a `rev`, of zeros, and a `revCount`, zero.
    Git,
    /// What calls the outputs of a flake: the input is locked, and no attribute may be missing or differ.
    FinalTree,
    /// An entry `flake:…` of the look-up path.
    LookUp,
}

impl FetchBuiltin {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            FetchBuiltin::Git => "fetchGit",
            FetchBuiltin::FinalTree => "fetchFinalTree",
            FetchBuiltin::Tree | FetchBuiltin::LookUp => "fetchTree",
        }
    }
}

/// What a fetch gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The store path, in full. From now on its files can be read.
    pub store_path: String,
    /// Attributes in Nix's words: `narHash`, `rev`, `lastModified` …, `outPath` not among them. Of an unpacked archive
    /// `narHash` is expected, of a file nothing.
    pub attributes: FetchAttributes,
}

/// A flake reference, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedFlakeRef {
    /// Its attributes.
    pub attributes: FetchAttributes,
    /// It says exactly which tree is meant.
    pub locked: bool,
}

/// The world as an evaluation sees it. Paths are absolute and normalised. A message in an [`io::Error`] reaches the
/// user.
pub trait EvalIo {
    /// The bytes of a file; links are followed.
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>>;

    /// What lies at a path itself; `None` if nothing does.
    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>>;

    /// The entries of a folder, in any order.
    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>>;

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

    /// Builds outputs that the evaluation is about to read, or fetches them, and gives the path of each, in full. From then on their
    /// files can be read, and those of all that they refer to. `None`: nothing is built while evaluating.
    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Option<Vec<String>>> {
        let _ = wanted;
        Ok(None)
    }

    /// What the store path refers to that a path is in, if it was built or fetched for an evaluation.
    fn references(&self, path: &[u8]) -> Option<Vec<String>> {
        let _ = path;
        None
    }

    /// Fetches a tree or file.
    fn fetch(&self, request: &FetchRequest) -> io::Result<Fetched>;

    /// Takes a flake reference apart.
    fn parse_flake_ref(&self, reference: &str) -> io::Result<ParsedFlakeRef>;

    /// A flake reference in one piece, as a URL.
    fn flake_ref_to_string(&self, attributes: &FetchAttributes) -> io::Result<String>;

    /// A message of `trace` or `warn`, without a line feed.
    fn message(&self, text: &str);

    /// A path as messages name it, so that the reader finds the file: what the evaluation sees need not be there.
    fn shown_path(&self, path: &[u8]) -> String {
        String::from_utf8_lossy(path).into_owned()
    }

    /// Why there is nothing at a path, where more can be said than that.
    fn why_missing(&self, path: &[u8]) -> Option<String> {
        let _ = path;
        None
    }

    /// The evaluation can tell the text of this path from now on, not only what lies there. Who wants to know what an
    /// evaluation depends on needs this where paths have the hash of a whole tree in them.
    fn observed(&self, path: &[u8]) {
        let _ = path;
    }

    /// Whether something records what is [observed](EvalIo::observed).
    fn is_observed(&self) -> bool {
        false
    }
}

impl<I: EvalIo + ?Sized> EvalIo for &I {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        (**self).read_file(path)
    }

    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        (**self).file_type(path)
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        (**self).read_dir(path)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        (**self).read_link(path)
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        (**self).env_var(name)
    }

    fn current_time(&self) -> i64 {
        (**self).current_time()
    }

    fn add_to_store(&self, path: &str, object: StoreObject<'_>) -> io::Result<()> {
        (**self).add_to_store(path, object)
    }

    fn store_path_exists(&self, path: &str) -> bool {
        (**self).store_path_exists(path)
    }

    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Option<Vec<String>>> {
        (**self).build(wanted)
    }

    fn references(&self, path: &[u8]) -> Option<Vec<String>> {
        (**self).references(path)
    }

    fn fetch(&self, request: &FetchRequest) -> io::Result<Fetched> {
        (**self).fetch(request)
    }

    fn parse_flake_ref(&self, reference: &str) -> io::Result<ParsedFlakeRef> {
        (**self).parse_flake_ref(reference)
    }

    fn flake_ref_to_string(&self, attributes: &FetchAttributes) -> io::Result<String> {
        (**self).flake_ref_to_string(attributes)
    }

    fn message(&self, text: &str) {
        (**self).message(text);
    }

    fn shown_path(&self, path: &[u8]) -> String {
        (**self).shown_path(path)
    }

    fn why_missing(&self, path: &[u8]) -> Option<String> {
        (**self).why_missing(path)
    }

    fn observed(&self, path: &[u8]) {
        (**self).observed(path);
    }

    fn is_observed(&self) -> bool {
        (**self).is_observed()
    }
}
