//! A binary cache of our own: served from a folder, filled by build pods, and kept small.
//!
//! - [`serve`]: the folder over HTTP, as Nix, `niphas` and nodes read it;
//! - [`ingest`]: takes outputs and logs from build pods, which are not trusted, checks, signs and stores them;
//! - [`client`]: the other end of that, for the agent in a pod;
//! - [`gc`]: collects what is needed no more.
//!
//! The folder has the layout of Nix's `file://` caches, so that other programs can read and write it, too.

pub mod client;
pub mod gc;
pub mod ingest;
pub mod protocol;
pub mod serve;
