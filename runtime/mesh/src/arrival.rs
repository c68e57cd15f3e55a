//! A part that is arriving or has arrived: a file on disk that grows, and those who read it meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use niphas_mesh_policy::{Name, Need, Part, Place, Receivers, Role};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::metrics::From;

/// Bytes that are read of a part at once. Each upload holds this many.
pub(crate) const PIECE: u64 = 64 << 10;

/// Peers that are remembered to have sent bytes of a part.
const MOST_SENDERS: usize = 8;

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// Bytes of the whole file, once they are known.
    pub(crate) file_size: Option<u64>,
    /// Bytes of the part that are here.
    pub(crate) here: u64,
    pub(crate) end: Option<End>,
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is here.
    Whole,
    /// The origin has no such file, or none that can be shared.
    Missing,
    /// No source gave it.
    Failed,
}

/// A part of a file.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) part: Part,
    pub(crate) began: Instant,
    /// The time of its last use, in the table's own steps.
    pub(crate) used: AtomicU64,
    path: PathBuf,
    state: watch::Sender<State>,
    /// The highest rank that the node is asked in.
    need: watch::Sender<Need>,
    senders: Mutex<Vec<Name>>,
    /// The farthest source of its bytes, by its place in [`From::ALL`].
    farthest: AtomicU8,
    receivers: Mutex<[Option<Receivers>; 2]>,
}

impl Arrival {
    /// One of which nothing is here yet. The file at `path` is its own, and ends with it.
    pub(crate) fn new(part: Part, path: PathBuf, used: u64) -> Self {
        let state = State {
            file_size: None,
            here: 0,
            end: None,
        };
        Self {
            part,
            began: Instant::now(),
            used: AtomicU64::new(used),
            path,
            state: watch::Sender::new(state),
            need: watch::Sender::new(Need::Own),
            senders: Mutex::default(),
            farthest: AtomicU8::new(0),
            receivers: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Bytes of the part, if the size of its file is known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.part.size_within(self.state().file_size?)
    }

    /// Waits for the size of the file.
    pub(crate) async fn file_size(&self) -> Result<u64, End> {
        let state = self
            .until(|state| state.file_size.is_some() || state.end.is_some())
            .await;
        match state {
            State {
                end: Some(end @ (End::Missing | End::Failed)),
                ..
            } => Err(end),
            state => state.file_size.ok_or(End::Failed),
        }
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) -> State {
        let mut state = self.state.subscribe();
        // The sender lives as long as this does.
        let found = state.wait_for(is_so).await;
        found.map_or_else(|_| self.state(), |state| *state)
    }

    /// The bytes from an offset on that are here, a piece of them, waiting for the first; none at the part's end.
    pub(crate) async fn read(&self, from: u64) -> io::Result<Bytes> {
        let state = self
            .until(|state| state.here > from || state.end.is_some())
            .await;
        if state.here <= from {
            return match state.end {
                Some(End::Whole) => Ok(Bytes::new()),
                _ => Err(io::Error::other("no source gives the rest of the part")),
            };
        }
        let count = (state.here - from).min(PIECE);
        let path = self.path.clone();
        let read = spawn_blocking(move || {
            let mut piece = vec![0; count as usize];
            File::open(path)?.read_exact_at(&mut piece, from)?;
            Ok(Bytes::from(piece))
        });
        read.await.map_err(io::Error::other)?
    }

    /// Who serves one that asks for the part in this role.
    pub(crate) fn place(
        &self,
        role: Role,
        receiver: &Name,
        avoiding: &[Name],
        now: std::time::Duration,
    ) -> Place {
        let Some(tree) = tree_of(role) else {
            return Place::Here;
        };
        let bytes = self.size().unwrap_or_default();
        let mut receivers = self
            .receivers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let receivers = receivers[tree].get_or_insert_with(|| Receivers::new(bytes));
        receivers.place(receiver, avoiding, now)
    }

    /// Who serves one that asks for the part in this role, if the node itself cannot serve more. None: no other has it.
    pub(crate) fn instead(&self, role: Role, receiver: &Name, avoiding: &[Name]) -> Option<Name> {
        let mut receivers = self
            .receivers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let receivers = receivers[tree_of(role)?].as_mut()?;
        receivers.instead(receiver, avoiding)
    }

    /// A peer that has `from` bytes of the part asks for the rest of it. One that has less than is here is served with that first.
    pub(crate) fn asked_as_home(&self, need: Need, from: u64) {
        let state = self.state();
        if state.end.is_none() && from >= state.here {
            self.need.send_if_modified(|known| {
                let is_higher = *known == Need::Own || need == Need::OfAll;
                let is_new = is_higher && *known != need;
                if is_new {
                    *known = need;
                }
                is_new
            });
        }
    }

    /// The ranks that the node is asked in.
    pub(crate) fn needs(&self) -> watch::Receiver<Need> {
        self.need.subscribe()
    }

    /// The peers that sent bytes of it.
    pub(crate) fn senders(&self) -> Vec<Name> {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.clone()
    }

    /// The farthest source that bytes of it came from.
    pub(crate) fn farthest(&self) -> From {
        let place = usize::from(self.farthest.load(Relaxed));
        From::ALL.get(place).copied().unwrap_or(From::Origin)
    }

    // For the task that fetches it.

    pub(crate) fn add_source(&self, source: From) {
        let place = From::ALL.iter().position(|other| *other == source);
        self.farthest
            .fetch_max(place.map_or(0, |place| place as u8), Relaxed);
    }

    /// Creates the file.
    pub(crate) async fn create(&self) -> io::Result<Writer> {
        let path = self.path.clone();
        let created = spawn_blocking(move || File::create_new(path)).await;
        Ok(Writer {
            file: Arc::new(created.map_err(io::Error::other)??),
        })
    }

    pub(crate) fn set_file_size(&self, size: u64) {
        self.state.send_modify(|state| state.file_size = Some(size));
    }

    pub(crate) fn add_sender(&self, name: &Name) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if !senders.contains(name) && senders.len() < MOST_SENDERS {
            senders.push(Name::clone(name));
        }
    }

    pub(crate) fn end(&self, end: End) {
        self.state.send_modify(|state| {
            state.end.get_or_insert(end);
        });
    }
}

/// The tree of receivers that a role belongs to.
fn tree_of(role: Role) -> Option<usize> {
    match role {
        Role::ZoneHome => Some(0),
        Role::Home => Some(1),
        Role::Holder | Role::Keeper => None,
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // It may never have been created.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Writes the file of a part. A write whose future is dropped may still happen: what comes in its place are the same bytes.
pub(crate) struct Writer {
    file: Arc<File>,
}

impl Writer {
    /// Appends bytes, and shows them to those who read.
    pub(crate) async fn append(&mut self, arrival: &Arrival, piece: Bytes) -> io::Result<()> {
        let (at, count) = (arrival.state().here, piece.len() as u64);
        let file = Arc::clone(&self.file);
        let written = spawn_blocking(move || file.write_all_at(&piece, at)).await;
        written.map_err(io::Error::other)??;
        arrival.state.send_modify(|state| state.here = at + count);
        Ok(())
    }
}
