//! The builders that are part of Nix: they run inside the sandbox, in place of a program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::environment::Build;

/// A built-in builder with all that it needs. It sees the attributes as the derivation has them, not the environment that a
/// program would get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builtin {
    /// Its name, without `builtin:`.
    pub name: Vec<u8>,
    /// The derivation's attributes.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The paths to make, as the builder sees them, by output.
    pub outputs: BTreeMap<String, String>,
}

impl Builtin {
    /// The built-in builder of a derivation that has one.
    pub(crate) fn of(build: &Build<'_>) -> Option<Self> {
        let name = build.derivation.builder.strip_prefix(b"builtin:")?;
        let outputs = build.scratch.iter();
        let outputs = outputs.map(|(name, path)| (name.clone(), build.store_dir.print(path)));
        Some(Self {
            name: name.to_vec(),
            attributes: build.derivation.env.clone(),
            outputs: outputs.collect(),
        })
    }
}

/// Runs a built-in builder where it is started: in the sandbox, in its build folder. The error is what is written to standard
/// error, as a line, before it exits with 1.
pub fn run(builtin: &Builtin) -> Result<(), String> {
    let name = String::from_utf8_lossy(&builtin.name);
    Err(format!(
        "\u{1b}[31;1merror:\u{1b}[0m unsupported builtin builder '\u{1b}[35;1m{name}\u{1b}[0m'"
    ))
}
