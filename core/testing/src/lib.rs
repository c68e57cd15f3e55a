//! What tests of several crates share. Named as a dev-dependency only.

pub mod nar;
pub mod server;
