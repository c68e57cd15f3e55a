//! How much an evaluation may take, and what looks after it.
//!
//! A thread ticks; a tick has the next call look up from its work, at the time and at the arena's size. So calls pay nothing
//! for it: that they are not nested too deeply they ask anyway. What makes much at once asks for room first.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::expr::LambdaCode;
use crate::position::PosIdx;
use crate::profile::{Frame, Profile};
use crate::settings::Settings;

/// How much an evaluation may take.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Time from the evaluation's start.
    pub time: Option<Duration>,
    /// Bytes of the arena that holds its values. What is being written besides (a large string, say) may be as large again.
    pub memory: Option<usize>,
    /// Ends it from another thread.
    pub interrupt: Option<Interrupt>,
}

/// A way to end evaluations from another thread: at their next call they fail with [`ErrorKind::Limit`], and so does all that
/// they are asked afterwards.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    is_wanted: AtomicBool,
    /// See [`Watch::depth`].
    depths: Mutex<Vec<Weak<AtomicU32>>>,
}

impl Interrupt {
    /// Ends all evaluations that have this in their [`Limits`], and those that will.
    pub fn interrupt(&self) {
        self.0.is_wanted.store(true, Ordering::SeqCst);
        let depths = self.0.depths.lock().unwrap_or_else(PoisonError::into_inner);
        for depth in depths.iter().filter_map(Weak::upgrade) {
            depth.store(0, Ordering::SeqCst);
        }
    }

    fn is_wanted(&self) -> bool {
        self.0.is_wanted.load(Ordering::SeqCst)
    }

    fn watch(&self, depth: &Arc<AtomicU32>) {
        let mut depths = self.0.depths.lock().unwrap_or_else(PoisonError::into_inner);
        depths.push(Arc::downgrade(depth));
        if self.is_wanted() {
            depth.store(0, Ordering::SeqCst);
        }
    }
}

const TICK: Duration = Duration::from_millis(4);

/// What looks after an evaluation.
pub(crate) struct Watch<'a> {
    /// Calls nested so deeply look up from their work: those nested too deeply, or, after a tick, all.
    depth: Arc<AtomicU32>,
    started: Instant,
    pub(crate) profile: Option<Profile<'a>>,
    /// The ticking thread ends when this does.
    _ticking: Option<Sender<()>>,
}

impl Watch<'_> {
    pub(crate) fn new(settings: &Settings) -> Self {
        let depth = Arc::new(AtomicU32::new(usual_depth(settings)));
        let limits = &settings.limits;
        let ticks = limits.time.is_some() || limits.memory.is_some();
        if ticks {
            // The first call looks, too.
            depth.store(0, Ordering::Relaxed);
        }
        if let Some(interrupt) = &limits.interrupt {
            interrupt.watch(&depth);
        }
        Self {
            started: Instant::now(),
            profile: settings.profile.then(|| {
                depth.store(0, Ordering::Relaxed);
                Profile::default()
            }),
            _ticking: ticks.then(|| tick(Arc::clone(&depth))),
            depth,
        }
    }

    #[inline]
    pub(crate) fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }
}

fn usual_depth(settings: &Settings) -> u32 {
    settings.max_call_depth.saturating_add(1)
}

fn tick(depth: Arc<AtomicU32>) -> Sender<()> {
    let (ticking, ended) = mpsc::channel();
    std::thread::spawn(move || {
        while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            depth.store(0, Ordering::Relaxed);
        }
    });
    ticking
}

/// What is being called.
#[derive(Clone, Copy)]
pub(crate) enum Callee<'a> {
    Function(&'a LambdaCode<'a>),
    Builtin(&'a str),
    /// No call, but something that nests like one.
    Other,
}

impl<'a> Evaluator<'a> {
    /// Looks at depth, time and memory before a call.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_after(&mut self, callee: Callee<'a>, position: PosIdx) -> Result<()> {
        if self.call_depth > self.settings.max_call_depth {
            return Err(crate::eval::call_depth_exceeded().at(position));
        }
        match &mut self.watch.profile {
            Some(profile) => profile.enter(self.call_depth, Frame::of(callee)),
            None => self
                .watch
                .depth
                .store(usual_depth(&self.settings), Ordering::SeqCst),
        }
        self.check_limits().map_err(|error| error.at(position))
    }

    /// What takes long without a call asks this now and then.
    #[inline]
    pub(crate) fn look_after_if_due(&mut self) -> Result<()> {
        if self.call_depth >= self.watch.depth() {
            return self.look_after(Callee::Other, PosIdx::NONE);
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<()> {
        if let Some(most) = self.settings.limits.time
            && self.watch.started.elapsed() > most
        {
            let message = format!(
                "the evaluation took longer than {} s, the most that it may (--eval-timeout)",
                most.as_secs_f64()
            );
            return Err(EvalError::new(ErrorKind::Limit, message));
        }
        let interrupt = &self.settings.limits.interrupt;
        if interrupt.as_ref().is_some_and(Interrupt::is_wanted) {
            return Err(EvalError::new(
                ErrorKind::Limit,
                "the evaluation was interrupted",
            ));
        }
        self.make_room(0)
    }

    /// There must be room for `bytes` more.
    #[inline]
    pub(crate) fn make_room(&self, bytes: usize) -> Result<()> {
        match self.settings.limits.memory {
            Some(most) if self.arena.allocated_bytes().saturating_add(bytes) > most => {
                Err(out_of_memory(most))
            }
            _ => Ok(()),
        }
    }
}

#[cold]
fn out_of_memory(most: usize) -> Box<EvalError> {
    let message = format!(
        "the evaluation needs more memory than {} MiB, the most that it may have (--eval-memory)",
        most >> 20
    );
    EvalError::new(ErrorKind::Limit, message)
}
