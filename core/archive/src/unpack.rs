//! Unpacking archives that come from anywhere.
//!
//! An archive's entries never touch the disk under their own names: contents go into numbered
//! files, the tree is built in memory, and only the finished tree is laid out. So no link in an
//! archive can lead a later entry elsewhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use liblzma::stream::{CONCATENATED, Stream};
use nix_formats::Compression;
use nix_formats::nar::MAX_DEPTH;
use rustix::fs::FileType;
use tar::EntryType;
use tree_writer::{Limits, Modes, TreeError, TreeWriter};

use crate::ArchiveError;
use crate::tar_stream::{Entry, TarError, TarStream};
use crate::uu::{UuDecoder, is_encoded};
use crate::zip::{ZipEntry, ZipError, ZipFile};

const MAX_ENTRIES: u64 = 4_000_000;

/// What the tree may take in memory while it is built, in bytes.
const MAX_MEMORY: u64 = 512 << 20;

/// Bytes that are written at a time.
const CHUNK: usize = 128 << 10;

/// What a node takes beside its name, and a folder beside what is in it.
const NODE: u64 = 64;
const FOLDER: u64 = 700;

/// What was unpacked.
#[derive(Debug)]
pub struct Unpacked {
    /// The tree, below the scratch folder.
    pub root: PathBuf,
    /// The newest entry's time; 0 if none says.
    pub last_modified: u64,
}

enum Node {
    Directory(BTreeMap<Vec<u8>, Node>),
    /// The number of its file in the spool.
    File {
        spool: u64,
        executable: bool,
    },
    Symlink(Vec<u8>),
}

/// What becomes of a folder that has all that is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// It is no part of the tree.
    LeftOut,
    /// It is in the tree, as in the archive.
    Kept,
}

/// Unpacks the archive `file` into the folder `scratch`, where nothing else must be. `limit` is in bytes: of what is
/// decompressed, of the contents that entries have, and of the tree.
pub fn unpack(file: &Path, scratch: &Path, limit: u64, top: Top) -> Result<Unpacked, ArchiveError> {
    let limits = Limits {
        bytes: limit,
        entries: MAX_ENTRIES,
        depth: MAX_DEPTH,
    };
    let unpacker = Unpacker {
        spool: TreeWriter::new(&scratch.join("spool"), Modes::Writable, limits)?,
        limits,
        root: BTreeMap::new(),
        entries: 0,
        memory: MAX_MEMORY,
        last_modified: 0,
    };
    unpacker.run(file, &scratch.join("tree"), top)
}

struct Unpacker {
    spool: TreeWriter,
    limits: Limits,
    root: BTreeMap<Vec<u8>, Node>,
    entries: u64,
    /// How much more the tree may take.
    memory: u64,
    last_modified: u64,
}

impl Unpacker {
    fn too_large(&self) -> ArchiveError {
        refused(format!(
            "it unpacks to more than {} bytes",
            self.limits.bytes
        ))
    }

    /// Refusals are the archive's; what the system refuses is not.
    fn tree_error(&self, error: TreeError) -> ArchiveError {
        match error {
            TreeError::TooManyBytes(_) => self.too_large(),
            error @ TreeError::Io { .. } => error.into(),
            error => refused(error),
        }
    }

    fn run(mut self, file: &Path, target: &Path, top: Top) -> Result<Unpacked, ArchiveError> {
        let input = regular_file::open(file).map_err(ArchiveError::Open)?;
        if starts_as_zip(&input).map_err(ArchiveError::Open)? {
            self.read_zip(input)?;
        } else {
            self.read_tar(input)?;
        }
        let mut root = std::mem::take(&mut self.root);
        if top == Top::LeftOut
            && root.len() == 1
            && let Some(Node::Directory(children)) = root.values_mut().next()
        {
            root = std::mem::take(children);
        }
        self.lay_out(target, root)
            .map_err(|error| self.tree_error(error))?;
        Ok(Unpacked {
            root: target.to_owned(),
            last_modified: self.last_modified,
        })
    }

    fn read_tar(&mut self, input: File) -> Result<(), ArchiveError> {
        let decoded = decompress(BufReader::new(input))?;
        // The limit holds for what is between the files, too.
        let decoded = decoded.take(self.limits.bytes.saturating_add(1));
        let mut archive = TarStream::new(BufReader::new(decoded));
        let read = self.read(&mut archive);
        if archive.input().get_ref().limit() == 0 {
            return Err(self.too_large());
        }
        for (path, target) in read? {
            self.link(&path, &target)?;
        }
        Ok(())
    }

    fn read_zip(&mut self, input: File) -> Result<(), ArchiveError> {
        let archive = ZipFile::new(input)?;
        let mut entries = Vec::new();
        archive.entries(|entry| {
            self.count()?;
            self.take_memory(size_of_val(&entry) as u64 + entry.path.len() as u64)?;
            entries.push(entry);
            Ok::<_, ArchiveError>(())
        })?;
        entries.sort_by_key(ZipEntry::order);
        for (number, entry) in entries.iter().enumerate() {
            let path = components(&entry.path)?;
            self.last_modified = self.last_modified.max(entry.mtime);
            match entry.kind {
                FileType::Directory => self.put(&path, Node::Directory(BTreeMap::new()))?,
                FileType::RegularFile => {
                    self.spool_zip(&archive, entry, number as u64)?;
                    let node = Node::File {
                        spool: number as u64,
                        executable: entry.executable,
                    };
                    self.put(&path, node)?;
                }
                FileType::Symlink => {
                    let target = archive.target(entry)?;
                    self.put(&path, Node::Symlink(target))?;
                }
                other => {
                    let shown = show(&path);
                    return Err(refused(format!(
                        "file '{shown}' has unsupported type {other:?}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Writes the contents of a file to the spool, under the entry's number.
    fn spool_zip(
        &mut self,
        archive: &ZipFile,
        entry: &ZipEntry,
        number: u64,
    ) -> Result<(), ArchiveError> {
        let mut contents = archive.contents(entry)?;
        let name = number.to_string();
        let file = self
            .spool
            .file(name.as_bytes(), entry.executable, entry.size);
        let mut file = file.map_err(|error| self.tree_error(error))?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match contents.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => file
                    .write(&chunk[..count])
                    .map_err(|error| self.tree_error(error))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ZipError::Contents(entry.shown(), error).into()),
            }
        }
        file.finish().map_err(|error| self.tree_error(error))
    }

    fn count(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(refused(format!("more than {MAX_ENTRIES} entries")));
        }
        Ok(())
    }

    /// Builds the tree of all entries but hard links, which are returned with their targets.
    fn read(&mut self, archive: &mut TarStream<impl Read>) -> Result<HardLinks, ArchiveError> {
        let mut hard_links = Vec::new();
        loop {
            let entry = archive.next().map_err(|error| match error {
                // Where not even the first entry can be read, it is something else than an archive.
                error if self.entries == 0 => ArchiveError::NoArchive(error.to_string()),
                error => self.tar_error(error),
            })?;
            let Some(entry) = entry else {
                return Ok(hard_links);
            };
            self.count()?;
            let path = components(&entry.path)?;
            self.last_modified = self.last_modified.max(entry.mtime);
            match entry.kind {
                EntryType::Directory => self.put(&path, Node::Directory(BTreeMap::new()))?,
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    let node = self
                        .spool(archive, &entry)
                        .map_err(|error| self.tar_error(error))?;
                    self.put(&path, node)?;
                }
                EntryType::Symlink => {
                    let target = entry
                        .link
                        .ok_or_else(|| refused("a symbolic link without target"))?;
                    self.put(&path, Node::Symlink(target))?;
                }
                EntryType::Link => {
                    let target = entry
                        .link
                        .ok_or_else(|| refused("a hard link without target"))?;
                    let target = components(&target)?;
                    for name in path.iter().chain(&target) {
                        self.take_memory(NODE + name.len() as u64)?;
                    }
                    hard_links.push((path, target));
                }
                other => {
                    return Err(refused(format!(
                        "file '{}' has unsupported type {:?}",
                        show(&path),
                        other.as_byte() as char
                    )));
                }
            }
        }
    }

    /// Writes the contents of a file to the spool, under the entry's number.
    fn spool(
        &mut self,
        archive: &mut TarStream<impl Read>,
        entry: &Entry,
    ) -> Result<Node, TarError> {
        let (number, executable) = (self.entries, entry.executable);
        let mut file = self
            .spool
            .file(number.to_string().as_bytes(), executable, entry.size)?;
        archive.write_to(entry, &mut file)?;
        file.finish()?;
        Ok(Node::File {
            spool: number,
            executable,
        })
    }

    fn tar_error(&self, error: TarError) -> ArchiveError {
        match error {
            TarError::Write(error) => self.tree_error(error),
            error => refused(error),
        }
    }

    fn take_memory(&mut self, count: u64) -> Result<(), ArchiveError> {
        let left = self.memory.checked_sub(count);
        self.memory = left.ok_or_else(|| {
            refused(format!(
                "its names take more than {MAX_MEMORY} bytes of memory"
            ))
        })?;
        Ok(())
    }

    /// Puts an entry into the tree. A later entry replaces an earlier one, less a folder that
    /// has something in it.
    fn put(&mut self, path: &[Vec<u8>], node: Node) -> Result<(), ArchiveError> {
        let Some((last, parents)) = path.split_last() else {
            return match node {
                Node::Directory(_) => Ok(()),
                _ => Err(refused("an entry that is no folder has no name")),
            };
        };
        let size = match &node {
            Node::Directory(_) => FOLDER,
            Node::File { .. } => 0,
            Node::Symlink(target) => target.len() as u64,
        };
        self.take_memory(NODE + last.len() as u64 + size)?;
        let mut at = &mut self.root;
        for parent in parents {
            if !at.contains_key(parent) {
                let size = NODE + FOLDER + parent.len() as u64;
                self.memory = self.memory.checked_sub(size).ok_or_else(|| {
                    refused(format!(
                        "its names take more than {MAX_MEMORY} bytes of memory"
                    ))
                })?;
            }
            let child = at
                .entry(parent.clone())
                .or_insert_with(|| Node::Directory(BTreeMap::new()));
            let Node::Directory(children) = child else {
                return Err(refused(format!(
                    "parent of '{}' is not a directory",
                    show(path)
                )));
            };
            at = children;
        }
        if let Some(Node::Directory(children)) = at.get(last) {
            if matches!(node, Node::Directory(_)) {
                return Ok(());
            }
            if !children.is_empty() {
                return Err(refused(format!(
                    "cannot create '{}', conflicting non-empty directory",
                    show(path)
                )));
            }
        }
        at.insert(last.clone(), node);
        Ok(())
    }

    fn lay_out(&self, target: &Path, root: BTreeMap<Vec<u8>, Node>) -> Result<(), TreeError> {
        let mut writer = TreeWriter::new(target, Modes::Writable, self.limits)?;
        self.lay_out_in(&mut writer, root)?;
        writer.finish()
    }

    fn lay_out_in(
        &self,
        writer: &mut TreeWriter,
        children: BTreeMap<Vec<u8>, Node>,
    ) -> Result<(), TreeError> {
        for (name, child) in children {
            match child {
                Node::Directory(children) => {
                    writer.enter(&name)?;
                    self.lay_out_in(writer, children)?;
                    writer.leave()?;
                }
                Node::Symlink(target) => writer.symlink(&name, &target)?,
                // Not a rename: a hard link in the archive has the same contents twice.
                Node::File { spool, executable } => {
                    let file = spool.to_string();
                    writer.link(&name, &self.spool, file.as_bytes(), executable)?;
                }
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &[Vec<u8>], target: &[Vec<u8>]) -> Result<(), ArchiveError> {
        let missing = || {
            refused(format!(
                "hard link '{}' to '{}', which is not a file of it",
                show(path),
                show(target)
            ))
        };
        let (last, parents) = target.split_last().ok_or_else(missing)?;
        let mut at = &self.root;
        for parent in parents {
            match at.get(parent) {
                Some(Node::Directory(children)) => at = children,
                _ => return Err(missing()),
            }
        }
        let copy = match at.get(last) {
            Some(&Node::File { spool, executable }) => Node::File { spool, executable },
            Some(Node::Symlink(target)) => Node::Symlink(target.clone()),
            _ => return Err(missing()),
        };
        self.put(path, copy)
    }
}

/// Whether a file is a zip archive.
pub fn is_zip(file: &Path) -> Result<bool, ArchiveError> {
    let opened = regular_file::open(file).map_err(ArchiveError::Open)?;
    starts_as_zip(&opened).map_err(ArchiveError::Open)
}

/// Whether it begins with an entry, or the end of an empty archive.
fn starts_as_zip(file: &File) -> io::Result<bool> {
    let mut magic = [0; 4];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(matches!(&magic, b"PK\x03\x04" | b"PK\x05\x06")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn decompress<'r>(mut input: impl BufRead + 'r) -> Result<Box<dyn Read + 'r>, ArchiveError> {
    if is_encoded(input.fill_buf().map_err(refused)?) {
        let decoder = UuDecoder::new(input).map_err(refused)?;
        return decompress_bytes(BufReader::new(decoder));
    }
    decompress_bytes(input)
}

fn decompress_bytes<'r>(mut input: impl BufRead + 'r) -> Result<Box<dyn Read + 'r>, ArchiveError> {
    let magic = input.fill_buf().map_err(refused)?;
    Ok(if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(input))
    } else if magic.starts_with(b"\xfd7zXZ\0") {
        let stream = Stream::new_stream_decoder(Compression::MOST_LOOKED_BACK, CONCATENATED)
            .map_err(refused)?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
    } else if magic.starts_with(b"BZh") {
        Box::new(bzip2::bufread::MultiBzDecoder::new(input))
    } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(refused)?;
        Box::new(decoder)
    } else {
        Box::new(input)
    })
}

/// The parts of an entry's path: `.` and a leading slash mean nothing, `..` is refused.
fn components(path: &[u8]) -> Result<Vec<Vec<u8>>, ArchiveError> {
    let mut components = Vec::new();
    for component in path.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                return Err(refused(format!(
                    "entry '{}' leads out of it",
                    String::from_utf8_lossy(path)
                )));
            }
            name if name.contains(&0) || name.len() > 255 => {
                return Err(refused(format!(
                    "entry '{}' has an invalid name",
                    String::from_utf8_lossy(path)
                )));
            }
            name => components.push(name.to_owned()),
        }
    }
    if components.len() > MAX_DEPTH {
        return Err(refused(format!(
            "entries are nested more than {MAX_DEPTH} deep"
        )));
    }
    Ok(components)
}

fn refused(reason: impl std::fmt::Display) -> ArchiveError {
    ArchiveError::Refused(reason.to_string())
}

/// Paths and targets.
type HardLinks = Vec<(Vec<Vec<u8>>, Vec<Vec<u8>>)>;

fn show(path: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(&path.join(&b'/')).into_owned()
}
