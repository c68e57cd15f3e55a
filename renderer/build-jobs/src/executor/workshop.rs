//! What the executor needs of the service.

use std::error::Error;

use k8s_openapi::api::batch::v1::Job;
use nix_formats::StorePath;

use crate::failure::Failure;
use crate::job::Attempt;
use crate::schedule::Start;

/// What goes wrong outside of this crate.
pub type WorkshopError = Box<dyn Error + Send + Sync>;

/// What the executor needs of the service.
pub trait Workshop: Send + Sync + 'static {
    /// The Job of a start: its inputs are in the cache from then on. An error that says [`Failure`] is one of the derivation.
    fn prepare(
        &self,
        start: &Start,
        attempt: Attempt,
    ) -> impl Future<Output = Result<Job, Prepare>> + Send;

    /// Whether all outputs of a derivation are in the cache.
    fn is_built(
        &self,
        derivation: &StorePath,
    ) -> impl Future<Output = Result<bool, WorkshopError>> + Send;
}

/// Why there is no Job for a derivation.
#[derive(Debug, thiserror::Error)]
pub enum Prepare {
    /// There never will be.
    #[error("{0}")]
    Never(Failure),
    /// Another time it may go well.
    #[error("failed to prepare the build")]
    NotNow(#[source] WorkshopError),
}
