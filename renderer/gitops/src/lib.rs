//! Writes rendered environments to a branch of a GitOps repository.
//!
//! [`GitOpsRepository::commit`] makes one commit for all environments of a run, or none if nothing
//! changes. It works on git objects alone; a user's work tree is touched only where the branch is
//! checked out, and then only while it is clean. What it guarantees:
//!
//! - History stays linear and no commit is lost: a branch that moved meanwhile is read again,
//!   the files are applied to its new tip, and the push is tried again. Nothing is forced, but for a branch of its own
//!   ([`GitOpsRepository::proposing_on`]) that has only commits of niphas, and is still as it was read.
//! - A run that is older than what is there stops ([`Error::Stale`]), and so does one that would undo
//!   a rollback ([`Error::RolledBack`]).
//! - An environment belongs to the flake that it was rendered from first ([`Error::OtherOwner`]).
//! - Only files that the environment's lock lists are replaced or removed, and only as long as they
//!   are as niphas left them.

mod access;
mod error;
mod generated;
mod identity;
mod local;
mod location;
mod owned_files;
mod owner;
mod programs;
mod proposal;
mod provenance;
mod remote;
mod repository;
mod review;
mod server_words;
mod signing;
mod subject;

pub use access::{Access, Token};
pub use error::{Error, GitError};
pub use git2::Oid;
pub use local::init;
pub use location::{BadLocation, Location};
pub use owned_files::{ChangeKind, FileChange};
pub use owner::Owner;
pub use programs::pager;
pub use provenance::{Provenance, Relation, history_in, origin_url};
pub use repository::{Allowed, Author, GitOpsRepository, Outcome, Plan, Request};
pub use signing::{KeyProblem, SigningError, SigningKey};
pub use subject::{BadSubject, Subject};
