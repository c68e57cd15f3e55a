//! What was built, for people and programs: paths, JSON, links.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use niphas_store::Store;
use nix_builder::engine::Report;
use nix_builder::plan::{Plan, Wanted, WantedOutputs};
use nix_formats::{StoreDir, StorePath};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::out_links::OutLinks;

/// What a goal became. There is one for each, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Outputs of a derivation, by name. The paths of some are known only once they are built.
    Outputs {
        derivation: StorePath,
        outputs: BTreeMap<String, Option<StorePath>>,
    },
    /// A store path.
    Path(StorePath),
}

impl Outcome {
    /// Its paths, with the names of outputs, in the order in which they are printed.
    pub(crate) fn paths(&self) -> Vec<(&str, &StorePath)> {
        match self {
            Self::Path(path) => vec![("out", path)],
            Self::Outputs { outputs, .. } => {
                let known = outputs.iter();
                let known = known.filter_map(|(name, path)| Some((name.as_str(), path.as_ref()?)));
                known.collect()
            }
        }
    }
}

/// What goals became, as far as they are there.
pub(crate) fn of_report(wanted: &[Wanted], report: &Report) -> Vec<Outcome> {
    of(wanted, |derivation| {
        let known = report.outputs.get(derivation).into_iter().flatten();
        let known = known.map(|(name, path)| (name.clone(), Some(path.clone())));
        known.collect()
    })
}

/// What is known of goals before anything is built.
pub(super) fn of_plan(wanted: &[Wanted], plan: &Plan) -> Vec<Outcome> {
    of(wanted, |derivation| {
        let build = plan.builds.iter().find(|build| build.path == *derivation);
        let names = build.map(|build| build.derivation.outputs.keys());
        let names = names.into_iter().flatten().map(|name| (name.clone(), None));
        let mut outputs: BTreeMap<String, Option<StorePath>> = names.collect();
        let known = plan.outputs.get(derivation).into_iter().flatten();
        outputs.extend(known.map(|(name, path)| (name.clone(), Some(path.clone()))));
        outputs
    })
}

fn of(
    wanted: &[Wanted],
    outputs_of: impl Fn(&StorePath) -> BTreeMap<String, Option<StorePath>>,
) -> Vec<Outcome> {
    let outcomes = wanted.iter().map(|wanted| match wanted {
        Wanted::Path(path) => Outcome::Path(path.clone()),
        Wanted::Outputs {
            derivation,
            outputs: which,
        } => {
            let mut outputs = outputs_of(derivation);
            if let WantedOutputs::Named(names) = which {
                outputs.retain(|name, _| names.contains(name));
            }
            Outcome::Outputs {
                derivation: derivation.clone(),
                outputs,
            }
        }
    });
    outcomes.collect()
}

/// A list with an object for each goal. Without a store only what is known before a build.
pub(super) fn json(outcomes: &[Outcome], store: Option<&Store>) -> Value {
    let store_dir = StoreDir::default();
    let about = |path: &StorePath| {
        let mut about = Map::new();
        about.insert("path".to_owned(), store_dir.print(path).into());
        if let Some(stored) = store.and_then(|store| store.info(path)) {
            let info = stored.info;
            let references = info.references.iter();
            let references: Value = references.map(|path| store_dir.print(path)).collect();
            about.insert("narHash".to_owned(), info.nar_hash.sri().into());
            about.insert("narSize".to_owned(), info.nar_size.into());
            about.insert("references".to_owned(), references);
        }
        Value::from(about)
    };
    let outcomes = outcomes.iter().map(|outcome| match outcome {
        Outcome::Path(path) => about(path),
        Outcome::Outputs {
            derivation,
            outputs,
        } => {
            let outputs = outputs.iter().map(|(name, path)| {
                let path = path.as_ref().map_or(Value::Null, about);
                (name.clone(), path)
            });
            json!({
                "drvPath": store_dir.print(derivation),
                "outputs": outputs.collect::<Map<_, _>>(),
            })
        }
    });
    outcomes.collect()
}

/// The links to make, named as Nix names them: `result`, `result-dev`, and for the second goal `result-1`.
pub(super) fn links<'o>(link: &Path, outcomes: &'o [Outcome]) -> Vec<(PathBuf, &'o StorePath)> {
    let mut links = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        for (output, path) in outcome.paths() {
            let mut name = link.as_os_str().to_owned();
            if index > 0 {
                name.push(format!("-{index}"));
            }
            if output != "out" {
                name.push(format!("-{output}"));
            }
            links.push((name.into(), path));
        }
    }
    links
}

/// Makes links to exports of what was built.
pub(crate) fn make_links(store: &Store, links: &[(PathBuf, &StorePath)]) -> Result<(), Failure> {
    let out_links = OutLinks::of(store);
    for (link, path) in links {
        out_links.make(link, path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        StorePath::from_base_name(format!("{}-{name}", "0".repeat(32))).unwrap()
    }

    fn outcomes() -> Vec<Outcome> {
        let outputs = [("dev", Some("a-dev")), ("doc", None), ("out", Some("a"))];
        let outputs = outputs.map(|(name, made)| (name.to_owned(), made.map(path)));
        vec![
            Outcome::Outputs {
                derivation: path("a.drv"),
                outputs: outputs.into(),
            },
            Outcome::Path(path("b")),
        ]
    }

    #[test]
    fn links_have_the_names_that_nix_gives_them() {
        let outcomes = outcomes();
        let links = links(Path::new("dir/result"), &outcomes);
        let names: Vec<_> = links
            .iter()
            .map(|(link, path)| (link.to_str().unwrap(), path.name()))
            .collect();
        assert_eq!(
            names,
            [
                ("dir/result-dev", "a-dev"),
                ("dir/result", "a"),
                ("dir/result-1", "b")
            ]
        );
    }

    #[test]
    fn before_a_build_json_has_what_is_known() {
        let store = |name: &str| format!("/nix/store/{}-{name}", "0".repeat(32));
        assert_eq!(
            json(&outcomes(), None),
            json!([
                {
                    "drvPath": store("a.drv"),
                    "outputs": {
                        "dev": { "path": store("a-dev") },
                        "doc": null,
                        "out": { "path": store("a") },
                    },
                },
                { "path": store("b") },
            ])
        );
    }
}
