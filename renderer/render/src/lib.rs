//! From an evaluated environment to the files of a GitOps repository.
//!
//! 1. [`check`] reads what `niphasConfigurations.<environment>` evaluated to, checks types and names
//!    against the schema of the `NiphasWorkload` CRD, and tells which closures are needed.
//! 2. The caller resolves them ([`CheckedEnvironment::closures`]) from binary caches.
//! 3. [`CheckedEnvironment::render`] makes the files, and the [`Lock`] that lists them.
//!
//! What an environment evaluates to is written down in `docs/reference/environment.md`. The crate is
//! pure: it reads no file, and the same input gives the same bytes.

mod attribute_path;
mod companions;
mod environment;
mod further_objects;
mod kinds;
mod lock;
mod names;
mod objects;
mod options;
mod output;
mod places;
mod problem;
mod programs;
mod rule_words;
mod rules;
mod schema;
mod store_paths;
mod suggestion;
mod systems;
mod workload;
mod written_defaults;

pub use attribute_path::{AttributePath, Element};
pub use environment::{
    CheckedEnvironment, CheckedWorkload, ENVIRONMENT, Evaluated, WorkloadRoots, check, check_head,
};
pub use further_objects::FurtherObject;
pub use lock::{FileHash, Lock, LockError};
pub use names::{BadEnvironmentName, BadLabel, EnvironmentName, Label};
pub use options::{EnvironmentOption, below as options_below, meant as option_meant, options};
pub use output::{BadDeployFolder, ClosureId, DeployFolder, Form, RenderedEnvironment, places};
pub use problem::{Problem, ProblemKind, Problems};
pub use suggestion::nearest;
