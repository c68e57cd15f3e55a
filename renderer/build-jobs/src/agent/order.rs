//! What is asked of the agent: derivations, and their inputs. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use niphas_cache_service::protocol::BuildRequest;
use nix_formats::derivation::DerivationError;
use nix_formats::store_path::StorePathError;
use nix_formats::{Derivation, StoreDir, StorePath};
use thiserror::Error;

use crate::inputs::{BuildInputs, derivation_name};

/// An order that cannot be carried out.
#[derive(Debug, Error)]
pub(super) enum OrderError {
    /// A derivation is none.
    #[error("failed to read the derivation '{path}'")]
    Derivation {
        /// Its path.
        path: StorePath,
        /// Why.
        #[source]
        source: DerivationError,
    },
    /// A derivation has no path.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// A derivation is another one than it is said to be.
    #[error("the derivation that is asked for is '{asked}', and its text is that of '{found}'")]
    Other {
        /// That is asked for.
        asked: StorePath,
        /// That was given.
        found: StorePath,
    },
    /// A derivation has inputs of which nothing is mounted.
    #[error("the inputs of '{0}' are not mounted")]
    NoInputs(StorePath),
    /// An input of a derivation is not among those that are mounted for it.
    #[error("'{input}' is an input of '{derivation}', and is not mounted for it")]
    NoInput {
        /// The derivation.
        derivation: StorePath,
        /// The input.
        input: StorePath,
    },
}

/// The derivations that are built in this pod, as ones whose inputs are there: an output of a derivation that is not built here becomes
/// a source, so that nothing has to be known of how it came about.
pub(super) fn derivations(
    requests: &[BuildRequest],
    inputs: &BuildInputs,
    store_dir: &StoreDir,
) -> Result<BTreeMap<StorePath, Arc<Derivation>>, OrderError> {
    let here: BTreeSet<&StorePath> = requests.iter().map(|it| &it.derivation).collect();
    let mut derivations = BTreeMap::new();
    for request in requests {
        let path = &request.derivation;
        let read = Derivation::parse_aterm(store_dir, derivation_name(path), &request.aterm);
        let mut derivation = read.map_err(|source| OrderError::Derivation {
            path: path.clone(),
            source,
        })?;
        let found = derivation.store_path(store_dir, &request.aterm)?;
        if found != *path {
            return Err(OrderError::Other {
                asked: path.clone(),
                found,
            });
        }
        let before = derivation.input_derivations.len();
        derivation
            .input_derivations
            .retain(|it, _| here.contains(it));
        let is_all_here = derivation.input_derivations.len() == before;
        match inputs.get(path) {
            Some(inputs) => {
                let mut sources = derivation.input_sources.iter();
                if let Some(missing) = sources.find(|it| !inputs.contains(*it)) {
                    return Err(OrderError::NoInput {
                        derivation: path.clone(),
                        input: missing.clone(),
                    });
                }
                derivation.input_sources.extend(inputs.iter().cloned());
            }
            None if is_all_here && derivation.input_sources.is_empty() => {}
            None => return Err(OrderError::NoInputs(path.clone())),
        }
        derivations.insert(path.clone(), Arc::new(derivation));
    }
    Ok(derivations)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use niphas_cache_service::protocol::BuildSettings;

    use super::*;

    fn request(derivation: &mut Derivation) -> BuildRequest {
        let done = derivation.instantiate(&StoreDir::default(), |_| Err(DerivationError::NoOutput));
        let done = done.unwrap();
        BuildRequest {
            derivation: done.path,
            aterm: done.aterm,
            built_with: Vec::new(),
            settings: BuildSettings {
                timeout: Duration::from_mins(1),
                max_silent_time: Duration::ZERO,
                max_log_size: 1000,
                cores: 1,
                systems: vec!["x86_64-linux".to_owned()],
            },
        }
    }

    fn derivation(name: &str) -> Derivation {
        Derivation {
            name: name.to_owned(),
            outputs: [("out".to_owned(), nix_formats::DerivationOutput::Deferred)].into(),
            platform: b"x86_64-linux".to_vec(),
            builder: b"/bin/sh".to_vec(),
            ..Derivation::default()
        }
    }

    fn path(name: &str) -> StorePath {
        StorePath::from_base_name(format!("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-{name}")).unwrap()
    }

    #[test]
    fn what_is_not_built_here_is_a_source() {
        let store_dir = StoreDir::default();
        let member = request(&mut derivation("member"));
        // As a derivation whose outputs are known has it.
        let mut text = derivation("x");
        let out = || BTreeSet::from(["out".to_owned()]).into();
        text.outputs.insert(
            "out".to_owned(),
            nix_formats::DerivationOutput::InputAddressed(path("x")),
        );
        text.input_derivations =
            [(path("lib.drv"), out()), (member.derivation.clone(), out())].into();
        text.input_sources = [path("source")].into();
        let aterm = text.to_aterm(&store_dir).unwrap();
        let x = BuildRequest {
            derivation: text.store_path(&store_dir, &aterm).unwrap(),
            aterm,
            ..member.clone()
        };
        let inputs = [
            (x.derivation.clone(), [path("lib"), path("source")].into()),
            (member.derivation.clone(), BTreeSet::new()),
        ]
        .into();
        let requests = [member.clone(), x.clone()];
        let read = derivations(&requests, &inputs, &store_dir).unwrap();
        let x = &read[&x.derivation];
        assert_eq!(x.input_sources, [path("lib"), path("source")].into());
        assert_eq!(
            x.input_derivations.keys().collect::<Vec<_>>(),
            [&member.derivation]
        );
        let error = derivations(&requests, &BuildInputs::new(), &store_dir).unwrap_err();
        assert!(matches!(error, OrderError::NoInputs(_)), "{error}");
    }

    #[test]
    fn a_text_of_another_derivation_is_refused() {
        let (one, other) = (
            request(&mut derivation("one")),
            request(&mut derivation("other")),
        );
        let swapped = BuildRequest {
            aterm: other.aterm.clone(),
            ..one.clone()
        };
        let error = derivations(&[swapped], &BuildInputs::new(), &StoreDir::default());
        assert!(matches!(error, Err(OrderError::Other { .. })));
        let none = BuildRequest {
            aterm: b"Derive(".to_vec(),
            ..one
        };
        let error = derivations(&[none], &BuildInputs::new(), &StoreDir::default());
        assert!(matches!(error, Err(OrderError::Derivation { .. })));
    }
}
