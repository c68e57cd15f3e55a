//! What build pods and the service say to each other, over HTTP.
//!
//! Every request bears a token of the pod's ServiceAccount, `Authorization: Bearer …`. A token is good for the builds of its own pod,
//! and nothing else. A build is named by the hash part of its derivation's path.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /builds/<name>` | [`BuildRequest`] |
//! | `HEAD /builds/<name>/outputs/<output>` | 204; `Upload-Offset`: how many bytes are there |
//! | `PATCH /builds/<name>/outputs/<output>` | The next bytes of the output's NAR; 204, `Upload-Offset` |
//! | `DELETE /builds/<name>/outputs/<output>` | 204; the upload starts again at 0 |
//! | `HEAD`, `PATCH /builds/<name>/log` | The same for the log, which can be read while it grows |
//! | `POST /builds/<name>/finish` | A [`BuildResult`]; 200 and an [`Outcome`], or 202 while the outputs are checked: ask again |
//!
//! A `PATCH` names in `Upload-Offset` where its bytes belong. If that is not where the upload ends, the answer is 409 with the right
//! offset, and nothing is written. What came before a connection broke stays: the next `PATCH` goes on from there. It may come while
//! the service still waits for the broken one, which then ends. The bytes of all requests of an upload are one stream: a NAR, or with
//! `Content-Encoding: zstd` in each of them one that is compressed so.
//!
//! Errors have a [`Problem`] as their body. Of 408, 409, 429 and 5xx another attempt may succeed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;
use nix_formats::store_path::HASH_PART_LEN;
use nix_formats::{NarHash, StorePath};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The header that says where the bytes of a request belong, and where an upload ends. Its name is that of the IETF's resumable
/// uploads.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// The name of a build: the hash part of its derivation's path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildName(String);

/// A text that names no build.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected the hash part of a derivation's path")]
pub struct BuildNameError;

impl BuildName {
    /// That of a derivation.
    pub fn of(derivation: &StorePath) -> Self {
        Self(derivation.hash_part().to_owned())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BuildName {
    type Err = BuildNameError;

    fn from_str(text: &str) -> Result<Self, BuildNameError> {
        let is_hash =
            text.len() == HASH_PART_LEN && StorePath::from_base_name(format!("{text}-x")).is_ok();
        if is_hash {
            Ok(Self(text.to_owned()))
        } else {
            Err(BuildNameError)
        }
    }
}

impl fmt::Display for BuildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for BuildName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BuildName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a pod has to build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildRequest {
    /// The base name of the derivation's path.
    #[serde(with = "base_name")]
    pub derivation: StorePath,
    /// The contents of the `.drv` file.
    #[serde(with = "base64")]
    pub aterm: Vec<u8>,
    /// Builds of the same pod that come before this one: their outputs are inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built_with: Vec<BuildName>,
    /// How it is built.
    #[serde(flatten)]
    pub settings: BuildSettings,
}

/// How a derivation is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildSettings {
    /// The longest time that it may take, in seconds.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// The longest time that it may be silent, in seconds. 0: as long as it may take.
    #[serde(with = "seconds")]
    pub max_silent_time: Duration,
    /// The largest log, in bytes.
    pub max_log_size: u64,
    /// Processors that the builder may use. 0: all.
    pub cores: u32,
    /// Systems whose derivations the pod builds.
    pub systems: Vec<String>,
}

/// What came of a build, as the pod says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "result", deny_unknown_fields)]
pub enum BuildResult {
    /// It was built, and all outputs are uploaded.
    Built {
        /// The outputs by name.
        outputs: BTreeMap<String, OutputClaim>,
    },
    /// It was not.
    Failed(BuildFailure),
}

/// What an output is, as the pod says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputClaim {
    /// The base name of its path.
    #[serde(with = "base_name")]
    pub path: StorePath,
    /// The hash of its NAR.
    #[serde(with = "nar_hash")]
    pub nar_hash: NarHash,
    /// The size of its NAR, in bytes.
    pub nar_size: u64,
}

/// Why a build failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildFailure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// In a few lines.
    pub message: String,
}

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// The builder failed.
    Builder,
    /// It took, or was silent for, longer than it may.
    TimedOut,
    /// Its log is longer than it may be.
    LogLimit,
    /// It needs more memory than it gets.
    OutOfMemory,
    /// Its outputs are not what the derivation asks for.
    OutputsRefused,
    /// A fixed output has other contents than the derivation says.
    HashMismatch,
    /// The machine broke, or cannot isolate it: it was not its own fault.
    Machine,
}

/// What the service made of a result. It stays: the same request gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum Outcome {
    /// The outputs are in the cache.
    Stored {
        /// By name, as the cache has them: if it had a path before, that stays.
        outputs: BTreeMap<String, OutputClaim>,
    },
    /// They are not: the build failed, or its outputs were refused.
    Failed(BuildFailure),
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// In a sentence.
    pub message: String,
}

pub(crate) mod base_name {
    use nix_formats::StorePath;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &StorePath, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(path.base_name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<StorePath, D::Error> {
        let text = String::deserialize(from)?;
        StorePath::from_base_name(text).map_err(serde::de::Error::custom)
    }
}

mod nar_hash {
    use nix_formats::NarHash;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &NarHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NarHash, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64
            .decode(text.as_bytes())
            .map_err(serde::de::Error::custom)
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_secs(u64::deserialize(from)?))
    }
}
