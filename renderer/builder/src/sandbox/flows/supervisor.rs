//! The thread that makes the calls of a builder in its place.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::io::Errno;

use super::attempt::{Attempt, Outcome};
use super::caller::Caller;
use super::kernel::{Listener, Notification};
use super::policy::FlowPolicy;

/// As many calls wait for the network at a time. Each of them holds a file descriptor.
const MAX_WAITING: usize = 256;

/// How often calls that wait are looked at, whether they still do.
const TICK: Duration = Duration::from_millis(100);

/// How long a call that did not get on though its socket was ready rests, at first and at most.
const REST: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// What an interrupted call gives (`ERESTARTSYS`): the kernel makes it again, or turns it into EINTR, as the handler of the
/// signal has it.
const RESTART: i32 = 512;

/// How many different denied addresses are reported.
const MAX_DENIED: usize = 16;

/// Supervises a builder.
pub(super) struct Supervisor<F> {
    pub(super) listener: Listener,
    pub(super) policy: FlowPolicy,
    /// Called with each address that the policy denied, once.
    pub(super) denied: F,
    denied_before: Vec<SocketAddr>,
    waiting: Vec<Waiting>,
    /// The data of one message, on its way.
    buffer: Vec<u8>,
}

/// A call that waits for the network.
struct Waiting {
    notification: Notification,
    outcome: super::attempt::Wait,
    /// How many bytes of it are sent.
    done: u64,
    deadline: Option<Instant>,
    /// Not made again before.
    rest_until: Instant,
    rest: Duration,
}

impl<F: FnMut(SocketAddr)> Supervisor<F> {
    pub(super) fn new(listener: Listener, policy: FlowPolicy, denied: F) -> Self {
        Self {
            listener,
            policy,
            denied,
            denied_before: Vec::new(),
            waiting: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Makes calls until the builder and all that it started have ended.
    pub(super) fn run(mut self) -> Result<(), Errno> {
        let mut next_tick = Instant::now() + TICK;
        loop {
            let (events, ready) = self.wait(next_tick)?;
            if events.contains(PollFlags::IN) {
                self.take()?;
            } else if !events.is_empty() {
                return Ok(());
            }
            // From the last: those that end are taken out.
            for index in ready.into_iter().rev() {
                let waiting = self.waiting.swap_remove(index);
                self.go_on(waiting);
            }
            if Instant::now() >= next_tick {
                self.look_at_waiting();
                next_tick = Instant::now() + TICK;
            }
        }
    }

    /// Waits for a call, or until some that wait can be made again. Gives what happened to the listener, and the latter.
    fn wait(&self, next_tick: Instant) -> Result<(PollFlags, Vec<usize>), Errno> {
        let now = Instant::now();
        let listener = self.listener.as_fd();
        let mut sources = vec![PollFd::from_borrowed_fd(listener, PollFlags::IN)];
        let mut polled = Vec::new();
        let mut until = None;
        for (index, waiting) in self.waiting.iter().enumerate() {
            let mut wake = next_tick;
            if waiting.rest_until > now {
                wake = wake.min(waiting.rest_until);
            } else {
                sources.push(PollFd::new(&waiting.outcome.socket, PollFlags::OUT));
                polled.push(index);
            }
            until = Some(until.unwrap_or(wake).min(wake));
        }
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(now);
            Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        match poll(&mut sources, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok((PollFlags::empty(), Vec::new())),
            Err(error) => return Err(error),
        }
        let ready = sources[1..].iter().zip(polled);
        let ready = ready.filter(|(source, _)| !source.revents().is_empty());
        Ok((
            sources[0].revents(),
            ready.map(|(_, index)| index).collect(),
        ))
    }

    /// Takes a call from the listener.
    fn take(&mut self) -> Result<(), Errno> {
        let notification = match self.listener.receive() {
            Ok(notification) => notification,
            // It ended before it was taken.
            Err(Errno::NOENT | Errno::INTR) => return Ok(()),
            Err(error) => return Err(error),
        };
        let (outcome, done) = self.attempt(&notification, 0, true);
        match outcome {
            Outcome::Wait(_) if self.waiting.len() >= MAX_WAITING => {
                self.listener.answer(notification.id, Err(Errno::NOBUFS));
            }
            Outcome::Wait(outcome) => {
                let now = Instant::now();
                let deadline = outcome.timeout.and_then(|time| now.checked_add(time));
                self.waiting.push(Waiting {
                    notification,
                    outcome,
                    done,
                    deadline,
                    rest_until: now,
                    rest: REST.0,
                });
            }
            outcome => self.end(&notification, &outcome),
        }
        Ok(())
    }

    /// Makes a call that waits again.
    fn go_on(&mut self, mut waiting: Waiting) {
        let (outcome, done) = self.attempt(&waiting.notification, waiting.done, false);
        match outcome {
            Outcome::Wait(outcome) => {
                if done > waiting.done {
                    waiting.rest = REST.0;
                } else {
                    waiting.rest_until = Instant::now() + waiting.rest;
                    waiting.rest = (2 * waiting.rest).min(REST.1);
                }
                waiting.done = done;
                waiting.outcome = outcome;
                self.waiting.push(waiting);
            }
            outcome => self.end(&waiting.notification, &outcome),
        }
    }

    fn attempt(
        &mut self,
        notification: &Notification,
        done: u64,
        is_first: bool,
    ) -> (Outcome, u64) {
        let mut attempt = Attempt {
            listener: &self.listener,
            policy: &self.policy,
            notification,
            buffer: &mut self.buffer,
            done,
            is_first,
            denied: None,
        };
        let outcome = attempt.make();
        let (done, denied) = (attempt.done, attempt.denied);
        if let Some(address) = denied {
            self.tell(address);
        }
        (outcome, done)
    }

    fn tell(&mut self, address: SocketAddr) {
        let is_new = !self.denied_before.contains(&address);
        if is_new && self.denied_before.len() < MAX_DENIED {
            self.denied_before.push(address);
            (self.denied)(address);
        }
    }

    fn end(&self, notification: &Notification, outcome: &Outcome) {
        match outcome {
            Outcome::Done(value) => self.listener.answer(notification.id, Ok(*value)),
            Outcome::Failed(error) => self.listener.answer(notification.id, Err(*error)),
            Outcome::Gone | Outcome::Wait(_) => {}
        }
    }

    /// Ends calls whose time is over, and those whose thread has a signal to handle, and forgets those of threads that ended.
    fn look_at_waiting(&mut self) {
        let now = Instant::now();
        let listener = &self.listener;
        self.waiting.retain(|waiting| {
            let id = waiting.notification.id;
            let is_over = waiting.deadline.is_some_and(|deadline| now >= deadline);
            let error = if is_over {
                waiting.outcome.timeout_error
            } else if is_interrupted(&waiting.notification) {
                Errno::from_raw_os_error(RESTART)
            } else {
                return listener.is_valid(id);
            };
            let result = match waiting.done {
                0 => Err(error),
                sent => Ok(sent as i64),
            };
            listener.answer(id, result);
            false
        });
    }
}

fn is_interrupted(notification: &Notification) -> bool {
    // A thread that cannot be looked at has ended; then so has its call, which is found out by itself.
    Caller::new(notification.thread)
        .and_then(|caller| caller.is_interrupted())
        .unwrap_or(false)
}
