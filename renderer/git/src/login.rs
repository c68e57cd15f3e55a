//! Logins that a program was given, for one server. Nothing of this machine is asked: no agent, no helper, no file of a user.

use data_encoding::BASE64;
use git2::cert::Cert;
use git2::{CertificateCheckStatus, Cred, CredentialType, Error, RemoteCallbacks};
use niphas_http::{Secret, is_loopback};
use url::Url;

/// How to log in to the server of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The server: the beginning of the repository's URL.
    server: Url,
    proof: Proof,
}

/// What proves who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: the repository can be read by everybody.
    None,
    /// A name with a password or token, over HTTPS.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A private key without a passphrase, over SSH.
    SshKey {
        /// The key, as OpenSSH writes it.
        identity: Secret,
        /// The servers' keys, as `known_hosts` has them. Names that are hashed do not count.
        known_hosts: String,
    },
}

impl Login {
    /// A login for the server of the repository at `url`: no other server gets it.
    pub fn new(url: &str, proof: Proof) -> Result<Self, url::ParseError> {
        let server = Url::parse(url)?;
        Ok(Self { server, proof })
    }

    /// Callbacks that log in by this, and by nothing else.
    pub fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        let mut is_asked = false;
        callbacks.credentials(move |url, user, allowed| {
            if allowed.contains(CredentialType::USERNAME) {
                return Cred::username(user.unwrap_or("git"));
            }
            // A server asks again when it did not like the answer. There is no other.
            if std::mem::replace(&mut is_asked, true) {
                return Err(refused("the server refused the login"));
            }
            self.answer(url, user, allowed)
        });
        callbacks.certificate_check(|certificate, host| self.check(certificate, host));
        callbacks
    }

    /// The header `Authorization` of a request to `url`: for requests about the repository that Git does not make. None for
    /// other servers, and without a password.
    pub fn authorization(&self, url: &str) -> Option<Secret> {
        match &self.proof {
            Proof::Password { username, password } if self.is_for(url) => {
                let login = format!("{username}:{}", password.expose());
                Some(format!("Basic {}", BASE64.encode(login.as_bytes())).into())
            }
            _ => None,
        }
    }

    fn answer(
        &self,
        url: &str,
        user: Option<&str>,
        allowed: CredentialType,
    ) -> Result<Cred, Error> {
        // A redirect must not lead a login to another server, nor out of TLS.
        if !self.is_for(url) {
            return Err(refused("another server than that of the login asks for it"));
        }
        match &self.proof {
            Proof::Password { username, password }
                if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) =>
            {
                Cred::userpass_plaintext(username, password.expose())
            }
            Proof::SshKey { identity, .. } if allowed.contains(CredentialType::SSH_KEY) => {
                let user = user.unwrap_or("git");
                Cred::ssh_key_from_memory(user, None, identity.expose(), None)
            }
            Proof::None => Err(refused(
                "the server asks for a login, and none is configured",
            )),
            Proof::Password { .. } => Err(refused(
                "the server takes no password; give an SSH key with its known_hosts",
            )),
            Proof::SshKey { .. } => Err(refused(
                "the server takes no SSH key; give a name and a password, or a token",
            )),
        }
    }

    fn is_for(&self, url: &str) -> bool {
        let Ok(asking) = Url::parse(url) else {
            return false;
        };
        let is_private = match asking.scheme() {
            "https" | "ssh" => true,
            _ => is_loopback(&asking),
        };
        let same = |of: fn(&Url) -> Option<&str>| of(&asking) == of(&self.server);
        is_private
            && asking.scheme() == self.server.scheme()
            && same(Url::host_str)
            && asking.port_or_known_default() == self.server.port_or_known_default()
    }

    /// Certificates are libgit2's to judge; servers' keys are those of `known_hosts`.
    fn check(&self, certificate: &Cert<'_>, host: &str) -> Result<CertificateCheckStatus, Error> {
        let Some(key) = certificate.as_hostkey() else {
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        };
        let Proof::SshKey { known_hosts, .. } = &self.proof else {
            return Err(refused(
                "an SSH server's key cannot be checked without known_hosts",
            ));
        };
        let is_known = key
            .hostkey()
            .is_some_and(|key| is_known(known_hosts, host, self.server.port(), key));
        if is_known {
            Ok(CertificateCheckStatus::CertificateOk)
        } else {
            Err(refused(
                "known_hosts does not have the server's key; add what 'ssh-keyscan HOST' prints, after checking it",
            ))
        }
    }
}

/// Whether a line of `known_hosts` names a host, and has its key.
fn is_known(known_hosts: &str, host: &str, port: Option<u16>, key: &[u8]) -> bool {
    let name = match port {
        None | Some(22) => host.to_owned(),
        Some(port) => format!("[{host}]:{port}"),
    };
    known_hosts.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (names, _kind, blob) = (words.next(), words.next(), words.next());
        let (Some(names), Some(blob)) = (names, blob) else {
            return false;
        };
        names
            .split(',')
            .any(|known| known.eq_ignore_ascii_case(&name))
            && BASE64.decode(blob.as_bytes()).is_ok_and(|blob| blob == key)
    })
}

fn refused(why: &str) -> Error {
    Error::new(git2::ErrorCode::Auth, git2::ErrorClass::Callback, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(url: &str) -> Login {
        let proof = Proof::Password {
            username: "git".to_owned(),
            password: "marker".into(),
        };
        Login::new(url, proof).unwrap()
    }

    #[test]
    fn a_login_is_for_one_server_and_not_printed() {
        let ours = login("https://git.example.org/shop.git");
        assert!(ours.is_for("https://git.example.org/shop.git/info/refs"));
        assert!(ours.is_for("https://git.example.org:443/other"));
        for other in [
            "http://git.example.org/shop.git",
            "https://git.example.org:8443/shop.git",
            "https://git.example.org.evil.org/shop.git",
            "https://git.example.org@evil.org/shop.git",
            "ssh://git.example.org/shop.git",
            "git.example.org",
        ] {
            assert!(!ours.is_for(other), "{other}");
        }
        let header = ours.authorization("https://git.example.org/shop.git/info/lfs");
        let header = header.expect("a header");
        assert_eq!(header.expose(), "Basic Z2l0Om1hcmtlcg==");
        assert!(ours.authorization("https://evil.org/shop.git").is_none());
        assert!(!format!("{ours:?}").contains("marker"));
        assert!(!login("http://git.example.org/a").is_for("http://git.example.org/a"));
    }

    #[test]
    fn keys_of_servers_are_those_of_known_hosts() {
        let file = "# comment\ngit.example.org,10.0.0.1 ssh-ed25519 YWJj\n[git.example.org]:2222 ssh-rsa ZGVm x\n|1|a|b ssh-rsa Z2hp\n";
        assert!(is_known(file, "git.example.org", None, b"abc"));
        assert!(is_known(file, "GIT.example.org", Some(22), b"abc"));
        assert!(is_known(file, "git.example.org", Some(2222), b"def"));
        for (host, port, key) in [
            ("git.example.org", None, &b"def"[..]),
            ("git.example.org", Some(2222), b"abc"),
            ("example.org", None, b"abc"),
            ("git.example.org", None, b"ghi"),
            ("git.example.org", None, b""),
        ] {
            assert!(!is_known(file, host, port, key), "{host} {port:?}");
        }
    }
}
