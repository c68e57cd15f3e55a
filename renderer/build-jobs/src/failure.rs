//! Why a derivation was not built, as far as its Job tells. Pure.

use std::fmt;

use nix_formats::{StorePath, printable, shortened};
use serde::{Deserialize, Serialize};

/// A derivation that was not built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// The same in a sentence, of what others wrote: printable, and short.
    pub message: String,
    /// The derivation, where it is one that was built in the pod of another.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base_name")]
    pub derivation: Option<StorePath>,
}

/// Why a derivation was not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// It cannot be built: with this exit code of the agent.
    Build(u8),
    /// It took longer than it may.
    TimedOut,
    /// It needs more memory than a build gets.
    OutOfMemory,
    /// Nodes, or the way to them, broke as often as they may.
    Machine,
    /// No node took it in time, or its image could not be pulled.
    Unstarted,
    /// It is none that is built here.
    Refused,
}

/// Characters of a message.
const MAX_MESSAGE: usize = 1024;

impl Failure {
    /// A failure with a message that others had a hand in.
    pub fn new(cause: Cause, message: &str) -> Self {
        let message = shortened(message, MAX_MESSAGE);
        Self {
            cause,
            message: String::from_utf8_lossy(&printable(message.as_bytes(), false)).into_owned(),
            derivation: None,
        }
    }

    /// Whether it would come out as before, so that it is not tried again until a person asks for it. Else the next run tries again.
    pub fn is_lasting(&self) -> bool {
        match self.cause {
            Cause::Build(_) | Cause::TimedOut | Cause::OutOfMemory | Cause::Refused => true,
            Cause::Machine | Cause::Unstarted => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

mod base_name {
    use nix_formats::StorePath;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it")]
    pub(super) fn serialize<S: Serializer>(
        path: &Option<StorePath>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_ref()
            .map(StorePath::base_name)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<StorePath>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let path = text.map(StorePath::from_base_name).transpose();
        path.map_err(serde::de::Error::custom)
    }
}
