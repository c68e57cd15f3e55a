//! Every case of `tests/corpus` gives the value or the final error message of real Nix.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use nix_evaluator::io::LocalIo;
use nix_evaluator::{Bump, Evaluator, Settings};

/// Names of cases that do not pass yet; one that passes must be taken out.
const KNOWN_FAILING: &str = include_str!("corpus-failing.txt");

/// The value of a case, evaluated and printed strictly, or the final error message.
fn outcome(case: &Path) -> (&'static str, String) {
    let (arena, io) = (Bump::new(), LocalIo::default());
    let settings = Settings {
        system: "x86_64-linux".to_owned(),
        ..Settings::default()
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let printed = evaluator
        .eval_file(case.as_os_str().as_bytes())
        .and_then(|value| evaluator.force_deep(value))
        .and_then(|value| evaluator.print_plain(value));
    match printed {
        Ok(text) => ("exp", String::from_utf8_lossy(&text).into_owned()),
        Err(error) => ("err", error.message),
    }
}

/// Nix prints no blanks at the ends of lines of a message.
fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}

fn difference(case: &Path, folder: &str) -> Option<String> {
    let (kind, found) = outcome(case);
    let found = trimmed(&found.replace(folder, "/pwd"));
    let wanted = ["exp", "err"].into_iter().find_map(|kind| {
        let text = fs::read_to_string(case.with_extension(kind)).ok()?;
        Some((kind, trimmed(&text)))
    });
    let Some((wanted_kind, wanted)) = wanted else {
        return Some("there is no expectation: ci/corpus --write makes it".to_owned());
    };
    if (kind, &found) == (wanted_kind, &wanted) {
        return None;
    }
    Some(format!(
        "wanted {wanted_kind}: {wanted}\n found {kind}: {found}"
    ))
}

#[test]
fn cases_give_what_nix_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let folder_text = folder.to_str().expect("the folder is UTF-8");
    let only = env::var("NIPHAS_CASE").ok();
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "nix"))
        .collect();
    cases.sort();
    let known: Vec<&str> = KNOWN_FAILING.lines().collect();
    let (mut failures, mut run) = (Vec::new(), 0);
    for case in &cases {
        let name = case
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("names are UTF-8");
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        run += 1;
        match (difference(case, folder_text), known.contains(&name)) {
            (Some(difference), false) => failures.push(format!("{name}: {difference}")),
            (None, true) => failures.push(format!(
                "{name} passes: it is no longer to be listed as failing"
            )),
            (Some(_), true) | (None, false) => {}
        }
    }
    assert!(run > 0, "no case is called {only:?}");
    assert!(
        failures.is_empty(),
        "{} of {run} cases differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
