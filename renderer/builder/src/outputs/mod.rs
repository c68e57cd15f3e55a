//! The outputs: what a builder left behind is checked as Nix checks it, and becomes store paths.
//!
//! The builder is gone when this begins, and all that it left is taken for hostile. Nothing of it is changed, but that its
//! owner may read it. [`judge`] checks the same of outputs that arrive as NARs.

mod checks;
mod compare;
mod contents;
mod error;
mod left;
mod links;
mod nars;
mod order;
mod pass;
mod register;
mod rewrite;
mod survey;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use niphas_store::{HeldPath, Store};
use nix_formats::{ContentAddress, Derivation, NarHash, StoreDir, StorePath};

pub use compare::{Difference, DifferenceKind};
pub use error::{OutputError, OutputFailure};
pub use nars::{Nars, judge};

use crate::environment::PathInfos;
use crate::options::Options;
use left::LeftOutput;

/// What a builder left behind.
#[derive(Debug, Clone)]
pub struct Left {
    /// The folder with the outputs, by base name of their scratch paths.
    pub folder: PathBuf,
    /// The path that each output was built at, by name of the output.
    pub scratch: BTreeMap<String, StorePath>,
    /// The users that may own what the builder made, as the file system has them. The first owns the outputs themselves.
    pub owners: RangeInclusive<u32>,
    /// What the outputs may refer to besides each other: the input closure, and what was added while building.
    pub inputs: BTreeSet<StorePath>,
}

/// A build whose builder succeeded.
#[derive(Clone, Copy)]
pub struct Build<'a> {
    /// Where the outputs go.
    pub store: &'a Store,
    /// The path of the derivation.
    pub path: &'a StorePath,
    /// The derivation, resolved.
    pub derivation: &'a Derivation,
    /// What it asks for.
    pub options: &'a Options,
    /// Knows the input closure.
    pub infos: &'a dyn PathInfos,
    /// What the builder left behind.
    pub left: &'a Left,
    /// Outputs that are there already, by name. What the builder made of them is not looked at.
    pub valid: &'a BTreeMap<String, StorePath>,
}

/// The outputs of a build.
#[derive(Debug)]
pub struct Finished {
    /// Those that the builder made, by name.
    pub outputs: BTreeMap<String, BuiltOutput>,
    /// Keeps them in the store.
    pub held: Vec<HeldPath>,
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

/// Checks the outputs of a build, and puts them into the store.
///
/// Outputs that are content-addressed are in the store even if a check fails in the end, the contents of a fixed output with
/// the wrong hash among them; others are then not.
pub fn finish(build: &Build<'_>) -> Result<Finished, OutputError> {
    let case = build.case();
    let mut made = build.outputs(&case, Some(build.store))?;
    checks::check(&case, &made.outputs)?;
    made.add_all(&case)?;
    Ok(Finished {
        outputs: made.outputs,
        held: made.held,
    })
}

/// Compares the outputs of a second build with those that are there, [`Build::valid`], and stores nothing. What differs is moved
/// to `keep`, if that is given, under the name of its path and `.check`.
pub fn compare(build: &Build<'_>, keep: Option<&Path>) -> Result<(), OutputError> {
    let nothing_valid = BTreeMap::new();
    let second = Build {
        valid: &nothing_valid,
        ..*build
    };
    let case = second.case();
    let made = second.outputs(&case, None)?;
    for (name, output) in &made.outputs {
        compare::output(build, name, output, keep)?;
    }
    checks::check(&case, &made.outputs)
}

/// What outputs are judged by, wherever their contents are.
#[derive(Clone, Copy)]
struct Case<'a> {
    store_dir: &'a StoreDir,
    /// Where outputs go, if they go to a store.
    store: Option<&'a Store>,
    path: &'a StorePath,
    derivation: &'a Derivation,
    options: &'a Options,
    infos: &'a dyn PathInfos,
    /// The path that each output was built at.
    scratch: &'a BTreeMap<String, StorePath>,
    inputs: &'a BTreeSet<StorePath>,
    valid: &'a BTreeMap<String, StorePath>,
}

impl Case<'_> {
    /// A path as a whole.
    fn print(&self, path: &StorePath) -> String {
        self.store_dir.print(path)
    }

    /// Where an output was built.
    fn scratch(&self, output: &str) -> Result<&StorePath, OutputError> {
        let scratch = self.scratch.get(output);
        scratch.ok_or_else(|| OutputError::Unknown {
            derivation: self.print(self.path),
            output: output.to_owned(),
        })
    }
}

impl<'a> Build<'a> {
    fn case(&self) -> Case<'a> {
        Case {
            store_dir: self.store.store_dir(),
            store: Some(self.store),
            path: self.path,
            derivation: self.derivation,
            options: self.options,
            infos: self.infos,
            scratch: &self.left.scratch,
            inputs: &self.left.inputs,
            valid: self.valid,
        }
    }

    /// Looks at what was left. Contents are written to a store, if one is given.
    fn outputs(
        &self,
        case: &Case<'_>,
        store: Option<&Store>,
    ) -> Result<register::Made, OutputError> {
        let mut links = left::linked(self)?;
        let open = |name, scratch| {
            let source = LeftOutput::look(self, name, scratch, store, &mut links)?;
            Ok(Box::new(source) as Box<dyn contents::Source>)
        };
        register::outputs(case, &register::passing(case)?, open)
    }

    fn print(&self, path: &StorePath) -> String {
        self.store.store_dir().print(path)
    }
}
