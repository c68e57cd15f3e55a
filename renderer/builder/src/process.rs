//! A builder, ready to run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::builtin::Builtin;

/// The folder that a builder begins in, as it sees it.
pub const BUILD_DIR: &str = "/build";

/// A builder as it is started: made by [`environment`](crate::environment), run by [`sandbox`](crate::sandbox). Everything in it
/// is as the builder sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Process {
    /// The program, an absolute path. Its base name is what the builder sees as its own name.
    pub program: Vec<u8>,
    /// Its arguments, without its own name.
    pub args: Vec<Vec<u8>>,
    /// Its environment, all of it.
    pub env: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Files in [`BUILD_DIR`], by name: their contents. Their owner is the builder.
    pub files: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The machine appears as one of 32 bits (`PER_LINUX32`).
    pub is_32_bit: bool,
    /// A builder that is part of Nix: it is run by [`builtin::run`](crate::builtin::run), in place of the program.
    pub builtin: Option<Builtin>,
}
