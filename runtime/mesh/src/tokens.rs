//! Who may ask: holders of `ServiceAccount` tokens of this cluster, checked without asking the API server.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use thiserror::Error;

/// Bytes of the longest token.
const LONGEST: usize = 8 << 10;

/// Keys that are read of one set.
const MOST_KEYS: usize = 32;

/// How far the clocks of nodes may be apart, in seconds.
const LEEWAY: u64 = 60;

/// The keys cannot be read.
#[derive(Debug, Error)]
pub enum KeysError {
    /// Not a JSON Web Key Set.
    #[error("expected a JSON Web Key Set")]
    Syntax(#[from] serde_json::Error),
    /// No key in it is of a kind that is known.
    #[error("found no RSA or P-256 key")]
    NoKey,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// No token.
    #[error("the request has no token")]
    NoToken,
    /// Not a token that the cluster signed.
    #[error("the token is not valid")]
    Invalid,
    /// Its time is over, or has not come.
    #[error("the token has expired")]
    Expired,
    /// For another service.
    #[error("the token is for another audience")]
    Audience,
    /// Of an account that may not ask for this.
    #[error("the token is of another account")]
    Account,
}

impl Refused {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::Invalid | Self::Expired => StatusCode::UNAUTHORIZED,
            Self::Audience | Self::Account => StatusCode::FORBIDDEN,
        }
    }
}

/// The keys by which the API server signs tokens.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.id))
            .finish()
    }
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The uncompressed point.
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<WebKey>,
}

#[derive(Deserialize)]
struct WebKey {
    kty: String,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl WebKey {
    fn material(&self) -> Option<Material> {
        let bytes = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_ref()?.as_bytes()).ok();
        match self.kty.as_str() {
            "RSA" => Some(Material::Rsa {
                n: bytes(&self.n)?,
                e: bytes(&self.e)?,
            }),
            "EC" if self.crv.as_deref() == Some("P-256") => {
                let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
                let point = [&[4], &x[..], &y].concat();
                (x.len() == 32 && y.len() == 32).then_some(Material::P256(point))
            }
            _ => None,
        }
    }
}

impl Keys {
    /// Reads a JSON Web Key Set, as the API server has it at `/openid/v1/jwks`. Keys of other kinds are passed over.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let set: KeySet = serde_json::from_str(text)?;
        let keys = set.keys.into_iter().take(MOST_KEYS).filter_map(|key| {
            let material = key.material()?;
            Some(Key {
                id: key.kid,
                material,
            })
        });
        let keys: Vec<Key> = keys.collect();
        if keys.is_empty() {
            return Err(KeysError::NoKey);
        }
        Ok(Self(keys))
    }

    /// Whether one of the keys made the signature. The key decides on the algorithm, and the token's header has to agree.
    fn verify(&self, header: &Header, signed: &[u8], signature: &[u8]) -> bool {
        let named = self
            .0
            .iter()
            .filter(|key| key.id.is_none() || header.kid.is_none() || key.id == header.kid);
        let verified = |key: &Key| match (&key.material, header.alg.as_str()) {
            (Material::Rsa { n, e }, "RS256") => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                    .is_ok()
            }
            (Material::P256(point), "ES256") => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(signed, signature).is_ok()
            }
            _ => false,
        };
        named.into_iter().any(verified)
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that a reader has to understand.
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: Audience,
    exp: u64,
    nbf: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The accounts that may ask, as tokens name them: `system:serviceaccount:<namespace>:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// That of peers, for parts.
    pub peer: String,
    /// That of readers on the node, for files.
    pub reader: String,
}

/// Who may ask.
#[derive(Debug)]
pub struct Gate {
    audience: String,
    accounts: Accounts,
    keys: RwLock<Arc<Keys>>,
}

impl Gate {
    /// Lets tokens for this audience through, once it has [keys](Self::set_keys).
    pub fn new(audience: String, accounts: Accounts) -> Self {
        Self {
            audience,
            accounts,
            keys: RwLock::default(),
        }
    }

    /// Replaces the keys.
    pub fn set_keys(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    pub(crate) fn peer(&self, headers: &HeaderMap) -> Result<(), Refused> {
        self.check(headers, &self.accounts.peer)
    }

    pub(crate) fn reader(&self, headers: &HeaderMap) -> Result<(), Refused> {
        self.check(headers, &self.accounts.reader)
    }

    fn check(&self, headers: &HeaderMap, account: &str) -> Result<(), Refused> {
        let value = headers.get(AUTHORIZATION).ok_or(Refused::NoToken)?;
        let token = value
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix("Bearer "));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let subject = self.verify(token.ok_or(Refused::NoToken)?, now.as_secs())?;
        if subject == account {
            Ok(())
        } else {
            Err(Refused::Account)
        }
    }

    /// The subject of a token that is valid at this time, in seconds since 1970.
    fn verify(&self, token: &str, now: u64) -> Result<String, Refused> {
        if token.len() > LONGEST {
            return Err(Refused::Invalid);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Invalid)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Invalid)?;
        let bytes = |text: &str| {
            BASE64URL_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| Refused::Invalid)
        };
        let header: Header =
            serde_json::from_slice(&bytes(header)?).map_err(|_| Refused::Invalid)?;
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        if header.crit.is_some() || !keys.verify(&header, signed.as_bytes(), &bytes(signature)?) {
            return Err(Refused::Invalid);
        }
        // Nothing of it is believed before this.
        let claims: Claims =
            serde_json::from_slice(&bytes(claims)?).map_err(|_| Refused::Invalid)?;
        let is_early = claims.nbf.is_some_and(|from| from > now + LEEWAY);
        if claims.exp.saturating_add(LEEWAY) <= now || is_early {
            return Err(Refused::Expired);
        }
        let is_meant = match &claims.aud {
            Audience::One(audience) => *audience == self.audience,
            Audience::Several(audiences) => audiences.contains(&self.audience),
        };
        if is_meant {
            Ok(claims.sub)
        } else {
            Err(Refused::Audience)
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let pair =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.as_ref(), &random);
            Self(pair.unwrap())
        }

        fn keys(&self, id: &str) -> String {
            let point = self.0.public_key().as_ref();
            let (x, y) = (
                BASE64URL_NOPAD.encode(&point[1..33]),
                BASE64URL_NOPAD.encode(&point[33..]),
            );
            let key = json!({"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y});
            json!({"keys": [{"kty": "OKP"}, key]}).to_string()
        }

        fn token(&self, header: &serde_json::Value, claims: &serde_json::Value) -> String {
            let encode =
                |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
            let signed = format!("{}.{}", encode(header), encode(claims));
            let signature = self
                .0
                .sign(&SystemRandom::new(), signed.as_bytes())
                .unwrap();
            format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
        }
    }

    const PEER: &str = "system:serviceaccount:niphas-system:niphas-mesh";

    fn gate(keys: &str) -> Gate {
        let accounts = Accounts {
            peer: PEER.to_owned(),
            reader: "reader".to_owned(),
        };
        let gate = Gate::new("niphas-mesh".to_owned(), accounts);
        gate.set_keys(Keys::parse(keys).unwrap());
        gate
    }

    #[test]
    fn only_tokens_of_the_cluster_for_the_mesh_and_this_time_are_valid() {
        let signer = Signer::new();
        let gate = gate(&signer.keys("a"));
        let header = json!({"alg": "ES256", "kid": "a"});
        let claims =
            json!({"sub": PEER, "aud": ["other", "niphas-mesh"], "exp": 1_000, "nbf": 500});
        let good = signer.token(&header, &claims);
        assert_eq!(gate.verify(&good, 700), Ok(PEER.to_owned()));
        assert_eq!(gate.verify(&good, 1_059), Ok(PEER.to_owned()));
        assert_eq!(gate.verify(&good, 1_060), Err(Refused::Expired));
        assert_eq!(gate.verify(&good, 439), Err(Refused::Expired));
        let with = |name: &str, value: serde_json::Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            gate.verify(&signer.token(&header, &claims), 700)
        };
        assert_eq!(with("aud", json!("api")), Err(Refused::Audience));
        assert_eq!(with("aud", json!(["api"])), Err(Refused::Audience));
        assert_eq!(with("aud", json!("niphas-mesh")), Ok(PEER.to_owned()));
        assert_eq!(with("exp", json!("never")), Err(Refused::Invalid));
        let other = Signer::new();
        assert_eq!(
            gate.verify(&other.token(&header, &claims), 700),
            Err(Refused::Invalid)
        );
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "HS256", "kid": "a"}),
            json!({"alg": "RS256", "kid": "a"}),
            json!({"alg": "ES256", "kid": "b"}),
            json!({"alg": "ES256", "kid": "a", "crit": ["x"]}),
        ] {
            let token = signer.token(&header, &claims);
            assert_eq!(gate.verify(&token, 700), Err(Refused::Invalid), "{header}");
        }
        let (signed, _) = good.rsplit_once('.').unwrap();
        for text in [
            "",
            ".",
            "..",
            signed,
            &format!("{signed}."),
            &"a".repeat(LONGEST + 1),
        ] {
            assert_eq!(gate.verify(text, 700), Err(Refused::Invalid), "{text}");
        }
    }

    #[test]
    fn readers_ask_for_files_and_peers_for_parts() {
        let signer = Signer::new();
        let gate = gate(&signer.keys("a"));
        let claims = json!({"sub": PEER, "aud": "niphas-mesh", "exp": u64::MAX});
        let token = signer.token(&json!({"alg": "ES256"}), &claims);
        let mut headers = HeaderMap::new();
        assert_eq!(gate.peer(&headers), Err(Refused::NoToken));
        headers.insert(AUTHORIZATION, format!("Basic {token}").parse().unwrap());
        assert_eq!(gate.peer(&headers), Err(Refused::NoToken));
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        assert_eq!(gate.peer(&headers), Ok(()));
        assert_eq!(gate.reader(&headers), Err(Refused::Account));
    }

    #[test]
    fn without_keys_no_token_is_valid() {
        let accounts = Accounts {
            peer: PEER.to_owned(),
            reader: String::new(),
        };
        let gate = Gate::new("niphas-mesh".to_owned(), accounts);
        let claims = json!({"sub": PEER, "aud": "niphas-mesh", "exp": 1_000});
        let token = Signer::new().token(&json!({"alg": "ES256"}), &claims);
        assert_eq!(gate.verify(&token, 700), Err(Refused::Invalid));
        for text in [
            "",
            "{}",
            r#"{"keys": []}"#,
            r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}"#,
        ] {
            assert!(Keys::parse(text).is_err(), "{text}");
        }
    }
}
