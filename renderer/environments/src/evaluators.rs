//! Evaluations of one flake by several evaluators at the same time, with what earlier runs found.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix_evaluator::io::{EvalIo, LocalIo};
use nix_evaluator::{Evaluator, Interrupt, Limits, ParseCache, Settings, Value};
use nix_flake::{EvaluationCache, FlakeIo, Found, Read, RecordingIo, Session};

use crate::answers::Answers;
use crate::error::{EvaluationError, WorkError};
use crate::evaluation::{Evaluation, Hear};
use crate::opened_flake::OpenedFlake;

/// The part of some work that other threads can do, each with an evaluator of its own.
pub(crate) trait Helper: Sync {
    /// Does as much of it as the others leave. The first evaluator does again what fails here, and reports it. An error
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

/// More threads do not help: each evaluates for itself what all need.
const MOST_HELPERS: usize = 3;
/// Where no more answers than this have changed, no thread helps.
const FEW: usize = 4;

/// What evaluations say. They all come by what they share, so what one has said is not said again by another.
struct Messages {
    hear: Arc<Hear>,
    /// By which evaluation.
    said: Mutex<HashMap<String, usize>>,
}

/// In place of an evaluation's number: it was said in an earlier run.
const EARLIER: usize = usize::MAX;

impl Messages {
    fn new(hear: &Arc<Hear>) -> Arc<Self> {
        Arc::new(Self {
            hear: Arc::clone(hear),
            said: Mutex::default(),
        })
    }

    fn say(&self, evaluation: usize, message: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let by = said.entry(message.to_owned()).or_insert(evaluation);
        if *by == evaluation {
            (self.hear)(message);
        }
    }
}

/// Work on one flake, parts of which may be known from earlier runs.
pub(crate) struct CachedEvaluation<'f> {
    flake: &'f OpenedFlake,
    evaluation: &'f Evaluation,
    cache: Option<EvaluationCache>,
    messages: Arc<Messages>,
}

/// What came of one evaluator: of its work, of each evaluator's work as far as it has come by it, and what it read, if that
/// can be told.
struct Evaluated<T> {
    output: T,
    found: Vec<Vec<Found>>,
    reads: Option<Vec<Read>>,
}

/// Ends helpers when the work is over, however that comes.
struct End<'h> {
    helper: Option<&'h dyn Helper>,
    interrupt: &'h Interrupt,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.interrupt.interrupt();
        if let Some(helper) = self.helper {
            helper.end();
        }
    }
}

impl<'f> CachedEvaluation<'f> {
    /// Finds out which answers of earlier runs still count. `about` names the kind of work.
    pub(crate) fn open(
        flake: &'f OpenedFlake,
        evaluation: &'f Evaluation,
        about: &str,
    ) -> Result<Self, EvaluationError> {
        let settings = &evaluation.settings;
        let fetch_settings = flake.fetcher.settings();
        let mut cache = if evaluation.uses_answers() {
            let about = evaluation.about_key(about);
            let (folder, store_dir) = (&fetch_settings.cache_dir, &fetch_settings.store_dir);
            flake
                .locked
                .evaluation_cache(folder, store_dir, settings, &about)?
        } else {
            None
        };
        if let Some(cache) = &mut cache {
            let io = FlakeIo::new(&flake.fetcher, LocalIo::default(), settings.pure);
            evaluation.with_view(&io, |io| cache.read(io));
        }
        Ok(Self {
            flake,
            evaluation,
            cache,
            messages: Messages::new(&evaluation.hear),
        })
    }

    /// What earlier runs found.
    pub(crate) fn answers(&self) -> Answers<'_> {
        Answers::known_in(self.cache.as_ref())
    }

    /// A file of the flake or its inputs as messages name it.
    pub(crate) fn shown(&self, file: &str) -> String {
        self.flake.fetcher.shown_path(file.as_bytes())
    }

    /// Whether answers of earlier runs count.
    pub(crate) fn uses_answers(&self) -> bool {
        self.evaluation.uses_answers()
    }

    /// Says again what was said on the way to what is known: for where all of the work is.
    pub(crate) fn all_is_known(&self) {
        self.say_known();
        self.keep(Vec::new());
    }

    /// Does `work`, with helpers if there are any and they are worth it, and keeps what is found.
    pub(crate) fn run<T>(
        &self,
        helper: Option<&dyn Helper>,
        work: impl for<'a> FnOnce(
            &mut Evaluator<'a>,
            Value<'a>,
            &mut Answers<'_>,
        ) -> Result<T, WorkError>,
    ) -> Result<T, EvaluationError> {
        let result = self.run_together(helper, work);
        self.say_known();
        let (output, sessions) = result?;
        self.keep(sessions);
        Ok(output)
    }

    fn say_known(&self) {
        for message in self.cache.iter().flat_map(EvaluationCache::messages) {
            self.messages.say(EARLIER, &message);
        }
    }

    fn keep(&self, sessions: Vec<Session>) {
        if let Some(cache) = &self.cache {
            let found: usize = sessions.iter().map(|session| session.found.len()).sum();
            let known = cache.known_answers();
            tracing::debug!("evaluation cache: {known} answers known, {found} found");
            if found > 0 {
                cache.keep(sessions);
            }
        }
    }

    /// How many evaluators are worth it.
    fn evaluators(&self, helper: Option<&dyn Helper>) -> usize {
        let evaluation = self.evaluation;
        let cache = self.cache.as_ref();
        let few = cache.is_some_and(|cache| cache.missing_answers() < FEW);
        if helper.is_none() || few || !evaluation.can_be_shared() || !evaluation.settings.pure {
            return 1;
        }
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        threads.min(1 + MOST_HELPERS)
    }

    /// Runs all evaluators: the first does `work`, the others help.
    fn run_together<T>(
        &self,
        helper: Option<&dyn Helper>,
        work: impl for<'a> FnOnce(
            &mut Evaluator<'a>,
            Value<'a>,
            &mut Answers<'_>,
        ) -> Result<T, WorkError>,
    ) -> Result<(T, Vec<Session>), EvaluationError> {
        let settings = &self.evaluation.settings;
        let count = self.evaluators(helper);
        let interrupt = Interrupt::default();
        let parse_cache = (count > 1).then(|| Arc::new(ParseCache::new(count)));
        let settings_of = |limits| Settings {
            limits,
            parse_cache: parse_cache.clone(),
            ..settings.clone()
        };
        thread::scope(|scope| {
            let helpers: Vec<_> = helper
                .into_iter()
                .flat_map(|helper| (1..count).map(move |number| (helper, number)))
                .map(|(helper, number)| {
                    // All together a quarter of what the first may have.
                    let memory = settings.limits.memory;
                    let limits = Limits {
                        memory: memory.map(|bytes| bytes / 4 / (count - 1)),
                        interrupt: Some(interrupt.clone()),
                        ..settings.limits.clone()
                    };
                    let settings = settings_of(limits);
                    scope.spawn(move || {
                        self.run_one((number, count), settings, |evaluator, flake, answers| {
                            helper.help(evaluator, flake, answers)
                        })
                    })
                })
                .collect();
            let end = End {
                helper,
                interrupt: &interrupt,
            };
            let first = self.run_one((0, count), settings_of(settings.limits.clone()), work);
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

    /// Runs one evaluator: its number, and how many there are.
    fn run_one<T>(
        &self,
        (number, count): (usize, usize),
        settings: Settings,
        work: impl for<'a> FnOnce(
            &mut Evaluator<'a>,
            Value<'a>,
            &mut Answers<'_>,
        ) -> Result<T, WorkError>,
    ) -> Result<Evaluated<T>, EvaluationError> {
        let (fetcher, cache) = (&self.flake.fetcher, self.cache.as_ref());
        let messages = Arc::clone(&self.messages);
        let local = self.evaluation.equip(LocalIo::default(), fetcher);
        let local = local.with_messages(move |message| messages.say(number, message));
        let io = FlakeIo::new(fetcher, local, settings.pure);
        self.evaluation.with_view(&io, |io| {
            let recording = cache.map(|cache| cache.record(io, fetcher));
            let read = || recording.as_ref().map_or(0, RecordingIo::count);
            let mut answers = Answers::of(cache, number, &read, count);
            let io: &dyn EvalIo = match &recording {
                Some(recording) => recording,
                None => io,
            };
            let output = self.evaluation.run_on(io, fetcher, settings, |evaluator| {
                let flake = self.flake.value(evaluator)?;
                work(evaluator, flake, &mut answers)
            })?;
            Ok(Evaluated {
                output,
                found: answers.into_found(),
                reads: recording.and_then(RecordingIo::into_reads),
            })
        })
    }
}
