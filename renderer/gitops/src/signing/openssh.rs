//! Private keys in the form of OpenSSH: `PROTOCOL.key` in its source, and RFC 4253 for the parts.

use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA512, RsaKeyPair,
};

use super::KeyProblem;
use super::rsa::RsaParts;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// An SSH key that signs.
pub(super) struct SshKey {
    /// As `authorized_keys` has it, before base64.
    public: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(&'static Curve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

struct Curve {
    /// The key's type, and the signature's.
    name: &'static str,
    /// Of a number, in bytes.
    size: usize,
    algorithm: &'static EcdsaSigningAlgorithm,
}

static CURVES: [Curve; 2] = [
    Curve {
        name: "ecdsa-sha2-nistp256",
        size: 32,
        algorithm: &ECDSA_P256_SHA256_FIXED_SIGNING,
    },
    Curve {
        name: "ecdsa-sha2-nistp384",
        size: 48,
        algorithm: &ECDSA_P384_SHA384_FIXED_SIGNING,
    },
];

impl SshKey {
    /// Reads a file of one private key without a passphrase.
    pub(super) fn parse(text: &str) -> Result<Self, KeyProblem> {
        let text = text.trim();
        let base64 = text
            .strip_prefix(BEGIN)
            .and_then(|text| text.strip_suffix(END))
            .ok_or(KeyProblem::Damaged)?;
        let base64: Vec<u8> = base64
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let bytes = BASE64.decode(&base64).map_err(|_| KeyProblem::Damaged)?;
        let mut file = Parts(bytes.strip_prefix(MAGIC).ok_or(KeyProblem::Damaged)?);
        let cipher = file.string()?;
        let _key_derivation = (file.string()?, file.string()?);
        let count = file.number()?;
        let _public = file.string()?;
        if cipher != b"none" {
            return Err(KeyProblem::Encrypted);
        }
        if count != 1 {
            return Err(KeyProblem::Several(count as usize));
        }
        let mut key = Parts(file.string()?);
        // With a wrong passphrase they would differ.
        if key.number()? != key.number()? {
            return Err(KeyProblem::Damaged);
        }
        let name = key.string()?;
        match name {
            b"ssh-ed25519" => Self::ed25519(name, &mut key),
            b"ssh-rsa" => Self::rsa(name, &mut key),
            name => match CURVES.iter().find(|curve| curve.name.as_bytes() == name) {
                Some(curve) => Self::ecdsa(curve, &mut key),
                None => Err(KeyProblem::Type(
                    String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned(),
                )),
            },
        }
    }

    fn ed25519(name: &[u8], key: &mut Parts<'_>) -> Result<Self, KeyProblem> {
        let (public, secret) = (key.string()?, key.string()?);
        let seed = secret.get(..32).ok_or(KeyProblem::Damaged)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public)
            .map_err(|_| KeyProblem::Damaged)?;
        Ok(Self {
            public: [string(name), string(public)].concat(),
            pair: Pair::Ed25519(pair),
        })
    }

    fn ecdsa(curve: &'static Curve, key: &mut Parts<'_>) -> Result<Self, KeyProblem> {
        let (name, public, secret) = (key.string()?, key.string()?, unsigned(key.string()?));
        let missing = curve.size.checked_sub(secret.len());
        let padding = vec![0; missing.ok_or(KeyProblem::Damaged)?];
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            curve.algorithm,
            &[&padding, secret].concat(),
            public,
            &SystemRandom::new(),
        )
        .map_err(|_| KeyProblem::Damaged)?;
        Ok(Self {
            public: [string(curve.name.as_bytes()), string(name), string(public)].concat(),
            pair: Pair::Ecdsa(curve, pair),
        })
    }

    fn rsa(name: &[u8], key: &mut Parts<'_>) -> Result<Self, KeyProblem> {
        let (modulus, exponent) = (key.string()?, key.string()?);
        let (secret_exponent, inverse_of_second) = (key.string()?, key.string()?);
        let parts = RsaParts {
            modulus: unsigned(modulus),
            exponent: unsigned(exponent),
            secret_exponent: unsigned(secret_exponent),
            primes: [unsigned(key.string()?), unsigned(key.string()?)],
            inverse_of_second: unsigned(inverse_of_second),
        };
        Ok(Self {
            public: [string(name), string(exponent), string(modulus)].concat(),
            pair: Pair::Rsa(parts.key_pair()?),
        })
    }

    /// As `authorized_keys` has it, before base64.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The algorithm and the signature, as SSH has them.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyProblem> {
        let (algorithm, signature) = match &self.pair {
            Pair::Ed25519(pair) => ("ssh-ed25519", pair.sign(message).as_ref().to_vec()),
            Pair::Ecdsa(curve, pair) => {
                let signature = pair
                    .sign(&SystemRandom::new(), message)
                    .map_err(|_| KeyProblem::Damaged)?;
                let (r, s) = signature.as_ref().split_at(curve.size);
                (curve.name, [integer(r), integer(s)].concat())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA512,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .map_err(|_| KeyProblem::Damaged)?;
                ("rsa-sha2-512", signature)
            }
        };
        Ok([string(algorithm.as_bytes()), string(&signature)].concat())
    }
}

/// What is left of a key's parts.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn number(&mut self) -> Result<u32, KeyProblem> {
        let (number, rest) = self.0.split_first_chunk().ok_or(KeyProblem::Damaged)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Result<&'a [u8], KeyProblem> {
        let length = self.number()? as usize;
        let (string, rest) = self.0.split_at_checked(length).ok_or(KeyProblem::Damaged)?;
        self.0 = rest;
        Ok(string)
    }
}

/// A string of SSH: its length, and its bytes.
pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// A positive integer of SSH, from its bytes.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let bytes = unsigned(bytes);
    match bytes.first() {
        // The highest bit is the sign.
        Some(128..) => string(&[&[0], bytes].concat()),
        _ => string(bytes),
    }
}

/// An integer without the zeros before it.
fn unsigned(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
