//! Signatures of several narinfos, verified together: that takes half the time
//! of one after the other.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix_formats::{PublicKey, PublicKeys, Signature, verify_all};

/// Signatures that wait to be verified.
#[derive(Debug, Default)]
pub(crate) struct Together {
    waiting: Mutex<Vec<Arc<Claim>>>,
    /// Held while verifying.
    turn: tokio::sync::Mutex<()>,
}

/// A signature that is said to be of a key.
#[derive(Debug)]
struct Claim {
    key: PublicKey,
    data: Arc<str>,
    signature: Signature,
    verdict: OnceLock<bool>,
}

impl Claim {
    fn as_parts(&self) -> (&PublicKey, &[u8], &Signature) {
        (&self.key, self.data.as_bytes(), &self.signature)
    }
}

/// Signatures of one text beyond which its author wants others to wait.
const MOST: usize = 8;

impl Together {
    /// The signatures of `data` that keys made, each with the key. Only those by names of the keys are looked at.
    pub(crate) async fn verified<'a>(
        &self,
        keys: &'a PublicKeys,
        data: &str,
        signatures: &[Signature],
    ) -> Vec<(&'a PublicKey, Signature)> {
        let data: Arc<str> = data.into();
        let mut claims = Vec::new();
        for key in keys.iter() {
            let named = signatures.iter().filter(|it| it.key_name == key.name());
            claims.extend(named.map(|signature| {
                let claim = Claim {
                    key: key.clone(),
                    data: Arc::clone(&data),
                    signature: signature.clone(),
                    verdict: OnceLock::new(),
                };
                (key, Arc::new(claim))
            }));
        }
        if claims.is_empty() {
            return Vec::new();
        }
        if claims.len() <= MOST {
            self.verify(&claims).await;
        }
        let is_good = |claim: &Claim| {
            let alone = || claim.key.verify(claim.data.as_bytes(), &claim.signature);
            *claim.verdict.get_or_init(alone)
        };
        claims.retain(|(_, claim)| is_good(claim));
        let verified = claims.into_iter();
        verified
            .map(|(key, claim)| (key, claim.signature.clone()))
            .collect()
    }

    async fn verify(&self, claims: &[(&PublicKey, Arc<Claim>)]) {
        let added = claims.iter().map(|(_, claim)| Arc::clone(claim));
        self.waiting().extend(added);
        // All others that have got a narinfo by now come along.
        tokio::task::yield_now().await;
        let is_done = || {
            claims
                .iter()
                .all(|(_, claim)| claim.verdict.get().is_some())
        };
        if is_done() {
            return;
        }
        let _turn = self.turn.lock().await;
        if is_done() {
            return;
        }
        let batch = std::mem::take(&mut *self.waiting());
        let parts: Vec<_> = batch.iter().map(|claim| claim.as_parts()).collect();
        for (claim, verdict) in batch.iter().zip(verify_all(&parts)) {
            // Nothing else sets it.
            let _ = claim.verdict.set(verdict);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Claim>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::SecretKey;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_gets_the_verdict_on_its_own_signatures() {
        let (a, b) = (
            SecretKey::from_seed("a", [1; 32]),
            SecretKey::from_seed("b", [2; 32]),
        );
        let keys: Arc<PublicKeys> =
            Arc::new([a.public_key(), b.public_key()].into_iter().collect());
        let together = Arc::new(Together::default());
        let tasks = (0..500).map(|number| {
            let (keys, together) = (Arc::clone(&keys), Arc::clone(&together));
            let data = format!("narinfo {number}");
            // One in seven is not by b, one in five is of something else.
            let mut signatures = vec![a.sign(data.as_bytes())];
            if number % 7 > 0 {
                signatures.push(b.sign(data.as_bytes()));
            }
            if number % 5 == 0 {
                signatures[0] = a.sign(b"something else");
            }
            // Some are not waited for.
            let gives_up = number % 11 == 0;
            tokio::spawn(async move {
                let signers = together.verified(&keys, &data, &signatures);
                if gives_up {
                    let _ = tokio::time::timeout(std::time::Duration::ZERO, signers).await;
                    return;
                }
                let names: Vec<&str> = signers.await.iter().map(|(key, _)| key.name()).collect();
                let mut expected = Vec::new();
                expected.extend((number % 5 > 0).then_some("a"));
                expected.extend((number % 7 > 0).then_some("b"));
                assert_eq!(names, expected, "{number}");
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
}
