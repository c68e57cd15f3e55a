//! What is being done, for callers that show it.

use niphas_render::ClosureId;

/// What a run is about to do, or has just done.
#[derive(Clone, Copy, Debug)]
pub enum Step<'s> {
    /// An environment is evaluated.
    Environment {
        /// Its name.
        name: &'s str,
    },
    /// A workload is evaluated.
    Workload {
        /// The name of its environment.
        environment: &'s str,
        /// Its own name.
        name: &'s str,
    },
    /// A closure was looked for in the caches.
    Closure {
        /// Which one.
        id: &'s ClosureId,
        /// How many there were by now, this one included.
        done: usize,
        /// How many there are.
        total: usize,
    },
}
