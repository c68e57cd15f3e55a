//! What the cache has already.

use nix_formats::NarInfo;

use super::publish::upload_error;
use super::{Push, PushError};
use crate::cache_info::CacheInfo;
use crate::error::FetchError;
use crate::source::PathInfo;
use crate::transport::Payload;

/// What a cache has of a path.
pub(super) enum Present {
    Nothing,
    All,
    /// A narinfo that lacks our signature; here it is with it.
    Unsigned(Box<NarInfo>),
}

impl Push {
    /// Sees that the cache is one of our store folder, or makes it one.
    pub(super) async fn check_cache(&self) -> Result<(), PushError> {
        let (name, limits) = (CacheInfo::NAME, &self.options.limits);
        let ours = self.source.store_dir();
        let info = self
            .transport
            .get(name, CacheInfo::MAX_SIZE, limits)
            .await?;
        let Some(info) = info.filter(|info| !info.is_empty()) else {
            let payload = Payload::Memory(CacheInfo::of_new_cache(ours).into());
            let put = self
                .transport
                .put(name, "text/x-nix-cache-info", payload, limits);
            return Ok(put.await?);
        };
        match CacheInfo::parse(ours, &info) {
            Err(FetchError::OtherStoreDir { theirs, ours }) => {
                Err(PushError::OtherStoreDir { theirs, ours })
            }
            parsed => Ok(parsed.map(drop)?),
        }
    }

    /// What the cache has of a path. A signature that it lacks is added, in a folder later.
    pub(super) async fn check(&self, info: PathInfo) -> Result<(PathInfo, Present), PushError> {
        let present = self.present(&info).await?;
        if let Present::Unsigned(signed) = &present
            && !self.transport.is_folder()
        {
            self.publish(signed).await?;
        }
        Ok((info, present))
    }

    async fn present(&self, info: &PathInfo) -> Result<Present, PushError> {
        let name = NarInfo::file_name(&info.path);
        let limits = &self.options.limits;
        let store_dir = self.source.store_dir();
        let got = self.transport.get(&name, limits.max_narinfo, limits).await;
        let got = got.map_err(|error| upload_error(&info.path, error))?;
        let Some(text) = got else {
            return Ok(Present::Nothing);
        };
        // What is damaged is as good as missing.
        let is_ours = |name: &str| self.options.keys.iter().any(|key| key.name() == name);
        let text = String::from_utf8_lossy(&text);
        let Ok(theirs) = NarInfo::parse_preferring(store_dir, &text, is_ours) else {
            return Ok(Present::Nothing);
        };
        if theirs.path != info.path {
            return Ok(Present::Nothing);
        }
        // Another build of it is not ours to sign.
        let is_same = (theirs.nar_hash, theirs.nar_size) == (info.nar_hash, info.nar_size)
            && theirs.references == info.references;
        if !is_same {
            return Ok(Present::All);
        }
        if let Some(folder) = self.transport.folder()
            && !folder.has(&theirs.url, theirs.file_size)
        {
            return Ok(Present::Nothing);
        }
        let mut signed = theirs.clone();
        for key in &*self.options.keys {
            signed.sign(store_dir, key);
        }
        Ok(if signed.signatures == theirs.signatures {
            Present::All
        } else {
            Present::Unsigned(Box::new(signed))
        })
    }
}
