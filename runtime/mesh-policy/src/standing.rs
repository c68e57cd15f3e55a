//! Which peers failed lately.

use std::time::Duration;

use hashbrown::HashMap;

use crate::membership::Name;

/// How a peer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be reached, or a connection to it broke.
    Unreachable,
    /// It was silent for too long.
    Stalled,
    /// What it answers is none of the answers that there are.
    Malformed,
    /// A file with bytes of it did not have the file's hash.
    WrongBytes,
}

/// The peers that failed lately. They are no homes until some time has passed, which doubles with each failure in a row.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    failed: HashMap<Name, Failed>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    /// Requests that were under way at the same time fail as one.
    since: Duration,
    until: Duration,
}

/// The longest time.
const LONGEST: Duration = Duration::from_mins(10);

/// Peers that are remembered. There are no more than members, unless these come and go.
const MOST: usize = 16_384;

impl Standing {
    /// Whether a peer may be asked.
    pub fn is_well(&self, peer: &Name, now: Duration) -> bool {
        self.failed
            .get(peer)
            .is_none_or(|failed| failed.until <= now)
    }

    /// Notes that a peer failed on a request that was made at `asked`.
    pub fn failed(&mut self, peer: &Name, fault: Fault, asked: Duration, now: Duration) {
        let first = match fault {
            Fault::Unreachable => Duration::from_secs(5),
            Fault::Stalled => Duration::from_secs(30),
            Fault::Malformed => Duration::from_mins(1),
            Fault::WrongBytes => LONGEST,
        };
        let before = self.failed.get(peer).copied();
        let times = match before {
            Some(before) if asked <= before.since && fault != Fault::WrongBytes => return,
            before => before.map_or(0, |before| before.times) + 1,
        };
        let pause = first.saturating_mul(1 << (times - 1).min(10)).min(LONGEST);
        if self.failed.len() >= MOST {
            self.failed.retain(|_, failed| failed.until > now);
        }
        if self.failed.len() < MOST {
            let (since, until) = (now, now + pause);
            let failed = Failed {
                times,
                since,
                until,
            };
            self.failed.insert(Name::clone(peer), failed);
        }
    }

    /// Notes that a peer served what it was asked for. That does not make wrong bytes good.
    pub fn served(&mut self, peer: &Name, now: Duration) {
        if self.is_well(peer, now) {
            self.failed.remove(peer);
        }
    }

    /// How long a peer is not asked from now on. None: it may be asked.
    pub fn avoided_for(&self, peer: &str, now: Duration) -> Option<Duration> {
        let left = self.failed.get(peer)?.until.checked_sub(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// The peers that are not asked now.
    pub fn avoided(&self, now: Duration) -> usize {
        let failed = self.failed.values();
        failed.filter(|failed| failed.until > now).count()
    }
}
