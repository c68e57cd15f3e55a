//! Nix flakes: references, lock files, registries, fetchers and outputs.
//!
//! A [`FlakeRef`] says where a flake is. A [`Fetcher`] brings its tree onto this machine. [`lock`]
//! works out the lock file that Nix would write for it.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests lay out their own files")
)]

mod attrs;
mod date;
mod decl;
mod error;
mod evaluation_cache;
mod fetch;
mod flake_nix;
mod flake_ref;
mod input;
mod input_path;
mod io;
mod lock;
mod lock_file;
mod outputs;
mod registry;
mod source_trees;
mod tree;
mod url;

pub use attrs::{Attr, Attrs};
pub use date::Date;
pub use decl::{Flake, FlakeDecl, InputDecl, Place, ReadFlake};
pub use error::{FlakeError, LockFileError, RefError, UrlError};
pub use evaluation_cache::{
    Digest, EvaluationCache, Found, Read, RecordingIo, Session, digest, hex, program,
};
pub use fetch::{
    FetchLimits, FetchSettings, Fetched, FetchedFile, Fetcher, Resolved, TreeAttrOptions,
};
pub use flake_nix::{FlakeNixError, SourcePlace, parse_flake_nix, read_flake_nix};
pub use flake_ref::{FlakeRef, ParseOptions};
pub use input::{Input, Scheme, fix_git_url};
pub use input_path::InputPath;
pub use io::FlakeIo;
pub use lock::{LockOptions, LockedFlake, WrittenLock, lock};
pub use lock_file::{Edge, LockFile, LockedInput, Node, NodeId};
pub use outputs::install_get_flake;
pub use registry::{RegistryEntry, RegistrySettings, UseRegistries};
pub use source_trees::SourceTrees;
pub use tree::{FileKind, SourceTree};
pub use url::{Authority, Url};
