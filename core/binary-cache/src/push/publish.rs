//! Bringing NARs and narinfos into the cache.

use std::sync::Arc;

use nix_formats::{NarInfo, StorePath};

use super::batch::Batch;
use super::pack::Packed;
use super::{Push, PushError, blocking};
use crate::error::FetchError;
use crate::transport::Payload;

/// A NAR of this size is asked for before it is sent a second time.
const WORTH_ASKING: u64 = 1 << 20;

impl Push {
    /// Brings a NAR into the cache; its narinfo, which is not yet there.
    pub(super) async fn upload(&self, packed: Packed) -> Result<NarInfo, PushError> {
        let Packed {
            payload,
            narinfo,
            listing,
        } = packed;
        let upload = async {
            let (limits, url) = (&self.options.limits, &narinfo.url);
            let is_there = !self.transport.is_folder()
                && narinfo.file_size >= Some(WORTH_ASKING)
                && self.transport.exists(url, limits).await?;
            if !is_there {
                self.transport
                    .put(url, "application/x-nix-nar", payload, limits)
                    .await?;
            }
            if let Some(listing) = listing {
                let name = format!("{}.ls", narinfo.path.hash_part());
                let payload = Payload::Memory(listing.into());
                self.transport
                    .put(&name, "application/json", payload, limits)
                    .await?;
            }
            Ok(())
        };
        match upload.await {
            Ok(()) => Ok(narinfo),
            Err(error) => Err(upload_error(&narinfo.path, error)),
        }
    }

    /// Writes narinfos into a folder once all that they tell of is on the disk, and gives back those of paths that were pushed.
    pub(super) async fn publish_batch(&self, batch: Batch) -> Result<Vec<NarInfo>, PushError> {
        let Some(folder) = self.transport.folder().map(Arc::clone) else {
            return Ok(Vec::new());
        };
        let store_dir = self.source.store_dir();
        let narinfos = batch.signed.iter().chain(&batch.pushed);
        let file = |info: &NarInfo| (NarInfo::file_name(&info.path), info.print(store_dir));
        let files: Vec<(String, String)> = narinfos.map(file).collect();
        blocking(move || folder.put_last(&files)).await?;
        Ok(batch.pushed)
    }

    pub(super) async fn publish(&self, narinfo: &NarInfo) -> Result<(), PushError> {
        let name = NarInfo::file_name(&narinfo.path);
        let text = narinfo.print(self.source.store_dir());
        let payload = Payload::Memory(text.into());
        self.transport
            .put(&name, "text/x-nix-narinfo", payload, &self.options.limits)
            .await
            .map_err(|error| upload_error(&narinfo.path, error))
    }
}

pub(super) fn upload_error(path: &StorePath, source: FetchError) -> PushError {
    PushError::Upload {
        path: path.clone(),
        source,
    }
}
