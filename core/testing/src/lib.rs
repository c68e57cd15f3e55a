//! What tests of several crates share. Named as a dev-dependency only.

pub mod memory;
pub mod nar;
pub mod server;
