//! What the model knows of nodes, links and what goes over them.

use std::collections::VecDeque;

use hashbrown::HashMap;
use niphas_mesh_policy::{Name, Part, Pursuit, Receivers, Role, Standing};

/// A node, or the origin.
pub(crate) type Sender = Option<usize>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Start(usize),
    Death(usize),
    Asked {
        node: usize,
        by: usize,
        part: usize,
        role: u8,
        avoiding: Vec<Name>,
    },
    OriginAsked {
        by: usize,
        part: usize,
    },
    /// The answer to a request: another peer, or none.
    Answered {
        node: usize,
        part: usize,
        peer: Option<Name>,
    },
    /// A sender may send its next piece.
    Free(Sender),
    Piece(usize),
}

pub(crate) const ROLES: [Role; 4] = [Role::ZoneHome, Role::Home, Role::Holder, Role::Keeper];

/// A part of a file that goes from one to another.
pub(crate) struct Flow {
    pub(crate) from: Sender,
    pub(crate) to: usize,
    pub(crate) part: usize,
    /// Pieces that were sent, and that arrived.
    pub(crate) sent: u32,
    pub(crate) arrived: u32,
}

#[derive(Default)]
pub(crate) struct Link {
    pub(crate) is_busy: bool,
    /// Flows with a piece to send, in turns.
    pub(crate) queue: VecDeque<usize>,
}

pub(crate) struct Node {
    pub(crate) name: Name,
    pub(crate) zone: usize,
    pub(crate) uplink: Link,
    pub(crate) downlink_free: u64,
    pub(crate) arrivals: HashMap<usize, Arrival>,
    pub(crate) standing: Standing,
    pub(crate) next: usize,
    pub(crate) wanted: usize,
    pub(crate) is_alive: bool,
    pub(crate) sent: u64,
    pub(crate) start: u64,
    pub(crate) ready: Option<u64>,
}

pub(crate) struct Arrival {
    pub(crate) here: u32,
    pub(crate) pursuit: Pursuit,
    pub(crate) asked: u64,
    pub(crate) is_own: bool,
    /// The flow that brings it.
    pub(crate) flow: Option<usize>,
    /// Flows that wait for the next piece.
    pub(crate) waiting: Vec<usize>,
    pub(crate) receivers: [Receivers; 2],
}

pub(crate) struct PartInfo {
    pub(crate) part: Part,
    pub(crate) bytes: u64,
    pub(crate) pieces: u32,
}
