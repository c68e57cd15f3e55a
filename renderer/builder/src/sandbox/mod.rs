//! The sandbox: runs one builder with its inputs mounted, and nothing else of the machine in sight.
//!
//! [`run`] starts the program that it is part of a second time, in the hidden mode of [`child_main`], so what follows is the
//! work of a small process with one thread. That process becomes the first of a process namespace, the *supervisor*: when it
//! ends, for whatever reason, the kernel ends all that it started. It makes the files of the sandbox, starts the builder's
//! process in namespaces of its own, which mounts what it needs, gives up what it has, and becomes the builder. The supervisor
//! then waits for the builder's end, and for that of its connection with [`run`], which also ends when that program is killed.
//!
//! All mounts are in the mount namespaces of these processes, so none remains. What remains is the folder
//! [`Request::scratch`], with what the builder made.

mod access;
mod cancel;
mod cgroup;
mod child;
mod devices;
mod error;
mod files;
pub mod flows;
mod hint;
mod inside;
mod message;
mod mounts;
mod outcome;
mod probe;
mod remove;
mod request;
mod run;
mod scratch;
pub mod seccomp;
mod supervisor;
mod system;
mod terminal;
mod users;

pub use cancel::Cancel;
pub use child::child_main;
pub use error::SandboxError;
pub use flows::FlowPolicy;
pub use outcome::{End, Outcome, Usage};
pub use probe::{Abilities, probe};
pub use request::{Folder, Image, Inputs, Limits, Network, Request};
pub use run::run;
pub use scratch::{Scratch, sweep};
