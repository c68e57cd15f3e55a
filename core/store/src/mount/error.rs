//! What can go wrong with a mount.

use std::io;
use std::path::{Path, PathBuf};

/// A mount cannot be made, changed or taken away.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The kernel refused a step.
    #[error("cannot {action} '{}'{}", path.display(), said(log))]
    Refused {
        /// What was tried: a verb, and more where one verb does not tell.
        action: &'static str,
        /// With which file, folder or device.
        path: PathBuf,
        /// What the kernel told of its reasons: nothing for most errors. More may stand in its log (`dmesg`).
        log: Vec<String>,
        /// The error.
        source: io::Error,
    },
    /// The path of an image is longer than the kernel takes as the source of a mount.
    #[error("the path '{}' has more than {} bytes, which is all that the source of a mount may have; put the store into a folder with a shorter path", .0.display(), super::filesystem::MAX_STRING)]
    PathTooLong(PathBuf),
    /// No loop device became free in many attempts.
    #[error("no loop device stays free for '{}': other programs take them as fast", .0.display())]
    NoLoopDevice(PathBuf),
    /// [`View::Export`](super::View::Export) has no image that could be mounted.
    #[error("the view 'export' mounts no image: export the closure of '{}' to a folder, and mount that", .0.display())]
    NotMountable(PathBuf),
}

impl MountError {
    pub(super) fn new(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Refused {
            action,
            path: path.to_owned(),
            log: Vec::new(),
            source: source.into(),
        }
    }

    /// The error of the system call, if there was one.
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Refused { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn said(log: &[String]) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!(" (the kernel says: {})", log.join("; "))
    }
}
