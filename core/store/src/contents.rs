//! Reading what is stored: files, trees and NARs, from records and packs.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashMap;
use nix_formats::nar::{self, WriterError};
use nix_formats::{Hash, HashAlgorithm, HashWriter, Hasher, StorePath};

use crate::common;
use crate::error::{FileError, StoreError, failed};
use crate::layout::{PackId, PackName};
use crate::pack::{ReadError, read_record};
use crate::record::{FileNode, Node, RecordError, Tree, TreeEvent};
use crate::store::{Pin, Shared, Store, StoredPath};

/// Pieces in which files are read.
pub(crate) const PIECE: usize = 256 << 10;

impl Store {
    /// All paths, sorted; those with several contents several times.
    pub fn paths(&self) -> Vec<StoredPath> {
        let index = self.shared.index();
        let mut paths: Vec<StoredPath> = index
            .packs()
            .filter_map(|(pack, found)| {
                let info = Arc::clone(found.info.as_ref()?);
                Some(StoredPath { pack, info })
            })
            .collect();
        paths.sort_by(|a, b| (a.path(), a.pack).cmp(&(b.path(), b.pack)));
        paths
    }

    /// A path; if there are several contents of it, those that were used last.
    pub fn info(&self, path: &StorePath) -> Option<StoredPath> {
        self.variants(path).into_iter().next()
    }

    /// All contents of a path, those that were used last first.
    pub fn variants(&self, path: &StorePath) -> Vec<StoredPath> {
        let index = self.shared.index();
        let mut found: Vec<(u64, StoredPath)> = index
            .variants(path)
            .iter()
            .filter_map(|&pack| {
                let known = index.pack(pack)?;
                let info = Arc::clone(known.info.as_ref()?);
                Some((known.used, StoredPath { pack, info }))
            })
            .collect();
        found.sort_by(|(used, a), (other, b)| (other, b.pack).cmp(&(used, a.pack)));
        found.into_iter().map(|(_, path)| path).collect()
    }

    /// What is in a path, and where.
    pub fn tree(&self, path: &StoredPath) -> Result<Tree, StoreError> {
        let _pin = self.pin(path)?;
        self.shared.tree(path)
    }

    /// Writes the contents of a regular file of a path. `name` is relative to the path, `/` between its parts; empty if the
    /// path is a file itself. If the bytes are not those that were stored this is an error in the end, and what was written
    /// must not be used.
    pub fn read_file(
        &self,
        path: &StoredPath,
        name: &[u8],
        out: &mut dyn Write,
    ) -> Result<(), StoreError> {
        let _pin = self.pin(path)?;
        let tree = self.shared.tree(path)?;
        let shown = || String::from_utf8_lossy(name).into_owned();
        let no_such = || StoreError::NoSuchFile {
            path: path.path().clone(),
            name: shown(),
        };
        let not_a_file = |kind| StoreError::NotAFile {
            path: path.path().clone(),
            name: shown(),
            kind,
        };
        let found = tree
            .find(name)
            .map_err(|source| self.shared.bad_record(path, source))?;
        let file = match found.ok_or_else(no_such)? {
            Node::File(file) => file,
            Node::Symlink(_) => return Err(not_a_file("a symlink")),
            Node::Directory => return Err(not_a_file("a directory")),
        };
        self.read_found(path, name, &file, out)
    }

    /// The same for a file that was found in the [tree](Self::tree) of the path.
    pub fn read_found(
        &self,
        path: &StoredPath,
        name: &[u8],
        file: &FileNode,
        out: &mut dyn Write,
    ) -> Result<(), StoreError> {
        let _pin = self.pin(path)?;
        let mut packs = PackFiles::new(&self.shared, path.path());
        let mut hasher = blake3::Hasher::new();
        packs.read(file, |piece| {
            hasher.update(piece);
            out.write_all(piece)
                .map_err(|source| FileError::new("write", "the output", source).into())
        })?;
        if *hasher.finalize().as_bytes() != file.hash {
            return Err(StoreError::Damaged {
                path: path.path().clone(),
                names: vec![String::from_utf8_lossy(name).into_owned()],
            });
        }
        Ok(())
    }

    /// Writes the NAR of a path: the same bytes that were fetched. If it turns out not to be, this is an error in the end,
    /// and what was written must not be used.
    pub fn write_nar(&self, path: &StoredPath, out: &mut dyn Write) -> Result<(), StoreError> {
        let _pin = self.pin(path)?;
        let tree = self.shared.tree(path)?;
        let out = HashWriter::new(HashAlgorithm::Sha256, out);
        let (_, hash, _) = self.shared.nar(path, &tree, out)?.finish();
        if hash == path.info.nar_hash {
            return Ok(());
        }
        Err(StoreError::Damaged {
            path: path.path().clone(),
            names: Vec::new(),
        })
    }

    /// Holds a path that is good as far as is known.
    pub(crate) fn pin(&self, path: &StoredPath) -> Result<Pin, StoreError> {
        let not_stored = || StoreError::NotStored(path.path().clone());
        let pin = Pin::new(&self.shared, path.pack).ok_or_else(not_stored)?;
        let is_suspect = |pack: &crate::index::Pack| pack.is_suspect;
        let is_suspect = self.shared.index().pack(path.pack).is_some_and(is_suspect);
        if is_suspect && !self.clear_suspect(path.pack)? {
            return Err(StoreError::Damaged {
                path: path.path().clone(),
                names: Vec::new(),
            });
        }
        Ok(pin)
    }
}

impl Shared {
    /// The stored path of a pack.
    pub(crate) fn stored(&self, pack: PackId) -> Option<StoredPath> {
        let info = self.info(pack)?;
        Some(StoredPath { pack, info })
    }

    /// Reads the tree of a path from its record.
    pub(crate) fn tree(&self, path: &StoredPath) -> Result<Tree, StoreError> {
        let (id, store_dir) = (path.pack, &self.options.store_dir);
        let (file, file_path) = self.open_pack(path.path(), id)?;
        let file = Arc::new(file);
        let within = self.index().pack(id).and_then(|pack| pack.within);
        let read = match within {
            Some(within) => common::read_record(&file, &file_path, store_dir, id, within.slot),
            None => read_record(&file, &file_path, store_dir, id).map(|(record, _)| Some(record)),
        };
        let record = read.map_err(|error| match error {
            ReadError::File(error) => error.into(),
            ReadError::Record { source, .. } => self.bad_record(path, source),
        })?;
        // The process that writes may have collected it meanwhile.
        let missing = || StoreError::PackMissing {
            path: path.path().clone(),
            pack: id,
        };
        Ok(record.ok_or_else(missing)?.tree)
    }

    /// The error if the record of a path can't be read. The next request for the path verifies it first, and fetches it again.
    pub(crate) fn bad_record(&self, path: &StoredPath, source: RecordError) -> StoreError {
        if let Some(pack) = self.index_mut().pack_mut(path.pack) {
            pack.is_suspect = true;
        }
        StoreError::BadRecord {
            path: path.path().clone(),
            source,
        }
    }

    /// Opens a pack that has files of `path`.
    pub(crate) fn open_pack(
        &self,
        path: &StorePath,
        pack: PackId,
    ) -> Result<(File, PathBuf), StoreError> {
        let missing = || StoreError::PackMissing {
            path: path.clone(),
            pack,
        };
        let known = self.pack_path(pack).ok_or_else(missing)?;
        // The process that writes may have collected the path of the pack meanwhile, and then it has this name.
        let collected = self.layout.pack(&PackName::of_rest(pack));
        for name in [known, collected] {
            match File::open(&name) {
                Ok(file) => return Ok((file, name)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed("open", &name)(error).into()),
            }
        }
        Err(missing())
    }

    /// Writes the NAR of a path to `out`, whatever its hash turns out to be.
    pub(crate) fn nar<W: Write>(
        self: &Arc<Self>,
        path: &StoredPath,
        tree: &Tree,
        out: W,
    ) -> Result<W, StoreError> {
        let mut packs = PackFiles::new(self, path.path());
        let failed = |source: WriterError| StoreError::Nar {
            path: path.path().clone(),
            source,
        };
        let mut writer = nar::Writer::new(out);
        let mut events = tree.events();
        let bad = |source| self.bad_record(path, source);
        while let Some(event) = events.next().map_err(bad)? {
            let (TreeEvent::Enter(name) | TreeEvent::File(name, _) | TreeEvent::Symlink(name, _)) =
                event
            else {
                writer.end_directory().map_err(failed)?;
                continue;
            };
            if !name.is_empty() {
                writer.entry(name).map_err(failed)?;
            }
            match event {
                TreeEvent::File(_, file) => {
                    writer
                        .begin_file(file.executable, file.size)
                        .map_err(failed)?;
                    packs.read(&file, |piece| writer.contents(piece).map_err(failed))?;
                    writer.end_file().map_err(failed)?;
                }
                TreeEvent::Symlink(_, target) => writer.symlink(target).map_err(failed)?,
                TreeEvent::Enter(_) | TreeEvent::Leave => {
                    writer.begin_directory().map_err(failed)?;
                }
            }
        }
        writer.finish().map_err(failed)
    }

    /// The hash of the NAR of a path as it is now.
    pub(crate) fn nar_hash(
        self: &Arc<Self>,
        path: &StoredPath,
        tree: &Tree,
    ) -> Result<Hash, StoreError> {
        let hasher = self.nar(path, tree, Hasher::new(HashAlgorithm::Sha256))?;
        Ok(hasher.finish())
    }
}

/// The packs that the files of one path are in, opened when they are needed.
#[derive(Debug)]
pub(crate) struct PackFiles<'a> {
    shared: &'a Shared,
    path: &'a StorePath,
    open: HashMap<PackId, (File, PathBuf)>,
    piece: Vec<u8>,
}

/// A path may refer to more packs than files may be open.
const MAX_OPEN: usize = 64;

impl<'a> PackFiles<'a> {
    pub(crate) fn new(shared: &'a Shared, path: &'a StorePath) -> Self {
        Self {
            shared,
            path,
            open: HashMap::new(),
            piece: Vec::new(),
        }
    }

    /// Reads a file, piece by piece. A pack that ends too early is read as if zeros followed: the caller checks
    /// the hash anyway.
    pub(crate) fn read(
        &mut self,
        file: &FileNode,
        mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if file.size == 0 {
            return Ok(());
        }
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(PIECE.min(usize::try_from(file.size).unwrap_or(PIECE)), 0);
        let (pack, name) = self.pack(file.place.pack)?;
        let (mut left, mut offset) = (file.size, file.place.offset());
        while left > 0 {
            let count = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
            let bytes = &mut piece[..count];
            read_at(pack, bytes, offset).map_err(failed("read", name))?;
            take(bytes)?;
            left -= count as u64;
            offset += count as u64;
        }
        self.piece = piece;
        Ok(())
    }

    fn pack(&mut self, id: PackId) -> Result<&(File, PathBuf), StoreError> {
        if self.open.len() >= MAX_OPEN && !self.open.contains_key(&id) {
            self.open.clear();
        }
        match self.open.entry(id) {
            hashbrown::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            hashbrown::hash_map::Entry::Vacant(entry) => {
                Ok(entry.insert(self.shared.open_pack(self.path, id)?))
            }
        }
    }
}

/// Reads as if zeros followed the end of a file.
pub(crate) fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, offset) {
            Ok(0) => {
                bytes.fill(0);
                return Ok(());
            }
            Ok(count) => {
                bytes = &mut bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
