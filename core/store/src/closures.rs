//! What is remembered of closures: their lines and their images, by digest.

use std::path::{Path, PathBuf};
use std::{fs, io};

use niphas_api::{ClosureDigest, ClosureLines, Roots};
use nix_formats::chain;
use nix_formats::hash::{HashAlgorithm, HashFormat};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::error::{FileError, failed};
use crate::layout::{Layout, PackId};
use crate::realise::RealisedClosure;
use crate::store::{Store, lock, now};

const LINES: &str = "paths";
const IMAGE_SUFFIX: &str = ".erofs";

/// A use is noted on disk only if the last one is longer ago than this, in seconds.
const NOTED_EVERY: u64 = 60;

impl Layout {
    /// The folder of a closure.
    pub(crate) fn closure(&self, digest: &ClosureDigest) -> PathBuf {
        self.closures().join(digest.hex())
    }
}

impl Store {
    /// The lines of a closure that was realised, if they are still known.
    pub fn closure_lines(&self, digest: &ClosureDigest) -> Option<ClosureLines> {
        let path = self.shared.layout.closure(digest).join(LINES);
        let text = fs::read_to_string(path).ok()?;
        // A power cut may have damaged it.
        if ClosureDigest::of_text(&text) != *digest {
            return None;
        }
        match text.parse() {
            Ok(lines) => Some(lines),
            Err(error) => {
                tracing::warn!(closure = %digest, error = chain(&error), "failed to read the lines of a closure");
                None
            }
        }
    }

    /// Notes that a closure is in the store, and in use.
    pub(crate) fn remember(&self, closure: &RealisedClosure) -> Result<(), FileError> {
        self.remember_lines(&closure.digest, &closure.lines)?;
        self.note_use(closure.packs());
        Ok(())
    }

    /// Notes of which paths a closure is, so that a root of it holds those that are there before all are.
    pub(crate) fn remember_lines(
        &self,
        digest: &ClosureDigest,
        lines: &ClosureLines,
    ) -> Result<(), FileError> {
        if self.closure_lines(digest).is_none() {
            let _folders = lock(&self.shared.closure_folders);
            self.make_folder(digest, lines)?;
        }
        Ok(())
    }

    /// Puts an image that was made at `made` into the folder of a closure, which a garbage collection may have taken meanwhile.
    pub(crate) fn place_image(
        &self,
        closure: &RealisedClosure,
        made: &Path,
        image: &Path,
    ) -> Result<(), FileError> {
        let _folders = lock(&self.shared.closure_folders);
        self.make_folder(&closure.digest, &closure.lines)?;
        fs::rename(made, image).map_err(failed("write", image))
    }

    /// Makes the folder of a closure, if it is not there. `closure_folders` has to be held: another thread that found the same
    /// would remove what this one made.
    fn make_folder(&self, digest: &ClosureDigest, lines: &ClosureLines) -> Result<(), FileError> {
        if self.closure_lines(digest).is_some() {
            return Ok(());
        }
        let folder = self.shared.layout.closure(digest);
        let made = self.shared.temporary()?;
        fs::create_dir(&made).map_err(failed("create", &made))?;
        let file = made.join(LINES);
        fs::write(&file, lines.to_string()).map_err(failed("write", &file))?;
        // What has the name has damaged lines.
        remove(&folder)?;
        fs::rename(&made, &folder).map_err(failed("create", &folder))
    }

    /// Notes that paths are in use. That this can't be written down is no reason to refuse them.
    pub(crate) fn note_use(&self, packs: impl Iterator<Item = PackId>) {
        let now = now();
        let stale: Vec<PathBuf> = {
            let mut index = self.shared.index_mut();
            let mut stale = Vec::new();
            for id in packs {
                if let Some(pack) = index.pack_mut(id)
                    && pack.used + NOTED_EVERY < now
                {
                    pack.used = now;
                    let file = index.file(id);
                    stale.extend(file.map(|file| self.shared.layout.pack(&file.name)));
                }
            }
            stale.dedup();
            stale
        };
        let time = Timespec {
            tv_sec: i64::try_from(now).unwrap_or(i64::MAX),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        for path in stale {
            if let Err(error) = utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW) {
                tracing::debug!(path = %path.display(), %error, "a use is not noted");
            }
        }
    }
}

/// The closures that are remembered, and their folders.
pub(crate) fn remembered(layout: &Layout) -> Result<Vec<(ClosureDigest, PathBuf)>, FileError> {
    let folder = layout.closures();
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
        let entry = entry.map_err(failed("read", &folder))?;
        let name = entry.file_name();
        let digest = name.to_str().map(ClosureDigest::from_hex);
        if let Some(Ok(digest)) = digest {
            found.push((digest, entry.path()));
        }
    }
    Ok(found)
}

/// The name of the image of a closure, in its folder. One closure has several images if it is asked for by several first
/// paths: they differ in where `root` leads.
///
/// It is a hash of the whole name: the hash part of a store path is the same for two that differ in the rest, and the name
/// itself would be too long for the source of a mount.
pub(crate) fn image_name(roots: &Roots) -> String {
    let hash = HashAlgorithm::Sha256.digest(roots.view().as_bytes());
    let hash = hash.to_string(HashFormat::Base16, false);
    format!("{}{IMAGE_SUFFIX}", &hash[..32])
}

/// The images in the folder of a closure.
pub(crate) fn images_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| {
        path.as_os_str()
            .as_encoded_bytes()
            .ends_with(IMAGE_SUFFIX.as_bytes())
    })
}

/// Removes the images of all closures: a power cut may have damaged them, and they are quickly made.
pub(crate) fn remove_images(layout: &Layout) -> Result<(), FileError> {
    for (_, folder) in remembered(layout)? {
        for image in images_in(&folder) {
            match fs::remove_file(&image) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FileError::new("remove", image, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Removes a folder and what is in it, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", folder, error))
        }
        _ => Ok(()),
    }
}
