//! Ed25519 keys and signatures in Nix's form, `<name>:<base64>`.

use crate::hash::decode_base64;
use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::{fmt, str::FromStr};
use thiserror::Error;

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
        signature.key_name == self.name
            && ed25519_dalek::Signature::from_slice(&signature.bytes)
                .is_ok_and(|signature| self.key.verify_strict(data, &signature).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (name, data) = split(text.trim(), "key")?;
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

    /// The names of the keys that made one of these signatures of `data`,
    /// sorted, each once.
    pub fn signers(&self, data: &[u8], signatures: &[Signature]) -> Vec<String> {
        let mut names: Vec<_> = self
            .0
            .iter()
            .filter(|key| {
                signatures
                    .iter()
                    .any(|signature| key.verify(data, signature))
            })
            .map(|key| key.name.clone())
            .collect();
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
