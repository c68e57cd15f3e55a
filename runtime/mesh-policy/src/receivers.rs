//! A home's part in the spread of one part: which peer serves which.

use std::time::Duration;

use hashbrown::HashMap;

use crate::membership::Name;

/// The nodes that a home has handed a part to, or to others that have it: a tree, in the order in which they came.
#[derive(Debug, Clone)]
pub struct Receivers {
    /// Each serves this many others at most, and so does the home.
    fan_out: u32,
    direct: u32,
    seats: Vec<Seat>,
    by_name: HashMap<Name, usize>,
    /// Seats before this one serve all that they may.
    open: usize,
    last: Duration,
}

#[derive(Debug, Clone)]
struct Seat {
    name: Name,
    children: u32,
    complaints: u32,
}

/// Who serves a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The home itself.
    Here,
    /// Another that has the part or is receiving it.
    At(Name),
}

/// A node serves this many others, and more only of what is small.
const FAN_OUT: u32 = 2;

/// Bytes that a home sends of one part before it names others. A detour costs a round trip, so it pays for large parts only.
const DIRECT_BYTES: u64 = 1 << 20;

/// Peers that could not get a part from another, after which no more are sent there.
const MOST_COMPLAINTS: u32 = 2;

/// After this time without a receiver those that were are taken to have the part no more.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// Receivers that a home remembers of a part.
const MOST_SEATS: usize = 16_384;

impl Receivers {
    /// None yet, of a part of this many bytes.
    pub fn new(bytes: u64) -> Self {
        let small = u32::try_from(DIRECT_BYTES / bytes.max(1)).unwrap_or(u32::MAX);
        Self {
            fan_out: small.max(FAN_OUT),
            direct: 0,
            seats: Vec::new(),
            by_name: HashMap::new(),
            open: 0,
            last: Duration::ZERO,
        }
    }

    /// How many others each serves at most, unless nodes fail.
    pub fn fan_out(&self) -> u32 {
        self.fan_out
    }

    /// Who serves `receiver`, which could not get it from those that it is `avoiding`: the home, as long as it serves few; then
    /// the first that came before `receiver` and serves few. Where there is none of these it is the home after all.
    pub fn place(&mut self, receiver: &Name, avoiding: &[Name], now: Duration) -> Place {
        if now.saturating_sub(self.last) > FORGOTTEN_AFTER {
            self.forget();
        }
        self.last = now;
        for name in avoiding {
            if let Some(&seat) = self.by_name.get(name) {
                self.seats[seat].complaints += 1;
            }
        }
        let Some(own) = self.seat(receiver) else {
            return Place::Here;
        };
        if self.direct < self.fan_out {
            self.direct += 1;
            return Place::Here;
        }
        while self
            .seats
            .get(self.open)
            .is_some_and(|seat| !self.is_open(seat))
        {
            self.open += 1;
        }
        let earlier = self.open..own;
        let found = earlier.into_iter().find(|&seat| {
            self.is_open(&self.seats[seat]) && !avoiding.contains(&self.seats[seat].name)
        });
        if let Some(parent) = found {
            let parent = &mut self.seats[parent];
            parent.children += 1;
            return Place::At(Name::clone(&parent.name));
        }
        self.direct = self.direct.saturating_add(1);
        Place::Here
    }

    /// Another that came before `receiver`, for a home that can serve no more: of those with the fewest to serve the first.
    pub fn instead(&mut self, receiver: &Name, avoiding: &[Name]) -> Option<Name> {
        let own = *self.by_name.get(receiver)?;
        let serves =
            |seat: &Seat| seat.complaints < MOST_COMPLAINTS && !avoiding.contains(&seat.name);
        let earlier = (0..own).filter(|&seat| serves(&self.seats[seat]));
        let parent = earlier.min_by_key(|&seat| self.seats[seat].children)?;
        let parent = &mut self.seats[parent];
        parent.children += 1;
        Some(Name::clone(&parent.name))
    }

    fn is_open(&self, seat: &Seat) -> bool {
        seat.children < self.fan_out && seat.complaints < MOST_COMPLAINTS
    }

    /// The receiver's place in the order, which it keeps when it comes again. None: there are too many.
    fn seat(&mut self, receiver: &Name) -> Option<usize> {
        if let Some(&seat) = self.by_name.get(receiver) {
            return Some(seat);
        }
        if self.seats.len() >= MOST_SEATS {
            return None;
        }
        self.seats.push(Seat {
            name: Name::clone(receiver),
            children: 0,
            complaints: 0,
        });
        let seat = self.seats.len() - 1;
        self.by_name.insert(Name::clone(receiver), seat);
        Some(seat)
    }

    fn forget(&mut self) {
        self.seats.clear();
        self.by_name.clear();
        (self.direct, self.open) = (0, 0);
    }
}
