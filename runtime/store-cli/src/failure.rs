//! Why a command failed.

use binary_cache::ClosureError;
use niphas_cache_args::{CacheArgsError, unavailable_hint};
use niphas_store::{OpenError, RealiseError, StoreError};

/// Why a command failed, with its causes, and what can be done about it.
#[derive(Debug)]
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<String>,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let hint = hint(&error);
        Self { error, hint }
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(OpenError::InUse { .. }) = error.downcast_ref() {
        return Some("list, ls, cat, dump, du and export only read, and work all the same".into());
    }
    let is_damage = |cause: &(dyn std::error::Error + 'static)| {
        let cause = cause.downcast_ref::<StoreError>();
        cause.is_some_and(StoreError::is_damage)
    };
    if error.chain().any(is_damage) {
        return Some("fetch it again with `niphas-store verify --repair`".into());
    }
    if let Some(error) = error.downcast_ref::<CacheArgsError>() {
        return error.hint();
    }
    error.downcast_ref().and_then(hint_of_realising)
}

/// No other process has the store open, so garbage can be collected.
fn hint_of_realising(error: &RealiseError) -> Option<String> {
    if error.is_out_of_space() {
        return Some(
            "collect garbage with `niphas-store gc`, or give the store's file system more space"
                .into(),
        );
    }
    match error {
        RealiseError::Unavailable(ClosureError::Unavailable(paths)) => {
            paths.first().map(unavailable_hint)
        }
        RealiseError::Digest { .. } => Some(
            "render again, so that the digest is that of what the caches have now; or find out who changed them"
                .into(),
        ),
        _ => None,
    }
}

impl Failure {
    /// A realisation's, which others may wait for too.
    pub(crate) fn shared(error: std::sync::Arc<RealiseError>) -> Self {
        let hint = hint_of_realising(&error);
        Self {
            error: error.into(),
            hint,
        }
    }

    /// A failure that the user can do something about.
    pub(crate) fn with_hint(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            hint: Some(hint.into()),
        }
    }

    /// Prints the failure to standard error.
    pub(crate) fn report(&self) {
        niphas_terminal::report(self.error.as_ref(), self.hint.as_deref());
    }
}
