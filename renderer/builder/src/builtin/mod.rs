//! The builders that are part of Nix: they run inside the sandbox, in place of a program.

mod build_env;
mod failure;
mod fetch_url;
mod unpack_channel;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix_formats::{ContentAddressMethod, DerivationOutput, HashFormat};
use serde::{Deserialize, Serialize};

use crate::environment::Build;

pub(crate) use failure::description;
pub use fetch_url::FetchSettings;

use failure::{Failure, shown};

/// A built-in builder with all that it needs. It sees the attributes as the derivation has them, not the environment that a
/// program would get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builtin {
    /// Its name, without `builtin:`.
    pub name: Vec<u8>,
    /// The derivation's attributes.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The paths to make, as the builder sees them, by output.
    pub outputs: BTreeMap<String, String>,
    /// It makes what is known beforehand, or something new each time, so that it may use the network.
    pub may_fetch: bool,
    /// What it makes is on servers of files by hash, under this name.
    pub mirrored: Option<String>,
    /// What fetching needs. Nothing of it comes from the derivation: the program that has it built sets it.
    pub fetch: FetchSettings,
}

impl Builtin {
    /// The built-in builder of a derivation that has one.
    pub(crate) fn of(build: &Build<'_>) -> Option<Self> {
        let name = build.derivation.builder.strip_prefix(b"builtin:")?;
        let outputs = build.scratch.iter();
        let outputs = outputs.map(|(name, path)| (name.clone(), build.store_dir.print(path)));
        let out = build.derivation.outputs.get("out");
        let mirrored = match out {
            Some(DerivationOutput::FixedOutput(ca)) if ca.method == ContentAddressMethod::Flat => {
                let hash = ca.hash.to_string(HashFormat::Base16, false);
                Some(format!("{}/{hash}", ca.hash.algorithm()))
            }
            _ => None,
        };
        Some(Self {
            name: name.to_vec(),
            attributes: build.derivation.env.clone(),
            outputs: outputs.collect(),
            may_fetch: matches!(
                out,
                Some(DerivationOutput::FixedOutput(_) | DerivationOutput::Impure { .. })
            ),
            mirrored,
            fetch: FetchSettings::default(),
        })
    }

    fn attribute(&self, name: &str) -> Result<&[u8], Failure> {
        let value = self.attributes.get(name.as_bytes()).map(Vec::as_slice);
        value.ok_or_else(|| Failure::error(format_args!("attribute '{}' missing", shown(name))))
    }

    fn path(&self, attribute: &str) -> Result<&Path, Failure> {
        Ok(Path::new(OsStr::from_bytes(self.attribute(attribute)?)))
    }

    /// The output that all of them make.
    fn out(&self) -> Result<&Path, Failure> {
        let out = self.outputs.get("out").map(Path::new);
        out.ok_or_else(|| Failure::exception("map::at"))
    }
}

/// Runs a built-in builder where it is started: in the sandbox, in its build folder. The error is what is written to standard
/// error, as a line, before it exits with 1.
pub fn run(builtin: &Builtin) -> Result<(), String> {
    let result = match builtin.name.as_slice() {
        b"buildenv" => build_env::run(builtin),
        b"fetchurl" => fetch_url::run(builtin),
        b"unpack-channel" => unpack_channel::run(builtin),
        other => {
            let name = shown(String::from_utf8_lossy(other));
            Err(Failure::error(format_args!(
                "unsupported builtin builder '{name}'"
            )))
        }
    };
    result.map_err(Failure::into_text)
}
