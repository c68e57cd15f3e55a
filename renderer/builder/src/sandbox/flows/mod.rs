//! Keeps a builder that has network to a policy of what it may reach.

mod policy;
mod text;

pub use policy::FlowPolicy;
pub use text::FlowPolicyError;

#[cfg(test)]
mod tests;
