//! How many volumes are published at once.
//!
//! kubelet asks for all volumes of all pods at the same time, and each call waits until its closure is there. What is refused
//! here kubelet asks for again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::VolumeError;

/// Calls of all namespaces.
const ALL: usize = 1024;
/// Calls of one namespace, so that one cannot keep the others out.
const OF_ONE: usize = 256;

/// The calls that are being answered, by namespace. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<HashMap<String, usize>>>);

/// A call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    calls: Calls,
    namespace: String,
}

impl Calls {
    pub(crate) fn begin(&self, namespace: &str) -> Result<Call, VolumeError> {
        let mut calls = self.lock();
        let all: usize = calls.values().sum();
        let of_one = calls.get(namespace).copied().unwrap_or(0);
        let limit = if of_one >= OF_ONE { OF_ONE } else { ALL };
        if of_one >= OF_ONE || all >= ALL {
            return Err(VolumeError::TooManyCalls(limit));
        }
        calls.insert(namespace.to_owned(), of_one + 1);
        drop(calls);
        Ok(Call {
            calls: self.clone(),
            namespace: namespace.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.calls.lock();
        if let Some(count) = calls.get_mut(&self.namespace) {
            *count -= 1;
            if *count == 0 {
                calls.remove(&self.namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_namespace_does_not_keep_others_out_and_all_together_are_bounded() {
        let calls = Calls::default();
        let begin = |namespace: &str, count: usize| -> Vec<Call> {
            (0..count)
                .map_while(|_| calls.begin(namespace).ok())
                .collect()
        };
        let first = begin("first", 2 * OF_ONE);
        assert_eq!(first.len(), OF_ONE);
        let others: Vec<_> = ["second", "third", "fourth", "fifth"]
            .into_iter()
            .flat_map(|namespace| begin(namespace, 2 * OF_ONE))
            .collect();
        assert_eq!(first.len() + others.len(), ALL);
        let error = calls.begin("fifth").unwrap_err();
        assert!(error.is_retryable(), "{error}");
        drop(first);
        assert_eq!(begin("fifth", 1).len(), 1);
        drop(others);
        assert!(calls.lock().is_empty());
    }
}
