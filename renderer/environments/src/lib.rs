//! From a flake to checked environments with their closures: the engine of `niphas render`, for every program that renders.
//!
//! 1. [`OpenedFlake::open`] fetches and locks a flake.
//! 2. [`Environments::open`] finds out what earlier evaluations of it gave still counts. If that is all there is to know
//!    ([`Environments::known`]), and the branch has what [`LastRendering`] notes, there is nothing to do.
//! 3. [`Environments::evaluate`] evaluates and checks the rest, on several processors.
//! 4. [`resolve`] finds the closures of all workloads in binary caches.
//! 5. [`render`] makes the files, which `niphas-gitops` commits; [`Origin`] says what they were made from.
//!
//! [`EvaluatedEnvironments::roots`] says what has to be built for them.
//!
//! [`EvaluationRecord`] keeps what an evaluation adds to the store, for what is built of it.
//!
//! The crate prints nothing and reads no settings of its own: limits, caches and folders come from the caller, and what an
//! evaluation says goes to [`Evaluation::hear`]. It holds no state outside of its values, so that one process can do this for
//! several flakes at the same time.

mod answers;
mod attributes;
mod buildable;
mod closures;
mod definitions;
mod environment;
mod environments;
mod error;
mod evaluation;
mod evaluators;
mod imports;
mod installable;
mod last_rendering;
mod opened_flake;
mod origin;
mod outputs;
mod record;
mod references;
mod rendering;
mod roots;
mod step;
mod trace;
mod work_list;
mod workload;

pub use attributes::{attribute, members, select_first};
pub use buildable::{Buildable, buildables_of};
pub use closures::{Closures, closure_lines, resolve};
pub use environment::EnvironmentData;
pub use environments::{Environments, EvaluatedEnvironments, KnownEnvironments};
pub use error::{
    EnvironmentProblems, EvaluationError, NixReport, RefusedEnvironments, ResolveError,
    UnresolvedClosure,
};
pub use evaluation::{Access, Evaluation, Hear};
pub use imports::{HearBuild, HearBuilds, Imports, OpenEngine, OpenedEngine};
pub use installable::{Outputs, store_paths_of};
pub use last_rendering::{BranchObjects, LastRendering, RenderKey, RepositoryKey};
pub use opened_flake::OpenedFlake;
pub use origin::Origin;
pub use record::EvaluationRecord;
pub use rendering::render;
pub use roots::{BuiltOutput, Root};
pub use step::Step;
