//! What an engine is asked for, and how it builds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::builtin::FetchSettings;
use crate::options::Machine;
use crate::plan::Wanted;
use crate::sandbox::{Limits, Network};

/// What to build.
#[derive(Debug, Clone)]
pub struct Request {
    /// What must be there in the end.
    pub wanted: Vec<Wanted>,
    /// Builds on after a failure, all that does not depend on it.
    pub keep_going: bool,
    /// Builds again what is asked for, and compares.
    pub check: bool,
    /// Holds what was asked for in the store in the end, with all that it refers to: what that needs of an
    /// [`InputFolder`](super::InputFolder) is copied. If not, what was built stays as long as the engine does.
    pub holds: bool,
}

impl Default for Request {
    /// For nothing; it ends with the first failure, and holds what was asked for.
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            keep_going: false,
            check: false,
            holds: true,
        }
    }
}

/// How an engine builds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What this machine can build.
    pub machine: Machine,
    /// Builders that run at once. 0: nothing is built.
    pub max_jobs: usize,
    /// Processors that each may use.
    pub cores: u32,
    /// When a builder is ended.
    pub limits: Limits,
    /// `/bin/sh` of the sandbox: a static program on this machine. None: there is no `/bin/sh`.
    pub shell: Option<PathBuf>,
    /// The network of derivations whose outputs are fixed, or impure.
    pub network: Network,
    /// What `builtin:fetchurl` gets of the machine.
    pub fetch: FetchSettings,
    /// Variables that such derivations may ask their caller for.
    pub caller_variables: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The last lines of a log that a failure repeats.
    pub log_lines: usize,
    /// Keeps the folders of builds that failed.
    pub keep_failed: bool,
    /// Builds what caches do not give because they fail.
    pub fallback: bool,
}

impl Settings {
    /// Nix's own for a machine: one builder at a time, on all processors, without limits.
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            max_jobs: 1,
            cores: std::thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
            limits: Limits::default(),
            shell: None,
            network: Network::default(),
            fetch: FetchSettings::default(),
            caller_variables: BTreeMap::new(),
            log_lines: 25,
            keep_failed: false,
            fallback: false,
        }
    }
}
