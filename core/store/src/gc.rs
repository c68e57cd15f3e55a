//! Garbage collection: what no root holds goes, what was used last goes last.
//!
//! It goes on beside realisations. What they hold when it comes to it stays, and so does what anybody held at any time since
//! it began: it may have become a root's meanwhile.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;

use hashbrown::HashSet;
use niphas_api::ClosureDigest;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::closures;
use crate::error::StoreError;
use crate::layout::PackId;
use crate::store::{Store, StoredPath, lock};

/// How full is too full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    /// The store takes this many bytes on disk.
    Bytes(u64),
    /// This percentage of the store's file system is in use, by whatever.
    Percent(u8),
    /// The store's file system has fewer bytes free.
    Free(u64),
}

/// A text is no watermark.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' is neither a size, like '20GiB' or '500000000', nor a share of the file system, like '80%'"
)]
pub struct WatermarkError(String);

impl FromStr for Watermark {
    type Err = WatermarkError;

    fn from_str(text: &str) -> Result<Self, WatermarkError> {
        let error = || WatermarkError(text.to_owned());
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let number: u64 = digits.parse().map_err(|_| error())?;
        let unit: u64 = match &text[digits.len()..] {
            "%" if number <= 100 => return Ok(Self::Percent(number as u8)),
            "" | "B" => 1,
            "K" | "KiB" => 1 << 10,
            "M" | "MiB" => 1 << 20,
            "G" | "GiB" => 1 << 30,
            "T" | "TiB" => 1 << 40,
            _ => return Err(error()),
        };
        let bytes = number.checked_mul(unit).ok_or_else(error)?;
        Ok(Self::Bytes(bytes))
    }
}

/// How much to collect.
#[derive(Debug, Clone, Default)]
pub struct GcOptions {
    /// Does nothing unless the store is fuller than this.
    pub above: Option<Watermark>,
    /// Stops when the store is no fuller than this. Without it everything goes that may.
    pub down_to: Option<Watermark>,
    /// Only finds out what would go.
    pub dry_run: bool,
    /// Stops soon after this is cancelled.
    pub cancel: CancellationToken,
}

/// What a garbage collection did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// The paths that went, those first that were used least recently.
    pub collected: Vec<nix_formats::StorePath>,
    /// Bytes that the store takes less than before; with [`GcOptions::dry_run`] an estimate.
    pub freed: u64,
    /// Paths that roots hold.
    pub rooted: u64,
    /// Paths that stay for another reason: they are in use, or there is enough space.
    pub spared: u64,
    /// Whether it was cancelled before its end.
    pub is_cancelled: bool,
}

impl Store {
    /// Collects garbage. If another collection goes on, this one comes after it.
    pub fn collect_garbage(&self, options: &GcOptions) -> Result<GcReport, StoreError> {
        self.writable()?;
        let shared = &self.shared;
        let _one_at_a_time = lock(&shared.collecting);
        let image_bytes = self.image_bytes();
        let before = image_bytes + shared.index().disk_bytes();
        if let Some(above) = options.above
            && !self.is_fuller_than(above, before)?
        {
            return Ok(GcReport::default());
        }
        // The parts that are not needed have to go, too.
        shared.end_common(|_| true);
        // From here on every holder of a path leaves a trace.
        shared.index_mut().collection += 1;
        let (mut rooted, mut wanted) = (HashSet::new(), HashSet::new());
        for (_, hold) in self.roots()? {
            rooted.extend(self.held_by(&hold));
            wanted.extend(hold.digest);
        }
        let mut report = GcReport {
            rooted: rooted.len() as u64,
            ..GcReport::default()
        };
        let mut would_free = 0;
        for path in self.candidates_to_go(&rooted) {
            if options.cancel.is_cancelled() {
                report.is_cancelled = true;
                break;
            }
            if let Some(down_to) = options.down_to {
                // What counts is what is left after all that went so far.
                if !options.dry_run {
                    self.close_all_gaps()?;
                }
                let now = image_bytes + shared.index().disk_bytes();
                if !self.is_fuller_than(down_to, now.saturating_sub(would_free))? {
                    break;
                }
            }
            if options.dry_run {
                // Of a path in a common pack it is not known what it takes.
                would_free += shared.index().pack(path.pack).map_or(0, |pack| {
                    let within = pack.within.map(|_| path.info.nar_size);
                    within.unwrap_or(pack.disk)
                });
            } else if !self.discard(&path, false)? {
                continue;
            }
            report.collected.push(path.path().clone());
        }
        if options.dry_run {
            report.freed = would_free;
        } else {
            self.close_all_gaps()?;
            let only_whole = options.down_to.is_some() || report.is_cancelled;
            self.forget_closures(&rooted, &wanted, only_whole)?;
            report.freed = before.saturating_sub(self.disk_bytes());
        }
        let left = self
            .shared
            .index()
            .packs()
            .filter(|(_, pack)| pack.info.is_some())
            .count();
        report.spared = (left as u64).saturating_sub(report.rooted);
        Ok(report)
    }

    /// What no root holds, those first that were used least recently.
    fn candidates_to_go(&self, rooted: &HashSet<PackId>) -> Vec<StoredPath> {
        let index = self.shared.index();
        let mut candidates: Vec<(u64, StoredPath)> = index
            .packs()
            .filter(|(id, pack)| pack.pins == 0 && !rooted.contains(id))
            .filter_map(|(pack, found)| {
                let info = found.info.clone()?;
                Some((found.used, StoredPath { pack, info }))
            })
            .collect();
        candidates.sort_by_key(|(used, path)| (*used, path.pack));
        candidates.into_iter().map(|(_, path)| path).collect()
    }

    /// Forgets closures that are not there as a whole any more, or that nothing holds unless `only_broken`; but not those that
    /// roots name, for they may be about to come.
    fn forget_closures(
        &self,
        rooted: &HashSet<PackId>,
        wanted: &HashSet<ClosureDigest>,
        only_broken: bool,
    ) -> Result<(), StoreError> {
        for (digest, folder) in closures::remembered(&self.shared.layout)? {
            // One at a time: realisations and images wait for it.
            let _folders = lock(&self.shared.closure_folders);
            let stays = wanted.contains(&digest)
                || self.closure_lines(&digest).is_some_and(|lines| {
                    let index = self.shared.index();
                    let collection = index.collection;
                    lines.as_slice().iter().all(|line| {
                        index.variants(&line.path).iter().any(|id| {
                            index.pack(*id).is_some_and(|pack| {
                                let is_it = pack
                                    .info
                                    .as_ref()
                                    .is_some_and(|info| info.nar_hash == line.nar_hash);
                                let is_held = only_broken
                                    || rooted.contains(id)
                                    || pack.pins > 0
                                    || pack.held_in == collection;
                                is_it && is_held
                            })
                        })
                    })
                });
            if !stays {
                closures::remove(&folder)?;
            }
        }
        Ok(())
    }

    /// Bytes that closure images take on disk, and exports.
    pub(crate) fn image_bytes(&self) -> u64 {
        images(&self.shared.layout.closures()) + self.exported_bytes()
    }

    /// Bytes that packs and images take on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        // Not in one expression: the index would be held while it is asked for again, which waits for ever beside a writer.
        let images = self.image_bytes();
        images + self.shared.index().disk_bytes()
    }

    fn is_fuller_than(&self, watermark: Watermark, bytes: u64) -> Result<bool, StoreError> {
        let dir = self.dir();
        let status = || rustix::fs::statvfs(dir).map_err(crate::error::failed("read", dir));
        match watermark {
            Watermark::Bytes(limit) => Ok(bytes > limit),
            Watermark::Free(limit) => {
                let status = status()?;
                Ok(status.f_bavail.saturating_mul(status.f_frsize) < limit)
            }
            Watermark::Percent(limit) => {
                let status = status()?;
                let used = u128::from(status.f_blocks - status.f_bfree.min(status.f_blocks));
                // As df has it: what only root may use counts as neither used nor free.
                let all = used + u128::from(status.f_bavail);
                Ok(used * 100 > all * u128::from(limit))
            }
        }
    }
}

/// Bytes that closure images take on disk.
fn images(closures: &Path) -> u64 {
    let folders = fs::read_dir(closures).into_iter().flatten().flatten();
    folders
        .flat_map(|folder| closures::images_in(&folder.path()).collect::<Vec<_>>())
        .filter_map(|image| fs::metadata(image).ok())
        .map(|metadata| metadata.blocks() * 512)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_are_sizes_or_shares() {
        let read = |text: &str| text.parse::<Watermark>();
        assert_eq!(read("80%"), Ok(Watermark::Percent(80)));
        assert_eq!(read("0"), Ok(Watermark::Bytes(0)));
        assert_eq!(read("20GiB"), Ok(Watermark::Bytes(20 << 30)));
        assert_eq!(read("3K"), Ok(Watermark::Bytes(3072)));
        for text in [
            "",
            "%",
            "101%",
            "-1",
            "1.5G",
            "GiB",
            "99999999999999999999",
            "20000000T",
        ] {
            assert_eq!(read(text), Err(WatermarkError(text.into())), "{text}");
        }
    }
}
