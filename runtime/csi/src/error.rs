//! Why a volume is not published, and what kubelet gets as the answer.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter;
use std::path::PathBuf;
use std::sync::Arc;

use binary_cache::{ClosureError, NarError, Refusal};
use niphas_api::BadVolumeAttributes;
use niphas_store::{Limit, Progress, RealiseError, StoreError};
use thiserror::Error;
use tonic::Code;

use crate::hints;
use crate::metrics::Reason;
use crate::record::StateError;

/// A volume cannot be published or unpublished.
///
/// kubelet tells codes apart: after some it asks again and in the end unpublishes; after all others it takes the volume
/// for never published, removes its folder, and asks again from the start. So whatever is not retryable leaves nothing.
#[derive(Debug, Error)]
pub(crate) enum VolumeError {
    #[error("{0} is missing from the request")]
    Missing(&'static str),
    #[error("volume_id has {0} bytes, and at most 128 are allowed")]
    LongId(usize),
    #[error("the target path '{}' is not an absolute path to a folder of the volume's own", .0.display())]
    BadTarget(PathBuf),
    #[error("block volumes are not supported: a closure is a tree of files")]
    Block,
    #[error(transparent)]
    Attributes(#[from] BadVolumeAttributes),
    #[error(
        "kubelet did not say whose pod it is, and namespaces have caches of their own here: \
         the CSIDriver object must have podInfoOnMount: true (what the pod's own volumeAttributes say of the pod does not count)"
    )]
    NoPodInfo,
    #[error("'{}' is mounted already, with {what}", .target.display())]
    OtherClosure { target: PathBuf, what: String },
    #[error("the volume is published already, at '{}'", .0.display())]
    OtherTarget(PathBuf),
    #[error("something that is not this driver's is mounted at '{}': it is left alone", .0.display())]
    Foreign(PathBuf),
    #[error("{}", progress(.0))]
    InProgress(Progress),
    #[error("another call for this volume is being answered")]
    Busy,
    #[error("{0} volumes are being published on this node already; kubelet asks again")]
    TooManyCalls(usize),
    #[error("the driver is stopping")]
    Stopping,
    #[error("{}{}", nix_formats::chain(.0), hint(.0))]
    Realise(Arc<RealiseError>),
    #[error("it may yet come, and is asked for again: {}{}", nix_formats::chain(.0), hint(.0))]
    MayCome(Arc<RealiseError>),
    #[error("{}", nix_formats::chain(.0))]
    Store(StoreError),
    #[error("{}", nix_formats::chain(.0))]
    State(StateError),
    #[error("{what}: {}", nix_formats::chain(.source.as_ref()))]
    Mount {
        what: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the view's root leads to '{}', not to '{}' as it should", .found.display(), .wanted.display())]
    WrongRoot { wanted: PathBuf, found: PathBuf },
    #[error("internal error: a bug ended the call; see the driver's log")]
    Panicked,
}

impl From<StateError> for VolumeError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<StoreError> for VolumeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl VolumeError {
    /// The code that says what kubelet is to do.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Missing(_) | Self::LongId(_) | Self::BadTarget(_) | Self::Block => {
                Code::InvalidArgument
            }
            Self::Attributes(error) => match error {
                BadVolumeAttributes::OtherSystem { .. } => Code::FailedPrecondition,
                _ => Code::InvalidArgument,
            },
            Self::NoPodInfo | Self::OtherTarget(_) | Self::Foreign(_) => Code::FailedPrecondition,
            Self::OtherClosure { .. } => Code::AlreadyExists,
            Self::InProgress(_) => Code::DeadlineExceeded,
            Self::Busy => Code::Aborted,
            Self::TooManyCalls(_) => Code::ResourceExhausted,
            Self::Stopping | Self::MayCome(_) => Code::Unavailable,
            Self::Realise(error) => realise_code(error),
            Self::Store(error) if is_full(error) => Code::ResourceExhausted,
            Self::State(error) if is_full(error) => Code::ResourceExhausted,
            Self::Store(_)
            | Self::State(_)
            | Self::Mount { .. }
            | Self::WrongRoot { .. }
            | Self::Panicked => Code::Internal,
        }
    }

    /// What it is counted as in the metrics; nothing for what goes on.
    pub(crate) fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::InProgress(_) | Self::Busy | Self::Stopping => return None,
            Self::Missing(_)
            | Self::LongId(_)
            | Self::BadTarget(_)
            | Self::Block
            | Self::Attributes(_) => Reason::Request,
            Self::NoPodInfo => Reason::NoPodInfo,
            Self::TooManyCalls(_) => Reason::TooManyCalls,
            Self::OtherClosure { .. } | Self::OtherTarget(_) | Self::Foreign(_) => Reason::Target,
            Self::MayCome(_) => Reason::MayCome,
            Self::Realise(error) if error.is_out_of_space() => Reason::NoSpace,
            Self::Realise(error) => match &**error {
                RealiseError::Limit(error) => error.limit.into(),
                RealiseError::Digest { .. } => Reason::Digest,
                RealiseError::Unavailable(_) | RealiseError::Refused(_) => Reason::Unavailable,
                RealiseError::Nar(_) | RealiseError::Unsuitable { .. } => Reason::Nar,
                _ => Reason::Store,
            },
            Self::Store(_)
            | Self::State(_)
            | Self::Mount { .. }
            | Self::WrongRoot { .. }
            | Self::Panicked => Reason::Node,
        })
    }

    /// Whether kubelet asks again and may unpublish: it is not known whether the volume is published, in its words.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(
            self.code(),
            Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Unavailable
                | Code::ResourceExhausted
                | Code::Aborted
        )
    }
}

fn realise_code(error: &RealiseError) -> Code {
    if error.is_out_of_space() {
        return Code::ResourceExhausted;
    }
    match error {
        RealiseError::Interrupted => Code::Unavailable,
        RealiseError::Unavailable(error) => unavailable_code(error),
        RealiseError::Nar(error) => nar_code(error),
        RealiseError::Limit(error) if error.limit == Limit::Disk => Code::ResourceExhausted,
        RealiseError::Digest { .. }
        | RealiseError::Limit(_)
        | RealiseError::Refused(_)
        | RealiseError::Lines(_)
        | RealiseError::OtherStoreDir { .. } => Code::FailedPrecondition,
        _ => Code::Internal,
    }
}

/// A cache that cannot be asked may have it, later. A cache that has it, but not for us, will not give it before something
/// is changed. What no cache has may be pushed yet.
fn unavailable_code(error: &ClosureError) -> Code {
    let ClosureError::Unavailable(paths) = error else {
        return Code::FailedPrecondition;
    };
    let refusals = || {
        paths
            .iter()
            .flat_map(|path| path.refusals.iter().map(|(_, refusal)| refusal))
    };
    if paths.iter().any(|path| path.refusals.is_empty()) {
        Code::FailedPrecondition
    } else if refusals().any(|refusal| matches!(refusal, Refusal::Failed(_))) {
        Code::Unavailable
    } else if refusals().all(|refusal| matches!(refusal, Refusal::Missing)) {
        Code::NotFound
    } else {
        Code::FailedPrecondition
    }
}

fn nar_code(error: &NarError) -> Code {
    match error {
        NarError::Fetch { .. } | NarError::Read { .. } => Code::Unavailable,
        NarError::Missing { .. } => Code::NotFound,
        NarError::Consumer { .. } => Code::Internal,
        NarError::Everywhere { failures, .. } => {
            let codes = || failures.iter().map(nar_code);
            if codes().any(|code| code == Code::Unavailable) {
                Code::Unavailable
            } else {
                codes().next_back().unwrap_or(Code::FailedPrecondition)
            }
        }
        _ => Code::FailedPrecondition,
    }
}

/// Whether a disk has no space, whatever was to be written to it.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut causes = iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| {
        let kind = cause.downcast_ref().map(io::Error::kind);
        matches!(
            kind,
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        )
    })
}

/// What helps, after the error.
fn hint(error: &RealiseError) -> String {
    hints::hint(error).map_or_else(String::new, |hint| format!("; {hint}"))
}

/// How far a realisation is, in a few words: "212 of 341 paths, 1.3 GiB of 2.0".
pub(crate) fn progress(progress: &Progress) -> String {
    let (unit, size) = match progress.bytes_total {
        bytes if bytes >= 1 << 30 => ("GiB", 30),
        bytes if bytes >= 1 << 20 => ("MiB", 20),
        _ => ("KiB", 10),
    };
    let scaled = |bytes: u64| bytes as f64 / f64::from(1_u32 << size);
    if progress.queued > 0 {
        return format!(
            "queued: {} of this namespace's volumes are served before it",
            progress.queued
        );
    }
    format!(
        "realising: {} of {} paths, {:.1} {unit} of {:.1}",
        progress.paths_done,
        progress.paths_total,
        scaled(progress.bytes_done),
        scaled(progress.bytes_total)
    )
}

#[cfg(test)]
mod tests;
