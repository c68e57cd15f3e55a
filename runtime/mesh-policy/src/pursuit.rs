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
}

/// Holders that one home may name in vain.
const MOST_AVOIDED: usize = 3;

/// The way of one node to one part. Every failure leads on, and the end is the origin, after a bounded number of steps.
#[derive(Debug, Clone)]
pub struct Pursuit {
    me: Name,
    homes: Vec<(Name, Role)>,
    /// The home that is asked, or was before `holder`.
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
        Self {
            me: Name::clone(me),
            homes: ways,
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
        let home = self.homes.get(self.at);
        home.map_or(Source::Origin, |(name, role)| Source::Peer {
            name: Name::clone(name),
            role: *role,
            avoiding: self.avoiding.clone(),
        })
    }

    /// The home that was asked names another peer.
    pub fn redirected(&mut self, to: Name) {
        let is_answer = self.holder.is_none() && self.at < self.homes.len();
        if is_answer && to != self.me && !self.avoiding.contains(&to) {
            self.holder = Some(to);
        } else {
            self.failed();
        }
    }

    /// The peer that was asked does not serve the part, or not to its end.
    pub fn failed(&mut self) {
        if let Some(holder) = self.holder.take() {
            self.avoiding.push(holder);
            if self.avoiding.len() <= MOST_AVOIDED {
                return;
            }
        }
        self.avoiding.clear();
        self.at = (self.at + 1).min(self.homes.len());
    }

    /// No further peer is asked, as too much time was lost on some.
    pub fn give_up_on_peers(&mut self) {
        self.holder = None;
        self.at = self.homes.len();
    }
}
