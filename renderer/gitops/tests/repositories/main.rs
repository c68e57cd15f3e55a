//! Writing to real repositories, on this machine and on a server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod generated;
mod http;
mod local;
mod owners;
mod proposals;
mod remote;
mod reviews;
mod signing;
mod ssh;
mod support;
