//! A look at a whole tree before it is read, as Nix takes it when it makes metadata canonical: what no store path may hold, and
//! what is not the builder's, is refused.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix_formats::nar::{MAGIC, MAX_DEPTH};
use rustix::fs::{Dir, FileType, Mode, OFlags, Stat, openat};

use super::error::OutputError;
use super::links::LinkedOutputs;
use super::tree::{MAX_ENTRIES, MAX_IN_FOLDER, Place, failed, is_executable, size};

/// What a look at a tree tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Survey {
    /// How many bytes its NAR has.
    pub(super) nar_size: u64,
    /// Its size, if it is a plain file without any execute bit.
    pub(super) plain_file: Option<u64>,
}

/// Looks at the tree at `root`, which errors call `shown`. Its owner gets to read what is in it: the builder may have left
/// folders without permissions.
pub(super) fn survey(
    root: Place<'_>,
    shown: &Path,
    owners: &RangeInclusive<u32>,
    links: &mut LinkedOutputs,
) -> Result<Survey, OutputError> {
    let mut walk = Walk {
        owners,
        links,
        shown: shown.to_owned(),
        entries: 0,
        nar_size: token(MAGIC.len() as u64),
    };
    let (stat, entered) = walk.node(root, 0)?;
    let mut open: Vec<(Dir, OwnedFd, u64)> = entered.into_iter().collect();
    loop {
        let depth = open.len();
        let Some((folder, fd, count)) = open.last_mut() else {
            break;
        };
        let entry = match folder.next() {
            None => {
                open.pop();
                if depth > 1 {
                    walk.shown.pop();
                }
                continue;
            }
            Some(entry) => entry.map_err(|error| walk.failed(error.into()))?,
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        *count += 1;
        if *count > MAX_IN_FOLDER {
            return Err(OutputError::TooManyFiles {
                path: walk.shown,
                limit: MAX_IN_FOLDER,
            });
        }
        let name = OsStr::from_bytes(name.to_bytes());
        walk.shown.push(name);
        walk.count(ENTRY + token(name.len() as u64));
        let place = Place {
            folder: fd.as_fd(),
            name,
        };
        match walk.node(place, depth)?.1 {
            Some(entered) => open.push(entered),
            None => {
                walk.shown.pop();
            }
        }
    }
    let is_plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(Survey {
        nar_size: walk.nar_size,
        plain_file: (is_plain && !is_executable(&stat)).then(|| size(&stat)),
    })
}

/// `entry ( name … node … )`, the name and the node aside.
const ENTRY: u64 = 5 * 16;
/// `( type … )`, and what it is aside.
const NODE: u64 = 3 * 16;

/// Bytes of a token in a NAR.
fn token(length: u64) -> u64 {
    length.div_ceil(8).saturating_add(1).saturating_mul(8)
}

struct Walk<'a> {
    owners: &'a RangeInclusive<u32>,
    links: &'a mut LinkedOutputs,
    shown: PathBuf,
    entries: u64,
    nar_size: u64,
}

type Entered = (Dir, OwnedFd, u64);

impl Walk<'_> {
    /// Looks at one thing at this depth of the tree, and enters it if it is a folder.
    fn node(
        &mut self,
        place: Place<'_>,
        depth: usize,
    ) -> Result<(Stat, Option<Entered>), OutputError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(OutputError::TooManyFiles {
                path: self.shown.clone(),
                limit: MAX_ENTRIES,
            });
        }
        let stat = place.stat().map_err(|error| self.failed(error))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(
            kind,
            FileType::RegularFile | FileType::Directory | FileType::Symlink
        ) {
            return Err(OutputError::UnsupportedType(self.shown.clone()));
        }
        if !self.owners.contains(&stat.st_uid) {
            return Err(OutputError::InvalidOwnership(self.shown.clone()));
        }
        self.links.see(&stat);
        // The walk that makes metadata canonical has no limit in Nix; the one that reads has.
        if depth >= MAX_DEPTH {
            return Err(OutputError::TooDeep(self.shown.clone()));
        }
        self.count(NODE);
        let entered = match kind {
            FileType::Directory => {
                self.count(token(9));
                make_readable(place, &stat, 0o500).map_err(|error| self.failed(error))?;
                let folder = place.open_folder().map_err(|error| self.failed(error))?;
                let entries = Dir::read_from(&folder);
                let entries = entries.map_err(|error| self.failed(error.into()))?;
                Some((entries, folder, 0))
            }
            FileType::Symlink => {
                self.count(token(7) + token(6) + token(size(&stat)));
                None
            }
            _ => {
                make_readable(place, &stat, 0o400).map_err(|error| self.failed(error))?;
                if is_executable(&stat) {
                    self.count(token(10) + token(0));
                }
                self.count(token(7) + token(8) + token(size(&stat)));
                None
            }
        };
        Ok((stat, entered))
    }

    fn count(&mut self, bytes: u64) {
        self.nar_size = self.nar_size.saturating_add(bytes);
    }

    fn failed(&self, source: io::Error) -> OutputError {
        failed("read", &self.shown, source)
    }
}

/// Lets the owner read something, if it may not.
fn make_readable(place: Place<'_>, stat: &Stat, needed: u32) -> io::Result<()> {
    if stat.st_mode & needed == needed || rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(place.folder, place.name, flags, Mode::empty())?;
    // The name of what was opened, so that nothing else is changed whatever took its place.
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mode = (stat.st_mode & 0o777) | needed;
    std::fs::set_permissions(link, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, symlink};

    use nix_formats::nar::{Event, Reader};

    use super::*;
    use crate::outputs::tree::TreeReader;

    #[test]
    fn a_survey_tells_the_size_of_the_nar_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        for size in 0..20 {
            fs::write(
                root.join(format!("{size}{}", "n".repeat(size))),
                vec![7; size],
            )
            .unwrap();
            symlink("t".repeat(size + 1), root.join(format!("a/link-{size}"))).unwrap();
        }
        let run = root.join("a/b/run");
        fs::write(&run, vec![1; 200_000]).unwrap();
        fs::set_permissions(&run, Permissions::from_mode(0o755)).unwrap();
        let owner = fs::metadata(&root).unwrap().uid();
        let fd = fs::File::open(folder.path()).unwrap();
        let look = |name: &str| {
            let place = Place {
                folder: fd.as_fd(),
                name: OsStr::new(name),
            };
            let shown = folder.path().join(name);
            let survey = survey(
                place,
                &shown,
                &(owner..=owner),
                &mut LinkedOutputs::default(),
            )
            .unwrap();
            let mut nar = Vec::new();
            TreeReader::new(place, &shown)
                .read_to_end(&mut nar)
                .unwrap();
            assert_eq!(survey.nar_size, nar.len() as u64, "{name}");
            let mut reader = Reader::new(nar.as_slice());
            let mut entries = 0;
            while let Some(event) = reader.next_event().unwrap() {
                entries += usize::from(matches!(event, Event::Entry(_)));
            }
            (survey.plain_file, entries)
        };
        assert_eq!(look("root"), (None, 44));
        fs::copy(&run, folder.path().join("program")).unwrap();
        fs::write(folder.path().join("file"), "xyz").unwrap();
        symlink("x", folder.path().join("link")).unwrap();
        assert_eq!(look("program"), (None, 0));
        assert_eq!(look("file"), (Some(3), 0));
        assert_eq!(look("link"), (None, 0));
    }
}
