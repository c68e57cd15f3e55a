//! Bounds on what pods send.

use std::time::Duration;

/// Bounds on what pods send. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest NAR of an output, and its largest upload.
    pub output_size: u64,
    /// The most that the outputs of one build have together.
    pub build_size: u64,
    /// The most that all uploads take.
    pub staging_size: u64,
    /// What stays free on the disk of the uploads.
    pub free_space: u64,
    /// Builds with uploads at a time. With one more, the one goes whose outcome is known longest.
    pub builds: usize,
    /// Pods of one build whose uploads are kept: with one more, those of the pod that was silent longest go.
    pub pods_of_build: usize,
    /// Requests that write at a time.
    pub uploads_at_once: usize,
    /// Builds whose outputs are checked and stored at a time.
    pub publications_at_once: usize,
    /// How long a request may bring nothing.
    pub idle: Duration,
    /// How long an upload is kept that nothing is added to.
    pub abandoned: Duration,
    /// How long a pod waits for the outcome of its build before it has to ask again.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output_size: 64 << 30,
            build_size: 128 << 30,
            staging_size: 256 << 30,
            free_space: 1 << 30,
            builds: 1024,
            pods_of_build: 2,
            uploads_at_once: 64,
            publications_at_once: 2,
            idle: Duration::from_mins(1),
            abandoned: Duration::from_hours(1),
            patience: Duration::from_secs(15),
        }
    }
}
