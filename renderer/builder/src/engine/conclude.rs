//! The end of a run: what was asked for is waited for, and held.

use std::sync::Arc;

use niphas_store::RealiseError;
use nix_formats::StorePath;

use super::Request;
use super::failure::Reason;
use super::report::{EngineError, Report};
use super::schedule::Run;
use crate::plan::{Wanted, WantedOutputs};

impl Run<'_> {
    /// Waits for what is fetched and was asked for, unless the run has failed.
    pub(super) async fn await_targets(&mut self) -> Result<(), EngineError> {
        let stop = self.context.stop.clone();
        loop {
            let fetched = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.targets.shutdown().await;
                    return Ok(());
                }
                fetched = self.targets.join_next() => fetched,
            };
            match fetched {
                None => return Ok(()),
                Some(Ok((derivation, Err(error)))) => self.unfetched(derivation, error).await?,
                Some(Err(error)) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic())
                }
                Some(Ok((_, Ok(()))) | Err(_)) => {}
            }
        }
    }

    /// What was asked for was not fetched: it is built in the next round, or the run has failed.
    async fn unfetched(
        &mut self,
        derivation: Option<StorePath>,
        error: Arc<RealiseError>,
    ) -> Result<(), EngineError> {
        if self.context.lose(&error).await {
            self.is_again = true;
            return Ok(());
        }
        let known = derivation.and_then(|path| {
            let found = self.context.shared.derivations.derivation(&path);
            Some((path, found.ok().flatten()?))
        });
        let Some((path, derivation)) = known else {
            return Err(EngineError::Fetch(error));
        };
        let reason = Reason::Substitutes {
            derivation: self.context.shared.places.store_dir.print(&path),
            source: error,
        };
        let failure = self.context.failure(&path, &derivation, reason);
        self.tell_failure(Arc::new(failure)).await;
        if !self.keep_going {
            self.is_stopped = true;
            self.context.stop.cancel();
        }
        Ok(())
    }

    /// What came of it.
    pub(super) async fn report(self, request: &Request) -> Result<Report, EngineError> {
        let mut report = Report {
            failures: self.failures,
            built: self.built,
            ..Report::default()
        };
        let mut paths = Vec::new();
        for wanted in &request.wanted {
            match wanted {
                Wanted::Path(path) => paths.push(path.clone()),
                Wanted::Outputs {
                    derivation,
                    outputs,
                } => {
                    let mut known = self.outputs.get(derivation).cloned().unwrap_or_default();
                    if let WantedOutputs::Named(names) = outputs {
                        known.retain(|name, _| names.contains(name));
                    }
                    let place = self
                        .plan
                        .builds
                        .iter()
                        .position(|it| it.path == *derivation);
                    let is_there = place.is_none_or(|place| self.states[place].is_reached);
                    if is_there
                        && report
                            .failures
                            .iter()
                            .all(|it| it.derivation != *derivation)
                    {
                        paths.extend(known.values().cloned());
                        report.outputs.insert(derivation.clone(), known);
                    } else {
                        report.failed.insert(derivation.clone());
                    }
                }
            }
        }
        if !request.holds {
            return Ok(report);
        }
        let places = Arc::clone(&self.context.shared.places);
        let held = tokio::task::spawn_blocking(move || {
            // A source that was asked for itself is in the store only once it is packed.
            let is_source = |path: &&StorePath| places.source_references(path).is_some();
            let sources: Vec<StorePath> = paths.iter().filter(is_source).cloned().collect();
            if let Err(error) = places.closure(&sources) {
                return Some(Err(error));
            }
            paths.retain(|path| places.is_stored(path));
            (!paths.is_empty()).then(|| places.hold(&paths))
        });
        let held = match held.await {
            Ok(held) => held
                .transpose()
                .map_err(|it| EngineError::Hold(Box::new(it)))?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(EngineError::Cancelled),
        };
        report.held.extend(held.map(Arc::new));
        Ok(report)
    }
}
