//! What this machine can build.

use std::collections::BTreeSet;
use std::fmt;

use nix_formats::derivation::DerivationKind;
use nix_formats::{Derivation, StoreDir, StorePath};

/// What this machine can build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its system, `x86_64-linux` and the like.
    pub system: String,
    /// Other systems whose programs run here.
    pub extra_systems: BTreeSet<String>,
    /// What derivations may ask for by `requiredSystemFeatures`.
    pub features: BTreeSet<String>,
}

/// Why this machine cannot build a derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The system that it is for, if that is another one, and this machine's.
    pub system: Option<(String, String)>,
    /// The features that it asks for, if not all are there, and this machine's.
    pub features: Option<(BTreeSet<String>, BTreeSet<String>)>,
}

/// The feature that derivations ask for whose outputs' paths are known after they are built.
const CONTENT_ADDRESSED: &str = "ca-derivations";

impl Machine {
    /// Why a derivation, which asks for these features, cannot be built here.
    pub fn rejects(
        &self,
        derivation: &Derivation,
        features: impl IntoIterator<Item = String>,
    ) -> Option<Rejection> {
        let platform = String::from_utf8_lossy(&derivation.platform);
        let is_foreign = platform != self.system
            && !self.extra_systems.contains(&*platform)
            && !derivation.builder.starts_with(b"builtin:");
        let mut required: BTreeSet<String> = features.into_iter().collect();
        let has_unknown_paths = !matches!(
            derivation.kind(),
            Ok(DerivationKind::InputAddressed | DerivationKind::FixedOutput)
        );
        if has_unknown_paths {
            required.insert(CONTENT_ADDRESSED.to_owned());
        }
        let rejection = Rejection {
            system: is_foreign.then(|| (platform.into_owned(), self.system.clone())),
            features: (!required.is_subset(&self.features))
                .then(|| (required, self.features.clone())),
        };
        (rejection.system.is_some() || rejection.features.is_some()).then_some(rejection)
    }
}

impl Rejection {
    /// Nix's message for a derivation.
    pub fn message(&self, store_dir: &StoreDir, derivation: &StorePath) -> String {
        format!("Cannot build '{}'.{self}", store_dir.print(derivation))
    }
}

/// The reasons, each on lines of its own.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((required, current)) = &self.system {
            write!(
                f,
                "\nReason: platform mismatch\nRequired system: '{required}'\nCurrent system: '{current}'"
            )?;
        }
        if let Some((required, available)) = &self.features {
            let list = |features: &BTreeSet<String>| {
                let names: Vec<&str> = features.iter().map(String::as_str).collect();
                names.join(", ")
            };
            write!(
                f,
                "\nReason: missing system features\nRequired features: {{{}}}\nAvailable features: {{{}}}",
                list(required),
                list(available)
            )?;
        }
        Ok(())
    }
}
