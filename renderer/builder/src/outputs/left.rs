//! An output as a builder left it: a tree in a folder.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use niphas_store::{PackError, Store};
use nix_formats::nar::ReaderError;
use nix_formats::{HashAlgorithm, StorePath};

use super::Build;
use super::contents::{Nar, Source, unread};
use super::error::OutputError;
use super::links::LinkedOutputs;
use super::pass::hash;
use super::survey::{Survey, survey};
use super::tree::{Place, TreeReader, failed};

/// The largest NAR: the contents of a pack of the store end there.
const MAX_NAR_SIZE: u64 = 2 << 40;

/// See the module.
pub(super) struct LeftOutput<'a> {
    name: &'a str,
    scratch: &'a StorePath,
    folder: OwnedFd,
    shown: PathBuf,
    survey: Survey,
    /// Where its contents are written.
    store: Option<&'a Store>,
}

impl<'a> LeftOutput<'a> {
    /// Looks at the whole tree, and refuses what no store path may have.
    pub(super) fn look(
        build: &Build<'a>,
        name: &'a str,
        scratch: &'a StorePath,
        store: Option<&'a Store>,
        links: &mut LinkedOutputs,
    ) -> Result<Self, OutputError> {
        let shown = build.left.folder.join(scratch.base_name());
        let folder = open_folder(build)?;
        let root = Place {
            folder: folder.as_fd(),
            name: OsStr::new(scratch.base_name()),
        };
        let stat = match root.stat() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OutputError::Missing {
                    derivation: build.print(build.path),
                    output: name.to_owned(),
                    path: shown,
                });
            }
            stat => stat.map_err(|error| failed("read", &shown, error))?,
        };
        let is_symlink = stat.st_mode & 0o170_000 == 0o120_000;
        let is_writable_for_others = stat.st_mode & 0o022 != 0;
        let is_others = stat.st_uid != *build.left.owners.start() || links.has_seen(&stat);
        if !is_symlink && is_writable_for_others || is_others {
            return Err(OutputError::Suspicious {
                output: name.to_owned(),
                path: shown,
            });
        }
        let survey = survey(root, &shown, &build.left.owners, links)?;
        // Holes take no space, and may have more bytes than can ever be read.
        if survey.nar_size > MAX_NAR_SIZE {
            return Err(OutputError::TooManyBytes {
                path: shown,
                size: survey.nar_size,
                limit: MAX_NAR_SIZE,
            });
        }
        Ok(Self {
            name,
            scratch,
            folder,
            shown,
            survey,
            store,
        })
    }

    fn root(&self) -> Place<'_> {
        Place {
            folder: self.folder.as_fd(),
            name: OsStr::new(self.scratch.base_name()),
        }
    }
}

impl Source for LeftOutput<'_> {
    fn shown(&self) -> &Path {
        &self.shown
    }

    fn plain_file(&self) -> Option<u64> {
        self.survey.plain_file
    }

    fn nar(&self) -> Result<Box<dyn Read + '_>, OutputError> {
        Ok(Box::new(TreeReader::new(self.root(), &self.shown)))
    }

    fn file(&self) -> Result<Box<dyn Read + '_>, OutputError> {
        let file = self.root().open_file();
        let (file, _) = file.map_err(|error| failed("read", &self.shown, error))?;
        Ok(Box::new(file))
    }

    fn take(&self, nar: &mut dyn Read) -> Result<Nar, OutputError> {
        let Some(store) = self.store else {
            let hashed = hash(HashAlgorithm::Sha256, nar);
            return Ok(Nar::hashed(
                hashed.map_err(|error| unread(&self.shown, error))?,
            ));
        };
        let packed = store.pack(nar, Some(self.survey.nar_size));
        let packed = packed.map_err(|error| match error {
            PackError::Read(error) => unread(&self.shown, error),
            PackError::Nar(ReaderError::NotSorted { .. }) => OutputError::NotSorted,
            source => OutputError::Pack {
                output: self.name.to_owned(),
                source,
            },
        })?;
        Ok(Nar {
            hash: packed.nar_hash,
            size: packed.nar_size,
            packed: Some(packed),
        })
    }
}

/// Those of the outputs that have several names.
pub(super) fn linked(build: &Build<'_>) -> Result<LinkedOutputs, OutputError> {
    if build.derivation.outputs.len() < 2 {
        return Ok(LinkedOutputs::default());
    }
    let folder = open_folder(build)?;
    let outputs = build.left.scratch.iter();
    let outputs = outputs.filter(|(name, _)| !build.valid.contains_key(*name));
    // Outputs that are missing are an error where they are looked at.
    let stats = outputs.filter_map(|(_, scratch)| {
        let place = Place {
            folder: folder.as_fd(),
            name: OsStr::new(scratch.base_name()),
        };
        place.stat().ok()
    });
    Ok(LinkedOutputs::of(stats))
}

/// The folder with the outputs. It is ours, and so is its name.
pub(super) fn open_folder(build: &Build<'_>) -> Result<OwnedFd, OutputError> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let folder = &build.left.folder;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, folder, flags, Mode::empty());
    opened.map_err(|error| failed("read", folder, error.into()))
}
