//! Logins for Git hosts, from Secrets of a source's namespace.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use niphas_forges::{Credentials, Forge};
use niphas_git::{Login, Proof};

/// The name that goes with a token: hosts look at the token only.
const TOKEN_USER: &str = "git";

/// Why a Secret is no login. Nothing of what it holds is said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    #[error(
        "the Secret '{0}' has no login: expected the entries 'username' and 'password', or 'token', or 'identity' and 'known_hosts'"
    )]
    NoLogin(String),
    #[error("the entry '{entry}' of the Secret '{secret}' is not text")]
    NotText { secret: String, entry: &'static str },
    #[error("the URL of the repository cannot be read: {0}")]
    Url(String),
}

/// No login: for repositories that everybody can read.
pub(crate) fn anonymous(url: &str) -> Result<Login, LoginError> {
    login(url, Proof::None)
}

/// The login that a Secret holds, for the server of a URL.
pub(crate) fn of_secret(url: &str, secret: &Secret) -> Result<Login, LoginError> {
    let text = |entry| text(secret, entry);
    if let (Some(identity), Some(known_hosts)) = (text("identity")?, text("known_hosts")?) {
        let identity = identity.into();
        return login(
            url,
            Proof::SshKey {
                identity,
                known_hosts,
            },
        );
    }
    let (username, password) = match (text("username")?, text("password")?, text("token")?) {
        (Some(username), Some(password), _) => (line(username), line(password)),
        (_, _, Some(token)) => (TOKEN_USER.to_owned(), line(token)),
        _ => {
            let name = secret.metadata.name.clone().unwrap_or_default();
            return Err(LoginError::NoLogin(name));
        }
    };
    let password = password.into();
    login(url, Proof::Password { username, password })
}

/// The login that a Secret holds for the API of a host; none if it holds only one for SSH.
pub(crate) fn for_api(forge: Forge, secret: &Secret) -> Result<Option<Credentials>, LoginError> {
    let text = |entry| text(secret, entry);
    if let Some(token) = text("token")? {
        return Ok(Some(Credentials::Token(line(token).into())));
    }
    let (Some(user), Some(password)) = (text("username")?, text("password")?) else {
        return Ok(None);
    };
    let (user, password) = (line(user), line(password).into());
    Ok(Some(match forge {
        // Its API takes no passwords, so what Git takes for one is a token.
        Forge::GitLab => Credentials::Token(password),
        _ => Credentials::Basic { user, password },
    }))
}

/// An entry of a Secret, if it is there.
fn text(secret: &Secret, entry: &'static str) -> Result<Option<String>, LoginError> {
    let data = secret.data.as_ref();
    let Some(ByteString(bytes)) = data.and_then(|data| data.get(entry)) else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes.clone()).map_err(|_| LoginError::NotText {
        secret: secret.metadata.name.clone().unwrap_or_default(),
        entry,
    })?;
    Ok(Some(text))
}

/// A file that an editor wrote ends with a line break.
fn line(mut text: String) -> String {
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    text
}

fn login(url: &str, proof: Proof) -> Result<Login, LoginError> {
    Login::new(url, proof).map_err(|error| LoginError::Url(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://git.example.org/shop";

    fn secret(entries: &[(&str, &[u8])]) -> Secret {
        let entries = entries.iter();
        let data = entries.map(|(name, value)| ((*name).to_owned(), ByteString(value.to_vec())));
        let mut secret = Secret {
            data: Some(data.collect()),
            ..Secret::default()
        };
        secret.metadata.name = Some("login".to_owned());
        secret
    }

    #[test]
    fn secrets_have_three_forms() {
        let password = |username: &str, password: &str| {
            let (username, password) = (username.to_owned(), password.into());
            Login::new(URL, Proof::Password { username, password }).unwrap()
        };
        let read = |entries: &[(&str, &[u8])]| of_secret(URL, &secret(entries));
        let both: &[(&str, &[u8])] = &[("username", b"me"), ("password", b"marker\n")];
        assert_eq!(read(both), Ok(password("me", "marker")));
        assert_eq!(read(&[("token", b"marker")]), Ok(password("git", "marker")));
        let key: &[(&str, &[u8])] = &[("identity", b"key\n"), ("known_hosts", b"hosts")];
        let proof = Proof::SshKey {
            identity: "key\n".into(),
            known_hosts: "hosts".to_owned(),
        };
        assert_eq!(read(key), Ok(Login::new(URL, proof).unwrap()));
    }

    #[test]
    fn the_api_gets_a_token_before_a_password() {
        let read = |forge, entries: &[(&str, &[u8])]| {
            let found = for_api(forge, &secret(entries)).unwrap();
            found.map(|credentials| match credentials {
                Credentials::Token(token) => format!("token {}", token.expose()),
                Credentials::Basic { user, password } => format!("{user}:{}", password.expose()),
                Credentials::GitHubApp(_) => "app".to_owned(),
            })
        };
        let key: &[(&str, &[u8])] = &[("identity", b"key"), ("known_hosts", b"hosts")];
        let both: &[(&str, &[u8])] = &[("username", b"me\n"), ("password", b"marker\n")];
        assert_eq!(read(Forge::GitHub, key), None);
        let with_token = [key, both, &[("token", b"marker\n")]].concat();
        for forge in Forge::ALL {
            assert_eq!(read(forge, &with_token).as_deref(), Some("token marker"));
        }
        assert_eq!(read(Forge::Gitea, both).as_deref(), Some("me:marker"));
        assert_eq!(read(Forge::GitLab, both).as_deref(), Some("token marker"));
    }

    #[test]
    fn what_is_no_login_is_refused_without_its_contents() {
        let no_login = Err(LoginError::NoLogin("login".to_owned()));
        for entries in [
            &[][..],
            &[("username", &b"marker"[..])],
            &[("identity", b"marker")],
            &[("known_hosts", b"marker")],
        ] {
            assert_eq!(of_secret(URL, &secret(entries)), no_login);
        }
        let error = of_secret(URL, &secret(&[("token", b"marker\xff")])).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("marker"));
    }
}
