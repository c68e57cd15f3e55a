//! The nodes of the mesh, and which of them is the home of a part.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::part::{Part, mix};

/// What a node is called; no two have one name.
pub type Name = Arc<str>;

/// A node of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is called.
    pub name: Name,
    /// Its zone. Traffic between zones costs money and time.
    pub zone: Name,
    /// How much it can serve, compared with others. A member with 0 is never a home.
    pub weight: u32,
}

/// The nodes of the mesh, as one node knows them.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    /// Sorted by name.
    members: Vec<(u64, Member)>,
}

/// The homes of a part, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Homes {
    /// Those of the zone.
    pub of_zone: Vec<Name>,
    /// Those of all zones. The first of them is the first of its zone, too.
    pub of_all: Vec<Name>,
    /// Those that would be, and may have been when other members were there.
    pub next: Vec<Name>,
}

/// The homes that a node tries, of its zone and of all, before it asks the origin itself.
const MOST_HOMES: usize = 3;

/// Members that a node asks whether they have a part that the origin does not give.
const MOST_NEXT: usize = 8;

impl Membership {
    /// These members; of those with one name the last counts.
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let seeded = |member: Member| (seed(&member.name), member);
        let mut members: Vec<_> = members.into_iter().map(seeded).collect();
        members.reverse();
        members.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        members.dedup_by(|(_, a), (_, b)| a.name == b.name);
        Self { members }
    }

    /// The members, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.iter().map(|(_, member)| member)
    }

    /// The member with this name.
    pub fn get(&self, name: &str) -> Option<&Member> {
        let found = self
            .members
            .binary_search_by(|(_, member)| (*member.name).cmp(name));
        found.ok().map(|index| &self.members[index].1)
    }

    /// The homes of a part, for a node of this zone, among members that `is_well` holds for.
    ///
    /// When a member leaves, only parts move whose home it was; and each member is home of as many parts as its weight is a share
    /// of all.
    pub fn homes(&self, part: Part, zone: &str, is_well: impl Fn(&Name) -> bool) -> Homes {
        let part = part.seed();
        let (mut of_zone, mut of_all) = (Best::new(MOST_HOMES), Best::new(MOST_HOMES + MOST_NEXT));
        for (seed, member) in &self.members {
            let score = score(mix(part ^ seed), member.weight);
            let in_zone = *member.zone == *zone && of_zone.would_take(score);
            if !(in_zone || of_all.would_take(score))
                || member.weight == 0
                || !is_well(&member.name)
            {
                continue;
            }
            of_all.take(score, &member.name);
            if in_zone {
                of_zone.take(score, &member.name);
            }
        }
        let mut of_all = of_all.names();
        let next = of_all.split_off(MOST_HOMES.min(of_all.len()));
        Homes {
            of_zone: of_zone.names(),
            of_all,
            next,
        }
    }
}

/// The best few, by score.
struct Best<'a> {
    most: usize,
    found: Vec<(f64, &'a Name)>,
}

impl<'a> Best<'a> {
    fn new(most: usize) -> Self {
        let found = Vec::with_capacity(most + 1);
        Self { most, found }
    }

    fn would_take(&self, score: f64) -> bool {
        self.found.len() < self.most || self.found.last().is_some_and(|(worst, _)| score > *worst)
    }

    fn take(&mut self, score: f64, name: &'a Name) {
        if !self.would_take(score) {
            return;
        }
        let is_better = |(other, _): &(f64, _)| other.total_cmp(&score) == Ordering::Greater;
        let place = self.found.partition_point(is_better);
        self.found.insert(place, (score, name));
        self.found.truncate(self.most);
    }

    fn names(self) -> Vec<Name> {
        self.found
            .into_iter()
            .map(|(_, name)| Name::clone(name))
            .collect()
    }
}

/// Weighted rendezvous hashing (Thaler and Ravishankar; the weights as Schindelhauer and Schomaker have them): each member's
/// score is exponentially distributed with its weight, so the chance to have the highest is its share of all weights.
fn score(hash: u64, weight: u32) -> f64 {
    // In the middle of one of 2^53 steps between 0 and 1, so never either.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}

fn seed(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default())
}
