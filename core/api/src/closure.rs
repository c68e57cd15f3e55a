//! The lines of a closure, and their digest.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use nix_formats::hash::{Hash, HashAlgorithm, HashFormat};
use nix_formats::{StoreDir, StorePath};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Why lines are not a closure, or a text no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClosureError {
    /// A closure has at least its root.
    #[error("a closure without any store path")]
    Empty,
    /// The same path with two different lines.
    #[error("store path '{0}' is in the closure twice, with different hashes or sizes")]
    Conflict(StorePath),
    /// NAR hashes of closures are SHA-256.
    #[error("the NAR hash of store path '{path}' is {algorithm}, not sha256")]
    NotSha256 {
        /// The path.
        path: StorePath,
        /// What its hash is.
        algorithm: HashAlgorithm,
    },
    /// The sizes add up to more than 2^63 − 1, the largest number that Kubernetes holds.
    #[error("the NAR sizes of the closure add up to more than 2^63 - 1 bytes")]
    TooLarge,
    /// Not `sha256:` and 64 lower-case hexadecimal digits.
    #[error(
        "'{0}' is not a closure digest: expected 'sha256:' and 64 lower-case hexadecimal digits"
    )]
    BadDigest(String),
}

/// One store path of a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosureLine {
    /// The path.
    pub path: StorePath,
    /// The SHA-256 of its NAR.
    pub nar_hash: Hash,
    /// The size of its NAR in bytes.
    pub nar_size: u64,
}

/// All store paths of a closure: sorted by path, each once, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosureLines {
    lines: Vec<ClosureLine>,
    nar_size: u64,
}

impl ClosureLines {
    /// Sorts and checks lines. Equal lines count once.
    pub fn new(mut lines: Vec<ClosureLine>) -> Result<Self, ClosureError> {
        lines.sort_by(|a, b| a.path.cmp(&b.path));
        lines.dedup();
        let mut nar_size = 0_u64;
        let mut previous: Option<&StorePath> = None;
        for line in &lines {
            if previous == Some(&line.path) {
                return Err(ClosureError::Conflict(line.path.clone()));
            }
            let algorithm = line.nar_hash.algorithm();
            if algorithm != HashAlgorithm::Sha256 {
                return Err(ClosureError::NotSha256 {
                    path: line.path.clone(),
                    algorithm,
                });
            }
            nar_size = nar_size
                .checked_add(line.nar_size)
                .filter(|&sum| i64::try_from(sum).is_ok())
                .ok_or(ClosureError::TooLarge)?;
            previous = Some(&line.path);
        }
        if lines.is_empty() {
            return Err(ClosureError::Empty);
        }
        Ok(Self { lines, nar_size })
    }

    /// The lines, sorted by store path.
    pub fn as_slice(&self) -> &[ClosureLine] {
        &self.lines
    }

    /// How many store paths there are.
    pub fn path_count(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The NAR sizes of all paths together, in bytes.
    pub fn nar_size(&self) -> u64 {
        self.nar_size
    }

    /// The SHA-256 of [`ClosureLines`]' text, as `sha256sum` computes it from the committed file.
    pub fn digest(&self) -> ClosureDigest {
        let mut writer = DigestWriter(Sha256::new());
        // Hashing does not fail.
        let _ = write!(writer, "{self}");
        ClosureDigest(writer.0.finalize().into())
    }
}

/// The text that is hashed and committed: `<storePath> <narHash> <narSize>\n` for each path.
impl fmt::Display for ClosureLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = StoreDir::default();
        for line in &self.lines {
            let nar_hash = line.nar_hash.to_string(HashFormat::Nix32, true);
            writeln!(f, "{store}/{} {nar_hash} {}", line.path, line.nar_size)?;
        }
        Ok(())
    }
}

struct DigestWriter(Sha256);

impl fmt::Write for DigestWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// A closure's digest: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClosureDigest([u8; 32]);

impl fmt::Display for ClosureDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClosureDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClosureDigest({self})")
    }
}

impl FromStr for ClosureDigest {
    type Err = ClosureError;

    fn from_str(text: &str) -> Result<Self, ClosureError> {
        let bad = || ClosureError::BadDigest(text.to_owned());
        let digits = text.strip_prefix("sha256:").ok_or_else(bad)?.as_bytes();
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(bad());
        };
        let bytes: Option<Vec<u8>> = pairs
            .iter()
            .map(|&[high, low]| Some(hex_digit(high)? << 4 | hex_digit(low)?))
            .collect();
        let bytes = bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(bad)?;
        Ok(Self(bytes))
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Serialize for ClosureDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClosureDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ClosureDigest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClosureDigest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 71,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^sha256:[0-9a-f]{64}$')",
                "message": "must be sha256: and 64 lower-case hexadecimal digits",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(base_name: &str, nar_size: u64) -> ClosureLine {
        let path = StorePath::from_base_name(base_name).unwrap();
        ClosureLine {
            path,
            nar_hash: Hash::sha256([7; 32]),
            nar_size,
        }
    }

    const WEB: &str = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
    const LIBC: &str = "9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-libc-2.40";

    #[test]
    fn lines_are_sorted_and_counted_once() {
        let closure =
            ClosureLines::new(vec![line(LIBC, 20), line(WEB, 1), line(LIBC, 20)]).unwrap();
        insta::assert_snapshot!(closure, @r#"
        /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 sha256:01q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q7 1
        /nix/store/9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-libc-2.40 sha256:01q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q7 20
        "#);
        assert_eq!(closure.path_count(), 2);
        assert_eq!(closure.nar_size(), 21);
    }

    #[test]
    fn digest_is_the_sha256_of_the_text() {
        let closure = ClosureLines::new(vec![line(WEB, 1), line(LIBC, 20)]).unwrap();
        let of_text = HashAlgorithm::Sha256.digest(closure.to_string().as_bytes());
        let expected = format!("sha256:{}", of_text.to_string(HashFormat::Base16, false));
        assert_eq!(closure.digest().to_string(), expected);
    }

    #[test]
    fn digest_does_not_depend_on_the_order_of_discovery() {
        let one = ClosureLines::new(vec![line(WEB, 1), line(LIBC, 20)]).unwrap();
        let other = ClosureLines::new(vec![line(LIBC, 20), line(WEB, 1)]).unwrap();
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn what_is_no_closure_is_refused() {
        let path = StorePath::from_base_name(WEB).unwrap();
        assert_eq!(ClosureLines::new(vec![]), Err(ClosureError::Empty));
        assert_eq!(
            ClosureLines::new(vec![line(WEB, 1), line(WEB, 2)]),
            Err(ClosureError::Conflict(path.clone()))
        );
        assert_eq!(
            ClosureLines::new(vec![line(WEB, u64::MAX >> 1), line(LIBC, 1)]),
            Err(ClosureError::TooLarge)
        );
        let nar_hash = HashAlgorithm::Sha1.digest(b"");
        assert_eq!(
            ClosureLines::new(vec![ClosureLine {
                path: path.clone(),
                nar_hash,
                nar_size: 1
            }]),
            Err(ClosureError::NotSha256 {
                path,
                algorithm: HashAlgorithm::Sha1
            })
        );
    }

    #[test]
    fn digests_round_trip_and_bad_ones_are_refused() {
        let digest = ClosureLines::new(vec![line(WEB, 1)]).unwrap().digest();
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let upper = digest.to_string().to_uppercase();
        for bad in ["", "sha256:", "sha256:00", "sha512:00", &upper, "sha256:é"] {
            assert_eq!(
                bad.parse::<ClosureDigest>(),
                Err(ClosureError::BadDigest(bad.into()))
            );
        }
    }
}
