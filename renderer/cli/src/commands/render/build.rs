//! `niphas render --build`: what the caches lack of the closures is built and pushed before they are looked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use binary_cache::Caches;
use niphas_cache_args::CacheArgs;
use niphas_environments::{
    BuiltOutput, Environments, EvaluatedEnvironments, Evaluation, EvaluationRecord, OpenedFlake,
};
use nix_builder::Derivations as _;
use nix_builder::plan::{Wanted, WantedOutputs};
use nix_formats::{StoreDir, StorePath};

use crate::build_options::BuildOptions;
use crate::build_store::BuildStoreArgs;
use crate::commands::build::{Beginnings, Destination, PushArgs, results};
use crate::commands::roots;
use crate::evaluation_args::EvaluationArgs;
use crate::failure::Failure;
use crate::imports::{How, ImportArgs, ImportBuilds, ImportDefault, record};
use crate::progress::Progress;

/// Whether and how builds are done.
#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {
    /// Build what the caches lack, and push it, before rendering
    ///
    /// Also with --dry-run, --diff and --check. Nodes fetch what runs, so what is built must be pushed to a cache that they read;
    /// it counts as any other: with a signature of a trusted key.
    #[arg(long, requires = "push", help_heading = "Builds")]
    build: bool,
    #[command(flatten)]
    push: PushArgs,
    #[command(flatten)]
    imports: ImportArgs,
    #[command(flatten)]
    options: BuildOptions,
    #[command(flatten)]
    store: BuildStoreArgs,
}

/// Builds of a run, which may be none.
pub(super) struct Builds<'a> {
    args: &'a BuildArgs,
    destination: Option<Destination>,
    caches: &'a CacheArgs,
    record: Arc<EvaluationRecord>,
    run: Arc<ImportBuilds>,
}

impl BuildArgs {
    /// Lets the evaluation build as far as that is allowed, and keep what builds need.
    pub(super) fn prepare<'a>(
        &'a self,
        caches: &'a CacheArgs,
        evaluation_args: &EvaluationArgs,
        evaluation: &mut Evaluation,
    ) -> Result<Builds<'a>, Failure> {
        if !self.build && self.push.url().is_some() {
            return Err(Failure::with_hint(
                anyhow!("--push says where builds go, and nothing is built"),
                "add --build, or push with 'niphas cache push'",
            ));
        }
        let record = record();
        let destination = if self.build {
            self.push.destination(caches)?
        } else {
            None
        };
        let how = How {
            store: &self.store,
            caches,
            options: &self.options,
        };
        let run = ImportBuilds::of(Beginnings::of(&record), how);
        if self.imports.allows(ImportDefault::Refused, evaluation_args) {
            run.equip(evaluation, &record, self.options.prints_logs());
        } else if self.build {
            evaluation.record = Some(Arc::clone(&record));
        }
        // What does not exist yet has nothing, and can be asked all the same.
        if let Some(destination) = &destination {
            run.run()?.make_cache(destination)?;
        }
        Ok(Builds {
            args: self,
            destination,
            caches,
            record,
            run,
        })
    }
}

impl Builds<'_> {
    /// Builds and pushes what the caches lack, and gives the caches to look in: the same ones if nothing was built.
    pub(super) fn build(
        &self,
        (flake, selected): (&OpenedFlake, &[String]),
        evaluation: &Evaluation,
        evaluated: &EvaluatedEnvironments,
        caches: &Arc<Caches>,
        progress: &Progress,
    ) -> Result<Arc<Caches>, Failure> {
        let (Some(destination), Some(url)) = (&self.destination, self.args.push.url()) else {
            return Ok(Arc::clone(caches));
        };
        progress.say("asking the caches");
        let mut roots: BTreeMap<StorePath, Option<&BuiltOutput>> = evaluated
            .roots()
            .map(|root| (root.path.clone(), root.built))
            .collect();
        let missing = roots::missing(caches, roots.keys().cloned().collect())?;
        roots.retain(|path, _| missing.contains(path));
        if roots.is_empty() {
            return Ok(Arc::clone(caches));
        }
        let wanted = roots.into_iter().map(wanted);
        let wanted = wanted.collect::<Result<Vec<Wanted>, Failure>>()?;
        if !self.knows_all(&wanted)? {
            progress.say("evaluating again what has to be built");
            let again = Evaluation {
                uses_cache: false,
                ..evaluation.clone()
            };
            Environments::open(flake, &again, selected)?.evaluate(&|step| progress.step(step))?;
        }
        progress.clear();
        let run = self.run.run()?;
        let report = run.build(&wanted, false)?;
        if !report.is_success() {
            return Err(anyhow!(
                "{} of {} store paths that workloads need and no cache has were not built",
                report.failed.len(),
                wanted.len()
            )
            .into());
        }
        run.push(destination, &results::of_report(&wanted, &report), &report)?;
        Ok(Arc::new(self.caches.with(url).open()?))
    }

    /// Whether the derivations of what is built are known. What an earlier run found was not evaluated.
    fn knows_all(&self, wanted: &[Wanted]) -> Result<bool, Failure> {
        for wanted in wanted {
            let is_known = match wanted {
                Wanted::Outputs { derivation, .. } => self.record.derivation(derivation)?.is_some(),
                Wanted::Path(path) => {
                    nix_builder::Sources::references(&*self.record, path).is_some()
                }
            };
            if !is_known {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What gives a root.
fn wanted((path, built): (StorePath, Option<&BuiltOutput>)) -> Result<Wanted, Failure> {
    Ok(match built {
        None => Wanted::Path(path),
        Some(built) => Wanted::Outputs {
            derivation: StoreDir::default().parse(&built.drv_path)?,
            outputs: WantedOutputs::Named([built.output.clone()].into()),
        },
    })
}
