//! The mesh's policy on thousands of nodes, in virtual time: the decisions are those of `niphas-mesh-policy`, as in `niphas-mesh`;
//! the network and the nodes are a model.
//!
//! What the model assumes:
//!
//! - A node's link has one rate each way, and so has the origin's. A sender gives its transfers turns, a [piece](Setting::piece)
//!   each. Between links there is no bottleneck, and nothing is lost.
//! - A request takes the latency of its way, and one to a node that died [a time limit](CONNECT_TIME).
//! - Each node wants all parts of all files in one order, [some](AT_ONCE) at the same time. Narinfos, disks and processors cost
//!   nothing.
//! - All nodes know all members.

mod closure;
mod model;
mod setting;
mod state;

pub use closure::{Shape, closure};
pub use model::simulate;
pub use setting::{Outcome, Setting};

/// Parts that a node asks for at the same time.
pub const AT_ONCE: usize = 32;

/// Nanoseconds after which a node that died is known not to answer.
pub const CONNECT_TIME: u64 = 1_200_000_000;
