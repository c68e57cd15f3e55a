//! The end of a build: what arrived is checked and stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use binary_cache::{CacheWriter, PushOptions, Recorded, push_paths};
use bytes::Bytes;
use nix_builder::environment::{PathInfo, PathInfos};
use nix_builder::outputs::{BuiltOutput, Nars, OutputError, OutputFailure, judge};
use nix_formats::{StorePath, chain, shortened};
use tokio::sync::watch;

use super::identity::Builds;
use super::refusal::Refusal;
use super::spec::BuildSpec;
use super::staged::Staged;
use super::staging::Key;
use super::stored::{CheckedOutputs, infos};
use super::{Ingest, Shared};
use crate::protocol::{BuildFailure, BuildResult, FailureKind, Outcome, OutputClaim};

/// Bytes of a message of a pod that are kept.
const MAX_MESSAGE: usize = 16 << 10;

type Answer = Option<Result<Outcome, Refusal>>;

/// Builds that are being finished: the work is the service's, and goes on when the request that began it ends.
#[derive(Debug, Default)]
pub(super) struct Finishing(Mutex<HashMap<Key, watch::Receiver<Answer>>>);

impl Finishing {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Key, watch::Receiver<Answer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Builds> Ingest<B> {
    /// Takes the result of a build. None: the outcome is not known yet.
    pub(super) async fn finish(
        &self,
        key: &Key,
        staged: &Arc<Staged>,
        spec: Arc<BuildSpec>,
        result: BuildResult,
    ) -> Result<Option<Outcome>, Refusal> {
        if let Some(outcome) = staged.outcome() {
            return Ok(Some(outcome));
        }
        let mut answer = self.begin(key, staged, spec, result);
        let patience = self.0.settings.limits.patience;
        let answered = tokio::time::timeout(patience, answer.wait_for(Option::is_some)).await;
        match answered {
            Ok(Ok(answer)) => answer.clone().transpose(),
            // The task that answers ended without an answer.
            Ok(Err(_)) => Err(Refusal::Internal("finish the build")),
            Err(_) => Ok(None),
        }
    }

    fn begin(
        &self,
        key: &Key,
        staged: &Arc<Staged>,
        spec: Arc<BuildSpec>,
        result: BuildResult,
    ) -> watch::Receiver<Answer> {
        let mut known = self.0.finishing.known();
        if let Some(answer) = known.get(key) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        known.insert(key.clone(), answer.clone());
        let (ingest, key, staged) = (self.clone(), key.clone(), Arc::clone(staged));
        tokio::spawn(async move {
            // Also when what it does panics.
            let _known = Known(&ingest.0.finishing, &key);
            let answer = ingest.0.outcome(&staged, &spec, result).await;
            match &answer {
                Ok(outcome) => ingest.0.builds.finished(&key.build, outcome).await,
                Err(refusal) => {
                    tracing::warn!(build = %key.build, error = %refusal, "a build was not finished");
                }
            }
            sender.send_replace(Some(answer));
        });
        answer
    }
}

/// A build that is being finished.
struct Known<'a>(&'a Finishing, &'a Key);

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.0.known().remove(self.1);
    }
}

impl<B: Builds> Shared<B> {
    async fn outcome(
        &self,
        staged: &Arc<Staged>,
        spec: &Arc<BuildSpec>,
        result: BuildResult,
    ) -> Result<Outcome, Refusal> {
        let _permit = self.publications.acquire().await;
        let outcome = match result {
            BuildResult::Failed(failure) => Outcome::Failed(BuildFailure {
                message: shortened(&failure.message, MAX_MESSAGE).into_owned(),
                ..failure
            }),
            BuildResult::Built { outputs } => self.store(staged, spec, outputs).await?,
        };
        self.put_log(staged, spec).await?;
        if let Outcome::Stored { outputs } = &outcome {
            self.put_trace(spec, outputs).await?;
        }
        let (staged, spec, kept) = (Arc::clone(staged), Arc::clone(spec), outcome.clone());
        let names = move || staged.finish(&kept, spec.derivation().outputs.keys());
        let finished = tokio::task::spawn_blocking(names).await;
        let finished = finished.unwrap_or_else(|error| Err(io::Error::other(error)));
        finished.map_err(|error| internal("keep the outcome", &error))?;
        Ok(outcome)
    }

    /// Checks outputs and stores them.
    async fn store(
        &self,
        staged: &Arc<Staged>,
        spec: &Arc<BuildSpec>,
        claims: BTreeMap<String, OutputClaim>,
    ) -> Result<Outcome, Refusal> {
        let names = || spec.derivation().outputs.keys();
        if let Some(missing) = names().find(|name| !claims.contains_key(*name)) {
            return Err(Refusal::Malformed(format!(
                "expected all outputs of the derivation, '{missing}' is missing"
            )));
        }
        if let Some(other) = claims.keys().find(|name| !names().any(|own| own == *name)) {
            return Err(Refusal::NoSuchOutput(other.clone()));
        }
        let _stays = self.cache.read().await;
        let inputs = self.inputs(spec).await?;
        let judging = Judging {
            staged: Arc::clone(staged),
            spec: Arc::clone(spec),
            claims,
            inputs,
            output_limit: self.settings.limits.output_size,
            build_limit: self.settings.limits.build_size,
            store_dir: self.settings.caches.store_dir().clone(),
        };
        let judged = tokio::task::spawn_blocking(move || judging.judge()).await;
        let judged = judged.map_err(|error| internal("check outputs", &error))??;
        match judged {
            Judged::Refused(failure) => Ok(Outcome::Failed(failure)),
            Judged::Good(outputs) => self.push(staged, spec, &outputs).await,
        }
    }

    /// The closure of all inputs: it is in the caches.
    async fn inputs(&self, spec: &BuildSpec) -> Result<Inputs, Refusal> {
        let closure = self.settings.caches.closure(&spec.inputs).await;
        let closure = closure.map_err(|error| {
            Refusal::Unavailable(format!(
                "failed to look up the inputs of '{}': {}",
                spec.path(),
                chain(&error)
            ))
        })?;
        let info = |found: &Arc<binary_cache::Found>| {
            let info = PathInfo {
                nar_hash: found.info.nar_hash,
                nar_size: found.info.nar_size,
                references: found.info.references.clone(),
                content_address: found.info.ca,
            };
            (found.info.path.clone(), Arc::new(info))
        };
        Ok(Inputs(closure.paths.iter().map(info).collect()))
    }

    async fn push(
        &self,
        staged: &Arc<Staged>,
        spec: &BuildSpec,
        outputs: &BTreeMap<String, BuiltOutput>,
    ) -> Result<Outcome, Refusal> {
        let settings = &self.settings;
        let store_dir = settings.caches.store_dir().clone();
        let source = CheckedOutputs::new(store_dir, Arc::clone(staged), outputs);
        let options = PushOptions {
            keys: Arc::clone(&settings.keys),
            listings: true,
            ..PushOptions::default()
        };
        let infos = infos(outputs, spec.path());
        let pushed = push_paths(
            Arc::new(source),
            infos,
            &settings.target,
            options,
            Arc::default(),
        );
        let report = pushed
            .await
            .map_err(|error| unavailable("failed to store outputs", &error))?;
        let mut stored = BTreeMap::new();
        for (name, output) in outputs {
            let mut claim = OutputClaim {
                path: output.path.clone(),
                nar_hash: output.nar_hash,
                nar_size: output.nar_size,
            };
            // Another build of it may be there, and stays.
            if report.present.contains(&output.path)
                && let Ok(found) = settings.caches.find(&output.path, None).await
            {
                claim.nar_hash = found.info.nar_hash;
                claim.nar_size = found.info.nar_size;
            }
            stored.insert(name.clone(), claim);
        }
        Ok(Outcome::Stored { outputs: stored })
    }

    fn writer(&self) -> Result<CacheWriter, Refusal> {
        let limits = binary_cache::Limits::default();
        let writer = CacheWriter::new(&self.settings.target, limits);
        writer.map_err(|error| unavailable("failed to open the cache", &error))
    }

    async fn put_log(&self, staged: &Arc<Staged>, spec: &BuildSpec) -> Result<(), Refusal> {
        let path = staged.log_path();
        let read = tokio::task::spawn_blocking(move || match regular_file::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        });
        let read = read
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        let Some(log) = read.map_err(|error| internal("read the log", &error))? else {
            return Ok(());
        };
        let (log, writer) = (Bytes::from(log), self.writer()?);
        for derivation in &spec.logs {
            let put = writer.put_log(derivation, log.clone()).await;
            put.map_err(|error| unavailable("failed to store the log", &error))?;
        }
        Ok(())
    }

    async fn put_trace(
        &self,
        spec: &BuildSpec,
        outputs: &BTreeMap<String, OutputClaim>,
    ) -> Result<(), Refusal> {
        let writer = self.writer()?;
        for (name, claim) in outputs {
            for output in spec.traces.get(name).into_iter().flatten() {
                let put = writer.put_realisation(output, &claim.path, &self.settings.keys);
                let put = put.await;
                let put = put.map_err(|error| {
                    unavailable("failed to store what an output became", &error)
                })?;
                if let Recorded::Other(other) = put {
                    tracing::warn!(%output, path = %claim.path, first = other, "another build made another path, which stays in the build trace");
                }
            }
        }
        Ok(())
    }
}

/// The closure of the inputs.
struct Inputs(BTreeMap<StorePath, Arc<PathInfo>>);

impl PathInfos for Inputs {
    fn path_info(
        &self,
        path: &StorePath,
    ) -> Result<Option<Arc<PathInfo>>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.get(path).cloned())
    }
}

/// Outputs before they are checked.
struct Judging {
    staged: Arc<Staged>,
    spec: Arc<BuildSpec>,
    claims: BTreeMap<String, OutputClaim>,
    inputs: Inputs,
    output_limit: u64,
    build_limit: u64,
    store_dir: nix_formats::StoreDir,
}

enum Judged {
    Good(BTreeMap<String, BuiltOutput>),
    Refused(BuildFailure),
}

impl Judging {
    /// Reads and checks them. Blocks.
    fn judge(&self) -> Result<Judged, Refusal> {
        let paths = self.claims.iter();
        let paths: BTreeMap<String, StorePath> = paths
            .map(|(name, claim)| (name.clone(), claim.path.clone()))
            .collect();
        for name in self.claims.keys() {
            let what = super::staged::What::Output(name.clone());
            let progress = self.staged.progress(&what);
            if progress
                .map_err(|error| internal("read an upload", &error))?
                .is_none()
            {
                return Err(Refusal::Damaged(format!("output '{name}' did not arrive")));
            }
        }
        let inputs: BTreeSet<StorePath> = self.inputs.0.keys().cloned().collect();
        let is_broken = Arc::new(AtomicBool::new(false));
        let limit = self.output_limit.min(self.build_limit);
        let open =
            |name: &str| -> io::Result<Box<dyn Read>> { self.staged.open(name, limit, &is_broken) };
        let judged = judge(&Nars {
            store_dir: &self.store_dir,
            path: self.spec.path(),
            derivation: self.spec.derivation(),
            options: self.spec.options(),
            infos: &self.inputs,
            inputs: &inputs,
            paths: &paths,
            open: &open,
        });
        if is_broken.load(Ordering::Relaxed) {
            return Err(Refusal::Internal("read an upload"));
        }
        let outputs = match judged {
            Ok(outputs) => outputs,
            Err(error) => return Ok(Judged::Refused(refused(&error))),
        };
        let sizes = outputs.values().map(|output| output.nar_size);
        if sizes.fold(0, u64::saturating_add) > self.build_limit {
            return Ok(Judged::Refused(BuildFailure {
                kind: FailureKind::OutputsRefused,
                message: format!("the outputs have more than {} bytes", self.build_limit),
            }));
        }
        for (name, output) in &outputs {
            self.is_as_sent(name, output)?;
        }
        Ok(Judged::Good(outputs))
    }

    /// What arrived is what the pod has.
    fn is_as_sent(&self, name: &str, output: &BuiltOutput) -> Result<(), Refusal> {
        let claim = &self.claims[name];
        if (claim.nar_hash, claim.nar_size) == (output.nar_hash, output.nar_size) {
            return Ok(());
        }
        let what = super::staged::What::Output(name.to_owned());
        let dropped = self.staged.drop_upload(&what);
        dropped.map_err(|error| internal("remove an upload", &error))?;
        Err(Refusal::Damaged(format!(
            "output '{name}' arrived as {} with {} bytes, not as {} with {}",
            output.nar_hash, output.nar_size, claim.nar_hash, claim.nar_size
        )))
    }
}

fn refused(error: &OutputError) -> BuildFailure {
    let kind = match error.failure() {
        OutputFailure::HashMismatch => FailureKind::HashMismatch,
        _ => FailureKind::OutputsRefused,
    };
    BuildFailure {
        kind,
        message: shortened(&chain(error), MAX_MESSAGE).into_owned(),
    }
}

fn unavailable(what: &str, error: &dyn Error) -> Refusal {
    let message = format!("{what}: {}", chain(error));
    tracing::error!(error = message, "a build was not stored");
    Refusal::Unavailable(message)
}

fn internal(what: &'static str, error: &dyn Error) -> Refusal {
    tracing::error!(error = chain(error), "failed to {what}");
    Refusal::Internal(what)
}
