//! `exportReferencesGraph`: what a builder learns about the closures of its inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nix_formats::{ContentAddress, NarHash, StoreDir, StorePath};

use super::{Build, EnvironmentError};
use crate::json::{Json, Object};
use crate::options::GraphRoot;

/// What a store knows about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The size of its NAR in bytes.
    pub nar_size: u64,
    /// What it refers to, itself included if it does.
    pub references: BTreeSet<StorePath>,
    /// What its path was made of, if it is content-addressed.
    pub content_address: Option<ContentAddress>,
}

/// Knows store paths.
pub trait PathInfos: Send + Sync {
    /// What is known about a path. None: it is not there.
    fn path_info(
        &self,
        path: &StorePath,
    ) -> Result<Option<Arc<PathInfo>>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Paths with all that they refer to.
pub(super) struct Graph(BTreeMap<StorePath, Arc<PathInfo>>);

impl Graph {
    /// The closure of some inputs, and of the outputs of the derivations in it.
    pub(super) fn of(
        build: &Build<'_>,
        roots: &BTreeSet<GraphRoot>,
    ) -> Result<Self, EnvironmentError> {
        let mut graph = Self(BTreeMap::new());
        for root in roots {
            match root {
                GraphRoot::Path(path) if build.inputs.contains(path) => {
                    graph.add(build, path.clone())?;
                }
                GraphRoot::Path(path) => {
                    return Err(EnvironmentError::NotAnInput(build.store_dir.print(path)));
                }
                GraphRoot::Placeholder(text) => {
                    return Err(EnvironmentError::Unresolved(text.clone()));
                }
            }
        }
        let derivations: Vec<_> = graph
            .0
            .keys()
            .filter(|path| path.is_derivation())
            .cloned()
            .collect();
        for path in derivations {
            let derivation = build.derivations.derivation(&path)?;
            let derivation = derivation
                .ok_or_else(|| EnvironmentError::NotValid(build.store_dir.print(&path)))?;
            for (name, output) in &derivation.outputs {
                let path = output.path(build.store_dir, &derivation.name, name);
                let path = path.map_err(nix_formats::derivation::DerivationError::from)?;
                graph.add(build, path.ok_or(EnvironmentError::ContentAddressedGraph)?)?;
            }
        }
        Ok(graph)
    }

    /// Adds a path with all that it refers to.
    fn add(&mut self, build: &Build<'_>, path: StorePath) -> Result<(), EnvironmentError> {
        let mut left = vec![path];
        while let Some(path) = left.pop() {
            if self.0.contains_key(&path) {
                continue;
            }
            let printed = || build.store_dir.print(&path);
            let info = build.infos.path_info(&path);
            let info = info.map_err(|source| EnvironmentError::PathInfo {
                path: printed(),
                source,
            })?;
            let info = info.ok_or_else(|| EnvironmentError::NotValid(printed()))?;
            left.extend(info.references.iter().cloned());
            self.0.insert(path, info);
        }
        Ok(())
    }

    /// In the format that `nix-store --register-validity` reads, without derivers and hashes.
    pub(super) fn registration(&self, store_dir: &StoreDir) -> Vec<u8> {
        let mut out = Vec::new();
        for (path, info) in &self.0 {
            store_dir.print_to(path, &mut out);
            out.extend_from_slice(format!("\n\n{}\n", info.references.len()).as_bytes());
            for reference in &info.references {
                store_dir.print_to(reference, &mut out);
                out.push(b'\n');
            }
        }
        out
    }

    /// As structured attributes have it.
    pub(super) fn json(&self, store_dir: &StoreDir) -> Json {
        let sizes = self.closure_sizes();
        let paths = self.0.iter().zip(sizes);
        let paths = paths.map(|((path, info), closure_size)| {
            let references = info
                .references
                .iter()
                .map(|path| Json::String(store_dir.print(path)));
            let mut object: Object = [
                ("closureSize", Json::Unsigned(closure_size)),
                ("narHash", Json::String(info.nar_hash.to_string())),
                ("narSize", Json::Unsigned(info.nar_size)),
                ("path", Json::String(store_dir.print(path))),
                ("references", Json::Array(references.collect())),
                ("valid", Json::Boolean(true)),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
            if let Some(ca) = &info.content_address {
                object.insert("ca".to_owned(), Json::String(ca.to_string()));
            }
            Json::Object(object)
        });
        Json::Array(paths.collect())
    }

    /// The sum of the sizes of each path's closure, in the order of the paths.
    fn closure_sizes(&self) -> Vec<u64> {
        let index: BTreeMap<_, _> = self.0.keys().zip(0usize..).collect();
        let infos: Vec<_> = self.0.values().collect();
        let references: Vec<Vec<usize>> = infos
            .iter()
            .map(|info| {
                info.references
                    .iter()
                    .filter_map(|path| index.get(path).copied())
                    .collect()
            })
            .collect();
        let mut seen_by = vec![usize::MAX; infos.len()];
        (0..infos.len())
            .map(|root| {
                let mut left = vec![root];
                let mut size = 0u64;
                while let Some(path) = left.pop() {
                    if seen_by[path] == root {
                        continue;
                    }
                    seen_by[path] = root;
                    size = size.wrapping_add(infos[path].nar_size);
                    left.extend(
                        references[path]
                            .iter()
                            .filter(|path| seen_by[**path] != root),
                    );
                }
                size
            })
            .collect()
    }
}
