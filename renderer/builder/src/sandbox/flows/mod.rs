//! Keeps a builder that has network to a policy of what it may reach.
//!
//! A builder with the filter [`Filter::supervised`](super::seccomp::Filter::supervised) cannot connect a socket or send to an
//! address by itself: the kernel holds the call, and a thread of the [supervisor](supervise) reads what is asked for from the
//! builder's memory, looks into the policy, and makes the call on a duplicate of the socket with the copy that it has checked.
//! No call is ever let through after it was looked at, so it is of no use to change it meanwhile.
//!
//! The builder's process installs the filter, sends the number of the listener's file descriptor to the supervisor by means
//! that need no supervision (`write`), and waits for an answer before it goes on; the supervisor takes the listener
//! ([`take_listener`]) and starts the thread.

mod address;
mod attempt;
mod call;
mod caller;
mod connect;
mod control;
mod kernel;
mod message;
mod policy;
mod send;
mod start;
mod supervisor;
mod text;

pub use policy::FlowPolicy;
pub use start::{BuildUser, SuperviseError, supervise, take_listener};
pub use text::FlowPolicyError;

#[cfg(test)]
mod tests;
