//! What builders see, compared with what real Nix gave them: `ci/build-environment` wrote down the expectations.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::{fs, iter};

use nix_builder::environment::{Build, PathInfo, PathInfos, process, scratch_paths};
use nix_builder::options::Options;
use nix_builder::{Derivations, Process, UnreadDerivation};
use nix_formats::derivation::DerivationKind;
use nix_formats::{Derivation, Hash, StoreDir, StorePath};
use serde_json::Value;

/// Stands for the hash of a path that is another one each time.
const IMPURE: [u8; 20] = [0; 20];

/// A case, and the store that it needs.
struct Case {
    expected: Value,
    path: StorePath,
    derivation: Derivation,
    infos: BTreeMap<StorePath, Arc<PathInfo>>,
    derivations: BTreeMap<StorePath, Arc<Derivation>>,
}

impl PathInfos for Case {
    fn path_info(
        &self,
        path: &StorePath,
    ) -> Result<Option<Arc<PathInfo>>, Box<dyn Error + Send + Sync>> {
        Ok(self.infos.get(path).cloned())
    }
}

impl Derivations for Case {
    fn derivation(&self, path: &StorePath) -> Result<Option<Arc<Derivation>>, UnreadDerivation> {
        Ok(self.derivations.get(path).cloned())
    }
}

/// Bytes that stand as characters of the same number.
fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    text.chars()
        .map(|character| u8::try_from(character).unwrap())
        .collect()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().unwrap().iter();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn store_path(text: &str) -> StorePath {
    StoreDir::default().parse(text).unwrap()
}

fn derivation(path: &StorePath, text: &Value) -> Derivation {
    let name = path.name().strip_suffix(".drv").unwrap();
    Derivation::parse_aterm(&StoreDir::default(), name, &bytes(text)).unwrap()
}

fn info(value: &Value) -> PathInfo {
    let hash = Hash::parse_sri(value["narHash"].as_str().unwrap()).unwrap();
    PathInfo {
        nar_hash: hash.try_into().unwrap(),
        nar_size: value["narSize"].as_u64().unwrap(),
        references: texts(&value["references"])
            .iter()
            .map(|path| store_path(path))
            .collect(),
        content_address: value["ca"].as_str().map(|ca| ca.parse().unwrap()),
    }
}

impl Case {
    fn read(file: &Path) -> Self {
        let expected: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let path = store_path(expected["path"].as_str().unwrap());
        let paths = expected["paths"].as_object().unwrap();
        let paths = || paths.iter().map(|(path, value)| (store_path(path), value));
        let texts = paths().filter_map(|(path, value)| Some((path, value.get("derivation")?)));
        Self {
            derivation: derivation(&path, &expected["derivation"]),
            infos: paths()
                .map(|(path, value)| (path, Arc::new(info(value))))
                .collect(),
            derivations: texts
                .map(|(path, text)| (path.clone(), Arc::new(derivation(&path, text))))
                .collect(),
            path,
            expected,
        }
    }

    /// The input closure: sources, outputs of inputs, and what they refer to.
    fn inputs(&self) -> BTreeSet<StorePath> {
        let store_dir = StoreDir::default();
        let mut left: Vec<_> = self.derivation.input_sources.iter().cloned().collect();
        for (path, outputs) in &self.derivation.input_derivations {
            let Some(derivation) = self.derivations.get(path) else {
                continue;
            };
            let outputs = outputs
                .names
                .iter()
                .map(|name| derivation.outputs[name].path(&store_dir, &derivation.name, name));
            left.extend(outputs.filter_map(Result::unwrap));
        }
        let mut inputs = BTreeSet::new();
        while let Some(path) = left.pop() {
            if inputs.insert(path.clone()) {
                left.extend(
                    self.infos
                        .get(&path)
                        .iter()
                        .flat_map(|info| &info.references)
                        .cloned(),
                );
            }
        }
        inputs
    }

    fn options(&self) -> Result<Options, Vec<String>> {
        Options::of(&self.derivation, &StoreDir::default()).map_err(|error| {
            // Exceptions of Nix's JSON library pass by what adds the derivation to the trace.
            let printed = chain(&error);
            let derivation = format!("while parsing derivation '/nix/store/{}'", self.path);
            let traced = !printed[0].starts_with("[json.exception");
            iter::once(derivation)
                .filter(|_| traced)
                .chain(printed)
                .collect()
        })
    }

    fn process(&self, options: &Options) -> Result<Process, Vec<String>> {
        let store_dir = StoreDir::default();
        let mut scratch = scratch_paths(&self.derivation, &self.path, &store_dir).unwrap();
        if self.derivation.kind().unwrap() == DerivationKind::Impure {
            for path in scratch.values_mut() {
                *path = StorePath::from_parts(IMPURE, path.name()).unwrap();
            }
        }
        let caller = |name: &[u8]| match name {
            b"NIPHAS_TEST_VARIABLE" => Some(b"the caller's\nvalue".to_vec()),
            b"PATH" => Some(b"/caller".to_vec()),
            _ => None,
        };
        process(&Build {
            derivation: &self.derivation,
            options,
            scratch: &scratch,
            inputs: &self.inputs(),
            infos: self,
            derivations: self,
            store_dir: &store_dir,
            cores: 3,
            caller_variable: &caller,
        })
        .map_err(|error| chain(&error))
    }
}

fn chain(mut error: &dyn Error) -> Vec<String> {
    let mut out = vec![error.to_string()];
    while let Some(source) = error.source() {
        out.push(source.to_string());
        error = source;
    }
    out
}

/// What Nix printed, kept to a difference that a person can read.
fn differences(case: &Case) -> Vec<String> {
    let expected = &case.expected;
    let mut out = Vec::new();
    let mut compare = |what: &str, ours: String, nix: String| {
        if ours != nix {
            out.push(format!("{what}\n  ours: {ours}\n  Nix:  {nix}"));
        }
    };
    let lossy = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let options = case.options();
    if let Ok(options) = &options {
        compare(
            "warnings",
            format!("{:?}", options.warnings),
            format!("{:?}", texts(&expected["warnings"])),
        );
    }
    match options.and_then(|options| case.process(&options)) {
        Err(error) => {
            let wanted = expected.get("error").map(texts);
            compare("error", format!("{:?}", Some(error)), format!("{wanted:?}"));
        }
        Ok(process) => {
            compare("error", "null".to_owned(), expected["error"].to_string());
            let list = |values: Vec<Vec<u8>>| {
                values
                    .iter()
                    .map(|value| lossy(value))
                    .collect::<Vec<_>>()
                    .join("\n        ")
            };
            let given = |name: &str| {
                expected[name]
                    .as_array()
                    .map(|values| values.iter().map(bytes).collect())
            };
            compare(
                "arguments",
                list(process.args),
                list(given("arguments").unwrap_or_default()),
            );
            let env = process
                .env
                .into_iter()
                .map(|(name, value)| [name, value].join(&b'='));
            compare(
                "environment",
                list(env.collect()),
                list(given("environment").unwrap_or_default()),
            );
            let files = process
                .files
                .iter()
                .map(|(name, text)| (lossy(name), lossy(text)));
            let wanted = expected["files"].as_object().into_iter().flatten();
            let wanted = wanted.map(|(name, text)| (name.clone(), lossy(&bytes(text))));
            compare(
                "files",
                format!("{:#?}", files.collect::<BTreeMap<_, _>>()),
                format!("{:#?}", wanted.collect::<BTreeMap<_, _>>()),
            );
            let machine = if process.is_32_bit { "i686" } else { "x86_64" };
            compare(
                "machine",
                machine.to_owned(),
                expected["machine"].as_str().unwrap_or_default().to_owned(),
            );
        }
    }
    out
}

#[test]
fn builders_see_what_nix_shows_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/environment");
    let mut cases = 0;
    let mut failures = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            cases += 1;
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            failures.extend(
                differences(&Case::read(&file))
                    .iter()
                    .map(|text| format!("{name}: {text}")),
            );
        }
    }
    assert!(cases >= 85, "{cases} cases");
    assert!(
        failures.is_empty(),
        "{} differences:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
