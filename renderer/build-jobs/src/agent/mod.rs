//! The agent of a build: what runs in its pod.

mod arguments;

pub use arguments::Arguments;
