//! Builds: what caches lack is built by Kubernetes Jobs, and kept in a cache of the service's own.
//!
//! A run whose closures are in caches never comes here. Of others the flake is evaluated once more, by a process that writes what builds
//! its environments ([`graph`]): nothing of that is believed before it was checked. A plan ([`plan`]) says what the caches of builds
//! lack. Jobs build it ([`shop`] prepares them, `niphas_build_jobs` runs them), and their pods deliver to [`deliveries`], which is served
//! beside the cache ([`serve`]). Replicas that do not lead serve the cache alone ([`door`]).
//!
//! People see the builds of a run on its page: [`records`] remembers them, and [`logs`] are read there while they grow.
//!
//! All namespaces share what is built, so all builds have the same caches and keys, which the administrator names: a cache that one
//! namespace trusts is no input of what another one runs.

mod deliveries;
mod door;
mod durations;
mod garbage;
mod generations;
mod graph;
mod logs;
mod plan;
mod push;
mod record;
mod records;
mod run;
mod serve;
pub(crate) mod settings;
mod shop;
mod uploads;

pub(crate) use door::Door;
pub(crate) use graph::Graph;
pub(crate) use logs::{Log, Logs};
pub(crate) use record::{RecordedState, RunRecord};
pub(crate) use records::{Records, RunName};
pub(crate) use run::{BuildError, BuildRun, Built};
pub(crate) use serve::Site;
pub(crate) use shop::Shop;

/// What pages show of builds, once this replica leads.
pub(crate) struct Shown {
    pub(crate) records: std::sync::Arc<Records>,
    pub(crate) logs: Logs,
}
