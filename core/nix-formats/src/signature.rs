//! Ed25519 keys and signatures in Nix's form, `<name>:<base64>`.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use thiserror::Error;

use crate::hash::decode_base64;

/// Why a key or signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not `<name>:<base64>`.
    #[error("{0} is corrupt: it must be '<name>:<base64>'")]
    Corrupt(&'static str),
    /// A public key that is not 32 bytes of a curve point.
    #[error("public key '{0}' is not valid")]
    InvalidPublicKey(String),
    /// A secret key that is not 64 bytes, seed and public key.
    #[error("secret key '{0}' is not valid")]
    InvalidSecretKey(String),
    /// The secret half of a key stands where the public one should.
    #[error("expected the public half of key '{0}', found its secret half")]
    SecretHalf(String),
    /// The public half of a key stands where the secret one should.
    #[error("expected the secret half of key '{0}', found its public half")]
    PublicHalf(String),
}

fn split(text: &str, what: &'static str) -> Result<(String, Vec<u8>), SignatureError> {
    let corrupt = || SignatureError::Corrupt(what);
    let (name, data) = text.split_once(':').ok_or_else(corrupt)?;
    let data = decode_base64(data.as_bytes()).ok_or_else(corrupt)?;
    if name.is_empty() || data.is_empty() {
        return Err(corrupt());
    }
    Ok((name.to_owned(), data))
}

/// A signature and the name of the key that is said to have made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    /// The key's name.
    pub key_name: String,
    /// The signature, 64 bytes if it is one of ed25519.
    pub bytes: Vec<u8>,
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (key_name, bytes) = split(text, "signature")?;
        Ok(Self { key_name, bytes })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key_name, BASE64.encode(&self.bytes))
    }
}

/// A key that checks signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// The name, by convention that of the cache and a number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this key made this signature of `data`.
    pub fn verify(&self, data: &[u8], signature: &Signature) -> bool {
        self.claimed(signature)
            .is_some_and(|signature| self.key.verify_strict(data, &signature).is_ok())
    }

    /// A signature that is said to be of this key.
    fn claimed(&self, signature: &Signature) -> Option<ed25519_dalek::Signature> {
        let is_claimed = signature.key_name == self.name;
        ed25519_dalek::Signature::from_slice(&signature.bytes)
            .ok()
            .filter(|_| is_claimed)
    }
}

/// What [`PublicKey::verify`] says of each key, data and signature. Of many it
/// takes half the time.
///
/// Only who has the secret key can make a signature of which this may say
/// otherwise.
pub fn verify_all(claims: &[(&PublicKey, &[u8], &Signature)]) -> Vec<bool> {
    let mut verdicts = vec![false; claims.len()];
    let (mut places, mut keys, mut data, mut signatures) = (vec![], vec![], vec![], vec![]);
    for (place, (key, text, signature)) in claims.iter().enumerate() {
        if let Some(signature) = key.claimed(signature).filter(|_| !key.key.is_weak()) {
            places.push(place);
            keys.push(key.key);
            data.push(*text);
            signatures.push(signature);
        }
    }
    let are_good = keys.len() > 1 && ed25519_dalek::verify_batch(&data, &signatures, &keys).is_ok();
    for place in places {
        let (key, text, signature) = claims[place];
        verdicts[place] = are_good || key.verify(text, signature);
    }
    verdicts
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (name, data) = split(text.trim(), "key")?;
        if data.len() == ed25519_dalek::KEYPAIR_LENGTH {
            return Err(SignatureError::SecretHalf(name));
        }
        let key = data
            .try_into()
            .ok()
            .and_then(|data| VerifyingKey::from_bytes(&data).ok());
        match key {
            Some(key) => Ok(Self { name, key }),
            None => Err(SignatureError::InvalidPublicKey(name)),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(self.key.as_bytes()))
    }
}

/// The keys that are trusted. None means that nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicKeys(Vec<PublicKey>);

impl PublicKeys {
    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// Whether one of them has this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.iter().any(|key| key.name == name)
    }

    /// The keys that made one of these signatures of `data`.
    pub fn that_signed<'a>(
        &'a self,
        data: &'a [u8],
        signatures: &'a [Signature],
    ) -> impl Iterator<Item = &'a PublicKey> {
        self.iter().filter(move |key| {
            signatures
                .iter()
                .any(|signature| key.verify(data, signature))
        })
    }

    /// The names of the keys that made one of these signatures of `data`,
    /// sorted, each once.
    pub fn signers(&self, data: &[u8], signatures: &[Signature]) -> Vec<String> {
        let keys = self.that_signed(data, signatures);
        let mut names: Vec<_> = keys.map(|key| key.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl FromIterator<PublicKey> for PublicKeys {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// A key that signs. Its `Debug` shows the name only.
#[derive(Clone)]
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

impl SecretKey {
    /// A key made from 32 random bytes, which the caller gets from a good
    /// source.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Self {
        Self {
            name: name.to_owned(),
            key: SigningKey::from_bytes(&seed),
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The contents of a secret key file.
    pub fn to_secret_string(&self) -> String {
        format!(
            "{}:{}",
            self.name,
            BASE64.encode(&self.key.to_keypair_bytes())
        )
    }

    /// The key that checks what this one signs.
    pub fn public_key(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// Signs `data`.
    pub fn sign(&self, data: &[u8]) -> Signature {
        let bytes = self.key.sign(data).to_bytes().to_vec();
        Signature {
            key_name: self.name.clone(),
            bytes,
        }
    }
}

impl FromStr for SecretKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (name, data) = split(text.trim(), "key")?;
        if data.len() == ed25519_dalek::PUBLIC_KEY_LENGTH {
            return Err(SignatureError::PublicHalf(name));
        }
        let key = data
            .try_into()
            .ok()
            .and_then(|data| SigningKey::from_keypair_bytes(&data).ok());
        match key {
            Some(key) => Ok(Self { name, key }),
            None => Err(SignatureError::InvalidSecretKey(name)),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_each_has_the_verdict_that_it_has_alone() {
        let keys: Vec<SecretKey> = (0..3)
            .map(|seed| SecretKey::from_seed(&format!("key-{seed}"), [seed; 32]))
            .collect();
        let public: Vec<PublicKey> = keys.iter().map(SecretKey::public_key).collect();
        let texts: Vec<String> = (0..40).map(|number| format!("text {number}")).collect();
        let good: Vec<Signature> = (0..40)
            .map(|number| keys[number % 3].sign(texts[number].as_bytes()))
            .collect();
        // What is wrong, and with which of them.
        let spoil: [fn(&mut Signature); 4] = [
            |signature| signature.bytes[40] ^= 1,
            |signature| signature.bytes[0] ^= 1,
            |signature| signature.bytes.truncate(63),
            |signature| signature.key_name.push('x'),
        ];
        let none: &[usize] = &[];
        for spoilt in [none, &[7], &[0, 39], &[1, 2, 3, 4, 5]] {
            let mut signatures = good.clone();
            for &place in spoilt {
                spoil[place % 4](&mut signatures[place]);
            }
            let claims: Vec<_> = (0..40)
                .map(|place| {
                    (
                        &public[place % 3],
                        texts[place].as_bytes(),
                        &signatures[place],
                    )
                })
                .collect();
            let verdicts = verify_all(&claims);
            for (place, (key, text, signature)) in claims.into_iter().enumerate() {
                assert_eq!(verdicts[place], !spoilt.contains(&place), "{place}");
                assert_eq!(verdicts[place], key.verify(text, signature), "{place}");
            }
        }
        assert!(verify_all(&[]).is_empty());
    }

    #[test]
    fn the_wrong_half_of_a_key_is_named_as_such() {
        let key = SecretKey::from_seed("shop-1", [7; 32]);
        let (secret, public) = (key.to_secret_string(), key.public_key().to_string());
        let error = secret.parse::<PublicKey>().unwrap_err();
        assert_eq!(error, SignatureError::SecretHalf("shop-1".to_owned()));
        assert!(!error.to_string().contains(&secret[10..20]));
        let error = public.parse::<SecretKey>().unwrap_err();
        assert_eq!(error, SignatureError::PublicHalf("shop-1".to_owned()));
        let short = BASE64.encode(&[1; 31]);
        let error = format!("shop-1:{short}").parse::<PublicKey>().unwrap_err();
        assert_eq!(error, SignatureError::InvalidPublicKey("shop-1".to_owned()));
    }

    #[test]
    fn a_key_that_all_signatures_fit_signs_nothing() {
        // The neutral element: with it, R = 0 and s = 0 satisfy the equation for any text.
        let mut point = [0; 32];
        point[0] = 1;
        let text = format!("weak:{}", BASE64.encode(&point));
        let key: PublicKey = text.parse().unwrap();
        let bytes = [&point[..], &[0; 32]].concat();
        let signature = Signature {
            key_name: "weak".to_owned(),
            bytes,
        };
        let claims = [(&key, &b"a"[..], &signature), (&key, &b"b"[..], &signature)];
        assert_eq!(verify_all(&claims), [false, false]);
    }
}
