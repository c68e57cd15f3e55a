//! Builds as Kubernetes Jobs: Kubernetes is the scheduler, the queue and the lock.
//!
//! - [`job`]: the Job of a derivation, by the administrator's [`policy`]; pure;
//! - [`inputs`]: all that a build may see, as one closure that its pod mounts; pure;
//! - [`schedule`]: when what is built, for all sources; pure;
//! - [`standing`]: what became of a Job; pure;
//! - [`executor`]: makes, watches, remembers and removes Jobs;
//! - [`agent`]: builds in the pod, and ends with an [`exit`] code that Kubernetes understands.
//!
//! There is no other state than Jobs. The name of a Job is the hash of the derivation: creating it is taking the lock, and a failed Job
//! is the memory of the failure.

pub mod agent;
pub mod executor;
pub mod exit;
mod failure;
pub mod inputs;
pub mod job;
pub mod policy;
pub mod schedule;
pub mod standing;

pub use failure::{Cause, Failure};
