//! What the service knows of a build.

use std::collections::BTreeMap;

use binary_cache::DerivationOutput;
use nix_builder::options::{Options, OptionsError};
use nix_formats::derivation::DerivationError;
use nix_formats::store_path::StorePathError;
use nix_formats::{Derivation, StoreDir, StorePath};
use thiserror::Error;

use crate::protocol::{BuildName, BuildRequest, BuildSettings};

/// A build, as the service that had it made knows it.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    path: StorePath,
    aterm: Vec<u8>,
    derivation: Derivation,
    options: Options,
    /// All that it needs: the paths of its sources, and of the outputs of the derivations that it names. What these refer to need
    /// not be listed.
    pub inputs: Vec<StorePath>,
    /// How it is built.
    pub settings: BuildSettings,
    /// Builds of the same pod that come before.
    pub built_with: Vec<BuildName>,
    /// The derivations under which caches keep its log: its own, and the one that it was resolved from.
    pub logs: Vec<StorePath>,
    /// What build traces call its outputs, by name, if it is content-addressed.
    pub traces: BTreeMap<String, Vec<DerivationOutput>>,
}

/// Why a text is no derivation that can be built.
#[derive(Debug, Error)]
pub enum SpecError {
    /// It is none.
    #[error("failed to read the derivation '{path}'")]
    Derivation {
        /// Its path.
        path: StorePath,
        /// Why.
        #[source]
        source: DerivationError,
    },
    /// It has no path.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// It has another path.
    #[error("the derivation has the path '{actual}', not '{said}'")]
    OtherPath {
        /// Its path.
        actual: StorePath,
        /// What was said.
        said: StorePath,
    },
    /// It asks for what there is not.
    #[error("failed to read what the derivation '{path}' asks for")]
    Options {
        /// Its path.
        path: StorePath,
        /// Why.
        #[source]
        source: OptionsError,
    },
}

impl BuildSpec {
    /// That of a derivation, of which this is the path and the text. Its log is kept under its own name.
    pub fn new(
        store_dir: &StoreDir,
        path: StorePath,
        aterm: Vec<u8>,
        inputs: Vec<StorePath>,
        settings: BuildSettings,
    ) -> Result<Self, SpecError> {
        let name = path.name().strip_suffix(".drv").unwrap_or_default();
        let failed = |source| SpecError::Derivation {
            path: path.clone(),
            source,
        };
        let derivation = Derivation::parse_aterm(store_dir, name, &aterm).map_err(failed)?;
        derivation.kind().map_err(failed)?;
        let actual = derivation.store_path(store_dir, &aterm)?;
        if actual != path {
            return Err(SpecError::OtherPath { actual, said: path });
        }
        let options = Options::of(&derivation, store_dir).map_err(|source| SpecError::Options {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            logs: vec![path.clone()],
            path,
            aterm,
            derivation,
            options,
            inputs,
            settings,
            built_with: Vec::new(),
            traces: BTreeMap::new(),
        })
    }

    /// The path of the derivation.
    pub fn path(&self) -> &StorePath {
        &self.path
    }

    /// The derivation.
    pub fn derivation(&self) -> &Derivation {
        &self.derivation
    }

    /// What it asks for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What a pod is asked to do.
    pub(super) fn request(&self) -> BuildRequest {
        BuildRequest {
            derivation: self.path.clone(),
            aterm: self.aterm.clone(),
            built_with: self.built_with.clone(),
            settings: self.settings.clone(),
        }
    }
}
