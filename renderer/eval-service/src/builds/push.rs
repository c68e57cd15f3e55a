//! What the service itself puts into the cache: sources of evaluations, and the lists of inputs that pods mount.

use std::io::Write;
use std::sync::Arc;

use binary_cache::{
    CacheUrl, NarSource, PathInfo, PushError, PushOptions, SourceError, push_paths,
};
use niphas_build_jobs::inputs::Inputs;
use nix_formats::{SecretKey, StoreDir, StorePath, nar};

/// A cache that is written to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) url: CacheUrl,
    pub(super) keys: Arc<[SecretKey]>,
}

impl Target {
    /// Makes a cache of an empty folder. An error if it is one for another store.
    pub(super) async fn begin(&self) -> Result<(), PushError> {
        let nothing = Text {
            store_dir: StoreDir::default(),
            text: String::new(),
        };
        self.push_all(Arc::new(nothing), Vec::new()).await
    }

    /// Puts paths into the cache. What they refer to besides is there.
    pub(super) async fn push(
        &self,
        source: Arc<dyn NarSource>,
        paths: Vec<PathInfo>,
    ) -> Result<(), PushError> {
        if paths.is_empty() {
            return Ok(());
        }
        self.push_all(source, paths).await
    }

    async fn push_all(
        &self,
        source: Arc<dyn NarSource>,
        paths: Vec<PathInfo>,
    ) -> Result<(), PushError> {
        let options = PushOptions {
            keys: Arc::clone(&self.keys),
            listings: true,
            ..PushOptions::default()
        };
        let pushed = push_paths(source, paths, &self.url, options, Arc::default());
        pushed.await.map(|_| ())
    }

    /// Puts the list of a pod's inputs into the cache.
    pub(super) async fn push_inputs(&self, inputs: &Inputs) -> Result<(), PushError> {
        let info = PathInfo {
            path: inputs.path.clone(),
            nar_hash: inputs.nar_hash,
            nar_size: inputs.nar_size,
            references: inputs.references.clone(),
            deriver: None,
            signatures: Vec::new(),
            ca: Some(inputs.content_address),
        };
        let text = Text {
            store_dir: StoreDir::default(),
            text: inputs.text.clone(),
        };
        self.push(Arc::new(text), vec![info]).await
    }
}

/// A path that is one text.
struct Text {
    store_dir: StoreDir,
    text: String,
}

impl NarSource for Text {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    /// Never asked: what is pushed is said with it.
    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        Ok(vec![None; paths.len()])
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        let mut writer = nar::Writer::new(out);
        let written = writer.file(false, self.text.as_bytes());
        let written = written.and_then(|()| writer.finish().map(|_| ()));
        written.map_err(|error| match error {
            nar::WriterError::Io(error) => SourceError::Write(error),
            source => SourceError::Tree {
                path: info.path.to_string(),
                source,
            },
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use nix_formats::NarHash;

    use super::*;

    /// A path that is a text of that length, of which little can be compressed.
    pub(crate) fn text(path: &StorePath, length: usize) -> (Arc<dyn NarSource>, PathInfo) {
        let mut text = String::new();
        for number in 0.. {
            if text.len() >= length {
                break;
            }
            let digest =
                nix_formats::HashAlgorithm::Sha256.digest(format!("{path}{number}").as_bytes());
            text.push_str(&data_encoding::BASE64.encode(digest.as_bytes()));
        }
        let source = Text {
            store_dir: StoreDir::default(),
            text,
        };
        let mut info = PathInfo {
            path: path.clone(),
            nar_hash: NarHash::from([0; 32]),
            nar_size: 0,
            references: std::collections::BTreeSet::new(),
            deriver: None,
            signatures: Vec::new(),
            ca: None,
        };
        let mut nar = Vec::new();
        source.write_nar(&info, &mut nar).unwrap();
        (info.nar_hash, info.nar_size) = (NarHash::of(&nar), nar.len() as u64);
        (Arc::new(source), info)
    }
}
