//! The thread that publishes packs.
//!
//! To publish is one rename and a change of the index, far less work than to wake a thread for it. The kernel has one rename
//! in a folder after the other anyway. So one thread does it for all, and is mostly awake when there is much to do.

use std::{
    sync::mpsc::{Sender, channel},
    thread,
};

/// What it is to do.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Ends, after what it has to do, when this is dropped.
#[derive(Debug)]
pub(crate) struct Publisher(Sender<Job>);

impl Publisher {
    pub(crate) fn start() -> Self {
        let (sender, jobs) = channel::<Job>();
        let thread = thread::Builder::new().name("store-publish".to_owned());
        let spawned = thread.spawn(move || jobs.into_iter().for_each(|job| job()));
        if let Err(error) = spawned {
            tracing::warn!(%error, "there is no thread to publish packs");
        }
        Self(sender)
    }

    pub(crate) fn run(&self, job: Job) {
        // Without the thread it is done here and now.
        if let Err(unsent) = self.0.send(job) {
            (unsent.0)();
        }
    }
}
