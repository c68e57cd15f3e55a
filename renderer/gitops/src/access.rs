//! Credentials for remote repositories: asked for when the server wants them, never kept.

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};

use git2::{CertificateCheckStatus, Config, Cred, CredentialType, RemoteCallbacks};
use niphas_git::Login;
use url::Url;

use crate::error::Error;

/// How to prove to a server who we are.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// A login; if given, nothing else counts, and nothing of this machine is asked.
    pub login: Option<Login>,
    /// Where the token for HTTPS is; if not given, git's credential helper is asked.
    pub token: Option<Token>,
    /// A private key for SSH without a passphrase; if not given, the SSH agent is asked.
    pub ssh_key: Option<PathBuf>,
}

/// Where a token is. Never the token itself: it would stand in arguments and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Environment(String),
}

/// No token is longer.
const TOKEN_LIMIT: u64 = 64 * 1024;

impl Token {
    fn read(&self) -> Result<String, Error> {
        let text = match self {
            Self::File(path) => read_limited(path).map_err(|source| Error::TokenFile {
                path: path.clone(),
                source,
            })?,
            Self::Environment(name) => std::env::var(name).unwrap_or_default(),
        };
        match text.trim() {
            "" => Err(Error::NoToken(self.clone())),
            token => Ok(token.to_owned()),
        }
    }
}

fn read_limited(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(TOKEN_LIMIT)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Answers a server's questions during one connection.
pub(crate) struct Authentication<'a> {
    access: &'a Access,
    url: &'a str,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    asked: bool,
    failure: Option<Error>,
}

impl<'a> Authentication<'a> {
    pub(crate) fn new(access: &'a Access, url: &'a str) -> Self {
        Self {
            access,
            url,
            state: RefCell::default(),
        }
    }

    pub(crate) fn callbacks(&self) -> RemoteCallbacks<'_> {
        if let Some(login) = &self.access.login {
            return login.callbacks();
        }
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(|url, user, allowed| {
            self.answer(url, user, allowed).map_err(|error| {
                let message = git2::Error::from_str(&error.to_string());
                self.state.borrow_mut().failure = Some(error);
                message
            })
        });
        // libgit2's own verdict stands: certificates of known authorities, hosts of known_hosts.
        callbacks.certificate_check(|_, _| Ok(CertificateCheckStatus::CertificatePassthrough));
        callbacks
    }

    /// Why a connection failed, in our words where they say more than libgit2's.
    pub(crate) fn explain(&self, error: &git2::Error) -> Error {
        match self.state.borrow_mut().failure.take() {
            Some(failure) => failure,
            None => Error::remote(self.url, error),
        }
    }

    fn answer(
        &self,
        url: &str,
        user: Option<&str>,
        allowed: CredentialType,
    ) -> Result<Cred, Error> {
        let git = |error: git2::Error| Error::remote(self.url, &error);
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user.unwrap_or("git")).map_err(git);
        }
        // A server asks again when it did not like the answer. We have no other.
        if std::mem::replace(&mut self.state.borrow_mut().asked, true) {
            return Err(Error::Denied {
                url: self.url.into(),
            });
        }
        if allowed.contains(CredentialType::SSH_KEY) {
            let user = user.unwrap_or("git");
            return match &self.access.ssh_key {
                Some(key) if !key.is_file() => Err(Error::NoSshKey(key.clone())),
                Some(key) => Cred::ssh_key(user, None, key, None).map_err(git),
                None if std::env::var_os("SSH_AUTH_SOCK").is_none() => Err(Error::NoSshAgent {
                    url: self.url.into(),
                }),
                None => Cred::ssh_key_from_agent(user).map_err(git),
            };
        }
        if !allowed.contains(CredentialType::USER_PASS_PLAINTEXT) {
            return Err(Error::Denied {
                url: self.url.into(),
            });
        }
        // A redirect must not lead a token to another server, nor out of TLS.
        if !may_have_token(self.url, url) {
            return Err(Error::TokenNotSent {
                url: self.url.into(),
            });
        }
        match &self.access.token {
            Some(token) => Cred::userpass_plaintext(user.unwrap_or("git"), &token.read()?),
            None => Config::open_default()
                .and_then(|config| Cred::credential_helper(&config, url, user))
                .map_err(|_| git2::Error::from_str("no credential helper has an answer")),
        }
        .map_err(|_| Error::NoCredentials {
            url: self.url.into(),
        })
    }
}

/// Whether the server at `asking` is the one we were told of, and the way there is private.
fn may_have_token(told: &str, asking: &str) -> bool {
    let (Ok(told), Ok(asking)) = (Url::parse(told), Url::parse(asking)) else {
        return false;
    };
    let loopback = match asking.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    told.origin() == asking.origin() && (asking.scheme() == "https" || loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_goes_only_to_the_server_it_is_for_and_over_tls() {
        let told = "https://example.org/deploy.git";
        assert!(may_have_token(
            told,
            "https://example.org/deploy.git/info/refs"
        ));
        for other in [
            "http://example.org/deploy.git",
            "https://evil.org/deploy.git",
            "https://example.org:8443/deploy.git",
            "example.org",
        ] {
            assert!(!may_have_token(told, other), "{other}");
        }
        assert!(!may_have_token(
            "http://example.org/x",
            "http://example.org/x"
        ));
        assert!(may_have_token(
            "http://127.0.0.1:80/x",
            "http://127.0.0.1:80/x"
        ));
    }

    #[test]
    fn tokens_are_read_from_files_and_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(Token::File(path.clone()).read().unwrap(), "s3cret");
        std::fs::write(&path, "\n").unwrap();
        let empty = Token::File(path.clone()).read().unwrap_err();
        assert!(matches!(empty, Error::NoToken(Token::File(at)) if at == path));
        let missing = Token::File(folder.path().join("none")).read().unwrap_err();
        assert!(matches!(missing, Error::TokenFile { .. }));
        let unset = Token::Environment("NIPHAS_TEST_NO_SUCH_VARIABLE".into())
            .read()
            .unwrap_err();
        assert!(matches!(unset, Error::NoToken(Token::Environment(_))));
    }
}
