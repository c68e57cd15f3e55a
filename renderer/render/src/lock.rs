//! The list of files that belong to an environment.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a lock cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is no JSON of this form.
    #[error("not a lock of niphas")]
    Syntax(#[source] serde_json::Error),
    /// Another version wrote it.
    #[error("version {0} of the lock is not known to this niphas (it knows {VERSION})")]
    Version(u64),
    /// It lists a file outside the repository, or in it where no file of niphas can be.
    #[error("the lock lists '{0}', which is no path of a file in the repository")]
    Path(String),
    /// Its owner is no text that can be printed.
    #[error("the owner in the lock has control characters")]
    Owner,
}

const VERSION: u64 = 1;

/// The files that the writer made for an environment, their hashes, and the flake they belong to: `.niphas/<env>.lock`.
///
/// Only what stands here is ever pruned, and only while it has this hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u64,
    /// The flake that the environment was rendered from; locks of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Hash by path from the repository's root.
    pub files: BTreeMap<String, FileHash>,
}

impl Lock {
    /// The path of an environment's lock.
    pub fn path(environment: &str) -> String {
        format!(".niphas/{environment}.lock")
    }

    /// The lock of these files.
    pub fn of(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let files = files
            .iter()
            .map(|(path, bytes)| (path.clone(), FileHash::of(bytes)))
            .collect();
        Self {
            version: VERSION,
            owner: None,
            files,
        }
    }

    /// Reads a lock; paths in it are safe to join.
    pub fn parse(bytes: &[u8]) -> Result<Self, LockError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_slice(bytes).map_err(LockError::Syntax)?;
        if version != VERSION {
            return Err(LockError::Version(version));
        }
        let lock: Self = serde_json::from_slice(bytes).map_err(LockError::Syntax)?;
        if lock
            .owner
            .iter()
            .flat_map(|owner| owner.chars())
            .any(char::is_control)
        {
            return Err(LockError::Owner);
        }
        match lock.files.keys().find(|path| !is_repository_path(path)) {
            Some(path) => Err(LockError::Path(path.clone())),
            None => Ok(lock),
        }
    }

    /// The lock's bytes: JSON, sorted, a file a line.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Ok(mut bytes) = serde_json::to_vec_pretty(self) else {
            unreachable!("strings and numbers are always JSON")
        };
        bytes.push(b'\n');
        bytes
    }
}

/// Whether a path is relative, plain, and not git's own.
pub(crate) fn is_repository_path(path: &str) -> bool {
    path.split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && !part.eq_ignore_ascii_case(".git")
            && !part.contains(|c: char| c == '\\' || c.is_control())
    })
}

/// The SHA-256 of a file's bytes, written as `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FileHash([u8; 32]);

impl FileHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileHash({self})")
    }
}

impl From<FileHash> for String {
    fn from(hash: FileHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for FileHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("'{text}' is not 'sha256:' and 64 hexadecimal digits");
        let digits = text.strip_prefix("sha256:").ok_or_else(bad)?;
        let bytes = nix_formats::hash::Hash::parse_any(&format!("sha256:{digits}"), None)
            .ok()
            .filter(|_| digits.len() == 64)
            .ok_or_else(bad)?;
        bytes.as_bytes().try_into().map(Self).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, Vec<u8>> {
        [
            ("a/b.yaml", "x: 1\n"),
            (".niphas/prod/closures/b.x86_64-linux.txt", ""),
        ]
        .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        .into()
    }

    #[test]
    fn lock_lists_files_with_their_hashes_and_round_trips() {
        let mut lock = Lock::of(&files());
        assert_eq!(Lock::parse(&lock.to_bytes()).unwrap(), lock);
        lock.owner = Some("github.com/acme/shop?dir=apps/web".to_owned());
        insta::assert_snapshot!(String::from_utf8(lock.to_bytes()).unwrap(), @r#"
            {
              "version": 1,
              "owner": "github.com/acme/shop?dir=apps/web",
              "files": {
                ".niphas/prod/closures/b.x86_64-linux.txt": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "a/b.yaml": "sha256:d09edadd173a8bbc233d47dcafc30cc876af2fb569812f2bbe0e92a1905bbce8"
              }
            }
            "#);
        assert_eq!(Lock::parse(&lock.to_bytes()).unwrap(), lock);
    }

    #[test]
    fn hostile_locks_are_refused() {
        let hash = FileHash::of(b"");
        let with = |path: &str| format!(r#"{{"version":1,"files":{{"{path}":"{hash}"}}}}"#);
        let texts = [
            "x".to_owned(),
            r#"{"version":2,"files":[]}"#.to_owned(),
            with("../x"),
            with("/x"),
            with(".git/config"),
            with("a//b"),
            with(""),
            r#"{"version":1,"files":{"a":"sha256:00"}}"#.to_owned(),
            with("a\\u001b[2J"),
            r#"{"version":1,"owner":"\u001b[2J","files":{}}"#.to_owned(),
        ];
        let errors: Vec<_> = texts
            .iter()
            .map(|text| Lock::parse(text.as_bytes()).unwrap_err().to_string())
            .collect();
        insta::assert_debug_snapshot!(errors, @r#"
            [
                "not a lock of niphas",
                "version 2 of the lock is not known to this niphas (it knows 1)",
                "the lock lists '../x', which is no path of a file in the repository",
                "the lock lists '/x', which is no path of a file in the repository",
                "the lock lists '.git/config', which is no path of a file in the repository",
                "the lock lists 'a//b', which is no path of a file in the repository",
                "the lock lists '', which is no path of a file in the repository",
                "not a lock of niphas",
                "the lock lists 'a\u{1b}[2J', which is no path of a file in the repository",
                "the owner in the lock has control characters",
            ]
            "#);
    }
}
