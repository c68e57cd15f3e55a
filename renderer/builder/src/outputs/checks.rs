//! What a derivation asks of its outputs: hash, sizes, references.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nix_formats::{ContentAddress, DerivationOutput, HashFormat, StorePath};

use super::error::OutputError;
use super::{BuiltOutput, Case};
use crate::options::{OutputCheck, Reference};

/// Checks outputs, in the order of their names.
pub(super) fn check(
    case: &Case<'_>,
    outputs: &BTreeMap<String, BuiltOutput>,
) -> Result<(), OutputError> {
    for (name, output) in outputs {
        let checks = Checks {
            case,
            outputs,
            name,
            output,
        };
        if let Some(DerivationOutput::FixedOutput(address)) = case.derivation.outputs.get(name) {
            checks.fixed(address)?;
        }
        if let Some(check) = case.options.output_checks.of(name) {
            checks.apply(check)?;
        }
    }
    Ok(())
}

/// The checks of one output.
struct Checks<'a> {
    case: &'a Case<'a>,
    outputs: &'a BTreeMap<String, BuiltOutput>,
    name: &'a str,
    output: &'a BuiltOutput,
}

impl Checks<'_> {
    fn fixed(&self, specified: &ContentAddress) -> Result<(), OutputError> {
        let derivation = || self.case.print(self.case.path);
        if let Some(got) = &self.output.content_address
            && got.hash != specified.hash
        {
            let sri = |address: &ContentAddress| address.hash.to_string(HashFormat::Sri, true);
            return Err(OutputError::HashMismatch {
                derivation: derivation(),
                specified: sri(specified),
                got: sri(got),
            });
        }
        if let Some(example) = self.output.references.first() {
            return Err(OutputError::FixedReferences {
                derivation: derivation(),
                count: self.output.references.len(),
                example: self.case.print(example),
            });
        }
        Ok(())
    }

    fn apply(&self, check: &OutputCheck) -> Result<(), OutputError> {
        let path = || self.case.print(&self.output.path);
        if let Some(limit) = check.max_size
            && self.output.nar_size > limit
        {
            return Err(OutputError::TooLarge {
                path: path(),
                size: self.output.nar_size,
                limit,
            });
        }
        if let Some(limit) = check.max_closure_size {
            let (_, size) = self.closure()?;
            if size > limit {
                return Err(OutputError::ClosureTooLarge {
                    path: path(),
                    size,
                    limit,
                });
            }
        }
        if let Some(allowed) = &check.allowed_references {
            self.all_among(allowed, &self.output.references)?;
        }
        if let Some(allowed) = &check.allowed_requisites {
            self.all_among(allowed, &self.requisites(check)?)?;
        }
        if !check.disallowed_references.is_empty() {
            self.none_among(&check.disallowed_references, &self.output.references)?;
        }
        if !check.disallowed_requisites.is_empty() {
            self.none_among(&check.disallowed_requisites, &self.requisites(check)?)?;
        }
        Ok(())
    }

    fn all_among(
        &self,
        allowed: &BTreeSet<Reference>,
        used: &BTreeSet<StorePath>,
    ) -> Result<(), OutputError> {
        let allowed = self.paths(allowed)?;
        self.forbidden(used.difference(&allowed))
    }

    fn none_among(
        &self,
        disallowed: &BTreeSet<Reference>,
        used: &BTreeSet<StorePath>,
    ) -> Result<(), OutputError> {
        let disallowed = self.paths(disallowed)?;
        self.forbidden(used.intersection(&disallowed))
    }

    fn forbidden<'a>(&self, paths: impl Iterator<Item = &'a StorePath>) -> Result<(), OutputError> {
        let lines: Vec<String> = paths
            .map(|path| format!("\n  {}", self.case.print(path)))
            .collect();
        let paths = lines.concat();
        if paths.is_empty() {
            return Ok(());
        }
        Err(OutputError::Forbidden {
            output: self.case.print(&self.output.path),
            paths,
        })
    }

    /// What a check names.
    fn paths(&self, named: &BTreeSet<Reference>) -> Result<BTreeSet<StorePath>, OutputError> {
        let path = |reference: &Reference| match reference {
            Reference::Path(path) => Ok(path.clone()),
            Reference::Output(name) | Reference::Placeholder(name) => {
                let output = self.outputs.get(name);
                let output = output.ok_or_else(|| OutputError::NoSuchOutput {
                    derivation: self.case.print(self.case.path),
                    output: self.name.to_owned(),
                    name: name.clone(),
                    valid: self
                        .outputs
                        .keys()
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join(", "),
                })?;
                Ok(output.path.clone())
            }
        };
        named.iter().map(path).collect()
    }

    /// The paths of the output's closure that count.
    fn requisites(&self, check: &OutputCheck) -> Result<BTreeSet<StorePath>, OutputError> {
        let (mut closure, _) = self.closure()?;
        if check.ignore_self_refs {
            closure.remove(&self.output.path);
        }
        Ok(closure)
    }

    /// The paths of the output's closure, and the sum of the sizes of their NARs. Other outputs are part of it that are no
    /// store paths yet.
    fn closure(&self) -> Result<(BTreeSet<StorePath>, u64), OutputError> {
        let outputs = self.outputs.values();
        let outputs: BTreeMap<&StorePath, &BuiltOutput> =
            outputs.map(|output| (&output.path, output)).collect();
        let (mut closure, mut size) = (BTreeSet::new(), 0_u64);
        let mut left = VecDeque::from([self.output.path.clone()]);
        while let Some(path) = left.pop_front() {
            if closure.contains(&path) {
                continue;
            }
            if let Some(output) = outputs.get(&path) {
                size = size.saturating_add(output.nar_size);
                left.extend(output.references.iter().cloned());
            } else {
                let info = self.case.infos.path_info(&path);
                let info = info.map_err(|source| OutputError::Info {
                    path: self.case.print(&path),
                    source,
                })?;
                let not_valid = || OutputError::NotValid(self.case.print(&path));
                let info = info.ok_or_else(not_valid)?;
                size = size.saturating_add(info.nar_size);
                left.extend(info.references.iter().cloned());
            }
            closure.insert(path);
        }
        Ok((closure, size))
    }
}
