//! Which node asks which for a part of a file, and which node serves it, so that a file leaves its origin once however many nodes
//! ask for it at the same time.
//!
//! Files are cut into [parts](Part). For each part, [rendezvous hashing](Membership::homes) names a *home* in each zone, and of
//! those one for all zones. The home of all zones asks the origin; the homes of the other zones ask that one; all other nodes ask
//! the home of their zone ([`Pursuit`]). A home serves the first few itself, and sends those that come later to nodes that have the
//! part or are receiving it ([`Receivers`]): a tree grows, in which no node serves more than a few others.
//!
//! Waiting never goes in a circle: a node that is asked as home of all zones asks the origin and no peer, one that is asked as
//! home of its zone asks homes of all zones only, and within a tree a node waits for nodes only that came before it. Where nodes
//! know different members, two trees may cross; the time limit of the caller ends that.
//!
//! Nothing here knows a clock, a socket or a thread: times are those since any moment that the caller chose.

mod membership;
mod part;
mod pursuit;
mod rate;
mod receivers;
mod standing;
mod uploads;

pub use membership::{Homes, Member, Membership, Name};
pub use part::{FileId, PART_SIZE, Part};
pub use pursuit::{Need, Pursuit, Role, Source};
pub use rate::Rate;
pub use receivers::{Place, Receivers};
pub use standing::{Fault, Standing};
pub use uploads::Uploads;
