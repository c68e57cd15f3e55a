//! A node's way to a part: whom it asks, one after the other.

use crate::membership::{Homes, Name};

/// Why a node wants a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// For itself.
    Own,
    /// A node of its zone asks it as home of the zone.
    OfZone,
    /// A home of another zone asks it as home of all zones.
    OfAll,
}

/// As what a peer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// As home of the asker's zone: it fetches the part if it has not.
    ZoneHome,
    /// As home of all zones: it fetches the part from the origin if it has not.
    Home,
    /// As one that has the part or is receiving it; if not, it does nothing.
    Holder,
    /// As one that has all of the part; if not, it does nothing. So this may be asked of any.
    Keeper,
}

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A peer.
    Peer {
        /// Which.
        name: Name,
        /// As what it is asked.
        role: Role,
        /// Peers that it sent to before and that could not serve.
        avoiding: Vec<Name>,
    },
    /// The origin.
    Origin,
    /// There is no other source.
    Nowhere,
}

/// Holders that one home may name in vain.
const MOST_AVOIDED: usize = 3;

/// The way of one node to one part. Every failure leads on: to the origin after a bounded number of steps, and from there to
/// members that may still have the part.
#[derive(Debug, Clone)]
pub struct Pursuit {
    me: Name,
    /// Those to ask before the origin.
    homes: Vec<(Name, Role)>,
    /// Those to ask after it.
    keepers: Vec<Name>,
    /// The home that is asked, or was before `holder`; after all homes the origin, and after that keepers.
    at: usize,
    /// The peer that the home named.
    holder: Option<Name>,
    avoiding: Vec<Name>,
}

impl Pursuit {
    /// The way of the node `me`. `homes` are those of its own zone, and of all.
    pub fn new(me: &Name, homes: &Homes, need: Need) -> Self {
        let before_me = |names: &[Name], role| -> (Vec<(Name, Role)>, bool) {
            let others = names.iter().take_while(|name| *name != me);
            let others: Vec<_> = others.map(|name| (Name::clone(name), role)).collect();
            let is_home = others.len() < names.len();
            (others, is_home)
        };
        let (of_zone, is_home) = match need {
            Need::Own => before_me(&homes.of_zone, Role::ZoneHome),
            Need::OfZone | Need::OfAll => (Vec::new(), true),
        };
        let mut ways = of_zone;
        // A home of the zone, also one that stands in for others that fail, asks as such.
        if need != Need::OfAll && is_home {
            ways.extend(before_me(&homes.of_all, Role::Home).0);
        }
        // The home of all zones may have come only now: the one before it may have the part.
        if ways.is_empty()
            && let Some(before) = homes.of_all.iter().find(|name| *name != me)
        {
            ways.push((Name::clone(before), Role::Keeper));
        }
        Self::with_ways(me, homes, ways)
    }

    /// The way to what nothing verifies that comes from a peer: the origin first, and others only if it fails.
    pub fn origin_first(me: &Name, homes: &Homes) -> Self {
        Self::with_ways(me, homes, Vec::new())
    }

    fn with_ways(me: &Name, homes: &Homes, ways: Vec<(Name, Role)>) -> Self {
        let all = homes.of_zone.iter().chain(&homes.of_all).chain(&homes.next);
        let mut keepers: Vec<Name> = Vec::new();
        for name in all {
            let is_asked = name == me || ways.iter().any(|(home, _)| home == name);
            if !is_asked && !keepers.contains(name) {
                keepers.push(Name::clone(name));
            }
        }
        Self {
            me: Name::clone(me),
            homes: ways,
            keepers,
            at: 0,
            holder: None,
            avoiding: Vec::new(),
        }
    }

    /// Where to ask now.
    pub fn source(&self) -> Source {
        if let Some(holder) = &self.holder {
            return Source::Peer {
                name: Name::clone(holder),
                role: Role::Holder,
                avoiding: Vec::new(),
            };
        }
        let after = self.at.checked_sub(self.homes.len());
        let (name, role) = match after {
            None => (&self.homes[self.at].0, self.homes[self.at].1),
            Some(0) => return Source::Origin,
            Some(keeper) => match self.keepers.get(keeper - 1) {
                Some(name) => (name, Role::Keeper),
                None => return Source::Nowhere,
            },
        };
        Source::Peer {
            name: Name::clone(name),
            role,
            avoiding: self.avoiding.clone(),
        }
    }

    /// The home that was asked names another peer.
    pub fn redirected(&mut self, to: Name) {
        let asked = self.homes.get(self.at);
        let is_home = asked.is_some_and(|(_, role)| *role != Role::Keeper);
        let is_answer = self.holder.is_none() && is_home;
        if is_answer && to != self.me && !self.avoiding.contains(&to) {
            self.holder = Some(to);
        } else {
            self.failed();
        }
    }

    /// The source that was asked does not give the part, or not to its end.
    pub fn failed(&mut self) {
        if let Some(holder) = self.holder.take() {
            self.avoiding.push(holder);
            if self.avoiding.len() <= MOST_AVOIDED {
                return;
            }
        }
        self.avoiding.clear();
        let end = self.homes.len() + 1 + self.keepers.len();
        self.at = (self.at + 1).min(end);
    }

    /// Makes this the way of one that others ask as their home, if it is not that yet: where a home fails, one that was waiting
    /// for it takes its place, and may be asked by the very node that it waits for. False: nothing changes.
    pub fn promote(&mut self, homes: &Homes, need: Need) -> bool {
        let lower = match (self.homes.get(self.at), need) {
            (None | Some((_, Role::Keeper)), _)
            | (_, Need::Own)
            | (Some((_, Role::Home)), Need::OfZone) => false,
            (Some(_), Need::OfZone | Need::OfAll) => true,
        };
        if lower {
            *self = Self::new(&self.me, homes, need);
        }
        lower
    }

    /// No further home is asked, as too much time was lost on some.
    pub fn give_up_on_homes(&mut self) {
        self.holder = None;
        self.avoiding.clear();
        self.at = self.at.max(self.homes.len());
    }
}
