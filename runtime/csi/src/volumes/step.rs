//! What comes next for a volume: decided by what was seen of it, before anything is done.
//!
//! Nothing here reads a file, asks the kernel or waits. `place` looks, asks for a step, and does what it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use niphas_store::{Outlook, RealiseError};

use crate::error::VolumeError;
use crate::metrics::Start;
use crate::record::Record;
use crate::view::ViewKey;

/// How long a closure that no cache gives may yet come: a push, or a change of the configuration, is often under way. After it
/// kubelet learns that it is refused.
pub(super) const MAY_COME: Duration = Duration::from_mins(3);

/// What is mounted at a volume's target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Nothing.
    Free,
    /// Something, and what it is says the volume's own record: the kernel was not asked.
    Recorded,
    /// A view that is mounted on the node.
    View(ViewKey),
    /// A view that is mounted nowhere else any more.
    Former,
    /// Something that is not this driver's.
    Foreign,
}

/// Whether a volume's view is mounted on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ViewState {
    Absent,
    Mounted,
}

/// A volume's record, and whether anything is mounted where it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) record: Record,
    pub(super) is_mounted: bool,
}

/// What was seen of a volume before it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// The volume's record.
    pub(super) record: Option<Record>,
    /// Another volume's record of the same target.
    pub(super) other: Option<Record>,
    pub(super) target: Target,
    pub(super) view: ViewState,
}

/// What is known of the closure that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<C> {
    /// Nothing: whether the pod may have it is not known.
    Nothing,
    /// The pod's section of the configuration vouches for it.
    Vouched,
    /// It is in the store, and all of it was there before.
    Stored(C),
    /// It is in the store, and something of it was fetched for this volume.
    Fetched(C),
}

/// One thing to do for a volume that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action<C> {
    /// Write the volume's record.
    Record,
    /// Make the closure a root of garbage collection, before it is there.
    Hold,
    /// Mount the closure as a view.
    Mount(C),
    /// Show the view at the target.
    Bind,
}

/// What comes after all actions were done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The volume is published.
    Answer(Start),
    /// The closure must be realised, or its policy be asked, and then a next step be taken.
    Realise,
}

/// The next step of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step<C> {
    /// To be done in this order.
    pub(super) actions: Vec<Action<C>>,
    pub(super) then: Then,
}

/// The next step for a volume, of which `wanted` will be the record. A refusal changes nothing of what is there.
pub(super) fn publish<C>(
    seen: &Seen,
    wanted: &Record,
    closure: Known<C>,
) -> Result<Step<C>, VolumeError> {
    let is_bound = shows_wanted(seen, wanted)?;
    if is_bound && seen.record.is_some() {
        return Ok(Step {
            actions: Vec::new(),
            then: Then::Answer(Start::Published),
        });
    }
    // First the record and the root: so what is mounted, or about to come, is known and stays.
    let mut actions = Vec::new();
    if seen.record.as_ref() != Some(wanted) {
        actions.push(Action::Record);
    }
    let start = match (seen.view, closure) {
        (ViewState::Absent, Known::Nothing | Known::Vouched) => {
            actions.push(Action::Hold);
            let then = Then::Realise;
            return Ok(Step { actions, then });
        }
        (ViewState::Mounted, Known::Nothing) => {
            let then = Then::Realise;
            return Ok(Step { actions, then });
        }
        (ViewState::Absent, Known::Stored(closure)) => {
            actions.push(Action::Mount(closure));
            Start::Realised
        }
        (ViewState::Absent, Known::Fetched(closure)) => {
            actions.push(Action::Mount(closure));
            Start::Cold
        }
        (ViewState::Mounted, _) => Start::Mounted,
    };
    if !is_bound {
        actions.push(Action::Bind);
    }
    let then = Then::Answer(start);
    Ok(Step { actions, then })
}

/// Whether the target shows the wanted closure. An error if it shows anything else, or the volume is elsewhere.
fn shows_wanted(seen: &Seen, wanted: &Record) -> Result<bool, VolumeError> {
    let other = |what: String| {
        Err(VolumeError::OtherClosure {
            target: wanted.target.clone(),
            what,
        })
    };
    if let Some(record) = &seen.record
        && record.target != wanted.target
    {
        return Err(VolumeError::OtherTarget(record.target.clone()));
    }
    if seen.target == Target::Free {
        return Ok(false);
    }
    if let Some(another) = &seen.other {
        return other(format!("volume {} of {}", another.volume, another.pod));
    }
    if let Some(record) = &seen.record {
        // The kernel says that it is mounted, the record says what.
        return if record.is_of_same_closure(wanted) {
            Ok(true)
        } else {
            other(format!("closure {} of {}", record.digest, record.pod))
        };
    }
    match seen.target {
        Target::View(key) if key == wanted.key() => Ok(true),
        Target::View(key) => other(format!("closure {key}")),
        _ => Err(VolumeError::Foreign(wanted.target.clone())),
    }
}

/// Whether a record is forgotten before its volume is published: it names another closure or place, and nothing is mounted there.
pub(super) fn is_outdated(recorded: &Recorded, wanted: &Record) -> bool {
    let record = &recorded.record;
    let is_other = record.target != wanted.target || !record.is_of_same_closure(wanted);
    is_other && !recorded.is_mounted
}

/// Why a closure was not realised. `missed_for` is how long no cache has given it.
pub(super) fn not_realised(error: Arc<RealiseError>, missed_for: Duration) -> VolumeError {
    match error.outlook() {
        Outlook::MayCome if missed_for < MAY_COME => VolumeError::MayCome(error),
        _ => VolumeError::Realise(error),
    }
}

/// What is left of a volume that was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Its record and its root, for kubelet asks again or unpublishes.
    Kept,
    /// Nothing, for kubelet takes it for never published and may never ask for it again.
    Removed,
}

/// What is left of a volume after this answer.
pub(super) fn leftover(error: &VolumeError) -> Leftover {
    if error.is_retryable() {
        Leftover::Kept
    } else {
        Leftover::Removed
    }
}

/// One thing to do for a volume that is unpublished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Removal {
    /// Unmount the target, and remove its folder.
    Clear(PathBuf),
    /// Remove the volume's record.
    Forget,
    /// Unmount this view, unless another volume shows it.
    Release(ViewKey),
}

/// What to do for a volume that is unpublished from a target, in this order.
pub(super) fn unpublish(
    recorded: Option<&Recorded>,
    target: &Path,
    mounted: &Target,
) -> Result<Vec<Removal>, VolumeError> {
    let is_here = recorded.is_some_and(|recorded| recorded.record.target == target);
    if !is_here && *mounted == Target::Foreign {
        return Err(VolumeError::Foreign(target.to_owned()));
    }
    let mut removals = vec![Removal::Clear(target.to_owned())];
    // A volume that is mounted elsewhere stays published there.
    let gone = recorded.filter(|recorded| is_here || !recorded.is_mounted);
    if gone.is_some() {
        removals.push(Removal::Forget);
    }
    let shown = match mounted {
        Target::View(key) if !is_here => Some(*key),
        _ => None,
    };
    let recorded = gone.map(|gone| gone.record.key());
    removals.extend(shown.map(Removal::Release));
    removals.extend(
        recorded
            .filter(|key| shown != Some(*key))
            .map(Removal::Release),
    );
    Ok(removals)
}

/// Whether a volume is forgotten when the driver puts in order what it finds: nothing is mounted since the node started, or its
/// pod's folder is gone with what was mounted in it. A volume that was about to be published stays: kubelet asks again.
pub(super) fn is_gone(recorded: &Recorded, boot: &str, has_folder: bool) -> bool {
    recorded.record.boot != boot || !recorded.is_mounted && !has_folder
}

#[cfg(test)]
mod tests;
