//! A budget of memory that work takes its share of before it begins.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is counted in pieces of this many bytes.
const PIECE: usize = 4096;

/// Bytes that all who share the budget may take together. Clones are the same budget.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pieces: Arc<Semaphore>,
    all: u32,
}

/// Bytes that were taken. They go back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// A budget of at least one piece, and of 64 GiB at most.
    pub(crate) fn new(bytes: usize) -> Self {
        let all = (bytes / PIECE).clamp(1, 1 << 24);
        Self {
            pieces: Arc::new(Semaphore::new(all)),
            all: all as u32,
        }
    }

    /// Waits until there are as many bytes, first come, first served. More than there are in all count as all of them, so
    /// that large work goes on alone.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.pieces).acquire_many_owned(pieces.min(self.all));
        // The semaphore is never closed, so they are always granted.
        Share {
            _permit: taken.await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn what_is_taken_comes_back_with_its_share() {
        let memory = Memory::new(10 * PIECE);
        let first = memory.take(6 * PIECE).await;
        assert!(memory.take(5 * PIECE).now_or_never().is_none());
        let rest = memory.take(4 * PIECE).await;
        assert!(memory.take(1).now_or_never().is_none());
        drop((first, rest));
        // More than there is.
        let all = memory.take(usize::MAX).await;
        assert!(memory.take(0).now_or_never().is_some());
        assert!(memory.take(1).now_or_never().is_none());
        drop(all);
        assert!(memory.take(1).now_or_never().is_some());
    }
}
