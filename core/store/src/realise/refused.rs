//! Requests that were refused a short time ago, so that asking again for the same costs nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use binary_cache::Caches;

use super::{RealiseError, Request};
use crate::store::lock;

/// As long as a cache is believed not to have a path.
const REMEMBERED: Duration = Duration::from_secs(30);

const MOST: usize = 256;

/// Requests, by a hash of what they ask for.
#[derive(Debug, Default)]
pub(crate) struct Refused(Mutex<HashMap<[u8; 32], Entry>>);

#[derive(Debug)]
struct Entry {
    /// As long as this is here no others have the address.
    caches: Weak<Caches>,
    when: Instant,
    error: Arc<RealiseError>,
}

impl Refused {
    /// Why a request was refused.
    pub(super) fn get(&self, request: &Request) -> Option<Arc<RealiseError>> {
        let entries = lock(&self.0);
        let entry = entries.get(&key(request)?)?;
        let is_same = Weak::as_ptr(&entry.caches) == Arc::as_ptr(&request.caches);
        (is_same && entry.when.elapsed() < REMEMBERED).then(|| Arc::clone(&entry.error))
    }

    /// Remembers it, if the same request would end the same way.
    pub(super) fn note(&self, request: &Request, error: &Arc<RealiseError>) {
        let is_lasting = match &**error {
            RealiseError::Digest { .. } => true,
            RealiseError::Limit(error) => error.limit != super::Limit::Disk,
            _ => false,
        };
        let Some(key) = key(request).filter(|_| is_lasting) else {
            return;
        };
        let mut entries = lock(&self.0);
        if entries.len() >= MOST {
            entries.retain(|_, entry| entry.when.elapsed() < REMEMBERED);
        }
        if entries.len() >= MOST {
            entries.clear();
        }
        let entry = Entry {
            caches: Arc::downgrade(&request.caches),
            when: Instant::now(),
            error: Arc::clone(error),
        };
        entries.insert(key, entry);
    }
}

fn key(request: &Request) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(request.expected?.to_string().as_bytes());
    hasher.update(&Arc::as_ptr(&request.caches).addr().to_le_bytes());
    for root in &request.roots {
        hasher.update(root.base_name().as_bytes());
        hasher.update(b"\n");
    }
    Some(*hasher.finalize().as_bytes())
}
