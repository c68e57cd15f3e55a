//! Every case of `tests/derivations` gives the paths or the error of real Nix.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use nix_evaluator::io::LocalIo;
use nix_evaluator::{Bump, ContextBuilder, Evaluator, Feature, JsonOptions, Settings};

/// Cases that fetch, which no evaluation can do by itself.
const NEED_A_FETCHER: [&str; 1] = ["fetch-tree-path"];

/// What a case gives: its value as JSON or the final error message, as the files next to it have it.
fn outcome(case: &Path) -> (&'static str, String) {
    let features = fs::read_to_string(case.with_extension("features")).unwrap_or_default();
    let settings = Settings {
        system: "x86_64-linux".to_owned(),
        features: features.lines().filter_map(Feature::from_name).collect(),
        ..Settings::default()
    };
    let (arena, io) = (Bump::new(), LocalIo::default());
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let mut context = ContextBuilder::default();
    let options = JsonOptions {
        strict: true,
        copy_paths: false,
    };
    let result = evaluator
        .eval_file(case.as_os_str().as_bytes())
        .and_then(|value| evaluator.to_json(value, options, &mut context));
    match result {
        Ok(json) => ("exp", String::from_utf8(json).expect("JSON is UTF-8")),
        Err(error) => ("err", error.message),
    }
}

#[test]
fn derivations_are_those_of_nix() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/derivations");
    let only = env::var("NIPHAS_CASE").ok();
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "nix"))
        .filter(|path| {
            only.as_ref()
                .is_none_or(|only| path.ends_with(format!("{only}.nix")))
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case is called {only:?}");
    let mut failures = Vec::new();
    for case in &cases {
        let (kind, found) = outcome(case);
        let found = found.replace(folder.to_str().expect("the folder is UTF-8"), "/pwd");
        let expected = ["exp", "err"].into_iter().find_map(|kind| {
            let text = fs::read_to_string(case.with_extension(kind)).ok()?;
            Some((kind, text.trim_end().to_owned()))
        });
        let mut expected = expected.expect("ci/corpus --write makes expectations");
        if case
            .file_stem()
            .is_some_and(|name| NEED_A_FETCHER.iter().any(|case| name == *case))
        {
            expected = ("err", "this evaluation has no fetcher".to_owned());
        }
        if (kind, found.as_str()) != (expected.0, expected.1.as_str()) {
            failures.push(format!(
                "{}\n  expected {}: {}\n  found    {kind}: {found}",
                case.display(),
                expected.0,
                expected.1
            ));
        }
    }
    let count = failures.len();
    assert!(
        failures.is_empty(),
        "{count} of {} cases differ:\n{}",
        cases.len(),
        failures.join("\n")
    );
}
