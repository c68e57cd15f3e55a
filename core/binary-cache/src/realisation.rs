//! Realisations: which store path an output of a content-addressed derivation became.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use nix_formats::{Hash, HashFormat, Signature, StorePath};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Caches;
use crate::error::FetchError;

/// Larger than any is.
pub(crate) const MAX_SIZE: usize = 1 << 20;

/// An output of a derivation, as Nix names it: `sha256:<hex>!<output>`. The hash is that of the derivation modulo the paths
/// of its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivationOutput {
    hash: Hash,
    output: String,
}

/// A text that names no output.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no output of a derivation, as 'sha256:<hash>!out' is")]
pub struct DerivationOutputError(String);

impl DerivationOutput {
    /// An output of the derivation that has this hash modulo.
    pub fn new(hash: Hash, output: &str) -> Result<Self, DerivationOutputError> {
        nix_formats::check_name(output).map_err(|_| DerivationOutputError(output.to_owned()))?;
        let output = output.to_owned();
        Ok(Self { hash, output })
    }

    /// The file of a cache that says what the output became.
    pub(crate) fn file_name(&self) -> String {
        format!("realisations/{self}.doi")
    }
}

impl FromStr for DerivationOutput {
    type Err = DerivationOutputError;

    fn from_str(text: &str) -> Result<Self, DerivationOutputError> {
        let refused = || DerivationOutputError(text.chars().take(200).collect());
        let (hash, output) = text.split_once('!').ok_or_else(refused)?;
        let hash = Hash::parse_any_prefixed(hash).map_err(|_| refused())?;
        nix_formats::check_name(output).map_err(|_| refused())?;
        let output = output.to_owned();
        Ok(Self { hash, output })
    }
}

impl fmt::Display for DerivationOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.to_string(HashFormat::Base16, true);
        write!(f, "{hash}!{}", self.output)
    }
}

/// What a cache says that an output became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realisation {
    /// The store path.
    pub path: StorePath,
    /// The trusted keys that signed this, as many as the policy wants or more.
    pub signers: Vec<String>,
    /// The cache.
    pub cache: String,
}

/// Why a cache's word on an output is not taken.
#[derive(Debug, Error)]
pub enum RealisationError {
    /// It can't be had.
    #[error("cannot ask {cache} for a realisation")]
    Fetch {
        /// The cache.
        cache: String,
        /// Why.
        source: FetchError,
    },
    /// It is none.
    #[error("the realisation of '{output}' from {cache} is damaged")]
    Malformed {
        /// The output.
        output: String,
        /// The cache.
        cache: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It is another output's.
    #[error("{cache} answers with the realisation of another output than '{output}'")]
    Other {
        /// The output.
        output: String,
        /// The cache.
        cache: String,
    },
    /// Too few trusted keys signed it.
    #[error(
        "{cache} has a realisation of '{output}', but {signed} trusted keys signed it, not {required}"
    )]
    Untrusted {
        /// The output.
        output: String,
        /// The cache.
        cache: String,
        /// How many did.
        signed: usize,
        /// How many must have.
        required: usize,
    },
}

/// The file, its fields in the order in which Nix signs them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct File {
    #[serde(default)]
    dependent_realisations: BTreeMap<String, String>,
    id: String,
    pub(crate) out_path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signatures: Vec<String>,
}

impl File {
    /// What says that an output became a path, without signatures.
    pub(crate) fn new(output: &DerivationOutput, path: &StorePath) -> Self {
        Self {
            dependent_realisations: BTreeMap::new(),
            id: output.to_string(),
            out_path: path.base_name().to_owned(),
            signatures: Vec::new(),
        }
    }

    /// The text that is signed: all but the signatures.
    pub(crate) fn signed_text(&self) -> serde_json::Result<String> {
        let Self {
            dependent_realisations,
            id,
            out_path,
            signatures: _,
        } = self;
        serde_json::to_string(&Self {
            dependent_realisations: dependent_realisations.clone(),
            id: id.clone(),
            out_path: out_path.clone(),
            signatures: Vec::new(),
        })
    }
}

impl Caches {
    /// What an output became, from the first cache that says so in a way that can be believed; `None` if no cache
    /// knows it. The path's contents are another matter, see [`Caches::find`].
    pub async fn realisation(
        &self,
        output: &DerivationOutput,
    ) -> Result<Option<Realisation>, RealisationError> {
        let mut refused = None;
        for index in self.members.order().await {
            match self.realisation_from(index, output).await {
                Ok(Some(realisation)) => return Ok(Some(realisation)),
                Ok(None) => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        refused.map_or(Ok(None), Err)
    }

    async fn realisation_from(
        &self,
        index: usize,
        output: &DerivationOutput,
    ) -> Result<Option<Realisation>, RealisationError> {
        let (cache, id) = (&self.members.caches[index], output.to_string());
        let name = output.file_name();
        let got = cache.transport.get(&name, MAX_SIZE, &self.members.limits);
        let failed = |source| RealisationError::Fetch {
            cache: cache.name.clone(),
            source,
        };
        let Some(bytes) = got.await.map_err(failed)? else {
            return Ok(None);
        };
        let malformed = |source| RealisationError::Malformed {
            output: id.clone(),
            cache: cache.name.clone(),
            source,
        };
        let file: File = serde_json::from_slice(&bytes).map_err(malformed)?;
        if file.id != id {
            return Err(RealisationError::Other {
                output: id,
                cache: cache.name.clone(),
            });
        }
        let path = StorePath::from_base_name(&file.out_path)
            .map_err(|error| malformed(serde::de::Error::custom(nix_formats::chain(&error))))?;
        let signed = file.signed_text().map_err(malformed)?;
        let signatures: Vec<Signature> = file
            .signatures
            .iter()
            .filter_map(|signature| signature.parse().ok())
            .collect();
        let signers = self.policy().signers(signed.as_bytes(), &signatures);
        match signers {
            Ok(signers) => Ok(Some(Realisation {
                path,
                signers,
                cache: cache.name.clone(),
            })),
            Err(signed) => Err(RealisationError::Untrusted {
                output: id,
                cache: cache.name.clone(),
                signed,
                required: self.policy().required().get(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nix_formats::{PublicKey, PublicKeys, StoreDir};

    use super::*;
    use crate::{Limits, SetupError};

    /// By Nix 2.34.8, of a derivation `ca-user` whose output it built and signed.
    const ID: &str = "sha256:4a3fda0fce15851b2f5462d76221f91c77dc016ffabac5799607247fb96c7677!out";
    const FILE: &str = r#"{"dependentRealisations":{},"id":"sha256:4a3fda0fce15851b2f5462d76221f91c77dc016ffabac5799607247fb96c7677!out","outPath":"gnr493k9kcjk3ppjy2kkmh7ffy2lczbv-ca-user","signatures":["ca-1:3XZj+u1lM3jVv1nBJSpkaTqj2Q03sauX8UYnLsq6bRCOEQHSIjNtOWwjyBe59pD3JWtk2RKuRqQmOImWGXqXBw=="]}"#;
    const KEY: &str = "ca-1:b7HBVqAkX57QzV1NBd9txlWwyg3zAbJptaJPcbi9nYM=";

    fn caches(folder: &Path, keys: &[&str]) -> Result<Caches, SetupError> {
        let url = format!("file://{}", folder.display()).parse()?;
        let keys = keys.iter().map(|key| key.parse::<PublicKey>());
        let keys: PublicKeys = keys.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
        Caches::new(StoreDir::default(), [url], keys, Limits::default())
    }

    #[tokio::test]
    async fn what_nix_signed_is_believed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("realisations/{ID}.doi"));
        std::fs::create_dir(folder.path().join("realisations")).unwrap();
        std::fs::write(
            folder.path().join("nix-cache-info"),
            "StoreDir: /nix/store\n",
        )
        .unwrap();
        let output: DerivationOutput = ID.parse().unwrap();
        let with_key = caches(folder.path(), &[KEY]).unwrap();
        assert!(with_key.realisation(&output).await.unwrap().is_none());

        std::fs::write(&file, FILE).unwrap();
        let found = with_key.realisation(&output).await.unwrap().unwrap();
        assert_eq!(
            (found.path.name(), found.signers),
            ("ca-user", vec!["ca-1".to_owned()])
        );
        let without = caches(folder.path(), &[]).unwrap();
        let told = async |caches: &Caches| {
            nix_formats::chain(&caches.realisation(&output).await.unwrap_err())
        };
        assert!(
            told(&without)
                .await
                .contains("but 0 trusted keys signed it, not 1")
        );
        for (from, to, why) in [
            (
                "gnr493k9",
                "anr493k9",
                "but 0 trusted keys signed it, not 1",
            ),
            (
                "sha256:4a",
                "sha256:5a",
                "the realisation of another output",
            ),
            ("gnr493k9", "../493k9", "is damaged"),
            ("}", "", "is damaged"),
        ] {
            std::fs::write(&file, FILE.replace(from, to)).unwrap();
            let told = told(&with_key).await;
            assert!(told.contains(why), "{from}: {told}");
        }
        for text in [
            "",
            "!",
            "sha256:4a!out",
            "sha256:4a3f",
            "x!out",
            &ID.replace("!out", "!../x"),
        ] {
            assert!(text.parse::<DerivationOutput>().is_err(), "{text}");
        }
    }
}
