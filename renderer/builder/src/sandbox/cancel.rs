//! Ending a builder from outside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// Ends the builders that were started with it, and those that will be. Clones are one.
#[derive(Debug, Clone)]
pub struct Cancel {
    event: Arc<OwnedFd>,
}

impl Cancel {
    /// One that has not been asked for yet.
    pub fn new() -> io::Result<Self> {
        let event = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self { event })
    }

    /// Ends the builders.
    pub fn cancel(&self) {
        // It fails only when the counter is full, and then it has been asked for already.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// Readable once it has been asked for.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
