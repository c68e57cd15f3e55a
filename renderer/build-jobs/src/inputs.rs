//! The inputs of a build as one closure: a volume's attributes have no room for all of their names. Pure.
//!
//! A text becomes a store path that refers to all inputs, `<name>-inputs`. It is content-addressed, as what `builtins.toFile` makes, so
//! that it needs no signature; and its closure is all that the builder may see. The text says which derivation has which inputs, and
//! what the agent must know of each path: it finds it at `/nix/root`.

use std::collections::{BTreeMap, BTreeSet};

use niphas_api::{ClosureDigest, ClosureError, ClosureLine, ClosureLines};
use nix_builder::plan::Build;
use nix_formats::nar::Writer;
use nix_formats::narinfo::MAX_REFERENCES;
use nix_formats::store_path::MAX_NAME_LEN;
use nix_formats::{
    ContentAddress, ContentAddressMethod, HashAlgorithm, NarHash, NarInfo, StoreDir, StorePath,
};
use serde::{Deserialize, Serialize};

/// The paths of the outputs of derivations, by derivation and name, as [`Plan::outputs`](nix_builder::plan::Plan::outputs) has them.
pub type OutputPaths = BTreeMap<StorePath, BTreeMap<String, StorePath>>;

/// The inputs of each derivation that is built in a pod, without what is built there.
pub type BuildInputs = BTreeMap<StorePath, BTreeSet<StorePath>>;

/// Inputs that cannot be mounted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// The path of an input is known only once it is built.
    #[error(
        "the path of output '{output}' of '{derivation}' is not known: resolve the derivation that needs it first"
    )]
    Unknown {
        /// The derivation.
        derivation: StorePath,
        /// The output.
        output: String,
    },
    /// More than a path can refer to.
    #[error(
        "the build has {0} direct inputs, and at most {MAX_REFERENCES} can be mounted: build some of them together first"
    )]
    TooMany(usize),
    /// Something that is needed is not in the closure.
    #[error("'{0}' is an input, or something that one refers to, and nothing is known of it")]
    Missing(StorePath),
    /// It is no closure.
    #[error(transparent)]
    Closure(#[from] ClosureError),
}

/// The direct inputs of builds that share a pod: sources, and outputs of derivations that are not built there.
pub fn direct_inputs(builds: &[&Build], outputs: &OutputPaths) -> Result<BuildInputs, InputsError> {
    let members: BTreeSet<&StorePath> = builds.iter().map(|build| &build.path).collect();
    let mut all = BuildInputs::new();
    for build in builds {
        let mut inputs = build.derivation.input_sources.clone();
        for (derivation, wanted) in &build.derivation.input_derivations {
            if members.contains(derivation) {
                continue;
            }
            for output in &wanted.names {
                let path = outputs.get(derivation).and_then(|paths| paths.get(output));
                let unknown = || InputsError::Unknown {
                    derivation: derivation.clone(),
                    output: output.clone(),
                };
                inputs.insert(path.ok_or_else(unknown)?.clone());
            }
        }
        all.insert(build.path.clone(), inputs);
    }
    Ok(all)
}

/// What has to be known of a path in the closure of inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputInfo {
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The size of its NAR.
    pub nar_size: u64,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
    /// What its path is made of.
    pub content_address: Option<ContentAddress>,
}

impl From<&NarInfo> for InputInfo {
    fn from(info: &NarInfo) -> Self {
        Self {
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references.clone(),
            content_address: info.ca,
        }
    }
}

/// The path that refers to all inputs of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The path.
    pub path: StorePath,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
    /// Its contents.
    pub text: String,
    /// What its path is made of.
    pub content_address: ContentAddress,
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The size of its NAR.
    pub nar_size: u64,
    /// The digest of its closure: what the pod mounts.
    pub digest: ClosureDigest,
}

const SUFFIX: &str = "-inputs";

impl Inputs {
    /// The path for the inputs of a pod that is named by a derivation; of `infos` those count that are in their closure. None: there are
    /// no inputs, and no volume is needed.
    pub fn new(
        derivation: &StorePath,
        builds: &BuildInputs,
        infos: &BTreeMap<StorePath, InputInfo>,
        store_dir: &StoreDir,
    ) -> Result<Option<Self>, InputsError> {
        let references: BTreeSet<StorePath> = builds.values().flatten().cloned().collect();
        if references.is_empty() {
            return Ok(None);
        }
        if references.len() > MAX_REFERENCES {
            return Err(InputsError::TooMany(references.len()));
        }
        let closure = closure(&references, infos)?;
        let text = InputsText::of(builds, &closure).to_string();
        let name = derivation_name(derivation);
        let name = &name[..name.len().min(MAX_NAME_LEN - SUFFIX.len())];
        let name = format!("{name}{SUFFIX}");
        let path = store_dir.make_text_path(&name, text.as_bytes(), &references);
        let path = path.expect("the name is that of a store path");
        let nar = nar(&text);
        let (nar_hash, nar_size) = (NarHash::of(&nar), nar.len() as u64);
        let line = |(path, info): (&StorePath, &InputInfo)| ClosureLine {
            path: path.clone(),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
        };
        let mut lines: Vec<ClosureLine> = closure.into_iter().map(line).collect();
        lines.push(ClosureLine {
            path: path.clone(),
            nar_hash,
            nar_size,
        });
        Ok(Some(Self {
            digest: ClosureLines::new(lines)?.digest(),
            content_address: ContentAddress {
                method: ContentAddressMethod::Text,
                hash: HashAlgorithm::Sha256.digest(text.as_bytes()),
            },
            path,
            references,
            text,
            nar_hash,
            nar_size,
        }))
    }

    /// Its NAR.
    pub fn nar(&self) -> Vec<u8> {
        nar(&self.text)
    }
}

fn closure<'a>(
    roots: &'a BTreeSet<StorePath>,
    infos: &'a BTreeMap<StorePath, InputInfo>,
) -> Result<BTreeMap<&'a StorePath, &'a InputInfo>, InputsError> {
    let mut closure = BTreeMap::new();
    let mut wanted: Vec<&StorePath> = roots.iter().collect();
    while let Some(path) = wanted.pop() {
        if closure.contains_key(path) {
            continue;
        }
        let info = infos.get(path);
        let info = info.ok_or_else(|| InputsError::Missing(path.clone()))?;
        closure.insert(path, info);
        wanted.extend(&info.references);
    }
    Ok(closure)
}

/// The text that the agent reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputsText {
    /// By the base names of derivations: those of their inputs.
    builds: BTreeMap<String, Vec<String>>,
    /// By base name.
    paths: BTreeMap<String, PathText>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PathText {
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
}

impl InputsText {
    fn of(builds: &BuildInputs, closure: &BTreeMap<&StorePath, &InputInfo>) -> Self {
        let name = |path: &StorePath| path.base_name().to_owned();
        let names = |paths: &BTreeSet<StorePath>| paths.iter().map(name).collect();
        let path = |(path, info): (&&StorePath, &&InputInfo)| {
            let text = PathText {
                nar_hash: info.nar_hash.to_string(),
                nar_size: info.nar_size,
                references: names(&info.references),
                ca: info.content_address.map(|ca| ca.to_string()),
            };
            (name(path), text)
        };
        Self {
            builds: builds
                .iter()
                .map(|(it, inputs)| (name(it), names(inputs)))
                .collect(),
            paths: closure.iter().map(path).collect(),
        }
    }
}

impl std::fmt::Display for InputsText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| std::fmt::Error)?;
        writeln!(f, "{text}")
    }
}

/// A text that does not say what inputs there are.
#[derive(Debug, thiserror::Error)]
pub enum BadInputs {
    /// It is no JSON of that form.
    #[error("it is no list of inputs")]
    Json(#[from] serde_json::Error),
    /// A store path, a hash or a content address in it.
    #[error("it has '{text}' where a {expected} is expected")]
    Part {
        /// What it has.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// The most bytes that are read of such a text.
pub const MAX_TEXT: u64 = 64 << 20;

/// What a text says that [`Inputs`] made: the inputs of each derivation, and what is known of their closure.
pub fn read_inputs(
    text: &[u8],
) -> Result<(BuildInputs, BTreeMap<StorePath, InputInfo>), BadInputs> {
    fn part<T>(text: &str, expected: &'static str, read: Option<T>) -> Result<T, BadInputs> {
        read.ok_or_else(|| BadInputs::Part {
            text: nix_formats::shortened(text, 256).into_owned(),
            expected,
        })
    }
    let path = |text: &String| part(text, "store path", StorePath::from_base_name(text).ok());
    let paths = |names: &[String]| names.iter().map(path).collect::<Result<BTreeSet<_>, _>>();
    let read: InputsText = serde_json::from_slice(text)?;
    let mut builds = BuildInputs::new();
    for (derivation, inputs) in &read.builds {
        builds.insert(path(derivation)?, paths(inputs)?);
    }
    let mut infos = BTreeMap::new();
    for (name, text) in &read.paths {
        let ca = text
            .ca
            .as_ref()
            .map(|ca| part(ca, "content address", ca.parse().ok()));
        let info = InputInfo {
            nar_hash: part(&text.nar_hash, "NAR hash", text.nar_hash.parse().ok())?,
            nar_size: text.nar_size,
            references: paths(&text.references)?,
            content_address: ca.transpose()?,
        };
        infos.insert(path(name)?, info);
    }
    Ok((builds, infos))
}

/// The name of a derivation, without `.drv`.
pub(crate) fn derivation_name(path: &StorePath) -> &str {
    path.name().strip_suffix(".drv").unwrap_or(path.name())
}

fn nar(text: &str) -> Vec<u8> {
    let mut nar = Writer::new(Vec::new());
    let mut write = || {
        nar.begin_file(false, text.len() as u64)?;
        nar.contents(text.as_bytes())?;
        nar.end_file()
    };
    write().expect("memory takes all of it");
    nar.finish().expect("it is a whole file")
}
