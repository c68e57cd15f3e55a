//! Holding what is stored, and deciding whether a request may have it.

use crate::{
    error::{FileError, StoreError},
    layout::PackId,
    state::replace,
    store::{Pin, Shared, Store},
};
use binary_cache::{Caches, Trust};
use nix_formats::{Hash, NarInfo, StorePath};
use std::sync::Arc;

/// Signatures of one path to keep; a path that more keys signed has them from a cache that wants to fill the disk.
const MAX_SIGNATURES: usize = 64;

impl Store {
    /// Holds the stored variants of a path, those that were used last first; only those with this NAR hash if there is one.
    pub(crate) fn candidates(&self, path: &StorePath, nar_hash: Option<&Hash>) -> Vec<Pin> {
        let mut found: Vec<(u64, PackId)> = {
            let index = self.shared.index();
            let variants = index.variants(path).iter();
            let packs = variants.filter_map(|&id| Some((id, index.pack(id)?)));
            let wanted = packs.filter(|(_, pack)| {
                let info = pack.info.as_ref();
                info.is_some_and(|info| nar_hash.is_none_or(|hash| info.nar_hash == *hash))
            });
            wanted.map(|(id, pack)| (pack.used, id)).collect()
        };
        found.sort_by(|a, b| b.cmp(a));
        let pins = found.into_iter();
        pins.filter_map(|(_, id)| Pin::new(&self.shared, id))
            .collect()
    }

    /// Holds the path of which the same is known, signatures aside, if it is there and not damaged.
    pub(crate) async fn hold(&self, info: &NarInfo) -> Result<Option<Pin>, StoreError> {
        let found = self.shared.index().find(info);
        let Some(pin) = found.and_then(|id| Pin::new(&self.shared, id)) else {
            return Ok(None);
        };
        let is_good = self.trustworthy(&pin).await?.is_some();
        Ok(is_good.then_some(pin))
    }

    /// What is known of a path that is held. If it may have lost bytes in a power cut it is verified first; nothing if it has
    /// lost some, and then it is not in the store any more.
    pub(crate) async fn trustworthy(&self, pin: &Pin) -> Result<Option<Arc<NarInfo>>, StoreError> {
        let (info, is_suspect) = {
            let index = self.shared.index();
            match index.pack(pin.pack) {
                Some(pack) => (pack.info.clone(), pack.is_suspect),
                None => (None, false),
            }
        };
        if !is_suspect {
            return Ok(info);
        }
        let (store, pack) = (self.clone(), pin.pack);
        let cleared = tokio::task::spawn_blocking(move || store.clear_suspect(pack)).await;
        match cleared {
            Ok(cleared) => Ok(cleared?.then_some(info).flatten()),
            Err(_) => Ok(None),
        }
    }

    /// Whether the policy of these caches lets a path be used that is stored and held. `said` is what they say of it, if they
    /// were asked: it differs from what is stored in signatures at most, and those are kept if the policy needs them.
    pub(crate) async fn admit(
        &self,
        caches: &Arc<Caches>,
        pin: &Pin,
        said: Option<&NarInfo>,
    ) -> Result<bool, StoreError> {
        let (policy, verdicts) = (caches.policy_id(), &self.shared.verdicts);
        if verdicts.is_taken(policy, pin.pack) {
            return Ok(true);
        }
        let Some(stored) = self.shared.info(pin.pack) else {
            return Ok(false);
        };
        let mut verdict = caches.judge(&stored);
        if verdict.is_err()
            && let Some(said) = said
        {
            let (store, pack, signatures) = (self.clone(), pin.pack, said.signatures.clone());
            let added =
                tokio::task::spawn_blocking(move || store.add_signatures(pack, &signatures)).await;
            if let Ok(info) = added
                && let Some(info) = info?
            {
                verdict = caches.judge(&info);
            }
        }
        let is_taken = match verdict {
            Ok(Trust::Signed(_)) => true,
            // Whoever fetched it may have had a signature to go by, and not looked at the content address.
            Ok(Trust::ContentAddressed) => {
                let (store, pack) = (self.clone(), pin.pack);
                let checked =
                    tokio::task::spawn_blocking(move || store.has_content_address(pack)).await;
                checked.unwrap_or(Ok(false))?
            }
            Err(_) => false,
        };
        if is_taken {
            verdicts.add(policy, pin.pack);
        }
        Ok(is_taken)
    }

    /// Keeps signatures that came later. Gives what is known of the path then.
    fn add_signatures(
        &self,
        id: PackId,
        signatures: &[nix_formats::Signature],
    ) -> Result<Option<Arc<NarInfo>>, FileError> {
        let shared = &self.shared;
        let added = {
            let mut index = shared.index_mut();
            let Some(info) = index.pack_mut(id).and_then(|pack| pack.info.as_mut()) else {
                return Ok(None);
            };
            let known = info.signatures.len();
            let new = signatures
                .iter()
                .filter(|signature| !info.signatures.contains(signature));
            let new: Vec<_> = new
                .take(MAX_SIGNATURES.saturating_sub(known))
                .cloned()
                .collect();
            if !new.is_empty() {
                Arc::make_mut(info).signatures.extend(new);
            }
            Arc::clone(info)
        };
        let lines: Vec<String> = added.signatures.iter().map(|s| format!("{s}\n")).collect();
        let (made, path) = (shared.temporary()?, shared.layout.signatures_of(id));
        replace(&made, &path, lines.concat().as_bytes())?;
        Ok(Some(added))
    }
}

impl Shared {
    /// What is known of the path of a pack.
    pub(crate) fn info(&self, id: PackId) -> Option<Arc<NarInfo>> {
        self.index().pack(id).and_then(|pack| pack.info.clone())
    }
}
