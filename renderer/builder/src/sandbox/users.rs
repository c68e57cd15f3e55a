//! Build users: user IDs that no account has, each for one build at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::message::{Fault, Part, fault_at};

/// The last block of the IDs that Nix takes for `auto-allocate-uids`, which it comes to after 127 builds at a time.
pub(super) const FIRST: u32 = 872_415_232 + 127 * 65_536;
/// How many builds can run at a time.
pub(super) const COUNT: u32 = 1024;

/// Has a file for each user, locked while a build has it.
const LOCKS: &str = "/run/niphas/build-users";

/// A user that no other build has while this value lives.
#[derive(Debug)]
pub(super) struct BuildUser {
    /// The user ID, and the group ID.
    pub(super) id: u32,
    _lock: File,
}

impl BuildUser {
    /// Takes the first user that is free.
    pub(super) fn take() -> Result<Self, Fault> {
        let folder = Path::new(LOCKS);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(fault_at(
                Part::Other,
                "create the folder of the build users' locks",
                folder,
            ))?;
        for id in FIRST..FIRST + COUNT {
            let path = folder.join(id.to_string());
            let lock = OpenOptions::new()
                .write(true)
                .create(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)
                .map_err(fault_at(
                    Part::Other,
                    "open the lock of a build user",
                    &path,
                ))?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { id, _lock: lock }),
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(fault_at(Part::Other, "lock", &path)(error)),
            }
        }
        let action = format!(
            "find a build user that is free: {COUNT} builds run on this machine; run fewer at a time"
        );
        Err(Fault::new(Part::Other, action, Errno::AGAIN))
    }
}
