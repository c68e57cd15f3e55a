//! A circuit breaker: what keeps failing is left alone for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::FetchError;
use crate::limits::Limits;

/// After as many failures without a success between, it opens.
const MAX_FAILURES: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Since when it is open, and why.
    open: Option<(Instant, FetchError)>,
}

impl Breaker {
    /// Why not to ask, if it is open. After the time to cool down there is one
    /// more chance: the next failure opens it again.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), FetchError> {
        let mut state = self.lock();
        match &state.open {
            Some((since, error)) if since.elapsed() < limits.cool_down => Err(error.clone()),
            Some(_) => {
                state.open = None;
                state.failures = MAX_FAILURES - 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn succeeded(&self) {
        self.lock().failures = 0;
    }

    /// Whether this failure opened it.
    pub(crate) fn failed(&self, error: &FetchError) -> bool {
        let mut state = self.lock();
        state.failures += 1;
        let opens = state.failures >= MAX_FAILURES && state.open.is_none();
        if opens {
            state.open = Some((Instant::now(), error.clone()));
        }
        opens
    }

    pub(crate) fn open(&self, error: FetchError) {
        self.lock().open = Some((Instant::now(), error));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
