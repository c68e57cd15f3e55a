//! Placeholders: strings that stand for output paths which are not known yet,
//! and are replaced before the build.

use crate::hash::{Hash, HashAlgorithm, HashFormat, compress_hash};
use crate::nix32;
use crate::store_path::{StorePath, output_path_name};

/// What `builtins.placeholder` gives: stands for the derivation's own output.
pub fn hash_placeholder(output: &str) -> String {
    Placeholder(HashAlgorithm::Sha256.digest(format!("nix-output:{output}").as_bytes())).render()
}

/// Stands for an output of another derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placeholder(Hash);

impl Placeholder {
    /// For an output that is content-addressed, of a derivation that is known.
    pub fn unknown_ca_output(derivation: &StorePath, output: &str) -> Self {
        let name = derivation
            .name()
            .strip_suffix(".drv")
            .unwrap_or(derivation.name());
        let text = format!(
            "nix-upstream-output:{}:{}",
            derivation.hash_part(),
            output_path_name(name, output)
        );
        Self(HashAlgorithm::Sha256.digest(text.as_bytes()))
    }

    /// For an output of a derivation that is itself an output, which `self`
    /// stands for.
    #[must_use]
    pub fn unknown_derivation(&self, output: &str) -> Self {
        let compressed = nix32::encode(&compress_hash::<20>(self.0.as_bytes()));
        let text = format!("nix-computed-output:{compressed}:{output}");
        Self(HashAlgorithm::Sha256.digest(text.as_bytes()))
    }

    /// The string.
    pub fn render(&self) -> String {
        format!("/{}", self.0.to_string(HashFormat::Nix32, false))
    }
}
