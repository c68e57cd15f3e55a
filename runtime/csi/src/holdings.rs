//! What the closures of one namespace take of a node.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use niphas_api::{ClosureDigest, ClosureLines};
use niphas_store::{Limit, LimitExceeded, Store};
use nix_formats::NarHash;

use crate::config::Amount;
use crate::record::Records;

/// Sizes to remember; a node mounts fewer closures.
const MOST: usize = 4096;

/// Sums up the NARs of the closures that a namespace's volumes hold.
///
/// Each path counts once for a namespace, whichever of its closures have it, and once for each namespace: who else has it may
/// not change what a namespace may have.
#[derive(Debug)]
pub(crate) struct Holdings {
    store: Store,
    records: Arc<Records>,
    /// NAR sizes of closures that were admitted. Held while one is, so that two do not fill the same room.
    sizes: Mutex<HashMap<ClosureDigest, u64>>,
}

impl Holdings {
    pub(crate) fn new(store: Store, records: Arc<Records>) -> Self {
        Self {
            store,
            records,
            sizes: Mutex::default(),
        }
    }

    /// Whether a namespace may hold this closure, which has this digest, beside what it holds.
    pub(crate) fn admit(
        &self,
        namespace: &str,
        digest: ClosureDigest,
        lines: &ClosureLines,
        limit: Amount,
    ) -> Result<(), LimitExceeded> {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = self.records.closures(namespace);
        held.remove(&digest);
        if sizes.len() >= MOST {
            sizes.clear();
        }
        let mut found = lines.nar_size();
        for other in &held {
            // One that is not known is of before a restart; or was not admitted yet, and then there is nothing of it.
            let size = sizes.get(other).copied().or_else(|| {
                let lines = self.store.closure_lines(other)?;
                sizes.insert(*other, lines.nar_size());
                Some(lines.nar_size())
            });
            let size = size.unwrap_or(0);
            found = found.saturating_add(size);
        }
        let allowed = limit.bytes(self.disk_size());
        if found > allowed {
            found = self.together(lines, &held);
        }
        if found > allowed {
            return Err(LimitExceeded {
                limit: Limit::Disk,
                allowed,
                found,
            });
        }
        sizes.insert(digest, lines.nar_size());
        Ok(())
    }

    /// The size of all, each path counted once.
    fn together(&self, lines: &ClosureLines, held: &HashSet<ClosureDigest>) -> u64 {
        let mut paths: HashMap<NarHash, u64> = HashMap::new();
        let mut add = |lines: &ClosureLines| {
            for line in lines.as_slice() {
                paths.insert(line.nar_hash, line.nar_size);
            }
        };
        add(lines);
        for other in held {
            if let Some(lines) = self.store.closure_lines(other) {
                add(&lines);
            }
        }
        paths
            .values()
            .fold(0, |sum, size| u64::saturating_add(sum, *size))
    }

    /// Bytes of the store's file system.
    pub(crate) fn disk_size(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.store.dir());
        disk.map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use niphas_api::ClosureLine;
    use niphas_store::{Options, Watermark};
    use nix_formats::StorePath;

    use super::*;
    use crate::pod::Pod;
    use crate::record::Record;

    fn lines(names: &[&str]) -> ClosureLines {
        let line = |name: &&str| ClosureLine {
            path: StorePath::from_base_name(format!("{}-{name}", "0".repeat(32))).unwrap(),
            nar_hash: NarHash::of(name.as_bytes()),
            nar_size: 100,
        };
        ClosureLines::new(names.iter().map(line).collect()).unwrap()
    }

    #[test]
    fn a_path_counts_once_for_each_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let records = Arc::new(Records::open(folder.path().join("volumes")).unwrap());
        let holdings = Holdings::new(store, Arc::clone(&records));
        let put = |namespace: &str, lines: &ClosureLines| {
            let digest = lines.digest();
            let hex = digest.hex();
            let closure = folder.path().join("closures").join(&hex);
            std::fs::create_dir_all(&closure).unwrap();
            std::fs::write(closure.join("paths"), lines.to_string()).unwrap();
            let pod = Pod {
                namespace: namespace.to_owned(),
                ..Pod::default()
            };
            let record = Record {
                volume: format!("{namespace}-{hex}"),
                target: "/x".into(),
                roots: lines.as_slice()[0].path.clone().into(),
                digest,
                pod,
                boot: String::new(),
            };
            records.put(record).unwrap();
        };
        let (old, new) = (lines(&["a", "b", "c"]), lines(&["b", "c", "d"]));
        let limit = |bytes| Amount(Watermark::Bytes(bytes));
        let admit = |holdings: &Holdings, namespace: &str, lines: &ClosureLines, bytes| {
            holdings.admit(namespace, lines.digest(), lines, limit(bytes))
        };
        admit(&holdings, "shop", &old, 300).unwrap();
        put("shop", &old);
        // The next version of it, and itself again.
        admit(&holdings, "shop", &new, 400).unwrap();
        admit(&holdings, "shop", &old, 300).unwrap();
        let refused = admit(&holdings, "shop", &new, 399).unwrap_err();
        assert_eq!((refused.limit, refused.found), (Limit::Disk, 400));
        // What one has is nothing to another, and known after a restart.
        admit(&holdings, "bank", &new, 300).unwrap();
        let holdings = Holdings::new(holdings.store.clone(), records);
        admit(&holdings, "shop", &lines(&["x"]), 399).unwrap_err();
        admit(&holdings, "shop", &lines(&["x"]), 400).unwrap();
    }
}
