//! A store as something that is pushed from.

use std::io::{self, Write};

use binary_cache::{NarSource, PathInfo, SourceError};
use nix_formats::{Signature, StoreDir, StorePath};

use crate::store::Store;

/// Of several contents of a path, those that were used last. Signatures of the store's own key are left out: they say something to
/// this machine alone.
impl NarSource for Store {
    fn store_dir(&self) -> &StoreDir {
        &self.shared.options.store_dir
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        let own = self.own_key().ok();
        let is_own = |signature: &Signature| {
            let own = own.as_ref();
            own.is_some_and(|own| own.name() == signature.key_name)
        };
        let info = |path: &StorePath| {
            let info = self.info(path)?.info;
            let mut signatures = info.signatures.clone();
            signatures.retain(|signature| !is_own(signature));
            Some(PathInfo {
                path: path.clone(),
                nar_hash: info.nar_hash,
                nar_size: info.nar_size,
                references: info.references.iter().cloned().collect(),
                deriver: info.deriver.clone(),
                signatures,
                ca: info.ca,
            })
        };
        Ok(paths.iter().map(info).collect())
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        // Another realisation may have made other contents those that were used last.
        let variants = self.variants(&info.path).into_iter();
        let mut same = variants.filter(|stored| stored.info.nar_hash == info.nar_hash);
        let stored = same.next().ok_or_else(|| SourceError::Missing {
            path: info.path.clone(),
            needed_by: None,
        })?;
        let mut out = Output {
            out,
            has_failed: false,
        };
        match Store::write_nar(self, &stored, &mut out) {
            Ok(()) => Ok(()),
            Err(error) if out.has_failed => Err(SourceError::Write(io::Error::other(error))),
            Err(error) => Err(SourceError::Other(Box::new(error))),
        }
    }
}

/// What a NAR is written to, to tell its failures from those of the store.
struct Output<'a> {
    out: &'a mut dyn Write,
    has_failed: bool,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.has_failed |= written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
