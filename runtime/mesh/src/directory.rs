//! The members of the mesh and their addresses.

use std::net::SocketAddr;

use hashbrown::HashMap;
use niphas_mesh_policy::{Member, Membership, Name};
use serde::Deserialize;
use thiserror::Error;

/// Members that are read of one file.
const MOST: usize = 16_384;

/// The members cannot be read.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// Not YAML, or not what is expected.
    #[error("the members are not valid")]
    Syntax(#[source] Box<serde_saphyr::Error>),
    /// Too many members.
    #[error("expected at most {MOST} members, found {0}")]
    TooMany(usize),
}

/// A member, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// The node's name.
    pub name: String,
    /// The node's zone; nodes without one are in one zone together.
    #[serde(default)]
    pub zone: String,
    /// How much the node can serve, compared with others.
    #[serde(default = "one")]
    pub weight: u32,
    /// Where it serves.
    pub address: SocketAddr,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    members: Vec<Peer>,
}

/// All members, as a node knows them at one time.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    membership: Membership,
    addresses: HashMap<Name, SocketAddr>,
}

impl Directory {
    /// These members.
    pub fn new(peers: impl IntoIterator<Item = Peer>) -> Self {
        let mut addresses = HashMap::new();
        let members = peers.into_iter().map(|peer| {
            let name = Name::from(peer.name);
            addresses.insert(Name::clone(&name), peer.address);
            Member {
                name,
                zone: peer.zone.into(),
                weight: peer.weight,
            }
        });
        let membership = Membership::new(members);
        Self {
            membership,
            addresses,
        }
    }

    /// Reads members from YAML: `members`, a list.
    pub fn parse(text: &str) -> Result<Self, DirectoryError> {
        let file: File = serde_saphyr::from_str(text)
            .map_err(|source| DirectoryError::Syntax(Box::new(source)))?;
        if file.members.len() > MOST {
            return Err(DirectoryError::TooMany(file.members.len()));
        }
        Ok(Self::new(file.members))
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.addresses.get(name).copied()
    }
}
