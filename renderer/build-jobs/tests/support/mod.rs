//! Derivations that are made by hand, as a plan has them.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use niphas_build_jobs::job::Settings;
use nix_builder::options::Options;
use nix_builder::plan::Build;
use nix_formats::derivation::DerivationError;
use nix_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, HashAlgorithm, StoreDir,
    StorePath,
};

/// A derivation for this system, with variables that say what it asks for.
pub(crate) fn derivation(name: &str, system: &str, variables: &[(&str, &str)]) -> Derivation {
    let variables = variables.iter();
    Derivation {
        name: name.to_owned(),
        outputs: [("out".to_owned(), DerivationOutput::Deferred)].into(),
        platform: system.into(),
        builder: b"/bin/sh".to_vec(),
        env: variables
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        ..Derivation::default()
    }
}

/// Fetches something: its output is known beforehand.
pub(crate) fn fetch(name: &str) -> Derivation {
    let out = ContentAddress {
        method: ContentAddressMethod::Flat,
        hash: HashAlgorithm::Sha256.digest(name.as_bytes()),
    };
    Derivation {
        builder: b"builtin:fetchurl".to_vec(),
        outputs: [("out".to_owned(), DerivationOutput::FixedOutput(out))].into(),
        ..derivation(name, "builtin", &[("preferLocalBuild", "1")])
    }
}

/// A derivation as a plan has it, with nothing else in the plan.
pub(crate) fn build(mut derivation: Derivation) -> Build {
    let store_dir = StoreDir::default();
    let done =
        derivation.instantiate::<DerivationError>(&store_dir, |_| Err(DerivationError::NoOutput));
    let path = done.unwrap().path;
    let options = Options::of(&derivation, &store_dir).unwrap();
    Build {
        path,
        wanted: BTreeSet::from(["out".to_owned()]),
        needs: Vec::new(),
        height: 1,
        options: Arc::new(options),
        trace: None,
        refusal: None,
        derivation: Arc::new(derivation),
    }
}

/// A path.
pub(crate) fn path(name: &str) -> StorePath {
    let hash = HashAlgorithm::Sha256.digest(name.as_bytes());
    let bytes: [u8; 20] = hash.as_bytes()[..20].try_into().unwrap();
    StorePath::from_parts(bytes, name).unwrap()
}

pub(crate) fn settings() -> Settings {
    let settings = serde_json::json!({
        "namespace": "niphas-builds",
        "image": "ghcr.io/niphas/niphas-eval:0.1.0",
        "service": "https://niphas-eval.niphas-system.svc:8443",
        "caConfigMap": "niphas-eval-ca",
        "serviceAccount": "niphas-build",
        "audience": "niphas-eval",
        "seccompProfile": "niphas-build.json",
        "shell": "/bin/busybox",
    });
    serde_json::from_value(settings).unwrap()
}

/// A map of text.
pub(crate) fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    let entries = entries.iter();
    entries
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
