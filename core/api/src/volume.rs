//! The attributes of the CSI volume that carries a closure into a pod.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nix_formats::{StorePath, few, shortened};

use crate::closure::{ClosureDigest, ClosureError};
use crate::roots::{BadRoot, Roots};
use crate::workload::{Closure, System};

/// What the names of all attributes for the driver start with.
const OURS: &str = "niphas.io/";
const ROOTS: &str = "niphas.io/roots.";
const DIGEST: &str = "niphas.io/digest.";

/// CSI's limit for a map is 4 KiB. kubelet adds the pod's name, namespace, UID and service account
/// to the driver's map, which may take up to 1 KiB.
const LIMIT: usize = 3 * 1024;

/// Bytes of all names and values together that are read, kubelet's among them. CSI allows 4 KiB, which kubelet does not
/// enforce.
const MAX_BYTES: usize = 16 << 10;

/// Roots of one closure, as many as a NiphasWorkload may have.
const MAX_ROOTS: usize = 64;

/// What the attribute of roots is read of: each root, and once more each that has a name, of which a NiphasWorkload may have 32.
const MAX_WORDS: usize = MAX_ROOTS + 32;

/// Why a workload's closures don't fit into a volume's attributes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeAttributesError {
    /// CSI caps the map.
    #[error(
        "{roots} roots take {size} bytes of volume attributes, of which CSI leaves {LIMIT}; \
         let the program refer to some of them itself (wrap it), so that they need not be roots"
    )]
    TooLarge {
        /// The number of roots of all closures.
        roots: usize,
        /// The size of all keys and values in bytes.
        size: usize,
    },
    /// There is none to realise.
    #[error("the closure for {0} has no root")]
    NoRoots(System),
}

/// The volume attributes for a workload's closures: for each system `niphas.io/roots.<system>`, the
/// base names of its roots separated by spaces, the program's first, `<name>=` before those that have a
/// name in the view, and `niphas.io/digest.<system>`.
/// [`VolumeAttributes::parse`] reads them.
///
/// They are part of the pod template, so a changed closure rolls out.
pub fn volume_attributes(
    closures: &[Closure],
) -> Result<BTreeMap<String, String>, VolumeAttributesError> {
    let mut attributes = BTreeMap::new();
    for closure in closures {
        let paths: Vec<StorePath> = closure
            .roots
            .iter()
            .map(|root| root.path().clone())
            .collect();
        let roots = Roots::try_from(paths)
            .map_err(|_| VolumeAttributesError::NoRoots(closure.system.clone()))?;
        let names = closure.names.iter();
        let names = names.map(|(name, root)| (name.clone(), root.path().clone()));
        let roots = roots.with_names(names.collect());
        attributes.extend(encode(&closure.system, &roots, &closure.digest));
    }
    let size = attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > LIMIT {
        let roots = closures.iter().map(|closure| closure.roots.len()).sum();
        return Err(VolumeAttributesError::TooLarge { roots, size });
    }
    Ok(attributes)
}

fn encode(system: &System, roots: &Roots, digest: &ClosureDigest) -> [(String, String); 2] {
    [
        (format!("{ROOTS}{system}"), roots.texts().join(" ")),
        (format!("{DIGEST}{system}"), digest.to_string()),
    ]
}

/// Attributes that do not ask for a closure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVolumeAttributes {
    /// More than is read.
    #[error(
        "the volume's attributes have {0} bytes, and at most {MAX_BYTES} are allowed: name fewer roots"
    )]
    TooLarge(usize),
    /// More than are looked up.
    #[error("{0} names more than {MAX_ROOTS} roots: let the program refer to some of them itself")]
    TooManyRoots(String),
    /// Nothing of ours.
    #[error(
        "the volume names no closure: expected the attributes niphas.io/roots.<system> and niphas.io/digest.<system>"
    )]
    Missing,
    /// A closure for other systems only.
    #[error(
        "the volume has closures for {}, and none for this node, which is {system}: \
         add {system} to the systems of the environment, or keep the pod off such nodes", few(.offered)
    )]
    OtherSystem {
        /// This node's.
        system: System,
        /// The volume's.
        offered: Vec<String>,
    },
    /// One of the two is there.
    #[error("the volume has {has} but not {lacks}: both come from one rendering")]
    Half {
        /// What is there.
        has: String,
        /// What is not.
        lacks: String,
    },
    /// No root in the list.
    #[error("{0} names no store path")]
    NoRoots(String),
    /// A root is no store path's base name.
    #[error("{attribute} has '{text}', which is no base name of a store path")]
    Root {
        /// The attribute.
        attribute: String,
        /// The part that is wrong.
        text: String,
        /// Why.
        source: BadRoot,
    },
    /// Not a digest.
    #[error("{attribute} is no closure digest")]
    Digest {
        /// The attribute.
        attribute: String,
        /// Why.
        source: ClosureError,
    },
    /// Something of ours that this version does not know.
    #[error(
        "volume attribute '{0}' is not known to this driver: it is misspelt, or the driver is older than what wrote it"
    )]
    Unknown(String),
}

/// What is wrong, as an error names it: an attribute may be long.
fn named(text: &str) -> String {
    shortened(text, 256).into_owned()
}

/// The closure that a volume's attributes name for one system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumeAttributes {
    /// The closure's roots, the program's first.
    pub roots: Roots,
    /// What the closure must be.
    pub digest: ClosureDigest,
}

impl VolumeAttributes {
    /// The attributes' names and values, as [`parse`](Self::parse) reads them for this system.
    pub fn encode(&self, system: &System) -> [(String, String); 2] {
        encode(system, &self.roots, &self.digest)
    }

    /// Reads the attributes for a node's system. Other attributes than niphas' own may stand beside them, and those for other
    /// systems are not looked into; what is read is bounded before.
    pub fn parse(
        attributes: &HashMap<String, String>,
        system: &System,
    ) -> Result<Self, BadVolumeAttributes> {
        let sizes = attributes
            .iter()
            .map(|(name, value)| name.len() + value.len());
        let size = sizes.sum();
        if size > MAX_BYTES {
            return Err(BadVolumeAttributes::TooLarge(size));
        }
        let mut offered = BTreeSet::new();
        for name in attributes.keys().filter(|name| name.starts_with(OURS)) {
            let of = name
                .strip_prefix(ROOTS)
                .or_else(|| name.strip_prefix(DIGEST))
                .ok_or_else(|| BadVolumeAttributes::Unknown(named(name)))?;
            offered.insert(of);
        }
        let (roots_name, digest_name) = (format!("{ROOTS}{system}"), format!("{DIGEST}{system}"));
        let (roots, digest) = match (attributes.get(&roots_name), attributes.get(&digest_name)) {
            (Some(roots), Some(digest)) => (roots, digest),
            (Some(_), None) => {
                return Err(BadVolumeAttributes::Half {
                    has: roots_name,
                    lacks: digest_name,
                });
            }
            (None, Some(_)) => {
                return Err(BadVolumeAttributes::Half {
                    has: digest_name,
                    lacks: roots_name,
                });
            }
            (None, None) if offered.is_empty() => return Err(BadVolumeAttributes::Missing),
            (None, None) => {
                return Err(BadVolumeAttributes::OtherSystem {
                    system: system.clone(),
                    offered: offered.into_iter().map(named).collect(),
                });
            }
        };
        let roots = parse_roots(roots, roots_name)?;
        let digest = digest
            .parse()
            .map_err(|source| BadVolumeAttributes::Digest {
                attribute: digest_name,
                source,
            })?;
        Ok(Self { roots, digest })
    }
}

fn parse_roots(text: &str, attribute: String) -> Result<Roots, BadVolumeAttributes> {
    if text.split_ascii_whitespace().nth(MAX_WORDS).is_some() {
        return Err(BadVolumeAttributes::TooManyRoots(attribute));
    }
    match Roots::parse(text.split_ascii_whitespace()) {
        Ok(roots) if roots.count() > MAX_ROOTS => Err(BadVolumeAttributes::TooManyRoots(attribute)),
        Ok(roots) => Ok(roots),
        Err((_, BadRoot::NoRoots(_))) => Err(BadVolumeAttributes::NoRoots(attribute)),
        Err((text, source)) => Err(BadVolumeAttributes::Root {
            attribute,
            text: named(text),
            source,
        }),
    }
}

#[cfg(test)]
mod tests;
