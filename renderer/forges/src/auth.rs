//! Who a host takes requests from.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::HeaderValue;
use niphas_http::Secret;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use thiserror::Error;

use crate::forge::Forge;

/// GitHub takes tokens of at most ten minutes.
const LIFE: Duration = Duration::from_mins(9);
/// Clocks differ: tokens are valid since a minute ago.
const DRIFT: Duration = Duration::from_mins(1);

/// What requests are sent with.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A token: of a person, a project, a repository or a bot.
    Token(Secret),
    /// A user and an app password or API token, as Bitbucket has them.
    Basic {
        /// The user's name or mail address.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A GitHub App.
    GitHubApp(GitHubApp),
}

/// A GitHub App with its private key. It asks for a token of its installation in the repository, which is of that repository alone.
#[derive(Clone)]
pub struct GitHubApp {
    id: String,
    installation: Option<u64>,
    key: Arc<RsaKeyPair>,
}

/// Why a private key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is in another form.
    #[error("expected the app's private key in PEM, as GitHub gives it")]
    Form,
    /// It is not one of RSA of 2048 bits or more.
    #[error("expected an RSA key of at least 2048 bits as the app's private key")]
    Rsa,
    /// It does not sign.
    #[error("the app's private key does not sign")]
    Sign,
}

impl GitHubApp {
    /// An app by its id or client id, and its private key in PEM. The installation is looked up if it is not given.
    pub fn new(id: &str, installation: Option<u64>, pem: &Secret) -> Result<Self, KeyError> {
        let key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes());
        let key = match key.map_err(|_| KeyError::Form)? {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err(KeyError::Rsa),
        };
        let key = Arc::new(key.map_err(|_| KeyError::Rsa)?);
        Ok(Self {
            id: id.to_owned(),
            installation,
            key,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn installation(&self) -> Option<u64> {
        self.installation
    }

    /// A token that shows that the request comes from the app: a JWT, by RS256.
    pub(crate) fn token(&self, now: SystemTime) -> Result<Secret, KeyError> {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let claims = json!({
            "iat": now.saturating_sub(DRIFT).as_secs(),
            "exp": (now + LIFE).saturating_sub(DRIFT).as_secs(),
            "iss": self.id,
        });
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let head = encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let signed = format!("{head}.{}", encode(&claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| KeyError::Sign)?;
        let signature = BASE64URL_NOPAD.encode(&signature);
        Ok(Secret::from(format!("{signed}.{signature}")))
    }
}

impl fmt::Debug for GitHubApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHubApp")
            .field("id", &self.id)
            .field("installation", &self.installation)
            .finish_non_exhaustive()
    }
}

/// The header `Authorization` for a token at a host. It is not printed.
pub(crate) fn token_header(forge: Forge, token: &Secret) -> Option<HeaderValue> {
    let scheme = match forge {
        Forge::Gitea | Forge::Forgejo => "token",
        _ => "Bearer",
    };
    header(&format!("{scheme} {}", token.expose()))
}

pub(crate) fn basic_header(user: &str, password: &Secret) -> Option<HeaderValue> {
    let login = format!("{user}:{}", password.expose());
    header(&format!("Basic {}", BASE64.encode(login.as_bytes())))
}

fn header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    const KEY: &str = include_str!("../tests/keys/app.pem");
    const KEY_PKCS8: &str = include_str!("../tests/keys/app-pkcs8.pem");

    #[test]
    fn tokens_of_an_app_are_signed_by_its_key() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for pem in [KEY, KEY_PKCS8] {
            let app = GitHubApp::new("Iv1.a", None, &Secret::from(pem)).expect("an app");
            let token = app.token(now).expect("a token");
            let (signed, signature) = token.expose().rsplit_once('.').expect("a JWT");
            let signature = BASE64URL_NOPAD
                .decode(signature.as_bytes())
                .expect("base64");
            let public = app.key.public_key();
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
                .verify(signed.as_bytes(), &signature)
                .expect("the key's signature");
            let claims = signed.split('.').nth(1).expect("claims");
            let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64");
            let claims: Value = serde_json::from_slice(&claims).expect("JSON");
            let expected = json!({"iat": 999_940, "exp": 1_000_480, "iss": "Iv1.a"});
            assert_eq!(claims, expected);
        }
    }

    #[test]
    fn other_keys_are_refused() {
        let refused = |pem: &str| GitHubApp::new("1", None, &Secret::from(pem)).map(|_| ());
        assert_eq!(refused("marker"), Err(KeyError::Form));
        let cut = KEY.replace("MII", "MIJ");
        assert_eq!(refused(&cut), Err(KeyError::Rsa));
    }

    #[test]
    fn credentials_are_not_printed() {
        let token = Secret::from("marker");
        let app = GitHubApp::new("1", None, &Secret::from(KEY)).expect("an app");
        let basic = Credentials::Basic {
            user: "u".to_owned(),
            password: token.clone(),
        };
        for credentials in [
            Credentials::Token(token.clone()),
            basic,
            Credentials::GitHubApp(app),
        ] {
            let shown = format!("{credentials:?}");
            assert!(!shown.contains("marker") && shown.len() < 100, "{shown}");
        }
        let header = token_header(Forge::Gitea, &token).expect("a header");
        assert_eq!(header.as_bytes(), b"token marker");
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert!(token_header(Forge::GitHub, &Secret::from("a\nb")).is_none());
        let header = basic_header("u", &token).expect("a header");
        assert_eq!(header.as_bytes(), b"Basic dTptYXJrZXI=");
    }
}
