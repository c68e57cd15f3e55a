//! `niphas build --push`: what was built, its logs and the build trace go to a binary cache.

use std::path::PathBuf;
use std::sync::Arc;

use binary_cache::{
    CacheUrl, CacheWriter, DerivationOutput, Limits, PushOptions, PushReport, Recorded, push,
};
use niphas_cache_args::CacheArgs;
use niphas_store::Store;
use nix_formats::{SecretKey, StorePath};

use crate::build_logs::BuildLogs;
use crate::commands::key::read_secret_key;
use crate::failure::Failure;
use crate::push_progress::PushBar;

/// Where to push to.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Builds")]
pub(crate) struct PushArgs {
    /// Push what was built and its logs to this binary cache
    ///
    /// With all that it refers to, as far as the cache lacks it; with the build trace of content-addressed derivations. At file:///…, http://…, https://… or s3://….
    #[arg(long, value_name = "URL")]
    push: Option<String>,
    /// Sign what is pushed with a secret key; repeatable
    #[arg(long = "sign-key", value_name = "FILE", requires = "push")]
    sign_keys: Vec<PathBuf>,
}

/// A cache that can be pushed to: address, login and keys are in order.
pub(crate) struct Destination {
    to: CacheUrl,
    keys: Arc<[SecretKey]>,
}

/// What to push.
pub(super) struct Pushed {
    /// What was built and what was asked for.
    pub(super) paths: Vec<StorePath>,
    /// The derivations that were built.
    pub(super) built: Vec<StorePath>,
    /// Outputs of content-addressed derivations, and the paths that they became.
    pub(super) trace: Vec<(DerivationOutput, StorePath)>,
}

impl PushArgs {
    /// The URL of the cache to push to, if there is one.
    pub(crate) fn url(&self) -> Option<&str> {
        self.push.as_deref()
    }

    /// The cache to push to, if there is one. What is wrong with it is said before anything is built.
    pub(crate) fn destination(&self, caches: &CacheArgs) -> Result<Option<Destination>, Failure> {
        let Some(to) = &self.push else {
            return Ok(None);
        };
        let to = caches.with_login(to.parse()?)?;
        let keys = self.sign_keys.iter().map(|file| read_secret_key(file));
        let keys = keys.collect::<Result<Vec<SecretKey>, _>>()?;
        if keys.is_empty() {
            tracing::warn!(
                "what is pushed is not signed: machines trust what a key of theirs signed; name one with --sign-key"
            );
        }
        Ok(Some(Destination {
            to,
            keys: keys.into(),
        }))
    }
}

impl Destination {
    /// Pushes paths first, and then what says how they came to be.
    pub(super) async fn push(&self, store: &Store, pushed: Pushed) -> Result<PushReport, Failure> {
        let options = PushOptions {
            keys: Arc::clone(&self.keys),
            ..PushOptions::default()
        };
        let (source, progress) = (Arc::new(store.clone()), Arc::default());
        let bar = PushBar::start(&progress);
        let report = push(source, &pushed.paths, &self.to, options, progress).await;
        bar.clear();
        let report = report?;
        let writer = CacheWriter::new(&self.to, Limits::default())?;
        let logs = BuildLogs::of(store.dir());
        for derivation in &pushed.built {
            if let Some(log) = logs.read(derivation)? {
                writer.put_log(derivation, log.into()).await?;
            }
        }
        for (output, path) in &pushed.trace {
            let put = writer.put_realisation(output, path, &self.keys).await?;
            if let Recorded::Other(theirs) = put {
                tracing::warn!(
                    "the cache knows another build of '{output}': '{theirs}', not '{path}'; it stays"
                );
            }
        }
        Ok(report)
    }
}
