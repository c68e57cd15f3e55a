//! The hash modulo: what identifies a derivation when the output paths of
//! another are computed.
//!
//! It is the hash of the text form in which every input derivation's path is
//! replaced by that derivation's own hash modulo. A fixed-output derivation
//! counts by its output alone, so how it is fetched changes nothing downstream.

use std::collections::{BTreeMap, BTreeSet};

use super::aterm::{Inputs, MaskedText};
use super::{Derivation, DerivationError, DerivationKind, DerivationOutput, InputOutputs};
use crate::hash::{Hash, HashFormat};
use crate::store_path::{StoreDir, StorePath};

/// The hash modulo of a derivation as an input of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashModulo {
    /// All outputs are input-addressed; the SHA-256 of the text form.
    InputAddressed([u8; 32]),
    /// One fixed output `out`; the SHA-256 of `fixed:out:…`.
    FixedOutput([u8; 32]),
    /// Not known before the inputs (or the derivation itself) are built:
    /// content-addressed, impure, dynamic, or depending on such.
    Deferred,
}

/// What build traces of Nix up to 2.34 know a derivation by. Unlike [`HashModulo`] every derivation has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceHash {
    /// Names its outputs: `sha256:<this>!<output>`.
    pub outputs: Hash,
    /// Stands for it in the hashes of those that it is an input of.
    pub as_input: [u8; 32],
}

/// Hashes of input derivations, with the outputs that are needed of them.
pub(super) type InputHashes<'a> = BTreeMap<[u8; 32], BTreeSet<&'a str>>;

/// What came of [`Derivation::instantiate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instantiated {
    /// The path of the `.drv` file.
    pub path: StorePath,
    /// Its contents.
    pub aterm: Vec<u8>,
    /// What others, that take it as an input, need to know.
    pub modulo: HashModulo,
}

impl Derivation {
    /// The hash modulo of this derivation as an input of others. `lookup` gives
    /// those of its own inputs.
    pub fn hash_modulo<E: From<DerivationError>>(
        &self,
        store_dir: &StoreDir,
        lookup: impl FnMut(&StorePath) -> Result<HashModulo, E>,
    ) -> Result<HashModulo, E> {
        match self.kind()? {
            DerivationKind::FixedOutput => Ok(self.fixed_output_modulo(store_dir)?),
            DerivationKind::InputAddressed => {
                let inputs = input_hashes(&self.input_derivations, lookup)?;
                Ok(self.modulo_with(store_dir, inputs.as_ref())?)
            }
            _ => Ok(HashModulo::Deferred),
        }
    }

    /// What build traces know this derivation by. `lookup` gives [`TraceHash::as_input`] of its inputs.
    pub fn trace_hash<E: From<DerivationError>>(
        &self,
        store_dir: &StoreDir,
        mut lookup: impl FnMut(&StorePath) -> Result<[u8; 32], E>,
    ) -> Result<TraceHash, E> {
        let fixed = match self.kind()? {
            DerivationKind::FixedOutput => match self.fixed_output_modulo(store_dir)? {
                HashModulo::FixedOutput(hash) => Some(hash),
                _ => None,
            },
            DerivationKind::Impure => Some(sha256(b"impure")),
            _ => None,
        };
        if let Some(as_input) = fixed {
            let outputs = Hash::sha256(as_input);
            return Ok(TraceHash { outputs, as_input });
        }
        let mut inputs = InputHashes::new();
        for (path, outputs) in &self.input_derivations {
            let names = outputs.names.iter().map(String::as_str);
            inputs.entry(lookup(path)?).or_default().extend(names);
        }
        let masked = self.print_masked(store_dir, &inputs);
        let outputs = Hash::sha256(masked.map_err(DerivationError::from)?.hash());
        let text = self.print(store_dir, &Inputs::Hashes(&inputs));
        let as_input = sha256(&text.map_err(DerivationError::from)?);
        Ok(TraceHash { outputs, as_input })
    }

    /// Completes a derivation that was put together without output paths:
    /// turns [`DerivationOutput::Deferred`] into paths where the inputs allow
    /// it, sets the outputs' environment variables (empty where the path is not
    /// known), and computes the path and contents of the `.drv` file.
    ///
    /// `lookup` gives the hash modulo of input derivations. Environment
    /// variables of content-addressed outputs are the caller's: they hold
    /// [`super::hash_placeholder`] when the output is floating or impure.
    pub fn instantiate<E: From<DerivationError>>(
        &mut self,
        store_dir: &StoreDir,
        lookup: impl FnMut(&StorePath) -> Result<HashModulo, E>,
    ) -> Result<Instantiated, E> {
        let modulo = match self.kind()? {
            DerivationKind::Floating | DerivationKind::Impure => HashModulo::Deferred,
            DerivationKind::FixedOutput => {
                let path = self.outputs["out"]
                    .path(store_dir, &self.name, "out")
                    .map_err(DerivationError::from)?;
                if let Some(path) = path {
                    self.env
                        .insert(b"out".to_vec(), store_dir.print(&path).into_bytes());
                }
                self.fixed_output_modulo(store_dir)?
            }
            DerivationKind::InputAddressed => self.hash_modulo(store_dir, lookup)?,
            DerivationKind::Deferred => {
                for name in self.outputs.keys() {
                    self.env.insert(name.as_bytes().to_vec(), Vec::new());
                }
                let done = match input_hashes(&self.input_derivations, lookup)? {
                    Some(inputs) => {
                        let text = self.print_masked(store_dir, &inputs);
                        Some(text.map_err(DerivationError::from)?)
                    }
                    None => None,
                };
                if let Some(text) = done {
                    return Ok(self.fill_outputs(store_dir, text)?);
                }
                HashModulo::Deferred
            }
        };
        let aterm = self.to_aterm(store_dir).map_err(DerivationError::from)?;
        Ok(self.instantiated(store_dir, aterm, modulo)?)
    }

    /// Gives all outputs their paths.
    fn fill_outputs(
        &mut self,
        store_dir: &StoreDir,
        text: MaskedText<'_>,
    ) -> Result<Instantiated, DerivationError> {
        let hash = Hash::sha256(text.hash());
        for (name, output) in &mut self.outputs {
            let path = store_dir.make_output_path(name, &hash, &self.name)?;
            let value = store_dir.print(&path).into_bytes();
            self.env.insert(name.as_bytes().to_vec(), value);
            *output = DerivationOutput::InputAddressed(path);
        }
        let (modulo, aterm) = text.fill(self)?;
        self.instantiated(store_dir, aterm, HashModulo::InputAddressed(modulo))
    }

    fn instantiated(
        &self,
        store_dir: &StoreDir,
        aterm: Vec<u8>,
        modulo: HashModulo,
    ) -> Result<Instantiated, DerivationError> {
        let path = self.store_path(store_dir, &aterm)?;
        Ok(Instantiated {
            path,
            aterm,
            modulo,
        })
    }

    fn modulo_with(
        &self,
        store_dir: &StoreDir,
        inputs: Option<&InputHashes<'_>>,
    ) -> Result<HashModulo, DerivationError> {
        let Some(inputs) = inputs else {
            return Ok(HashModulo::Deferred);
        };
        let text = self.print(store_dir, &Inputs::Hashes(inputs))?;
        Ok(HashModulo::InputAddressed(sha256(&text)))
    }

    fn fixed_output_modulo(&self, store_dir: &StoreDir) -> Result<HashModulo, DerivationError> {
        let Some(DerivationOutput::FixedOutput(ca)) = self.outputs.get("out") else {
            return Err(DerivationError::FixedOutputName);
        };
        let path = store_dir.make_fixed_output_path(&(*ca).into(), &self.name)?;
        let text = format!(
            "fixed:out:{}:{}:{}",
            ca.method_and_algorithm(),
            ca.hash.to_string(HashFormat::Base16, false),
            store_dir.print(&path),
        );
        Ok(HashModulo::FixedOutput(sha256(text.as_bytes())))
    }
}

/// The hashes of all inputs; `None` when one of them is not known.
fn input_hashes<E: From<DerivationError>>(
    inputs: &BTreeMap<StorePath, InputOutputs>,
    mut lookup: impl FnMut(&StorePath) -> Result<HashModulo, E>,
) -> Result<Option<InputHashes<'_>>, E> {
    let mut hashes = InputHashes::new();
    for (path, outputs) in inputs {
        if !outputs.dynamic.is_empty() {
            return Ok(None);
        }
        match lookup(path)? {
            HashModulo::Deferred => return Ok(None),
            HashModulo::InputAddressed(hash) => {
                hashes
                    .entry(hash)
                    .or_default()
                    .extend(outputs.names.iter().map(String::as_str));
            }
            HashModulo::FixedOutput(hash) => {
                if let Some(output) = outputs.names.iter().find(|name| *name != "out") {
                    return Err(DerivationError::NoSuchOutput {
                        output: output.clone(),
                        derivation: path.clone(),
                    }
                    .into());
                }
                hashes.entry(hash).or_default().insert("out");
            }
        }
    }
    Ok(Some(hashes))
}

fn sha256(text: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(text).into()
}
