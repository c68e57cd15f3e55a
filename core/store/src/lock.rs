//! One process at a time writes to a store.

use std::fs::File;
use std::io::{Read, Write};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{FileError, OpenError, failed};
use crate::layout::Layout;

/// Held as long as this lives; the kernel lets go of it when the process ends, however it does.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(layout: &Layout) -> Result<Self, OpenError> {
        let path = layout.lock();
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The other process may not have come to write it, or never will.
                let _ = (&file).take(32).read_to_string(&mut text);
                return Err(OpenError::InUse {
                    dir: layout.root().to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(error) => return Err(FileError::new("lock", path, error.into()).into()),
        }
        // Only for the message above, and a full disk has no room for it.
        let _ = file.set_len(0);
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Self { _file: file })
    }
}
