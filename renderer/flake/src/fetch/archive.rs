//! Unpacking archives that come from anywhere.
//!
//! An archive's entries never touch the disk under their own names: contents go into numbered
//! files, the tree is built in memory, and only the finished tree is laid out. So no link in an
//! archive can lead a later entry elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tar::EntryType;

use crate::error::FlakeError;

const MAX_ENTRIES: usize = 4_000_000;
const MAX_DEPTH: usize = 64;

/// What was unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The tree: the archive's only top-level folder, or all of it.
    pub(super) root: PathBuf,
    /// The newest entry's time; 0 if none says.
    pub(super) last_modified: u64,
}

enum Node {
    Directory(BTreeMap<Vec<u8>, Node>),
    File { spool: PathBuf, executable: bool },
    Symlink(Vec<u8>),
}

/// Unpacks the archive `file` into the folder `scratch`. `name` is for messages.
pub(super) fn unpack(
    file: &Path,
    name: &str,
    scratch: &Path,
    limit: u64,
) -> Result<Unpacked, FlakeError> {
    let unpacker = Unpacker {
        name,
        spool: scratch.join("spool"),
        limit,
        root: BTreeMap::new(),
        entries: 0,
        last_modified: 0,
    };
    fs::create_dir(&unpacker.spool)
        .map_err(FlakeError::io("creating directory", &unpacker.spool))?;
    unpacker.run(file, &scratch.join("tree"))
}

struct Unpacker<'a> {
    name: &'a str,
    spool: PathBuf,
    limit: u64,
    root: BTreeMap<Vec<u8>, Node>,
    entries: usize,
    last_modified: u64,
}

impl Unpacker<'_> {
    fn error(&self, reason: impl std::fmt::Display) -> FlakeError {
        FlakeError::Archive {
            archive: self.name.to_owned(),
            reason: reason.to_string(),
        }
    }

    fn run(mut self, file: &Path, target: &Path) -> Result<Unpacked, FlakeError> {
        let input = File::open(file).map_err(FlakeError::io("opening file", file))?;
        let decoded = self.decompress(BufReader::new(input))?;
        // The limit holds for what is between the files, too.
        let mut archive = tar::Archive::new(decoded.take(self.limit.saturating_add(1)));
        let mut hard_links = Vec::new();
        let entries = archive.entries().map_err(|error| self.error(error))?;
        for entry in entries {
            let mut entry = entry.map_err(|error| self.error(error))?;
            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(self.error(format!("more than {MAX_ENTRIES} entries")));
            }
            let path = self.components(&entry.path_bytes())?;
            let mtime = entry.header().mtime().map_err(|error| self.error(error))?;
            let mtime = pax_mtime(&mut entry).unwrap_or(mtime);
            self.last_modified = self.last_modified.max(mtime);
            match kind {
                EntryType::Directory => self.put(&path, Node::Directory(BTreeMap::new()))?,
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    let mode = entry.header().mode().map_err(|error| self.error(error))?;
                    let spool = self.spool.join(self.entries.to_string());
                    let mut out =
                        File::create(&spool).map_err(FlakeError::io("creating", &spool))?;
                    let size = entry.size();
                    let copied =
                        io::copy(&mut entry, &mut out).map_err(|error| self.error(error))?;
                    if copied != size {
                        return Err(self.error("it ends too early"));
                    }
                    let executable = mode & 0o100 != 0;
                    self.put(&path, Node::File { spool, executable })?;
                }
                EntryType::Symlink => {
                    let target = entry
                        .link_name_bytes()
                        .ok_or_else(|| self.error("a symbolic link without target"))?;
                    self.put(&path, Node::Symlink(target.into_owned()))?;
                }
                EntryType::Link => {
                    let target = entry
                        .link_name_bytes()
                        .ok_or_else(|| self.error("a hard link without target"))?;
                    hard_links.push((path, self.components(&target)?));
                }
                other => {
                    return Err(self.error(format!(
                        "file '{}' has unsupported type {:?}",
                        show(&path),
                        other.as_byte() as char
                    )));
                }
            }
        }
        if archive.into_inner().limit() == 0 {
            return Err(self.error(format!("it unpacks to more than {} bytes", self.limit)));
        }
        for (path, target) in hard_links {
            self.link(&path, &target)?;
        }
        // A folder that is alone at the top is not part of the tree.
        let mut root = std::mem::take(&mut self.root);
        if root.len() == 1
            && let Some(Node::Directory(children)) = root.values_mut().next()
        {
            root = std::mem::take(children);
        }
        lay_out(target, Node::Directory(root))?;
        Ok(Unpacked {
            root: target.to_owned(),
            last_modified: self.last_modified,
        })
    }

    fn decompress<'r>(
        &self,
        mut input: impl BufRead + 'r,
    ) -> Result<Box<dyn Read + 'r>, FlakeError> {
        let magic = input.fill_buf().map_err(|error| self.error(error))?;
        Ok(if magic.starts_with(&[0x1f, 0x8b]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(input))
        } else if magic.starts_with(b"\xfd7zXZ\0") {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(input))
        } else if magic.starts_with(b"BZh") {
            Box::new(bzip2::bufread::MultiBzDecoder::new(input))
        } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let decoder = zstd::stream::read::Decoder::with_buffer(input)
                .map_err(|error| self.error(error))?;
            Box::new(decoder)
        } else if magic.starts_with(b"PK\x03\x04") {
            return Err(
                self.error("zip archives are not supported; use a tar archive of the same source")
            );
        } else {
            Box::new(input)
        })
    }

    /// The parts of an entry's path: `.` and a leading slash mean nothing, `..` is refused.
    fn components(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, FlakeError> {
        let mut components = Vec::new();
        for component in path.split(|&b| b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    return Err(self.error(format!(
                        "entry '{}' leads out of it",
                        String::from_utf8_lossy(path)
                    )));
                }
                name if name.contains(&0) || name.len() > 255 => {
                    return Err(self.error(format!(
                        "entry '{}' has an invalid name",
                        String::from_utf8_lossy(path)
                    )));
                }
                name => components.push(name.to_owned()),
            }
        }
        if components.len() > MAX_DEPTH {
            return Err(self.error(format!("entries are nested more than {MAX_DEPTH} deep")));
        }
        Ok(components)
    }

    /// Puts an entry into the tree. A later entry replaces an earlier one, less a folder that
    /// has something in it.
    fn put(&mut self, path: &[Vec<u8>], node: Node) -> Result<(), FlakeError> {
        let name = self.name;
        let error = |reason: String| FlakeError::Archive {
            archive: name.to_owned(),
            reason,
        };
        let Some((last, parents)) = path.split_last() else {
            return match node {
                Node::Directory(_) => Ok(()),
                _ => Err(error("an entry that is no folder has no name".to_owned())),
            };
        };
        let mut at = &mut self.root;
        for parent in parents {
            let child = at
                .entry(parent.clone())
                .or_insert_with(|| Node::Directory(BTreeMap::new()));
            let Node::Directory(children) = child else {
                return Err(error(format!(
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
                return Err(error(format!(
                    "cannot create '{}', conflicting non-empty directory",
                    show(path)
                )));
            }
        }
        at.insert(last.clone(), node);
        Ok(())
    }

    fn link(&mut self, path: &[Vec<u8>], target: &[Vec<u8>]) -> Result<(), FlakeError> {
        let missing = || {
            self.error(format!(
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
            Some(Node::File { spool, executable }) => Node::File {
                spool: spool.clone(),
                executable: *executable,
            },
            Some(Node::Symlink(target)) => Node::Symlink(target.clone()),
            _ => return Err(missing()),
        };
        self.put(path, copy)
    }
}

fn show(path: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(&path.join(&b'/')).into_owned()
}

/// The time that a PAX header gives, in whole seconds.
fn pax_mtime(entry: &mut tar::Entry<'_, impl Read>) -> Option<u64> {
    let extensions = entry.pax_extensions().ok()??;
    let mtime = extensions
        .filter_map(Result::ok)
        .find(|extension| extension.key_bytes() == b"mtime")?;
    let (seconds, _) = mtime
        .value()
        .ok()?
        .split_once('.')
        .unwrap_or((mtime.value().ok()?, ""));
    seconds.parse().ok()
}

fn lay_out(path: &Path, node: Node) -> Result<(), FlakeError> {
    match node {
        Node::Directory(children) => {
            fs::create_dir(path).map_err(FlakeError::io("creating directory", path))?;
            for (name, child) in children {
                lay_out(&path.join(OsStr::from_bytes(&name)), child)?;
            }
            Ok(())
        }
        Node::Symlink(target) => symlink(OsStr::from_bytes(&target), path)
            .map_err(FlakeError::io("creating symbolic link", path)),
        Node::File { spool, executable } => {
            // Not a rename: a hard link in the archive has the same contents twice.
            fs::hard_link(&spool, path)
                .or_else(|_| fs::copy(&spool, path).map(drop))
                .map_err(FlakeError::io("creating", path))?;
            if executable {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                    .map_err(FlakeError::io("changing permissions of", path))?;
            }
            Ok(())
        }
    }
}
