//! Store paths that flakes on command lines stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::anyhow;
use niphas_environments::{Outputs, attribute, select_first, store_paths_of};
use nix_formats::{StoreDir, StorePath};

use super::sources::store_path;
use crate::commands::eval::attribute_paths;
use crate::evaluation_args::{AnswerArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs, parse_with_fragment, without_outputs};

/// How outputs of flakes are evaluated.
#[derive(Debug, clap::Args)]
pub(super) struct InstallableArgs {
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
}

impl InstallableArgs {
    /// Store paths from a command line, each once, those of each word in the order of the words.
    pub(super) fn store_paths(
        &self,
        store_dir: &StoreDir,
        words: &[String],
    ) -> Result<Vec<StorePath>, Failure> {
        let mut evaluated = self.evaluate(words)?;
        let mut paths = Vec::new();
        for word in words {
            match evaluated.remove(word.as_str()) {
                Some(found) => {
                    for path in found {
                        paths.push(store_path(store_dir, &path)?);
                    }
                }
                None if is_installable(word) => {}
                None => paths.push(store_path(store_dir, word)?),
            }
        }
        let mut seen = BTreeSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        Ok(paths)
    }

    /// The one store path that a word stands for.
    pub(super) fn store_path(
        &self,
        store_dir: &StoreDir,
        word: &str,
    ) -> Result<StorePath, Failure> {
        let paths = self.store_paths(store_dir, &[word.to_owned()])?;
        match <[StorePath; 1]>::try_from(paths) {
            Ok([path]) => Ok(path),
            Err(paths) => Err(Failure::with_hint(
                anyhow!("expected one store path, found {} by '{word}'", paths.len()),
                "name one output, as in .#api^out",
            )),
        }
    }

    /// What the words that name outputs of flakes stand for. Each flake is evaluated once.
    fn evaluate<'w>(&self, words: &'w [String]) -> Result<BTreeMap<&'w str, Vec<String>>, Failure> {
        let mut by_flake: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for word in words.iter().filter(|word| is_installable(word)) {
            let flake = word.split('#').next().unwrap_or_default();
            by_flake.entry(flake).or_default().push(word);
        }
        let mut evaluated = BTreeMap::new();
        for words in by_flake.into_values() {
            let found = self.evaluate_flake(&words)?;
            evaluated.extend(words.into_iter().zip(found));
        }
        Ok(evaluated)
    }

    /// What outputs of one flake stand for.
    fn evaluate_flake(&self, words: &[&str]) -> Result<Vec<Vec<String>>, Failure> {
        let flake = self.flakes.open_with(words[0], self.lock_file)?.flake;
        let fragments: Vec<String> = words
            .iter()
            .map(|word| {
                without_outputs(word)?;
                Ok(parse_with_fragment(word)?.1)
            })
            .collect::<Result<_, Failure>>()?;
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        evaluation.uses_cache = self.answers.count();
        let about = serde_json::to_string(&("store paths", &fragments))?;
        let name = flake.locked.flake.locked.to_string();
        let system = evaluation.settings.system.clone();
        let paths = flake.answer(&evaluation, &about, |evaluator, flake| {
            let outputs = attribute(evaluator, flake, "outputs")?.unwrap_or(flake);
            let mut all = Vec::new();
            for fragment in &fragments {
                let (fragment, which) = Outputs::split(fragment);
                let paths = attribute_paths(fragment, &system);
                let value = select_first(evaluator, &name, outputs, &paths)?;
                all.push(store_paths_of(evaluator, value, &which)?);
            }
            Ok(serde_json::to_vec(&all).expect("texts are JSON"))
        })?;
        Ok(serde_json::from_slice(&paths)?)
    }
}

/// Whether a word names an output of a flake, and not a path.
fn is_installable(word: &str) -> bool {
    word.contains('#') && Path::new(word).symlink_metadata().is_err()
}
