//! The plan: what has to be built and fetched for some derivations, and in which order. Pure.
//!
//! A [`Planner`] knows what the caller wants, and asks [questions](Question) about paths and realisations. All that it asks at a time
//! can be answered in any order and side by side; answers lead to further questions. When none are left, [`Planner::finish`]
//! gives the [`Plan`].
//!
//! The rules are Nix's. A derivation is not built if all of its outputs that are wanted are there, or caches have them with
//! everything that they refer to; where `allowSubstitutes` is off, only if they are there. Of the inputs of what is built only
//! those outputs are wanted that it names.

mod error;
mod missing;
mod node;
mod order;
mod planner;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nix_formats::{Derivation, Hash, StorePath};

use crate::options::{Options, Refusal};

pub use error::PlanError;
pub use missing::render_size;
pub use planner::Planner;
pub use trace::OutputId;

/// What a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// Outputs of a derivation.
    Outputs {
        /// The derivation.
        derivation: StorePath,
        /// Which.
        outputs: WantedOutputs,
    },
    /// A store path.
    Path(StorePath),
}

/// Which outputs of a derivation are wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantedOutputs {
    /// All.
    All,
    /// Those with these names.
    Named(BTreeSet<String>),
}

/// Something that a [`Planner`] has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Where a path is: answered by [`Planner::answer_path`].
    Path(StorePath),
    /// What an output became whose path is not known before it is built: answered by [`Planner::answer_realisation`].
    Realisation {
        /// The output.
        id: OutputId,
        /// Whether the word of caches counts. If not, only what this store built does.
        from_caches: bool,
    },
}

/// Where a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It is here, with all that it refers to.
    Valid,
    /// It is here, or can be made of what is; what it refers to is another question.
    Here {
        /// What it refers to.
        references: BTreeSet<StorePath>,
    },
    /// A cache has it.
    Cached {
        /// Bytes to download.
        download_size: u64,
        /// The size of its NAR.
        nar_size: u64,
        /// What it refers to.
        references: BTreeSet<StorePath>,
    },
    /// It is nowhere.
    Nowhere,
}

/// What has to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What is built, each after those that it needs: in the order in which Nix tells them.
    pub builds: Vec<Build>,
    /// What is fetched, in the order in which Nix tells it.
    pub fetches: Vec<Fetch>,
    /// Bytes to download.
    pub download_size: u64,
    /// Bytes of the NARs that are downloaded.
    pub nar_size: u64,
    /// Paths and derivations that are neither here nor in a cache, sorted.
    pub unknown: BTreeSet<StorePath>,
    /// The paths of outputs, as far as they are known before anything is built: of what the plan is for, and of all inputs of
    /// what is built.
    pub outputs: BTreeMap<StorePath, BTreeMap<String, StorePath>>,
}

/// A derivation that is built.
#[derive(Debug, Clone)]
pub struct Build {
    /// Its path.
    pub path: StorePath,
    /// What it says.
    pub derivation: Arc<Derivation>,
    /// Which of its outputs are wanted.
    pub wanted: BTreeSet<String>,
    /// The builds that must be done before, by their places in [`Plan::builds`].
    pub needs: Vec<usize>,
    /// The longest way from here to something that was asked for: how many builds are on it, this one included.
    pub height: usize,
    /// What it asks for.
    pub options: Arc<Options>,
    /// What build traces know its outputs by; none if their paths are known without building, or new each time.
    pub trace: Option<Hash>,
    /// Why this machine cannot build it.
    pub refusal: Option<Refusal>,
}

/// A path that is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The path.
    pub path: StorePath,
    /// Bytes to download.
    pub download_size: u64,
    /// The size of its NAR.
    pub nar_size: u64,
}
