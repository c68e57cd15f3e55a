//! Locks by name: who works on one volume or one closure does so alone, and no other waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Locks that are there as long as something needs them.
#[derive(Debug)]
pub(crate) struct Locks<K> {
    locks: Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>,
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self {
            locks: Mutex::default(),
        }
    }
}

impl<K: Clone + Eq + Hash> Locks<K> {
    /// Waits for the lock of this name.
    pub(crate) async fn lock(&self, name: &K) -> OwnedMutexGuard<()> {
        self.named(name).lock_owned().await
    }

    /// Waits for the lock of this name, in a thread that may block.
    pub(crate) fn blocking_lock(&self, name: &K) -> OwnedMutexGuard<()> {
        self.named(name).blocking_lock_owned()
    }

    fn named(&self, name: &K) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are neither held nor waited for.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(name.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_locked_one_by_one_and_forgotten() {
        let locks = Locks::default();
        let first = locks.lock(&"a").await;
        let other = locks.lock(&"b").await;
        assert_eq!(locks.locks.lock().unwrap().len(), 2);
        drop((first, other));
        let _again = locks.lock(&"a").await;
        assert_eq!(locks.locks.lock().unwrap().len(), 1);
    }
}
