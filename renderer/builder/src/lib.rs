//! Builds derivations without Nix, exactly as Nix's sandbox does.
//!
//! Three parts, which know nothing of each other's insides:
//!
//! - [`plan`]: what has to be built and fetched, and in which order; pure;
//! - [`sandbox`]: runs one builder ([`Process`]) with its inputs mounted, and nothing else of the machine in sight;
//! - [`outputs`]: checks what a builder left behind as Nix does, and makes store paths of it.
//!
//! The [`engine`] puts them together: it fetches, builds and keeps what is asked for.
//!
//! Between them: [`environment`] makes the [`Process`] of a derivation, and [`options`] reads what a derivation asks of its
//! builder.

pub mod builtin;
mod derivations;
pub mod engine;
pub mod environment;
mod json;
pub mod options;
pub mod outputs;
pub mod plan;
mod process;
pub mod sandbox;

pub use derivations::{DerivationFolder, Derivations, Sources, UnreadDerivation, UnreadSource};
pub use process::{BUILD_DIR, Process};
