//! One build, from its inputs to its outputs. Blocks.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use niphas_store::ClosureImage;
use niphas_store::mount::View;
use nix_formats::derivation::DerivationKind;
use nix_formats::{Derivation, Hash, StorePath};
use rustix::fs::statvfs;
use tokio::sync::mpsc;

use super::failure::{BuilderStatus, InputError, Reason};
use super::lines::Lines;
use super::log::Log;
use super::places::{Closure, Places};
use super::{BuildTrace, Event, Settings};
use crate::options::Options;
use crate::outputs::{self, BuiltOutput, Left, OutputError};
use crate::plan::OutputId;
use crate::sandbox::{self, Cancel, End, Folder, Image, Inputs, Outcome, Scratch};
use crate::{Derivations, environment};

/// A derivation to build, resolved.
pub(super) struct Job<'a> {
    pub(super) path: &'a StorePath,
    pub(super) derivation: &'a Derivation,
    pub(super) options: &'a Options,
    /// The paths of its inputs.
    pub(super) inputs: &'a [StorePath],
    /// What the build trace knows its outputs by, if their paths are known only once they are built.
    pub(super) trace: Option<Hash>,
    /// Its outputs are there, and are compared.
    pub(super) is_check: bool,
}

/// What builds need of the engine.
pub(super) struct Workshop<'a> {
    pub(super) places: &'a Places,
    pub(super) trace: &'a BuildTrace,
    pub(super) derivations: &'a dyn Derivations,
    pub(super) settings: &'a Settings,
    /// How closure images are mounted. None: inputs are exported to files.
    pub(super) view: Option<View>,
    pub(super) events: &'a mpsc::Sender<Event>,
    pub(super) cancel: &'a Cancel,
}

/// What came of a build.
pub(super) struct Done {
    /// The paths of the outputs by name.
    pub(super) outputs: BTreeMap<String, StorePath>,
    /// How long the builder took; nothing if the outputs were there.
    pub(super) duration: Duration,
}

/// Why nothing came of it.
pub(super) struct Failed {
    pub(super) reason: Box<Reason>,
    /// The last lines of the log.
    pub(super) log_tail: Vec<Vec<u8>>,
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self {
            reason: Box::new(reason),
            log_tail: Vec::new(),
        }
    }
}

/// Free bytes of a disk below which a failure may be its fault.
const NEARLY_FULL: u64 = 8 << 20;

impl Workshop<'_> {
    /// Builds, unless all outputs are there by now: another request may have built them.
    pub(super) fn build_or_find(&self, job: &Job<'_>) -> Result<Done, Failed> {
        let known = self.known(job)?;
        let is_complete = known.len() == job.derivation.outputs.len();
        let paths: Vec<StorePath> = known.values().cloned().collect();
        let is_there = is_complete
            && paths.iter().all(|path| self.places.is_stored(path))
            && matches!(self.places.missing(&paths), Ok(missing) if missing.is_empty());
        if job.is_check && !is_there {
            let derivation = self.places.store_dir.print(job.path);
            return Err(Reason::NothingToCheck(derivation).into());
        }
        if is_there && !job.is_check {
            return Ok(Done {
                outputs: known,
                duration: Duration::ZERO,
            });
        }
        self.build(job, known)
    }

    /// The paths of the outputs, as far as they are known.
    fn known(&self, job: &Job<'_>) -> Result<BTreeMap<String, StorePath>, Reason> {
        let mut known = BTreeMap::new();
        for (name, output) in &job.derivation.outputs {
            let path = output.path(&self.places.store_dir, &job.derivation.name, name);
            let mut path = path.map_err(|error| Reason::from(OutputError::from(error)))?;
            if path.is_none() {
                path = self.became(job, name)?;
            }
            if let Some(path) = path {
                known.insert(name.clone(), path);
            }
        }
        Ok(known)
    }

    /// What an output became that is compared, and whose path says nothing of where it is.
    fn became(&self, job: &Job<'_>, output: &str) -> Result<Option<StorePath>, Reason> {
        let Some(hash) = job.trace.filter(|_| job.is_check) else {
            return Ok(None);
        };
        let id = OutputId {
            hash,
            output: output.to_owned(),
        };
        let became = self.trace.get(&id);
        became.map_err(|error| io("read the build trace of the store", error))
    }

    fn build(&self, job: &Job<'_>, known: BTreeMap<String, StorePath>) -> Result<Done, Failed> {
        self.check(job)?;
        let closure = self.closure(job)?;
        let inputs = self.inputs(job, &closure)?;
        let scratch_paths =
            environment::scratch_paths(job.derivation, job.path, &self.places.store_dir)
                .map_err(|error| Reason::from(OutputError::from(error)))?;
        let mut process = environment::process(&environment::Build {
            derivation: job.derivation,
            options: job.options,
            scratch: &scratch_paths,
            inputs: &closure.paths,
            infos: self.places,
            derivations: self.derivations,
            store_dir: &self.places.store_dir,
            cores: self.settings.cores,
            caller_variable: &|name| self.settings.caller_variables.get(name).cloned(),
        })
        .map_err(Reason::from)?;

        if let Some(builtin) = &mut process.builtin {
            builtin.fetch = self.settings.fetch.clone();
        }
        let builds = self.places.store.dir().join(BUILDS);
        let scratch =
            Scratch::new(&builds).map_err(|error| io("create a folder to build in", error))?;
        let has_network = has_network(job.derivation);
        let request = sandbox::Request {
            process,
            inputs,
            shell: self.settings.shell.clone(),
            network: has_network.then(|| self.settings.network.clone()),
            kvm: self.settings.machine.features.contains("kvm"),
            limits: self.settings.limits.clone(),
            scratch: scratch.path().to_owned(),
        };
        let (run, log_tail) = self.run(job, &request);
        let done = run.and_then(|outcome| {
            self.judge(job, outcome.end, scratch.path())?;
            let duration = outcome.duration;
            let left = Left {
                folder: outcome.outputs,
                scratch: scratch_paths,
                owners: outcome.owner..=outcome.owner,
                inputs: closure.paths,
            };
            let mut outputs = known;
            let made = self.finish(job, &left)?.into_iter();
            outputs.extend(made.map(|(name, output)| (name, output.path)));
            Ok(Done { outputs, duration })
        });
        let keep = matches!(&done, Err(reason) if !matches!(reason, Reason::Cancelled));
        self.put_away(job, scratch, keep && self.settings.keep_failed);
        done.map_err(|reason| Failed {
            reason: Box::new(reason),
            log_tail,
        })
    }

    /// Whether it asks for what is not given.
    fn check(&self, job: &Job<'_>) -> Result<(), Reason> {
        let derivation = self.places.store_dir.print(job.path);
        if job.options.no_chroot {
            return Err(Reason::NotAllowed(format!(
                "derivation '{derivation}' has '__noChroot' set, but that's not allowed when 'sandbox' is 'true'"
            )));
        }
        if let Some(path) = job.options.impure_host_deps.first() {
            let path = String::from_utf8_lossy(path);
            return Err(Reason::NotAllowed(format!(
                "derivation '{derivation}' requested impure path '{path}', but it was not in allowed-impure-host-deps"
            )));
        }
        if job.options.uses_uid_range() {
            return Err(Reason::NotAllowed(format!(
                "derivation '{derivation}' requires the system feature 'uid-range', and this sandbox has one user id only; build it with Nix, or without the feature"
            )));
        }
        for warning in &job.options.warnings {
            self.tell(Event::Warning((*warning).to_owned()));
        }
        Ok(())
    }

    fn closure(&self, job: &Job<'_>) -> Result<Closure, Reason> {
        let failed = |source| Reason::Inputs {
            derivation: self.places.store_dir.print(job.path),
            source: Box::new(source),
        };
        match self.places.closure(job.inputs).map_err(failed)? {
            Ok(closure) => Ok(closure),
            Err(missing) => Err(failed(InputError::Unknown(self.places.names(&missing)))),
        }
    }

    /// Where the sandbox finds the closure.
    fn inputs(&self, job: &Job<'_>, closure: &Closure) -> Result<Inputs, Reason> {
        let mut inputs = Inputs::default();
        if let Some(folder) = self.places.folder()
            && !closure.in_folder.is_empty()
        {
            inputs.folders.push(Folder {
                folder: folder.clone(),
                paths: closure.in_folder.clone(),
            });
        }
        if closure.stored.is_empty() {
            return Ok(inputs);
        }
        let failed = |source| Reason::Inputs {
            derivation: self.places.store_dir.print(job.path),
            source: Box::new(source),
        };
        if let Some(view) = self.view {
            let ClosureImage { file, devices, .. } =
                self.places.image(&closure.stored).map_err(failed)?;
            inputs.image = Some(Image {
                file,
                devices,
                view,
                paths: closure.stored.clone(),
            });
        } else {
            let exported = self.places.export(&closure.stored).map_err(failed)?;
            inputs.folders.extend(exported.into_iter().map(|it| Folder {
                folder: it.folder,
                paths: vec![it.path],
            }));
        }
        Ok(inputs)
    }

    fn run(
        &self,
        job: &Job<'_>,
        request: &sandbox::Request,
    ) -> (Result<Outcome, Reason>, Vec<Vec<u8>>) {
        let mut lines = Lines::new(self.settings.log_lines);
        let store = self.places.store.dir();
        let mut log = match Log::begin(store, job.path) {
            Ok(log) => log,
            Err(error) => return (Err(io("create the log", error)), Vec::new()),
        };
        let mut log_error = None;
        self.tell(Event::Started {
            derivation: job.path.clone(),
            is_check: job.is_check,
        });
        let say = |said| {
            self.tell(Event::Said {
                derivation: job.path.clone(),
                said,
            });
        };
        let mut write = |piece: &[u8]| {
            if let Err(error) = log.write(piece) {
                log_error.get_or_insert(error);
            }
            lines.write(piece, say);
        };
        let run = sandbox::run(request, &mut write, self.cancel);
        lines.finish(say);
        if let Err(error) = log.finish() {
            log_error.get_or_insert(error);
        }
        if let Some(error) = log_error {
            let derivation = self.places.store_dir.print(job.path);
            self.tell(Event::Warning(format!(
                "failed to write the log of '{derivation}': {error}"
            )));
        }
        let run = run.map_err(|source| Reason::Sandbox {
            derivation: self.places.store_dir.print(job.path),
            source,
        });
        (run, lines.into_tail())
    }

    /// What an end means.
    fn judge(&self, job: &Job<'_>, end: End, scratch: &Path) -> Result<(), Reason> {
        let limits = &self.settings.limits;
        let seconds = |limit: Option<Duration>| limit.unwrap_or_default().as_secs();
        let status = match end {
            End::Exited(0) => return Ok(()),
            End::Exited(code) => BuilderStatus::Code(code),
            End::Killed(signal) => BuilderStatus::Signal(signal),
            End::TimedOut => return Err(Reason::TimedOut(seconds(limits.timeout))),
            End::Silent => return Err(Reason::TimedOut(seconds(limits.max_silent_time))),
            End::LogLimit => return Err(Reason::LogLimit(limits.max_log_size.unwrap_or(0))),
            End::OutOfMemory => return Err(Reason::OutOfMemory),
            End::Cancelled => return Err(Reason::Cancelled),
        };
        let is_disk_full = [self.places.store.dir(), scratch]
            .into_iter()
            .any(|folder| {
                statvfs(folder).is_ok_and(|disk| disk.f_bavail * disk.f_frsize < NEARLY_FULL)
            });
        Err(Reason::Builder {
            status,
            is_transient: is_disk_full || has_network(job.derivation),
            is_disk_full,
        })
    }

    fn finish(&self, job: &Job<'_>, left: &Left) -> Result<BTreeMap<String, BuiltOutput>, Reason> {
        let mut valid = self.known(job)?;
        valid.retain(|_, path| self.places.is_stored(path));
        let build = outputs::Build {
            store: &self.places.store,
            path: job.path,
            derivation: job.derivation,
            options: job.options,
            infos: self.places,
            left,
            valid: &valid,
        };
        if job.is_check {
            let keep = self
                .settings
                .keep_failed
                .then(|| self.places.store.dir().join(BUILDS));
            outputs::compare(&build, keep.as_deref())?;
            return Ok(BTreeMap::new());
        }
        let finished = outputs::finish(&build)?;
        self.places.add_held(finished.held);
        Ok(finished.outputs)
    }

    /// Removes what is left, or keeps the build folder.
    fn put_away(&self, job: &Job<'_>, scratch: Scratch, keep: bool) {
        let removed = if keep {
            scratch.keep_build_dir().map(|folder| {
                self.tell(Event::Kept {
                    derivation: job.path.clone(),
                    folder,
                });
            })
        } else {
            scratch.remove()
        };
        if let Err(error) = removed {
            let derivation = self.places.store_dir.print(job.path);
            self.tell(Event::Warning(format!(
                "failed to remove what the build of '{derivation}' left: {error}; the next run tries again"
            )));
        }
    }

    /// A reader that is slow slows the builder down; one that is gone does not.
    fn tell(&self, event: Event) {
        let _ = self.events.blocking_send(event);
    }
}

/// The folder of the scratch folders, in the store's.
pub(super) const BUILDS: &str = "builds";

/// Whether a builder may use the network: what it makes is known, or known to change.
fn has_network(derivation: &Derivation) -> bool {
    matches!(
        derivation.kind(),
        Ok(DerivationKind::FixedOutput | DerivationKind::Impure)
    )
}

fn io(action: &str, source: std::io::Error) -> Reason {
    Reason::Io {
        action: action.to_owned(),
        source,
    }
}
