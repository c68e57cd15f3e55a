//! Holding what is stored, and deciding whether a request may have it.

use std::sync::Arc;

use binary_cache::{Caches, Trust};
use nix_formats::{NarHash, NarInfo, PublicKey, Signature, StorePath};

use crate::error::{FileError, StoreError};
use crate::layout::PackId;
use crate::realise::Request;
use crate::state::replace;
use crate::store::{Pin, Shared, Store};

/// Signatures of one path to keep; a path that more keys signed has them from a cache that wants to fill the disk.
const MAX_SIGNATURES: usize = 64;

/// Whether a request may have a stored path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Taken,
    /// Its policy believes the path, but none of its caches has delivered it yet.
    NotDelivered,
    /// Its policy does not believe the path.
    Refused,
}

impl Store {
    /// Holds the stored variants of a path, those that were used last first; only those with this NAR hash if there is one.
    pub(crate) fn candidates(&self, path: &StorePath, nar_hash: Option<&NarHash>) -> Vec<Pin> {
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

    /// Whether a request may have a path that is stored and held. `said` is what its caches say of it, if they were asked: it
    /// differs from what is stored in signatures at most. Those that the policy counts are kept, so that it is content with
    /// what is stored the next time.
    pub(crate) async fn admit(
        &self,
        request: &Request,
        pin: &Pin,
        said: Option<&NarInfo>,
    ) -> Result<Verdict, StoreError> {
        let (shared, terms) = (&self.shared, &request.terms);
        if !self.is_believed(&request.caches, pin, said).await? {
            return Ok(Verdict::Refused);
        }
        if terms.must_be_delivered && !shared.delivered.is_by(&terms.origins, pin.pack) {
            return Ok(Verdict::NotDelivered);
        }
        Ok(Verdict::Taken)
    }

    /// Whether the policy is content with the signatures, or the content address.
    async fn is_believed(
        &self,
        caches: &Caches,
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
            let mut both = NarInfo::clone(&stored);
            both.signatures.extend(said.signatures.iter().cloned());
            verdict = caches.judge(&both);
            if let Ok(Trust::Signed(_)) = verdict {
                let counted = counted(caches, said);
                let (store, pack) = (self.clone(), pin.pack);
                let kept =
                    tokio::task::spawn_blocking(move || store.keep_signatures(pack, counted));
                // Without them the caches are asked again by the next process: nothing else is lost.
                if let Ok(Err(error)) = kept.await {
                    tracing::debug!(error = %nix_formats::chain(&error), "signatures are not kept");
                }
            }
        }
        let is_taken = match verdict {
            Ok(Trust::Signed(_)) => true,
            // Its fetch may have had a signature to go by, and not looked at the content address.
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

    /// Keeps signatures that a policy counted, the newest of each key, and of those before as many as there is room for.
    pub(crate) fn keep_signatures(
        &self,
        id: PackId,
        counted: Vec<Signature>,
    ) -> Result<(), FileError> {
        let shared = &self.shared;
        let kept = {
            let mut index = shared.index_mut();
            let Some(info) = index.pack_mut(id).and_then(|pack| pack.info.as_mut()) else {
                return Ok(());
            };
            let mut kept: Vec<Signature> = Vec::new();
            let before = info.signatures.iter().cloned();
            for signature in counted.into_iter().chain(before) {
                // Names that others choose never displace a signature that counted: those that did not count come last.
                if kept.len() < MAX_SIGNATURES && !kept.contains(&signature) {
                    kept.push(signature);
                }
            }
            Arc::make_mut(info).signatures.clone_from(&kept);
            kept
        };
        let lines: Vec<String> = kept.iter().map(|s| format!("{s}\n")).collect();
        let (made, path) = (shared.temporary()?, shared.layout.signatures_of(id));
        replace(&made, &path, lines.concat().as_bytes())
    }
}

/// The signatures that the policy of these caches counts, the last of each key.
fn counted(caches: &Caches, info: &NarInfo) -> Vec<Signature> {
    let fingerprint = info.fingerprint(caches.store_dir());
    let of_key = |key: &PublicKey| {
        let signatures = info.signatures.iter().rev();
        let mut named = signatures.filter(|signature| signature.key_name == key.name());
        named.find(|signature| key.verify(fingerprint.as_bytes(), signature))
    };
    let keys = caches.policy().keys().iter();
    keys.filter_map(of_key).cloned().collect()
}

impl Shared {
    /// What is known of the path of a pack.
    pub(crate) fn info(&self, id: PackId) -> Option<Arc<NarInfo>> {
        self.index().pack(id).and_then(|pack| pack.info.clone())
    }
}
