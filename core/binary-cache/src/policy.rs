//! Whom to believe: the keys whose signatures count, and how many are needed.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;

use nix_formats::hash::{HashAlgorithm, Hasher};
use nix_formats::{ContentAddressMethod, NarInfo, PublicKey, PublicKeys, Signature, StoreDir};
use thiserror::Error;

use crate::error::Refusal;

/// When a narinfo is believed: enough of the keys signed it, or its content
/// address makes the path.
///
/// No keys means that no signature counts, not that all do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustPolicy {
    keys: PublicKeys,
    required: NonZeroUsize,
    own: Option<PublicKey>,
}

/// Why a narinfo is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Trusted keys signed it; their names, as many as the policy wants or more, or that of the machine's own key alone.
    Signed(Vec<String>),
    /// Not enough did, but the content address makes the path, by an algorithm
    /// that is not weak. Contents count only once they were checked against it,
    /// as [`Caches::fetch_nar`] does.
    ///
    /// [`Caches::fetch_nar`]: crate::Caches::fetch_nar
    ContentAddressed,
}

/// A policy that nothing could satisfy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{required} signatures are required, but only {keys} different keys are trusted")]
pub struct PolicyError {
    /// How many are required.
    pub required: usize,
    /// How many different keys there are.
    pub keys: usize,
}

/// Names a policy: equal for those that believe the same narinfos, whatever
/// order their keys were given in. What was judged under a policy may be
/// remembered under its id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId([u8; 32]);

impl PolicyId {
    /// The bytes, a SHA-256.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One signature by any of the keys is enough.
impl From<PublicKeys> for TrustPolicy {
    fn from(keys: PublicKeys) -> Self {
        Self {
            keys,
            required: NonZeroUsize::MIN,
            own: None,
        }
    }
}

impl TrustPolicy {
    /// Signatures by `required` different keys of these are needed. It is an
    /// error if there are fewer keys, unless there are none: then only what is
    /// content-addressed is believed.
    pub fn new(keys: PublicKeys, required: NonZeroUsize) -> Result<Self, PolicyError> {
        let different: BTreeSet<String> = keys.iter().map(material).collect();
        if !keys.is_empty() && different.len() < required.get() {
            return Err(PolicyError {
                required: required.get(),
                keys: different.len(),
            });
        }
        Ok(Self {
            keys,
            required,
            own: None,
        })
    }

    /// The same policy, on a machine whose store signs with this key what the machine itself made. What is stored with its
    /// signature is believed, however many signatures are required else. What a cache says is not: the key is none of
    /// [`Self::keys`].
    #[must_use]
    pub fn with_own(mut self, key: PublicKey) -> Self {
        self.own = Some(key);
        self
    }

    /// The keys whose signatures count.
    pub fn keys(&self) -> &PublicKeys {
        &self.keys
    }

    /// How many of them must have signed.
    pub fn required(&self) -> NonZeroUsize {
        self.required
    }

    /// The policy's name, for paths of this store folder.
    pub fn id(&self, store_dir: &StoreDir) -> PolicyId {
        let mut keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        keys.sort();
        keys.dedup();
        keys.extend(self.own.iter().map(|own| format!("own {own}")));
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        // No key and no store folder has a line end in it.
        hasher.update(format!("niphas-policy-1\n{store_dir}\n{}\n", self.required).as_bytes());
        for key in keys {
            hasher.update(key.as_bytes());
            hasher.update(b"\n");
        }
        let hash = hasher.finish();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.as_bytes());
        PolicyId(bytes)
    }

    /// The keys that signed this, if they are enough; else how many are.
    pub(crate) fn signers(
        &self,
        data: &[u8],
        signatures: &[Signature],
    ) -> Result<Vec<String>, usize> {
        let (names, signed) = count(self.keys.that_signed(data, signatures));
        if signed.len() >= self.required.get() {
            Ok(names)
        } else {
            Err(signed.len())
        }
    }

    /// Whether a narinfo is believed, and why. Needs no network: a narinfo that
    /// was stored is judged as well as one that just came.
    pub fn judge(&self, store_dir: &StoreDir, info: &NarInfo) -> Result<Trust, Refusal> {
        let fingerprint = info.fingerprint(store_dir);
        if let Some(own) = &self.own {
            let mut signatures = info.signatures.iter();
            if signatures.any(|signature| own.verify(fingerprint.as_bytes(), signature)) {
                return Ok(Trust::Signed(vec![own.name().to_owned()]));
            }
        }
        let signers = self
            .keys
            .that_signed(fingerprint.as_bytes(), &info.signatures);
        self.conclude(store_dir, info, signers)
    }

    /// The judgement on a narinfo that these keys signed.
    pub(crate) fn conclude<'a>(
        &self,
        store_dir: &StoreDir,
        info: &NarInfo,
        signers: impl Iterator<Item = &'a PublicKey>,
    ) -> Result<Trust, Refusal> {
        let (names, signed) = count(signers);
        if signed.len() >= self.required.get() {
            return Ok(Trust::Signed(names));
        }
        // Git's hashes can't be recomputed from a NAR as it streams by.
        let is_git = info
            .ca
            .is_some_and(|ca| ca.method == ContentAddressMethod::Git);
        if !is_git && info.is_content_addressed(store_dir) {
            return Ok(Trust::ContentAddressed);
        }
        if !signed.is_empty() {
            let others = self
                .keys
                .iter()
                .filter(|key| !signed.contains(&material(key)));
            let others: BTreeSet<&str> = others.map(PublicKey::name).collect();
            return Err(Refusal::TooFewSignatures {
                missing: others
                    .into_iter()
                    .take(MAX_NAMES_TOLD)
                    .map(shorten)
                    .collect(),
                signers: names,
                required: self.required.get(),
            });
        }
        if let Some(ca) = info.ca.filter(|ca| ca.hash.algorithm().is_weak())
            && info.signatures.is_empty()
        {
            return Err(Refusal::WeakAddress(ca.hash.algorithm()));
        }
        let claimed: BTreeSet<&str> = info
            .signatures
            .iter()
            .map(|signature| signature.key_name.as_str())
            .collect();
        // For the message only, and kept for a while.
        let told = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            names.take(MAX_NAMES_TOLD).map(shorten).collect()
        };
        let ours = told(
            &mut claimed
                .iter()
                .copied()
                .filter(|name| self.keys.has_name(name)),
        );
        if !ours.is_empty() {
            return Err(Refusal::FalseSignatures(ours));
        }
        Err(Refusal::Untrusted(told(&mut claimed.into_iter())))
    }
}

const MAX_NAMES_TOLD: usize = 8;
const MAX_NAME_TOLD: usize = 100;

fn shorten(name: &str) -> String {
    name.chars().take(MAX_NAME_TOLD).collect()
}

/// The names of these keys, and what makes them the keys they are: one key under two names is one signer.
fn count<'a>(keys: impl Iterator<Item = &'a PublicKey>) -> (Vec<String>, BTreeSet<String>) {
    let (mut names, mut signed) = (BTreeSet::new(), BTreeSet::new());
    for key in keys {
        names.insert(key.name().to_owned());
        signed.insert(material(key));
    }
    (names.into_iter().collect(), signed)
}

/// What makes a key the key it is, whatever it is called.
fn material(key: &PublicKey) -> String {
    let text = key.to_string();
    text.rsplit_once(':')
        .map_or_else(|| text.clone(), |(_, data)| data.to_owned())
}

#[cfg(test)]
mod tests {
    use nix_formats::SecretKey;

    use super::*;

    fn key(name: &str, seed: u8) -> SecretKey {
        SecretKey::from_seed(name, [seed; 32])
    }

    fn policy(keys: &[&SecretKey], required: usize) -> Result<TrustPolicy, PolicyError> {
        let keys = keys.iter().map(|key| key.public_key()).collect();
        TrustPolicy::new(keys, NonZeroUsize::new(required).unwrap())
    }

    fn info() -> NarInfo {
        let text = "StorePath: /nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello\nURL: nar/x\n\
                    NarHash: sha256:1b8m03r63zqhnjf7l5wnldhh7c134p5lq0x0rj6ibdg4g6rqnb3v\nNarSize: 8\n";
        NarInfo::parse(&StoreDir::default(), text).unwrap()
    }

    #[test]
    fn as_many_different_keys_as_required_must_have_signed() {
        let (a, b, c) = (key("a", 1), key("b", 2), key("c", 3));
        let policy = policy(&[&a, &b], 2).unwrap();
        let store_dir = StoreDir::default();
        let mut info = info();
        info.sign(&store_dir, &a);
        info.sign(&store_dir, &c);
        let refused = policy.judge(&store_dir, &info).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "has it, signed by a, but 2 trusted keys must have signed; not signed by b"
        );
        info.sign(&store_dir, &b);
        assert_eq!(
            policy.judge(&store_dir, &info).unwrap(),
            Trust::Signed(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn a_key_under_two_names_counts_once() {
        let (a, b) = (key("a", 1), key("b", 1));
        assert_eq!(
            policy(&[&a, &b], 2),
            Err(PolicyError {
                required: 2,
                keys: 1
            })
        );
        let other = key("c", 2);
        let policy = policy(&[&a, &b, &other], 2).unwrap();
        let store_dir = StoreDir::default();
        let mut info = info();
        info.sign(&store_dir, &a);
        info.sign(&store_dir, &b);
        assert!(policy.judge(&store_dir, &info).is_err());
    }

    #[test]
    fn a_signature_in_the_name_of_a_trusted_key_that_did_not_make_it_is_named_so() {
        let policy = policy(&[&key("a", 1)], 1).unwrap();
        let mut info = info();
        info.sign(&StoreDir::default(), &key("a", 2));
        info.sign(&StoreDir::default(), &key("b", 3));
        let refused = policy.judge(&StoreDir::default(), &info).unwrap_err();
        assert!(matches!(&refused, Refusal::FalseSignatures(names) if names == &["a"]));
        assert_eq!(
            refused.to_string(),
            "has it, with signatures in the name of a that the trusted key of that name did not make"
        );
    }

    #[test]
    fn without_keys_no_signature_counts() {
        let policy = policy(&[], 1).unwrap();
        let mut info = info();
        info.sign(&StoreDir::default(), &key("a", 1));
        assert!(matches!(
            policy.judge(&StoreDir::default(), &info),
            Err(Refusal::Untrusted(names)) if names == ["a"]
        ));
    }

    #[test]
    fn what_the_own_key_signed_is_believed_once_it_is_stored_and_from_no_cache() {
        let (a, b, own) = (key("a", 1), key("b", 2), key("own", 3));
        let store_dir = StoreDir::default();
        let policy = policy(&[&a, &b], 2).unwrap();
        let policy = policy.with_own(own.public_key());
        let mut made = info();
        made.sign(&store_dir, &own);
        assert_eq!(
            policy.judge(&store_dir, &made).unwrap(),
            Trust::Signed(vec!["own".to_owned()])
        );
        // As caches' narinfos are judged: by the signatures of the keys that count for them.
        let of_keys = policy.keys().that_signed(b"", &made.signatures);
        let refused = policy.conclude(&store_dir, &made, of_keys);
        assert!(matches!(refused, Err(Refusal::Untrusted(names)) if names == ["own"]));
        // Another's signature in its name.
        let mut false_one = info();
        false_one.sign(&store_dir, &key("own", 4));
        assert!(policy.judge(&store_dir, &false_one).is_err());
        let without_keys = TrustPolicy::from(PublicKeys::default());
        let alone = without_keys.clone().with_own(own.public_key());
        assert!(alone.judge(&store_dir, &made).is_ok());
        assert!(alone.judge(&store_dir, &info()).is_err());
        assert_ne!(alone.id(&store_dir), without_keys.id(&store_dir));
    }

    #[test]
    fn the_id_is_that_of_what_is_believed() {
        let (a, b) = (key("a", 1), key("b", 2));
        let store_dir = StoreDir::default();
        let id = |keys: &[&SecretKey], required| policy(keys, required).unwrap().id(&store_dir);
        assert_eq!(id(&[&a, &b], 1), id(&[&b, &a, &a], 1));
        assert_ne!(id(&[&a, &b], 1), id(&[&a, &b], 2));
        assert_ne!(id(&[&a], 1), id(&[&b], 1));
        let other = StoreDir::new("/other/store").unwrap();
        assert_ne!(
            policy(&[&a], 1).unwrap().id(&other),
            policy(&[&a], 1).unwrap().id(&store_dir)
        );
        assert_eq!(id(&[&a], 1).to_string().len(), 64);
    }
}
