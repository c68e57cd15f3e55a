//! How much a node serves at the same time.

use hashbrown::HashMap;

use crate::membership::Name;

/// The uploads that go on.
#[derive(Debug, Clone)]
pub struct Uploads {
    most: usize,
    most_of_peer: usize,
    all: usize,
    of: HashMap<Name, usize>,
}

impl Uploads {
    /// At most this many uploads, and this many to one peer.
    pub fn new(most: usize, most_of_peer: usize) -> Self {
        Self {
            most,
            most_of_peer,
            all: 0,
            of: HashMap::new(),
        }
    }

    /// Counts an upload to a peer. False: there are too many.
    pub fn begin(&mut self, peer: &Name) -> bool {
        let of_peer = self.of.get(peer).copied().unwrap_or(0);
        if self.all >= self.most || of_peer >= self.most_of_peer {
            return false;
        }
        self.all += 1;
        self.of.insert(Name::clone(peer), of_peer + 1);
        true
    }

    /// An upload that was counted has ended.
    pub fn end(&mut self, peer: &Name) {
        if let Some(of_peer) = self.of.get_mut(peer) {
            self.all -= 1;
            *of_peer -= 1;
            if *of_peer == 0 {
                self.of.remove(peer);
            }
        }
    }

    /// How many there are to a peer.
    pub fn of(&self, peer: &str) -> usize {
        self.of.get(peer).copied().unwrap_or(0)
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all == 0
    }
}
