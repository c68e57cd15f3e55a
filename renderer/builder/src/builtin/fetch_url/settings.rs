//! What `builtin:fetchurl` gets of the machine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Settings of the machine that fetching needs; the sandbox shows none of them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchSettings {
    /// Servers that may have a file under its hash, `<mirror>/sha256/<hexadecimal>`; they are asked first.
    pub hashed_mirrors: Vec<String>,
    /// The text of a netrc file: logins by host. Never printed.
    pub netrc: String,
    /// Certificates in PEM that servers are verified by. None: those that the sandbox has.
    pub certificates: Vec<u8>,
}

impl fmt::Debug for FetchSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchSettings")
            .field("hashed_mirrors", &self.hashed_mirrors)
            .finish_non_exhaustive()
    }
}
