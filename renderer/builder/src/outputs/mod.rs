//! The outputs: what a builder left behind is checked as Nix checks it, and becomes store paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nix_formats::{ContentAddress, NarHash, StorePath};

/// What a builder left behind.
#[derive(Debug, Clone)]
pub struct Left {
    /// The folder with the outputs, by base name of their scratch paths.
    pub folder: PathBuf,
    /// The path that each output was built at, by name of the output.
    pub scratch: BTreeMap<String, StorePath>,
    /// The user that owns what the builder made, as the file system has it.
    pub owner: u32,
    /// What the outputs may refer to besides each other: the input closure, and what was added while building.
    pub inputs: BTreeSet<StorePath>,
}

/// An output that was checked and is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltOutput {
    /// Its store path.
    pub path: StorePath,
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The size of its NAR in bytes.
    pub nar_size: u64,
    /// What it refers to, itself included if it does.
    pub references: BTreeSet<StorePath>,
    /// What its path was made of, if it is content-addressed.
    pub content_address: Option<ContentAddress>,
}
