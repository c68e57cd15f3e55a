//! How derivations and runs are.

use nix_formats::StorePath;

use crate::failure::Failure;

/// How a derivation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It waits for what it needs, or for its turn.
    Waiting,
    /// There is a Job for it.
    Running,
    /// It is in the cache.
    Built,
    /// It failed.
    Failed(Failure),
    /// It is not tried, since this one failed that it needs.
    Blocked {
        /// The derivation that failed.
        by: StorePath,
    },
}

/// As [`Progress`], without why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildState {
    /// It waits for what it needs, or for its turn.
    Waiting,
    /// There is a Job for it.
    Running,
    /// It is in the cache.
    Built,
    /// It failed.
    Failed,
    /// It is not tried, since one failed that it needs.
    Blocked,
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunProgress {
    /// How each derivation is, in the order of the run.
    pub states: Vec<BuildState>,
    /// Derivations that wait.
    pub waiting: usize,
    /// Those with a Job.
    pub running: usize,
    /// Those that are built.
    pub built: usize,
    /// Those that failed, in the order of the run.
    pub failed: Vec<(StorePath, Failure)>,
    /// Those that are not tried, each with the one that failed.
    pub blocked: Vec<(StorePath, StorePath)>,
}

impl RunProgress {
    /// Whether nothing goes on any more.
    pub fn is_done(&self) -> bool {
        self.waiting + self.running == 0
    }

    pub(super) fn add(&mut self, state: BuildState) {
        self.states.push(state);
        match state {
            BuildState::Waiting => self.waiting += 1,
            BuildState::Running => self.running += 1,
            BuildState::Built => self.built += 1,
            BuildState::Failed | BuildState::Blocked => {}
        }
    }
}
