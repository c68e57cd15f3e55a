//! The push itself: several threads pack, several requests are under way, and narinfos are written in their order.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use futures::channel::mpsc::UnboundedReceiver;
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use nix_formats::{NarInfo, StorePath};

use super::batch::{Batch, Waiting, next_batch};
use super::order::Order;
use super::pack::{Packed, Packer};
use super::present::Present;
use super::{Push, PushError, PushReport, blocking};
use crate::source::PathInfo;
use crate::transport::Stage;

/// NARs that are on their way at once, for each thread that packs.
const AHEAD: usize = 8;

/// What is known so far.
#[derive(Default)]
struct State {
    report: PushReport,
    order: Order,
    /// Paths that the cache lacks, not packed yet.
    waiting: BinaryHeap<Waiting>,
    batch: Batch,
}

impl State {
    /// Takes what the cache has of a path. Gives the narinfos that may be written now.
    fn checked(&mut self, push: &Push, info: PathInfo, present: Present) -> VecDeque<NarInfo> {
        match present {
            Present::Nothing => {
                push.progress.expect(info.nar_size);
                self.order.expect(&info);
                self.waiting.push(Waiting(info));
                return VecDeque::new();
            }
            Present::All => self.report.present.push(info.path.clone()),
            Present::Unsigned(signed) => {
                self.report.signed.push(info.path.clone());
                if push.transport.is_folder() {
                    self.batch.signed.push(*signed);
                }
            }
        }
        self.order.there(&info.path).into()
    }

    /// Takes narinfos that were written. Gives those that may be written now.
    fn published(&mut self, push: &Push, narinfos: Vec<NarInfo>) -> VecDeque<NarInfo> {
        let (report, mut ready) = (&mut self.report, VecDeque::new());
        for narinfo in narinfos {
            push.progress.count_path();
            report.nar_size = report.nar_size.saturating_add(narinfo.nar_size);
            report.file_size += narinfo.file_size.unwrap_or_default();
            ready.extend(self.order.there(&narinfo.path));
            report.pushed.push(narinfo.path);
        }
        ready
    }
}

impl Push {
    /// Packs and uploads what the cache lacks of the closure, of what is known of that the largest first, and writes each
    /// path's narinfo as soon as those of its references are there.
    pub(super) async fn run(
        &self,
        closure: UnboundedReceiver<Vec<PathInfo>>,
    ) -> Result<PushReport, PushError> {
        self.run_beside(closure, &[]).await
    }

    /// As [`Self::run`]; `there` is in the cache.
    pub(super) async fn run_beside(
        &self,
        closure: UnboundedReceiver<Vec<PathInfo>>,
        there: &[StorePath],
    ) -> Result<PushReport, PushError> {
        let (jobs, concurrency) = (self.options.jobs.get(), self.options.limits.concurrency);
        let mut checks = closure
            .flat_map(stream::iter)
            .map(|info| self.check(info))
            .buffer_unordered(concurrency.max(1));
        let (mut state, mut idle) = (State::default(), self.packers()?);
        for path in there {
            state.order.there(path);
        }
        let mut packing = FuturesUnordered::new();
        let mut outgoing = VecDeque::new();
        let mut uploads = FuturesUnordered::new();
        let mut publications = FuturesUnordered::new();
        loop {
            // One after the other, for they are in the order in which they may be seen.
            if publications.is_empty() && state.batch.is_full() {
                publications.push(self.publish_batch(std::mem::take(&mut state.batch)).boxed());
            }
            while uploads.len() < jobs * AHEAD
                && let Some(packed) = outgoing.pop_front()
            {
                uploads.push(self.upload(packed));
            }
            while outgoing.is_empty()
                && uploads.len() < jobs * AHEAD
                && !state.waiting.is_empty()
                && let Some(packer) = idle.pop()
            {
                packing.push(self.pack(packer, next_batch(&mut state.waiting)));
            }
            let mut ready = tokio::select! {
                Some(checked) = checks.next() => {
                    let (info, present) = checked?;
                    state.checked(self, info, present)
                }
                Some((packer, packed)) = packing.next() => {
                    idle.push(packer);
                    outgoing.extend(packed?);
                    continue;
                }
                Some(narinfo) = uploads.next() => {
                    state.order.uploaded(narinfo?).into_iter().collect()
                }
                Some(published) = publications.next() => state.published(self, published?),
                else => {
                    if state.batch.is_empty() {
                        return Ok(state.report);
                    }
                    publications.push(self.publish_batch(std::mem::take(&mut state.batch)).boxed());
                    continue;
                }
            };
            while let Some(narinfo) = ready.pop_front() {
                if self.transport.is_folder() {
                    // Behind what it refers to, in this batch or an earlier one.
                    ready.extend(state.order.there(&narinfo.path));
                    state.batch.add(narinfo);
                } else {
                    let publish = async move {
                        self.publish(&narinfo).await?;
                        Ok::<_, PushError>(vec![narinfo])
                    };
                    publications.push(publish.boxed());
                }
            }
        }
    }

    /// Those who pack, as many as may at once.
    fn packers(&self) -> Result<Vec<Packer>, PushError> {
        let stage = self.transport.stage()?;
        let packer = |_| {
            let lane = stage.as_ref().map(Stage::lane).transpose()?;
            let source = Arc::clone(&self.source);
            let compressor = self.options.compressor.clone();
            let progress = Arc::clone(&self.progress);
            Ok(Packer::new(
                source,
                compressor,
                lane,
                self.options.listings,
                progress,
            ))
        };
        (0..self.options.jobs.get()).map(packer).collect()
    }

    /// Packs paths, one after the other, on a thread that may block.
    fn pack(
        &self,
        mut packer: Packer,
        batch: Vec<PathInfo>,
    ) -> impl Future<Output = (Packer, Result<Vec<Packed>, PushError>)> + use<> {
        let keys = Arc::clone(&self.options.keys);
        blocking(move || {
            let pack = |info| {
                let mut packed = packer.pack(info)?;
                for key in &*keys {
                    packed.narinfo.sign(packer.store_dir(), key);
                }
                Ok(packed)
            };
            let packed = batch.into_iter().map(pack).collect();
            (packer, packed)
        })
    }
}
