//! What a flake.nix declares, outputs aside.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::attrs::Attrs;
use crate::error::FlakeError;
use crate::fetch::Fetched;
use crate::flake_ref::FlakeRef;
use crate::input_path::InputPath;

/// What a flake.nix declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlakeDecl {
    /// `description`
    pub description: Option<String>,
    /// `inputs`, and those that only the arguments of `outputs` name; `self` aside.
    pub inputs: BTreeMap<String, InputDecl>,
    /// `inputs.self`: how to fetch the flake itself.
    pub self_attrs: Attrs,
}

/// An input as flake.nix has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputDecl {
    /// Where it is. None stands for the registry's entry of its name.
    pub reference: Option<FlakeRef>,
    /// Whether it is a flake.
    pub is_flake: bool,
    /// Which other input it has to be the same as: in flake.nix relative to the flake.
    pub follows: Option<InputPath>,
    /// What its own inputs become instead.
    pub overrides: BTreeMap<String, InputDecl>,
}

impl Default for InputDecl {
    fn default() -> Self {
        Self {
            reference: None,
            is_flake: true,
            follows: None,
            overrides: BTreeMap::new(),
        }
    }
}

impl InputDecl {
    /// An input at this place.
    pub fn at(reference: FlakeRef) -> Self {
        Self {
            reference: Some(reference),
            ..Self::default()
        }
    }

    /// The same with what it follows made relative to the top flake.
    pub(crate) fn below(&self, flake: &InputPath) -> Self {
        Self {
            reference: self.reference.clone(),
            is_flake: self.is_flake,
            follows: self.follows.as_ref().map(|follows| flake.join(follows)),
            overrides: below(&self.overrides, flake),
        }
    }
}

pub(crate) fn below(
    inputs: &BTreeMap<String, InputDecl>,
    flake: &InputPath,
) -> BTreeMap<String, InputDecl> {
    inputs
        .iter()
        .map(|(name, input)| (name.clone(), input.below(flake)))
        .collect()
}

/// A folder of a fetched tree.
#[derive(Debug, Clone)]
pub struct Place {
    /// The tree.
    pub fetched: Fetched,
    /// The folder within it; empty for its root.
    pub dir: String,
}

impl Place {
    pub(crate) fn new(fetched: Fetched, dir: &str) -> Result<Self, FlakeError> {
        let root = Self {
            fetched,
            dir: String::new(),
        };
        root.join(dir)
    }

    /// The folder `path` of this one, which must not lead out of the tree.
    pub(crate) fn join(&self, path: &str) -> Result<Self, FlakeError> {
        let mut dir = PathBuf::from(&self.dir);
        for component in Path::new(path).components() {
            match component {
                Component::Normal(name) => dir.push(name),
                Component::ParentDir if !dir.pop() => {
                    return Err(FlakeError::OutsideTree {
                        path: path.to_owned(),
                        input: self.fetched.input.to_string(),
                        parent: self.fetched.tree.root().display().to_string(),
                    });
                }
                _ => {}
            }
        }
        Ok(Self {
            fetched: self.fetched.clone(),
            dir: dir
                .into_os_string()
                .into_string()
                .map_err(|dir| FlakeError::FileName(dir.into()))?,
        })
    }

    /// The path of `file` in this folder, from the tree's root.
    pub fn file(&self, file: &str) -> PathBuf {
        Path::new(&self.dir).join(file)
    }
}

/// A flake that was fetched and whose flake.nix was read.
#[derive(Debug, Clone)]
pub struct Flake {
    /// As it was asked for.
    pub original: FlakeRef,
    /// As the registries have it.
    pub resolved: FlakeRef,
    /// With all that the fetch found out.
    pub locked: FlakeRef,
    /// Where its flake.nix is.
    pub place: Place,
    /// What it declares.
    pub decl: FlakeDecl,
}

/// Reads the flake.nix in a folder of a tree.
pub type ReadFlake<'a> =
    dyn Fn(&Place) -> Result<FlakeDecl, Box<dyn std::error::Error + Send + Sync>> + 'a;
