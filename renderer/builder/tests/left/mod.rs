//! Builds whose builder ran here, without a sandbox, in a folder that is not the store.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use niphas_store::Store;
use nix_builder::environment::{PathInfo, PathInfos, scratch_paths};
use nix_builder::options::Options;
use nix_builder::outputs::{Build, Finished, Left};
use nix_formats::derivation::hash_placeholder;
use nix_formats::{Derivation, Hash, HashAlgorithm, NarHash, StoreDir, StorePath};
use serde_json::Value;

/// A derivation, and what is known of its inputs.
pub(crate) struct Case {
    pub(crate) path: StorePath,
    pub(crate) derivation: Derivation,
    pub(crate) scratch: BTreeMap<String, StorePath>,
    /// Makes the outputs at `$D_NAME`.
    pub(crate) script: String,
    inputs: BTreeMap<StorePath, Arc<PathInfo>>,
}

impl Case {
    /// A case as ci/build-outputs writes it.
    pub(crate) fn of(name: &str, value: &Value) -> Self {
        let store_dir = StoreDir::default();
        let path = |value: &Value| store_dir.parse(value.as_str().unwrap()).unwrap();
        let text = value["derivation"].as_str().unwrap();
        let derivation = Derivation::parse_aterm(&store_dir, name, text.as_bytes()).unwrap();
        let inputs = value["inputs"].as_object().unwrap().iter();
        let inputs = inputs.map(|(input, known)| {
            let text = known["narHash"].as_str().unwrap();
            let hash = Hash::parse_any(text, Some(HashAlgorithm::Sha256)).unwrap();
            let info = PathInfo {
                nar_hash: NarHash::try_from(hash).unwrap(),
                nar_size: known["narSize"].as_u64().unwrap(),
                references: known["references"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(path)
                    .collect(),
                content_address: None,
            };
            (store_dir.parse(input).unwrap(), Arc::new(info))
        });
        Self::new(path(&value["path"]), derivation, inputs.collect())
    }

    /// The script is the derivation's second argument.
    pub(crate) fn new(
        path: StorePath,
        derivation: Derivation,
        inputs: BTreeMap<StorePath, Arc<PathInfo>>,
    ) -> Self {
        let store_dir = StoreDir::default();
        let scratch = scratch_paths(&derivation, &path, &store_dir).unwrap();
        let mut script = String::from_utf8(derivation.args[1].clone()).unwrap();
        for (output, path) in &scratch {
            script = script.replace(&hash_placeholder(output), &store_dir.print(path));
        }
        Self {
            path,
            derivation,
            scratch,
            script,
            inputs,
        }
    }
}

/// What builds know of store paths.
#[derive(Default)]
pub(crate) struct Known(BTreeMap<StorePath, Arc<PathInfo>>);

impl PathInfos for Known {
    fn path_info(
        &self,
        path: &StorePath,
    ) -> Result<Option<Arc<PathInfo>>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.get(path).cloned())
    }
}

/// A case whose builder ran.
pub(crate) struct Test<'a> {
    case: &'a Case,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) options: Options,
    pub(crate) left: Left,
    pub(crate) valid: BTreeMap<String, StorePath>,
    known: Known,
}

impl<'a> Test<'a> {
    pub(crate) fn of(case: &'a Case) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let owner = fs::metadata(folder.path()).unwrap().uid();
        let store = folder.path().join("store");
        let test = Self {
            case,
            store: Store::open(&store, niphas_store::Options::default()).unwrap(),
            options: Options::of(&case.derivation, &StoreDir::default()).unwrap(),
            left: Left {
                folder: folder.path().join("left"),
                scratch: case.scratch.clone(),
                owners: owner..=owner,
                inputs: case.inputs.keys().cloned().collect(),
            },
            valid: BTreeMap::new(),
            known: Known(case.inputs.clone()),
            folder,
        };
        test.make_again(&case.script);
        test
    }

    /// Runs a builder, in the place of one that ran before.
    pub(crate) fn make_again(&self, script: &str) {
        let folder = &self.left.folder;
        if folder.exists() {
            remove(folder);
        }
        fs::create_dir(folder).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-ec", &format!("umask 022\n{script}")]);
        command.current_dir(self.folder.path());
        for (output, path) in &self.left.scratch {
            command.env(format!("D_{output}"), folder.join(path.base_name()));
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{script}: {done:?}");
    }

    pub(crate) fn build(&self) -> Build<'_> {
        Build {
            store: &self.store,
            path: &self.case.path,
            derivation: &self.case.derivation,
            options: &self.options,
            infos: &self.known,
            left: &self.left,
            valid: &self.valid,
        }
    }

    /// The outputs of a build are there from now on.
    pub(crate) fn know(&mut self, finished: &Finished) {
        for (name, output) in &finished.outputs {
            let info = PathInfo {
                nar_hash: output.nar_hash,
                nar_size: output.nar_size,
                references: output.references.clone(),
                content_address: output.content_address,
            };
            self.known.0.insert(output.path.clone(), Arc::new(info));
            self.valid.insert(name.clone(), output.path.clone());
        }
    }

    /// What is being made in the store.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store.dir().join("tmp")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }
}

impl Drop for Test<'_> {
    fn drop(&mut self) {
        if self.left.folder.exists() {
            remove(&self.left.folder);
        }
    }
}

/// Removes a folder, with whatever is in it. These programs go as deep as it is.
fn remove(folder: &Path) {
    for program in [["chmod", "-R", "u+rwx"].as_slice(), &["rm", "-rf"]] {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(folder);
        command.output().unwrap();
    }
}
