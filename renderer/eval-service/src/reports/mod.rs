//! Statuses of commits at Git hosts: at most three for each commit.
//!
//! They are worked out from the status of a source ([`statuses`], pure), so a replica that takes over sends what
//! the one before it could not. Sending is best effort: no run waits for it, and none fails by it.

mod reporter;
mod statuses;

pub(crate) use reporter::Reporter;
pub(crate) use statuses::{CommitStatus, first_line, run_id, short};
