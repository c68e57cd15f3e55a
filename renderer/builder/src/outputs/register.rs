//! Outputs become store paths, one after the other: those first that others refer to.

use std::collections::{BTreeMap, BTreeSet};

use niphas_store::{HeldPath, NewPath, Packed};
use nix_formats::store_path::output_path_name;
use nix_formats::{
    ContentAddress, ContentAddressMethod, DerivationOutput, FixedOutput, HashAlgorithm, StorePath,
};

use super::contents::{Contents, Source, Wanted, hash_part};
use super::error::OutputError;
use super::order::sorted;
use super::rewrite::Rewrites;
use super::{BuiltOutput, Case};

/// Outputs whose paths are known.
#[derive(Default)]
pub(super) struct Made {
    pub(super) outputs: BTreeMap<String, BuiltOutput>,
    pub(super) held: Vec<HeldPath>,
    /// Those whose contents are in the store, and that are no path of it yet.
    packed: BTreeMap<String, Packed>,
}

/// Looks at all outputs, in the order of their names, and gives them their paths. Those that are content-addressed are added to
/// the store, if there is one. `passing` has paths at which outputs were built, and that are not theirs.
pub(super) fn outputs<'a>(
    case: &'a Case<'a>,
    passing: &BTreeSet<StorePath>,
    mut open: impl FnMut(&'a str, &'a StorePath) -> Result<Box<dyn Source + 'a>, OutputError>,
) -> Result<Made, OutputError> {
    let mut looked_at = BTreeMap::new();
    let mut refers = BTreeMap::new();
    for (name, output) in &case.derivation.outputs {
        if case.valid.contains_key(name) {
            refers.insert(name.clone(), BTreeSet::new());
            continue;
        }
        let scratch = case.scratch(name)?;
        let wanted = Wanted {
            file_hash: file_hash(output),
            passing,
        };
        let source = open(name, scratch)?;
        let contents = Contents::look(case, name, scratch, source, &wanted)?;
        let scratches = case.scratch.iter();
        let named = scratches.filter(|(_, path)| contents.references.contains(*path));
        refers.insert(name.clone(), named.map(|(name, _)| name.clone()).collect());
        looked_at.insert(name.clone(), contents);
    }
    let order = sorted(&refers).map_err(|cycle| OutputError::Cycle {
        derivation: case.print(case.path),
        output: cycle.output.to_owned(),
        parent: cycle.parent.to_owned(),
    })?;
    let mut register = Register {
        case,
        rewrites: Rewrites::new(),
        made: Made::default(),
    };
    for name in order {
        let output = &case.derivation.outputs[name];
        match looked_at.remove(name) {
            Some(contents) => register.output(name, output, contents)?,
            None => register.settle(case.scratch(name)?, &case.valid[name]),
        }
    }
    Ok(register.made)
}

/// Paths at which outputs were built, and that are not theirs.
pub(super) fn passing(case: &Case<'_>) -> Result<BTreeSet<StorePath>, OutputError> {
    let derivation = case.derivation;
    let mut passing = BTreeSet::new();
    for (name, output) in &derivation.outputs {
        let known = match case.valid.get(name) {
            Some(path) => Some(path.clone()),
            None => output.path(case.store_dir, &derivation.name, name)?,
        };
        let scratch = case.scratch(name)?;
        if known.as_ref() != Some(scratch) {
            passing.insert(scratch.clone());
        }
    }
    Ok(passing)
}

/// The algorithm by which the bytes of an output's file are hashed.
fn file_hash(output: &DerivationOutput) -> Option<HashAlgorithm> {
    let (method, algorithm) = match output {
        DerivationOutput::FixedOutput(address) => (address.method, address.hash.algorithm()),
        DerivationOutput::Floating { method, algorithm }
        | DerivationOutput::Impure { method, algorithm } => (*method, *algorithm),
        DerivationOutput::InputAddressed(_) | DerivationOutput::Deferred => return None,
    };
    is_flat(method).then_some(algorithm)
}

fn is_flat(method: ContentAddressMethod) -> bool {
    matches!(
        method,
        ContentAddressMethod::Flat | ContentAddressMethod::Text
    )
}

/// What is known of outputs while they get their paths.
struct Register<'a> {
    case: &'a Case<'a>,
    /// From the paths at which outputs were built to their own.
    rewrites: Rewrites,
    made: Made,
}

impl Register<'_> {
    fn output(
        &mut self,
        name: &str,
        output: &DerivationOutput,
        contents: Contents<'_>,
    ) -> Result<(), OutputError> {
        match output {
            DerivationOutput::InputAddressed(path) => self.input_addressed(name, path, contents),
            DerivationOutput::FixedOutput(address) => {
                let algorithm = address.hash.algorithm();
                self.content_addressed(name, address.method, algorithm, contents)
            }
            DerivationOutput::Floating { method, algorithm }
            | DerivationOutput::Impure { method, algorithm } => {
                self.content_addressed(name, *method, *algorithm, contents)
            }
            DerivationOutput::Deferred => Err(OutputError::Deferred(name.to_owned())),
        }
    }

    fn input_addressed(
        &mut self,
        name: &str,
        path: &StorePath,
        contents: Contents<'_>,
    ) -> Result<(), OutputError> {
        let scratch = contents.scratch;
        let (mut references, names_itself) = self.references(&contents);
        if names_itself {
            references.insert(path.clone());
        }
        // Its own path is rewritten, too.
        self.settle(scratch, path);
        let nar = contents.into_nar(&self.rewrites)?;
        let output = BuiltOutput {
            path: path.clone(),
            nar_hash: nar.hash,
            nar_size: nar.size,
            references,
            content_address: None,
        };
        self.made.outputs.insert(name.to_owned(), output);
        let packed = nar.packed.map(|packed| (name.to_owned(), packed));
        self.made.packed.extend(packed);
        Ok(())
    }

    fn content_addressed(
        &mut self,
        name: &str,
        method: ContentAddressMethod,
        algorithm: HashAlgorithm,
        contents: Contents<'_>,
    ) -> Result<(), OutputError> {
        if is_flat(method) && !contents.is_plain_file() {
            return Err(OutputError::NotAPlainFile(contents.shown().to_owned()));
        }
        let hash = match method {
            ContentAddressMethod::Flat | ContentAddressMethod::Text => {
                contents.file_hash_modulo(algorithm, &self.rewrites)?
            }
            ContentAddressMethod::Recursive => {
                contents.nar_hash_modulo(algorithm, &self.rewrites)?
            }
            ContentAddressMethod::Git => return Err(OutputError::Git(name.to_owned())),
        };
        let (mut references, names_itself) = self.references(&contents);
        if names_itself && method == ContentAddressMethod::Text {
            return Err(OutputError::TextSelfReference);
        }
        let fixed = FixedOutput {
            method,
            hash,
            references: references.clone(),
            self_reference: names_itself,
        };
        let path_name = output_path_name(&self.case.derivation.name, name);
        let path = self
            .case
            .store_dir
            .make_fixed_output_path(&fixed, &path_name)?;
        if names_itself {
            references.insert(path.clone());
        }
        self.settle(contents.scratch, &path);
        let nar = contents.into_nar(&self.rewrites)?;
        let output = BuiltOutput {
            path,
            nar_hash: nar.hash,
            nar_size: nar.size,
            references,
            content_address: Some(ContentAddress { method, hash }),
        };
        if let Some(packed) = nar.packed {
            self.made.add(self.case, packed, &output)?;
        }
        self.made.outputs.insert(name.to_owned(), output);
        Ok(())
    }

    /// The other paths that an output refers to, and whether it refers to itself.
    fn references(&self, contents: &Contents<'_>) -> (BTreeSet<StorePath>, bool) {
        let mut references = contents.references.clone();
        let names_itself = references.remove(contents.scratch);
        let scratches = self.case.scratch;
        for (name, scratch) in scratches {
            let path = match self.made.outputs.get(name) {
                Some(output) => &output.path,
                None => match self.case.valid.get(name) {
                    Some(path) => path,
                    None => continue,
                },
            };
            if path != scratch && references.remove(scratch) {
                references.insert(path.clone());
            }
        }
        (references, names_itself)
    }

    /// The path of an output is known.
    fn settle(&mut self, scratch: &StorePath, path: &StorePath) {
        if scratch != path {
            self.rewrites.push((hash_part(scratch), hash_part(path)));
        }
    }
}

impl Made {
    /// Adds the outputs that are not in the store yet.
    pub(super) fn add_all(&mut self, case: &Case<'_>) -> Result<(), OutputError> {
        for (name, packed) in std::mem::take(&mut self.packed) {
            let output = self.outputs[&name].clone();
            self.add(case, packed, &output)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        case: &Case<'_>,
        packed: Packed,
        output: &BuiltOutput,
    ) -> Result<(), OutputError> {
        let new = NewPath {
            path: output.path.clone(),
            references: output.references.clone(),
            deriver: Some(case.path.clone()),
            content_address: output.content_address,
        };
        // What is packed is so in the store.
        if let Some(store) = case.store {
            self.held.push(store.add(packed, new)?);
        }
        Ok(())
    }
}
