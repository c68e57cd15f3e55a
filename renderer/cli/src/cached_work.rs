//! Work on an evaluated flake whose parts may be known from earlier runs, with the help of other threads.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix_evaluator::io::{EvalIo, LocalIo};
use nix_evaluator::{Evaluator, Interrupt, Limits, ParseCache, Settings, Value};
use nix_flake::{EvaluationCache, FlakeIo, Found, Read, RecordingIo, Session};

use crate::evaluation::Evaluation;
use crate::failure::Failure;
use crate::flake::{Source, WorkError, with_io};

/// Work on an evaluated flake whose parts may be known from earlier runs.
pub(crate) trait CachedWork {
    /// What comes of it.
    type Output;

    /// What comes of it if everything is known.
    fn known(&self, answers: &Answers<'_>) -> Option<Self::Output>;

    /// Does it. `flake` is the flake's value.
    fn run<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        flake: Value<'a>,
        answers: &mut Answers<'_>,
    ) -> Result<Self::Output, WorkError>;

    /// What others can do of it meanwhile.
    fn help(&self) -> Option<&dyn Help> {
        None
    }
}

/// The part of [`CachedWork`] that other threads can do, each with an evaluator of its own.
pub(crate) trait Help: Sync {
    /// Does as much of it as the others leave. What fails here is done again by [`CachedWork::run`], and told by it. An error
    /// is for before anything was found.
    fn help<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        flake: Value<'a>,
        answers: &Answers<'_>,
    ) -> Result<(), WorkError>;

    /// Called when no more work will come; wakes waiting helpers.
    fn end(&self);
}

/// What earlier runs found, and what this one finds.
pub(crate) struct Answers<'c> {
    cache: Option<&'c EvaluationCache>,
    /// Whose they are.
    evaluation: usize,
    /// How much it has read.
    count: &'c dyn Fn() -> usize,
    /// By evaluation.
    found: Vec<Vec<Found>>,
}

/// What an evaluation had read at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    evaluation: usize,
    reads: usize,
}

impl Answers<'_> {
    /// What is known.
    pub(crate) fn known(&self, name: &str) -> Option<&[u8]> {
        self.cache?.answer(name)
    }

    /// What is known, or has been found in this run.
    pub(crate) fn data<'s>(&'s self) -> impl Fn(&str) -> Option<&'s [u8]> {
        let found: HashMap<&str, &[u8]> = self
            .found
            .iter()
            .flatten()
            .map(|found| (found.name.as_str(), found.data.as_slice()))
            .collect();
        move |name| self.known(name).or_else(|| found.get(name).copied())
    }

    /// Whether it is best found last.
    pub(crate) fn has_changed(&self, name: &str) -> bool {
        self.cache.is_some_and(|cache| cache.has_changed(name))
    }

    /// What was evaluated up to now depends on what was read up to now: to be handed on to [`Answers::add`].
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            evaluation: self.evaluation,
            reads: (self.count)(),
        }
    }

    /// This very evaluation made the mark.
    pub(crate) fn is_own(&self, mark: Mark) -> bool {
        mark.evaluation == self.evaluation
    }

    /// Adds what is known from now on, each evaluation's in the order of its marks.
    pub(crate) fn add(&mut self, name: String, mark: Mark, data: Vec<u8>) {
        let reads = mark.reads;
        self.found[mark.evaluation].push(Found { name, reads, data });
    }

    /// The flake's own tree, whose name in the store changes.
    pub(crate) fn root(&self) -> Option<&EvaluationCache> {
        self.cache
    }
}

/// More threads do not help: each evaluates for itself what all need.
const MOST_HELPERS: usize = 3;

/// What evaluations say. They all come by what they share, so what one has said is not said again by another.
#[derive(Default)]
struct Messages {
    said: Mutex<HashMap<String, usize>>,
}

/// In place of an evaluation's number: it was said in an earlier run.
const EARLIER: usize = usize::MAX;

impl Messages {
    fn say(&self, evaluation: usize, message: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let by = said.entry(message.to_owned()).or_insert(evaluation);
        if *by == evaluation {
            LocalIo::default().message(message);
        }
    }
}

/// Evaluations of one flake.
struct Evaluations<'j> {
    source: &'j Source,
    evaluation: &'j Evaluation,
    cache: Option<&'j EvaluationCache>,
    messages: Arc<Messages>,
    /// How many there are.
    count: usize,
}

/// What came of an evaluation: of its work, of each evaluation's work as far as it has come by it, and what it read, if that
/// can be told.
struct Evaluated<T> {
    output: T,
    found: Vec<Vec<Found>>,
    reads: Option<Vec<Read>>,
}

impl Evaluations<'_> {
    /// Runs one of them.
    fn run<T>(
        &self,
        evaluation: usize,
        settings: Settings,
        work: impl for<'a> FnOnce(
            &mut Evaluator<'a>,
            Value<'a>,
            &mut Answers<'_>,
        ) -> Result<T, WorkError>,
    ) -> Result<Evaluated<T>, Failure> {
        let fetcher = &self.source.fetcher;
        let messages = Arc::clone(&self.messages);
        let local = LocalIo::with_messages(move |message| messages.say(evaluation, message));
        let io = FlakeIo::new(fetcher, local, settings.pure);
        let restricted = self.evaluation.restricted(&io);
        let io: &dyn EvalIo = match &restricted {
            Some(view) => view,
            None => &io,
        };
        let recording = self.cache.map(|cache| cache.record(io, fetcher));
        let count = || recording.as_ref().map_or(0, RecordingIo::count);
        let mut answers = Answers {
            cache: self.cache,
            evaluation,
            count: &count,
            found: (0..self.count).map(|_| Vec::new()).collect(),
        };
        let io = match &recording {
            Some(recording) => recording,
            None => io,
        };
        let output = with_io(self.evaluation, settings, fetcher, io, |evaluator| {
            let store_dir = &fetcher.settings().store_dir;
            let flake = self.source.locked.evaluate(evaluator, store_dir)?;
            work(evaluator, flake, &mut answers)
        })?;
        Ok(Evaluated {
            output,
            found: answers.found,
            reads: recording.and_then(RecordingIo::into_reads),
        })
    }

    /// Runs all of them: the first does `work`, the others help.
    fn run_all<W: CachedWork>(
        &self,
        settings: &Settings,
        work: &W,
    ) -> Result<(W::Output, Vec<Session>), Failure> {
        let interrupt = Interrupt::default();
        let parse_cache = Arc::new(ParseCache::new(self.count));
        let settings_of = |limits| Settings {
            limits,
            parse_cache: (self.count > 1).then(|| Arc::clone(&parse_cache)),
            ..settings.clone()
        };
        thread::scope(|scope| {
            let helpers: Vec<_> = work
                .help()
                .into_iter()
                .flat_map(|help| (1..self.count).map(move |number| (help, number)))
                .map(|(help, number)| {
                    // All together a quarter of what the first may have.
                    let memory = settings.limits.memory;
                    let limits = Limits {
                        memory: memory.map(|bytes| bytes / 4 / (self.count - 1)),
                        interrupt: Some(interrupt.clone()),
                        ..settings.limits.clone()
                    };
                    let settings = settings_of(limits);
                    scope.spawn(move || {
                        self.run(number, settings, |evaluator, flake, answers| {
                            help.help(evaluator, flake, answers)
                        })
                    })
                })
                .collect();
            let end = End {
                help: work.help(),
                interrupt: &interrupt,
            };
            let first = self.run(
                0,
                settings_of(settings.limits.clone()),
                |evaluator, flake, answers| work.run(evaluator, flake, answers),
            );
            drop(end);
            let mut reads = Vec::new();
            for helper in helpers {
                match helper.join() {
                    Ok(Ok(evaluated)) => reads.push(evaluated.reads),
                    // What all need could not be evaluated, or was interrupted: it has found nothing.
                    Ok(Err(_)) => reads.push(None),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            let first = first?;
            let reads = std::iter::once(first.reads).chain(reads);
            let sessions = first.found.into_iter().zip(reads);
            let sessions = sessions.map(|(found, reads)| Session { reads, found });
            Ok((first.output, sessions.collect()))
        })
    }
}

/// Ends helpers when the work is over, however that comes.
struct End<'h> {
    help: Option<&'h dyn Help>,
    interrupt: &'h Interrupt,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.interrupt.interrupt();
        if let Some(help) = self.help {
            help.end();
        }
    }
}

impl Source {
    /// Evaluates the flake as far as work on it is not known from earlier runs. `about` names the kind of work.
    pub(crate) fn evaluate_cached<W: CachedWork>(
        &self,
        evaluation: &Evaluation,
        about: &str,
        work: &W,
    ) -> Result<W::Output, Failure> {
        let settings = &evaluation.settings;
        let fetch_settings = self.fetcher.settings();
        let mut cache = if evaluation.uses_cache() {
            let about = evaluation.cache_key(about);
            let (folder, store_dir) = (&fetch_settings.cache_dir, &fetch_settings.store_dir);
            self.locked
                .evaluation_cache(folder, store_dir, settings, &about)?
        } else {
            None
        };
        if let Some(cache) = &mut cache {
            let io = FlakeIo::new(&self.fetcher, LocalIo::default(), settings.pure);
            match evaluation.restricted(&io) {
                Some(view) => cache.read(&view),
                None => cache.read(&io),
            }
        }
        let answers = Answers {
            cache: cache.as_ref(),
            evaluation: 0,
            count: &|| 0,
            found: Vec::new(),
        };
        let evaluations = Evaluations {
            source: self,
            evaluation,
            cache: cache.as_ref(),
            messages: Arc::default(),
            count: match work.help() {
                Some(_) if evaluation.can_be_shared() && settings.pure => {
                    evaluations(cache.as_ref())
                }
                _ => 1,
            },
        };
        let result = match work.known(&answers) {
            Some(output) => Ok((output, Vec::new())),
            None => evaluations.run_all(settings, work),
        };
        if let Some(cache) = &cache {
            for message in cache.messages() {
                evaluations.messages.say(EARLIER, &message);
            }
        }
        let (output, sessions) = result?;
        if let Some(cache) = &cache {
            let found: usize = sessions.iter().map(|session| session.found.len()).sum();
            let known = cache.known_answers();
            tracing::debug!("evaluation cache: {known} answers known, {found} found");
            if found > 0 {
                cache.keep(sessions);
            }
        }
        Ok(output)
    }
}

/// How many evaluations are worth it.
fn evaluations(cache: Option<&EvaluationCache>) -> usize {
    let few = cache.is_some_and(|cache| cache.missing_answers() < FEW);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    if few {
        1
    } else {
        threads.min(1 + MOST_HELPERS)
    }
}

/// Where no more workloads than this have changed, no thread helps.
const FEW: usize = 4;
