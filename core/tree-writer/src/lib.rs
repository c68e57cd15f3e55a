//! Writes a tree of files that came from outside into one folder, and nowhere else.
//!
//! Names, symlinks, sizes and counts come from a Git server, an archive or a cache, so none of them can be trusted. A
//! [`TreeWriter`] guarantees, whatever it is given:
//!
//! - Nothing outside of its folder is created, changed or read. Every name is one component, resolved in a directory that this
//!   writer created and holds open; paths are never used.
//! - Nothing is written twice. Files, symlinks and directories are created exclusively, so a repeated name is an error, also on
//!   file systems that ignore case, and no symlink is followed.
//! - Modes are set on open descriptors, never by name.
//! - Bytes, entries and depth are counted against [`Limits`] before the work.
//! - Long runs of zeros become holes, so a file takes no more space than it had where it came from.

mod budget;
mod error;
mod file;
mod writer;

pub use budget::{Budget, Limits};
pub use error::TreeError;
pub use file::TreeFile;
pub use writer::{Modes, TreeWriter};
