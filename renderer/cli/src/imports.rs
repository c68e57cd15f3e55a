//! Import from derivation on the command line: whether evaluations may build, and with what.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use clap::Parser as _;
use niphas_cache_args::CacheArgs;
use niphas_environments::{Evaluation, EvaluationRecord, Imports, OpenedEngine};
use nix_conf::{NixConf, Setting};
use nix_formats::StoreDir;

use crate::build_args::BuildArgs;
use crate::build_options::BuildOptions;
use crate::build_store::BuildStoreArgs;
use crate::commands::build::{Beginnings, Run, Watch};
use crate::evaluation_args::EvaluationArgs;
use crate::failure::Failure;

/// Whether evaluations build what they import from derivations.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Evaluation")]
pub(crate) struct ImportArgs {
    /// Build what the evaluation imports from derivations, or fetch it from the caches
    #[arg(
        long,
        hide_short_help = true,
        overrides_with = "no_allow_import_from_derivation"
    )]
    allow_import_from_derivation: bool,
    /// Fail if the evaluation imports something from a derivation
    #[arg(long, hide_short_help = true)]
    no_allow_import_from_derivation: bool,
}

/// Import from derivation, for commands that evaluate what is named, as Nix's do.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportBuildArgs {
    #[command(flatten)]
    imports: ImportArgs,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    builds: BuildArgs,
}

/// What such commands take of the options of builds.
#[derive(Debug, clap::Parser)]
pub(crate) struct HowToBuild {
    #[command(flatten)]
    pub(crate) options: BuildOptions,
    #[command(flatten)]
    pub(crate) store: BuildStoreArgs,
}

impl HowToBuild {
    pub(crate) fn of(builds: &BuildArgs) -> Result<Self, Failure> {
        let words = std::iter::once("niphas".to_owned()).chain(builds.words());
        let how = Self::try_parse_from(words);
        Ok(how.map_err(|error| anyhow!("{}", error.render()))?)
    }
}

/// Where and how builds are done.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) store: &'a BuildStoreArgs,
    pub(crate) caches: &'a CacheArgs,
    pub(crate) options: &'a BuildOptions,
}

/// What a command does without an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImportDefault {
    /// It builds, unless nix.conf says that it should not.
    Allowed,
    /// It builds nothing.
    Refused,
}

/// Builds for evaluations. The store is opened by the first of them that imports something.
pub(crate) struct ImportBuilds {
    open: Box<dyn Fn() -> Result<Run, Failure> + Send + Sync>,
    run: Mutex<Option<Arc<Run>>>,
}

impl ImportArgs {
    /// Whether evaluations may build.
    pub(crate) fn allows(self, default: ImportDefault, evaluation: &EvaluationArgs) -> bool {
        /// As nix.conf and --option have it.
        const SETTING: Setting = Setting::AllowImportFromDerivation;
        if self.allow_import_from_derivation || self.no_allow_import_from_derivation {
            return self.allow_import_from_derivation;
        }
        if let Some(value) = evaluation.nix_option(SETTING.name()) {
            return value == "true";
        }
        default == ImportDefault::Allowed && NixConf::read().get(SETTING) != Some("false")
    }
}

impl ImportBuildArgs {
    /// Lets an evaluation build what it imports, if it may.
    pub(crate) fn equip(
        &self,
        evaluation: &mut Evaluation,
        args: &EvaluationArgs,
    ) -> Result<(), Failure> {
        self.builds.mention();
        if !self.imports.allows(ImportDefault::Allowed, args) {
            return Ok(());
        }
        let HowToBuild { options, store } = HowToBuild::of(&self.builds)?;
        let record = record();
        let prints_logs = options.prints_logs();
        let how = How {
            store: &store,
            caches: &self.caches,
            options: &options,
        };
        let builds = ImportBuilds::of(Beginnings::of(&record), how);
        builds.equip(evaluation, &record, prints_logs);
        Ok(())
    }
}

impl ImportBuilds {
    /// Builds that begin with these.
    pub(crate) fn of(beginnings: Beginnings, how: How<'_>) -> Arc<Self> {
        let (store, caches, options) = (how.store.clone(), how.caches.clone(), how.options.clone());
        let open = move || {
            let settings = options.settings()?;
            Run::open(&store, &caches, &options, beginnings.clone(), settings)
        };
        Arc::new(Self {
            open: Box::new(open),
            run: Mutex::default(),
        })
    }

    /// Nothing is built with these.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self {
            open: Box::new(|| Err(anyhow!("nothing is built here").into())),
            run: Mutex::default(),
        })
    }

    /// The run, opened once.
    pub(crate) fn run(&self) -> Result<Arc<Run>, Failure> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = &*run {
            return Ok(Arc::clone(run));
        }
        let opened = Arc::new((self.open)()?);
        *run = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Lets an evaluation build what it imports, out of what it records.
    pub(crate) fn equip(
        self: &Arc<Self>,
        evaluation: &mut Evaluation,
        record: &Arc<EvaluationRecord>,
        prints_logs: bool,
    ) {
        let builds = Arc::clone(self);
        let open = move || -> Result<OpenedEngine, String> {
            let run = builds.run().map_err(|failure| failure.message())?;
            Ok(run.opened())
        };
        let hear = move || {
            let mut watch = Watch::start(prints_logs, false);
            Box::new(move |event: &_| watch.hear(event)) as _
        };
        let log_command = (!prints_logs).then_some("nix log");
        let imports = Imports::new(
            Arc::clone(record),
            Box::new(open),
            Box::new(hear),
            log_command,
        );
        evaluation.record = Some(Arc::clone(record));
        evaluation.builds = Some(Arc::new(imports));
    }
}

/// What evaluations of a command keep for builds.
pub(crate) fn record() -> Arc<EvaluationRecord> {
    Arc::new(EvaluationRecord::new(StoreDir::default()))
}
