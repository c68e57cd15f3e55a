//! Source trees: folders of this machine as Nix would see them in its store.

use std::collections::HashSet;
use std::fs::{self, FileType, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use nix_formats::hash::{Hash, HashAlgorithm};
use nix_formats::nar::{self, Writer, WriterError};

use crate::error::FlakeError;

/// What is at a path, links not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A regular file.
    Regular {
        /// Whether its owner may run it.
        executable: bool,
        /// Its length in bytes.
        size: u64,
    },
}

impl FileKind {
    fn of(metadata: &Metadata) -> Option<Self> {
        let kind = metadata.file_type();
        if kind.is_dir() {
            Some(Self::Directory)
        } else if kind.is_symlink() {
            Some(Self::Symlink)
        } else if kind.is_file() {
            Some(Self::Regular {
                executable: metadata.mode() & 0o100 != 0,
                size: metadata.len(),
            })
        } else {
            None
        }
    }
}

/// The files of a work tree that Git tracks.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrackedFiles {
    files: HashSet<Vec<u8>>,
    folders: HashSet<Vec<u8>>,
}

impl TrackedFiles {
    /// Adds a file, relative to the work tree.
    pub(crate) fn add(&mut self, path: &[u8]) {
        self.add_parents(path);
        self.files.insert(path.to_owned());
    }

    /// Adds a folder, even if there is nothing in it.
    pub(crate) fn add_folder(&mut self, path: &[u8]) {
        self.add_parents(path);
        self.folders.insert(path.to_owned());
    }

    fn add_parents(&mut self, path: &[u8]) {
        let mut end = path.len();
        while let Some(slash) = path[..end].iter().rposition(|&b| b == b'/') {
            if !self.folders.insert(path[..slash].to_owned()) {
                break;
            }
            end = slash;
        }
    }

    /// Adds what `other` tracks in the folder `prefix`.
    pub(crate) fn mount(&mut self, prefix: &[u8], other: &Self) {
        self.add_folder(prefix);
        for file in &other.files {
            self.add(&[prefix, b"/", file].concat());
        }
        for folder in &other.folders {
            self.add_folder(&[prefix, b"/", folder].concat());
        }
    }

    fn sees(&self, path: &[u8]) -> bool {
        path.is_empty() || self.files.contains(path) || self.folders.contains(path)
    }
}

/// A folder, or a single file, of this machine as a source tree. Of a Git work tree only what
/// Git tracks is seen.
#[derive(Debug, Clone)]
pub struct SourceTree {
    root: PathBuf,
    tracked: Option<TrackedFiles>,
    /// Where it came from, if the user has it elsewhere than at `root`.
    source: Option<String>,
}

impl SourceTree {
    /// Everything at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            tracked: None,
            source: None,
        }
    }

    /// The same tree, which messages name by the URL that it was fetched from.
    #[must_use]
    pub(crate) fn fetched_from(mut self, source: impl fmt::Display) -> Self {
        self.source = Some(source.to_string());
        self
    }

    pub(crate) fn tracked(root: PathBuf, tracked: TrackedFiles) -> Self {
        Self {
            root,
            tracked: Some(tracked),
            source: None,
        }
    }

    pub(crate) fn tracked_files(&self) -> Option<&TrackedFiles> {
        self.tracked.as_ref()
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the tree as messages name it: where the user has the file, or `«URL»/path` as in Nix.
    pub(crate) fn shown(&self, path: &Path) -> String {
        match &self.source {
            None => self.join(path).display().to_string(),
            Some(source) if path.as_os_str().is_empty() => format!("«{source}»"),
            Some(source) => format!("«{source}»/{}", path.display()),
        }
    }

    /// The error about a path that is in the work tree, but that Git does not track.
    pub(crate) fn untracked(&self, path: &Path) -> Option<FlakeError> {
        let is_unseen = self.locate(path).is_none() && self.join(path).symlink_metadata().is_ok();
        is_unseen.then(|| FlakeError::Untracked {
            path: path.display().to_string(),
            repository: self.root.clone(),
        })
    }

    /// The place of `path`, which is relative to the root and has no `.` or `..`, if it is part
    /// of the tree. Links are not followed: a path behind a link has to be resolved first.
    pub fn locate(&self, path: &Path) -> Option<PathBuf> {
        if let Some(tracked) = &self.tracked
            && !tracked.sees(path.as_os_str().as_bytes())
        {
            return None;
        }
        Some(self.join(path))
    }

    /// The place of `path`, in the tree or not.
    pub(crate) fn join(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }

    /// What is at `path`, if anything is.
    pub fn kind(&self, path: &Path) -> Result<Option<FileKind>, FlakeError> {
        let Some(place) = self.locate(path) else {
            return Ok(None);
        };
        match place.symlink_metadata() {
            Ok(metadata) => FileKind::of(&metadata)
                .map(Some)
                .ok_or(FlakeError::FileType(place)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(FlakeError::io("getting status of", place)(error)),
        }
    }

    /// What is in a folder, in any order.
    pub fn entries(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileType)>> {
        let place = self.locate(path).ok_or(io::ErrorKind::NotFound)?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            let name = entry.file_name();
            if self
                .tracked
                .as_ref()
                .is_none_or(|tracked| tracked.sees(path.join(&name).as_os_str().as_bytes()))
            {
                entries.push((name.into_vec(), entry.file_type()?));
            }
        }
        Ok(entries)
    }

    /// The names in a folder, sorted by their bytes.
    pub fn names(&self, path: &Path) -> Result<Vec<Vec<u8>>, FlakeError> {
        let entries = self
            .entries(path)
            .map_err(FlakeError::io("reading directory", self.join(path)))?;
        let mut names: Vec<_> = entries.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The contents of a file, up to `limit` bytes. A link is followed within the tree.
    pub fn read_text(&self, path: &Path, limit: u64) -> Result<Option<String>, FlakeError> {
        let Some(place) = self.locate(path) else {
            return Ok(None);
        };
        let size = match fs::metadata(&place) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FlakeError::io("reading file", place)(error)),
        };
        if size > limit {
            return Err(FlakeError::TooLarge {
                url: place.display().to_string().into(),
                limit,
            });
        }
        let (real, root) = (place.canonicalize(), self.root.canonicalize());
        if !matches!((&real, &root), (Ok(real), Ok(root)) if real.starts_with(root)) {
            let error = io::Error::other("it is a symbolic link that leads outside of the tree");
            return Err(FlakeError::io("reading file", place)(error));
        }
        regular_file::read_to_string(&place)
            .map(Some)
            .map_err(FlakeError::io("reading file", place))
    }

    /// Writes the NAR of what is at `path`, less the entries that `keep` refuses. It is asked
    /// for each entry by its path from the tree's root.
    pub fn write_nar<W: io::Write>(
        &self,
        path: &Path,
        writer: &mut Writer<W>,
        keep: &mut dyn FnMut(&Path, FileKind) -> Result<bool, FlakeError>,
    ) -> Result<(), FlakeError> {
        let kind = self
            .kind(path)?
            .ok_or_else(|| FlakeError::NotFound(self.join(path)))?;
        self.write_node(path, kind, writer, keep)
    }

    fn write_node<W: io::Write>(
        &self,
        path: &Path,
        kind: FileKind,
        writer: &mut Writer<W>,
        keep: &mut dyn FnMut(&Path, FileKind) -> Result<bool, FlakeError>,
    ) -> Result<(), FlakeError> {
        let place = self.join(path);
        let nar_error = |error: WriterError| {
            FlakeError::io("archiving", &place)(match error {
                WriterError::Io(error) => error,
                other => io::Error::other(other),
            })
        };
        match kind {
            FileKind::Regular { executable, size } => {
                let mut file = regular_file::open_no_follow(&place)
                    .map_err(FlakeError::io("opening file", &place))?;
                writer
                    .file_from(executable, size, &mut file)
                    .map_err(nar_error)
            }
            FileKind::Symlink => {
                let target = fs::read_link(&place)
                    .map_err(FlakeError::io("reading symbolic link", &place))?;
                writer
                    .symlink(target.as_os_str().as_bytes())
                    .map_err(nar_error)
            }
            FileKind::Directory => {
                writer.begin_directory().map_err(nar_error)?;
                for name in self.names(path)? {
                    let child = path.join(std::ffi::OsStr::from_bytes(&name));
                    let kind = self
                        .kind(&child)?
                        .ok_or_else(|| FlakeError::NotFound(self.join(&child)))?;
                    if keep(&child, kind)? {
                        writer.entry(&name).map_err(nar_error)?;
                        self.write_node(&child, kind, writer, keep)?;
                    }
                }
                writer.end_directory().map_err(nar_error)
            }
        }
    }

    /// The SHA-256 of the whole tree's NAR.
    pub fn nar_hash(&self) -> Result<Hash, FlakeError> {
        let mut failure = None;
        let hashed = nar::hash(HashAlgorithm::Sha256, |writer| {
            self.write_nar(Path::new(""), writer, &mut |_, _| Ok(true))
                .map_err(|error| {
                    failure = Some(error);
                    WriterError::OutOfOrder("the tree could not be read")
                })
        });
        match (hashed, failure) {
            (_, Some(error)) => Err(error),
            (Ok((hash, _)), None) => Ok(hash),
            (Err(error), None) => Err(FlakeError::io("archiving", &self.root)(io::Error::other(
                error,
            ))),
        }
    }

    /// When the newest entry of the tree was changed, in seconds since 1970.
    pub(crate) fn last_modified(&self) -> Result<u64, FlakeError> {
        fn visit(tree: &SourceTree, path: &Path, newest: &mut i64) -> Result<(), FlakeError> {
            let place = tree.join(path);
            let metadata = place
                .symlink_metadata()
                .map_err(FlakeError::io("getting status of", &place))?;
            *newest = (*newest).max(metadata.mtime());
            if metadata.is_dir() {
                for name in tree.names(path)? {
                    visit(tree, &path.join(std::ffi::OsStr::from_bytes(&name)), newest)?;
                }
            }
            Ok(())
        }
        let mut newest = 0;
        visit(self, Path::new(""), &mut newest)?;
        Ok(newest.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_tree_shows_only_what_is_tracked() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        fs::create_dir_all(dir.path().join("a/b"))?;
        fs::create_dir_all(dir.path().join("c"))?;
        for file in ["a/b/seen", "a/unseen", "c/unseen"] {
            fs::write(dir.path().join(file), file)?;
        }
        let mut tracked = TrackedFiles::default();
        tracked.add(b"a/b/seen");
        let tree = SourceTree::tracked(dir.path().to_owned(), tracked);
        assert_eq!(tree.names(Path::new(""))?, [b"a"]);
        assert_eq!(tree.names(Path::new("a"))?, [b"b"]);
        assert_eq!(tree.kind(Path::new("a/unseen"))?, None);
        assert_eq!(tree.locate(Path::new("c")), None);
        Ok(())
    }
}
