//! Keys that sign commits, as git has them: SSH keys, and OpenPGP keys.

mod openpgp;
mod openssh;
mod rsa;
mod sshsig;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use openpgp::OpenPgpKey;
use openssh::SshKey;

/// A secret key in a file. Nothing prints it.
pub struct SigningKey {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Ssh(Box<SshKey>),
    OpenPgp(OpenPgpKey),
}

/// Why there is no key, or no signature.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign with the key '{path}'")]
pub struct SigningError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: KeyProblem,
}

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    /// The file is larger than any key.
    #[error("the file is larger than {LIMIT} bytes")]
    TooLarge,
    /// It is no key that is known here.
    #[error("expected a private key of OpenSSH or OpenPGP, in text form; found neither")]
    NoKey,
    /// The other half was given.
    #[error("it is a public key")]
    Public,
    /// It is in a form of OpenSSL's or of OpenSSH's past.
    #[error("it is not in the form of OpenSSH")]
    Pem,
    /// It has a passphrase.
    #[error("it has a passphrase")]
    Encrypted,
    /// It is cut short, or its parts do not belong together.
    #[error("it is damaged")]
    Damaged,
    /// A key of a kind that cannot sign here.
    #[error("keys of type '{0}' cannot sign here")]
    Type(String),
    /// It is larger than what can sign here.
    #[error("it has more than {0} bits")]
    TooManyBits(usize),
    /// It is too weak, or its parts do not belong together.
    #[error("it is too weak, or its parts do not belong together")]
    Refused(#[source] ring::error::KeyRejected),
    /// The file has several keys.
    #[error("expected one secret key, found {0}")]
    Several(usize),
    /// GnuPG cannot be run.
    #[error("failed to run '{program}'")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// GnuPG has not ended in time.
    #[error("'{program}' did not end within {seconds} seconds")]
    TimeOut {
        /// The program.
        program: String,
        /// The limit.
        seconds: u64,
    },
    /// GnuPG failed.
    #[error("'{program}' failed: {said}")]
    Failed {
        /// The program.
        program: String,
        /// The end of what it said.
        said: String,
    },
}

/// Larger than any key with what others have signed about it.
const LIMIT: u64 = 256 * 1024;

impl SigningKey {
    /// Reads a private key without a passphrase: an SSH key as `ssh-keygen` makes it, or an OpenPGP key as
    /// `gpg --armor --export-secret-keys` gives it, for which `gpg` is run. It signs once, so that a key that cannot is
    /// reported here.
    pub fn read(path: &Path) -> Result<Self, SigningError> {
        let path = path.to_owned();
        match read_limited(&path).and_then(|text| Kind::of(&text)) {
            Ok(kind) => Ok(Self { path, kind }),
            Err(source) => Err(SigningError { path, source }),
        }
    }

    /// The signature of a commit, for its header `gpgsig`.
    pub(crate) fn sign(&self, commit: &[u8]) -> Result<String, SigningError> {
        let signature = match &self.kind {
            Kind::Ssh(key) => sshsig::sign(key, "git", commit),
            Kind::OpenPgp(key) => key.sign(commit),
        };
        match signature {
            // Its last line would be followed by an empty one in the header.
            Ok(signature) => Ok(signature.trim_end().to_owned()),
            Err(source) => Err(SigningError {
                path: self.path.clone(),
                source,
            }),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Ssh(_) => "SigningKey(ssh)",
            Kind::OpenPgp(_) => "SigningKey(openpgp)",
        })
    }
}

impl Kind {
    fn of(bytes: &[u8]) -> Result<Self, KeyProblem> {
        let text = str::from_utf8(bytes).map_err(|_| KeyProblem::NoKey)?;
        let text = text.trim_start();
        let begins = |label: &str| text.starts_with(&format!("-----BEGIN {label}-----"));
        if begins("OPENSSH PRIVATE KEY") {
            let key = SshKey::parse(text)?;
            sshsig::sign(&key, "git", b"")?;
            Ok(Self::Ssh(Box::new(key)))
        } else if begins("PGP PRIVATE KEY BLOCK") {
            Ok(Self::OpenPgp(OpenPgpKey::import(text)?))
        } else if begins("PGP PUBLIC KEY BLOCK")
            || begins("PUBLIC KEY")
            || ["ssh-", "ecdsa-", "sk-"]
                .iter()
                .any(|kind| text.starts_with(kind))
        {
            Err(KeyProblem::Public)
        } else if begins("ENCRYPTED PRIVATE KEY") {
            Err(KeyProblem::Encrypted)
        } else if ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]
            .iter()
            .any(|label| begins(label))
        {
            Err(KeyProblem::Pem)
        } else {
            Err(KeyProblem::NoKey)
        }
    }
}

impl SigningError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.source {
            KeyProblem::NoKey | KeyProblem::Public => {
                "give the file of a private key, as ssh-keygen writes it, or as gpg exports it in text form"
            }
            KeyProblem::Pem => "'ssh-keygen -p -f FILE' writes it again in the form of OpenSSH",
            KeyProblem::Encrypted => {
                "make a key without a passphrase for this, or a copy of this one: 'ssh-keygen -p -N \"\" -f COPY'"
            }
            KeyProblem::Type(_) | KeyProblem::TooManyBits(_) | KeyProblem::Refused(_) => {
                "make a key for this: ssh-keygen -t ed25519"
            }
            KeyProblem::Several(_) => "export the key that is to sign alone",
            KeyProblem::Run { .. } => {
                "install GnuPG, which signs with OpenPGP keys; git's setting gpg.program names it; or use an SSH key"
            }
            KeyProblem::Failed { .. } => {
                "the key must be able to sign, not be expired, and have no passphrase"
            }
            KeyProblem::Read(_)
            | KeyProblem::TooLarge
            | KeyProblem::Damaged
            | KeyProblem::TimeOut { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

fn read_limited(path: &Path) -> Result<Vec<u8>, KeyProblem> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
        .map_err(KeyProblem::Read)?;
    if bytes.len() as u64 > LIMIT {
        return Err(KeyProblem::TooLarge);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> KeyProblem {
        match Kind::of(text.as_bytes()) {
            Ok(_) => panic!("{text} is taken for a key"),
            Err(problem) => problem,
        }
    }

    #[test]
    fn what_is_no_private_key_of_a_known_form_is_told_apart() {
        let armour =
            |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        assert!(matches!(problem(""), KeyProblem::NoKey));
        assert!(matches!(problem("secret"), KeyProblem::NoKey));
        assert!(matches!(problem("ssh-ed25519 AAAA x"), KeyProblem::Public));
        let public = armour("PGP PUBLIC KEY BLOCK");
        assert!(matches!(problem(&public), KeyProblem::Public));
        assert!(matches!(
            problem(&armour("RSA PRIVATE KEY")),
            KeyProblem::Pem
        ));
        let encrypted = armour("ENCRYPTED PRIVATE KEY");
        assert!(matches!(problem(&encrypted), KeyProblem::Encrypted));
        let damaged = armour("OPENSSH PRIVATE KEY");
        assert!(matches!(problem(&damaged), KeyProblem::Damaged));
    }

    #[test]
    fn files_that_are_no_keys_are_read_no_further_than_a_key_goes() {
        let read = |path: &str| SigningKey::read(Path::new(path)).unwrap_err();
        assert!(matches!(read("/dev/zero").source, KeyProblem::TooLarge));
        assert!(matches!(read("/none").source, KeyProblem::Read(_)));
        assert!(matches!(read("/dev/null").source, KeyProblem::NoKey));
    }
}
