//! What the user can do about an error, in terms of this program's options.

use binary_cache::{ClosureError, FetchError, PushError, Unavailable};
use niphas_cache_args::{CacheArgsError, login_hint, unavailable_hint};

/// What the user can do about it, if that is known.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(error) = error.downcast_ref::<niphas_gitops::Error>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<CacheArgsError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<Unavailable>() {
        return Some(unavailable_hint(error));
    }
    match error.downcast_ref() {
        Some(ClosureError::Unavailable(paths)) => paths.first().map(unavailable_hint),
        _ => hint_of_push(error.downcast_ref()?),
    }
}

fn hint_of_push(error: &PushError) -> Option<String> {
    let (PushError::Cache(source) | PushError::Upload { source, .. }) = error else {
        return None;
    };
    match source {
        FetchError::Status {
            status: 401 | 403, ..
        } => Some(login_hint("the cache")),
        _ => None,
    }
}
