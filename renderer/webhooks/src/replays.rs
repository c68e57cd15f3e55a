//! Requests that arrived before.

use std::collections::VecDeque;

use hashbrown::HashSet;
use sha2::{Digest, Sha256};

/// How many requests are remembered, of all hooks together: 32 bytes twice for each.
const REMEMBERED: usize = 16 << 10;

/// For how long, in seconds. GitLab gives up after some hours, the others never send by themselves again.
const FOR: i64 = 24 * 3600;

/// Whether a request arrived before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// It did not.
    New,
    /// It did.
    Again,
}

/// The requests that arrived, as far as they are remembered.
///
/// A request counts as the same when its body is: the name of a delivery stands in a header, which is not signed, so one who
/// recorded a request could give it another.
#[derive(Debug, Default)]
pub struct Replays {
    seen: HashSet<[u8; 32]>,
    in_order: VecDeque<(i64, [u8; 32])>,
}

impl Replays {
    /// Notes that a request with this body arrived at a hook at `now`, in seconds since 1970.
    pub fn note(&mut self, hook: &str, body: &[u8], now: i64) -> Replay {
        while let Some((time, digest)) = self.in_order.front()
            && (self.in_order.len() >= REMEMBERED || now.saturating_sub(*time) > FOR)
        {
            self.seen.remove(digest);
            self.in_order.pop_front();
        }
        let mut hasher = Sha256::new();
        hasher.update((hook.len() as u64).to_le_bytes());
        hasher.update(hook);
        hasher.update(body);
        let digest: [u8; 32] = hasher.finalize().into();
        if !self.seen.insert(digest) {
            return Replay::Again;
        }
        self.in_order.push_back((now, digest));
        Replay::New
    }

    /// Forgets a request, so that it counts as new when the host sends it again: it could not be acted upon.
    pub fn forget_last(&mut self) {
        if let Some((_, digest)) = self.in_order.pop_back() {
            self.seen.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FOR, REMEMBERED, Replay, Replays};

    #[test]
    fn a_body_counts_once_for_each_hook() {
        let mut replays = Replays::default();
        assert_eq!(replays.note("a", b"body", 0), Replay::New);
        assert_eq!(replays.note("a", b"body", 1), Replay::Again);
        assert_eq!(replays.note("ab", b"ody", 1), Replay::New);
        assert_eq!(replays.note("b", b"body", 1), Replay::New);
        replays.forget_last();
        assert_eq!(replays.note("b", b"body", 1), Replay::New);
        assert_eq!(replays.note("a", b"body", FOR), Replay::Again);
        assert_eq!(replays.note("a", b"body", FOR + 1), Replay::New);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut replays = Replays::default();
        for number in 0..2 * REMEMBERED as u64 {
            replays.note("hook", &number.to_le_bytes(), 0);
        }
        assert_eq!(replays.in_order.len(), REMEMBERED);
        assert_eq!(replays.seen.len(), REMEMBERED);
    }
}
