//! How an evaluation is to behave.

use std::collections::BTreeSet;
use std::sync::Arc;

use nix_formats::StoreDir;

use crate::feature::Feature;
use crate::limits::Limits;
use crate::lint::Lints;
use crate::parse_cache::ParseCache;

/// Settings of one evaluation.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Settings {
    /// Refuse what could differ between two runs: the environment, the time, unpinned fetches, files outside the store.
    pub pure: bool,
    /// Record the functions on the way to an error.
    pub show_trace: bool,
    /// What `builtins.currentSystem` says.
    pub system: String,
    /// The store that paths are computed for.
    pub store_dir: StoreDir,
    /// The look-up path (`-I`, `NIX_PATH`): prefix, which may be empty, and location.
    pub search_path: Vec<(Vec<u8>, Vec<u8>)>,
    /// Relative locations in the look-up path start here: an absolute path.
    pub directory: Vec<u8>,
    /// `traceVerbose` prints.
    pub trace_verbose: bool,
    /// Calls nested deeper than this are an error.
    pub max_call_depth: u32,
    /// Delay all that C++ Nix delays, even what is cheaper done at once: it shows where values are printed as far as they
    /// are evaluated.
    pub delay_all: bool,
    /// Also put texts, trees and derivations into the store, not only compute their paths.
    pub write_store: bool,
    /// How much it may take.
    pub limits: Limits,
    /// Record which functions the time goes to: see [`Evaluator::write_profile`](crate::Evaluator::write_profile).
    pub profile: bool,
    /// What evaluations on other threads parse, too.
    pub parse_cache: Option<Arc<ParseCache>>,
    /// Experimental features that are on.
    pub features: BTreeSet<Feature>,
    /// What to warn of.
    pub lints: Lints,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pure: false,
            show_trace: false,
            system: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            store_dir: StoreDir::default(),
            search_path: Vec::new(),
            directory: b"/".to_vec(),
            trace_verbose: false,
            max_call_depth: 10_000,
            delay_all: false,
            write_store: false,
            limits: Limits::default(),
            profile: false,
            parse_cache: None,
            features: BTreeSet::new(),
            lints: Lints::default(),
        }
    }
}
