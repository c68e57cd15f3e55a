//! Files for this node's own readers, made of their parts.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use niphas_mesh_policy::{Fault, Name, Need, PART_SIZE, Part};
use nix_formats::{Hash, Hasher};

use crate::arrival::{Arrival, End};
use crate::file_name::FileName;
use crate::metrics::From;
use crate::node::Node;

/// Parts of a file that are fetched before they are read.
const AHEAD: usize = 4;

/// Peers whose narinfos are no such thing, after which the reader asks the cache itself.
const MOST_LIES: usize = 3;

/// A file that is read from its start or from its middle on.
pub(crate) struct Reading {
    node: Arc<Node>,
    file: FileName,
    pub(crate) size: u64,
    at: u64,
    parts: VecDeque<Arc<Arrival>>,
    /// The peers that sent bytes of it.
    senders: Vec<Name>,
    /// The farthest source of its bytes. None: it is read from its middle on.
    farthest: Option<From>,
    /// Of files that are read from their start.
    checked: Option<(Hasher, Hash)>,
}

impl Reading {
    /// Waits until the size of the file is known.
    pub(crate) async fn open(node: &Arc<Node>, file: FileName) -> Result<Self, End> {
        let first = node.part(&file, 0, Need::Own);
        let size = first.file_size().await?;
        let hash = node.hash(file.id);
        Ok(Self {
            node: Arc::clone(node),
            size,
            at: 0,
            parts: VecDeque::new(),
            senders: Vec::new(),
            farthest: Some(From::Zone),
            checked: hash.map(|hash| (Hasher::new(hash.algorithm()), hash)),
            file,
        })
    }

    /// Goes on from another place.
    pub(crate) fn seek(&mut self, at: u64) {
        self.at = at;
        if at > 0 {
            self.checked = None;
            self.farthest = None;
        }
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> io::Result<Bytes> {
        loop {
            self.look_ahead();
            let Some(part) = self.parts.front() else {
                return Ok(Bytes::new());
            };
            let start = part.part.range().start;
            let piece = part.read(self.at - start).await?;
            if piece.is_empty() {
                if part.size() != Some(self.at - start) {
                    return Err(io::Error::other("the parts of a file do not fit together"));
                }
                self.pop();
                continue;
            }
            self.at += piece.len() as u64;
            if let Some((hasher, _)) = &mut self.checked {
                hasher.update(&piece);
            }
            // A server asks for no more than the file's bytes.
            if self.at == self.size {
                self.check();
            }
            self.node.metrics.read(piece.len() as u64);
            return Ok(piece);
        }
    }

    fn pop(&mut self) {
        let Some(part) = self.parts.pop_front() else {
            return;
        };
        self.farthest = self.farthest.map(|known| known.max(part.farthest()));
        if self.checked.is_some() || self.file.is_narinfo() {
            self.senders.extend(part.senders());
            self.senders.sort();
            self.senders.dedup();
        }
    }

    /// Has the next parts fetched.
    fn look_ahead(&mut self) {
        while self.parts.len() < AHEAD {
            let last = self.parts.back().map(|last| last.part.index);
            let here = u32::try_from(self.at / PART_SIZE).unwrap_or(u32::MAX);
            let index = last.map_or(here, |last| last + 1);
            let part = Part {
                file: self.file.id,
                index,
            };
            let is_read = last.is_none() && self.at >= self.size;
            if is_read || part.size_within(self.size).is_none() {
                return;
            }
            let part = self.node.part(&self.file, index, Need::Own);
            self.parts.push_back(part);
        }
    }

    /// What is not what the narinfo says is given to no peer. Readers find out by themselves.
    fn check(&mut self) {
        self.pop();
        if let Some(farthest) = self.farthest
            && !self.file.is_narinfo()
        {
            self.node.metrics.read_nar(farthest);
        }
        let Some((hasher, expected)) = self.checked.take() else {
            return;
        };
        if hasher.finish() == expected {
            return;
        }
        tracing::warn!(file = self.file.name, peers = ?self.senders, "a file does not have the hash that its narinfo says");
        // One of several is not known to be the one.
        self.distrust(match self.senders.len() {
            1 => Fault::WrongBytes,
            _ => Fault::Malformed,
        });
    }

    /// Forgets the file, and leaves those alone for a while that sent it.
    fn distrust(&self, fault: Fault) {
        self.node.metrics.wrong_file();
        self.node.parts.remove_file(self.file.id);
        let now = self.node.now();
        for peer in &self.senders {
            self.node.metrics.failed(fault);
            self.node.standing().failed(peer, fault, now, now);
        }
    }

    /// The bytes from here on.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        futures::stream::try_unfold(self, |mut reading| async move {
            let piece = reading.next().await?;
            Ok((!piece.is_empty()).then_some((piece, reading)))
        })
    }

    /// A narinfo. One that cannot be is none of the origin's if a peer sent it: then it is asked for again.
    pub(crate) async fn narinfo(mut self) -> io::Result<Bytes> {
        for _ in 0..=MOST_LIES {
            let text = self.read_all(nix_formats::narinfo::MAX_SIZE).await?;
            if self.senders.is_empty() || self.file.is_narinfo_of(&text) {
                return Ok(text);
            }
            tracing::warn!(file = self.file.name, peers = ?self.senders, "a narinfo is not that of its store path");
            // They may have it from another.
            self.distrust(Fault::Malformed);
            let again = Self::open(&self.node, self.file.clone()).await;
            self = again.map_err(|_| io::Error::other("no source gives the file"))?;
        }
        Err(io::Error::other("several peers give another file"))
    }

    /// All of it, if that is no more than `most` bytes.
    async fn read_all(&mut self, most: usize) -> io::Result<Bytes> {
        if self.size > most as u64 {
            return Err(io::Error::other("the file is too large"));
        }
        let mut all = Vec::with_capacity(self.size as usize);
        loop {
            let piece = self.next().await?;
            if piece.is_empty() {
                return Ok(all.into());
            }
            all.extend_from_slice(&piece);
        }
    }
}
