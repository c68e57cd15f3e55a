//! Comparing a second build with the first: `--check`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use niphas_store::{StoredPath, TreeEvent};
use nix_formats::nar::{Event, Reader};
use nix_formats::{StorePath, printable};

use super::error::OutputError;
use super::left::open_folder;
use super::tree::{Place, TreeReader, failed};
use super::{Build, BuiltOutput};

/// Differences that are named.
const MOST: usize = 10;

/// Files that are compared one by one: what is known of them takes memory.
const MOST_FILES: usize = 200_000;

/// A file, folder or symlink that two builds made differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name in the output, which is empty for the output itself.
    pub name: String,
    /// What is different.
    pub kind: DifferenceKind,
}

/// How two builds differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Only the first build made it.
    Missing,
    /// Only the second build made it.
    Added,
    /// It is a file in one, and something else in the other.
    Kind,
    /// Whether it can be executed.
    Executable,
    /// The target of the symlink.
    Target,
    /// The contents, of these sizes.
    Contents(u64, u64),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() {
            "."
        } else {
            &self.name
        };
        match &self.kind {
            DifferenceKind::Missing => write!(f, "{name}: only the first build made it"),
            DifferenceKind::Added => write!(f, "{name}: only the second build made it"),
            DifferenceKind::Kind => write!(f, "{name}: of another kind"),
            DifferenceKind::Executable => write!(f, "{name}: executable in one only"),
            DifferenceKind::Target => write!(f, "{name}: another target"),
            DifferenceKind::Contents(first, second) if first == second => {
                write!(f, "{name}: other contents ({first} bytes)")
            }
            DifferenceKind::Contents(first, second) => {
                write!(f, "{name}: other contents ({first} bytes, then {second})")
            }
        }
    }
}

/// Compares an output of a second build with the one that is there. As with Nix, an output whose path comes of its contents is
/// compared if there is another with its path.
pub(super) fn output(
    build: &Build<'_>,
    name: &str,
    output: &BuiltOutput,
    keep: Option<&Path>,
) -> Result<(), OutputError> {
    let first = build.infos.path_info(&output.path);
    let first = first.map_err(|source| OutputError::Info {
        path: build.print(&output.path),
        source,
    })?;
    let Some(first) = first.filter(|first| first.nar_hash != output.nar_hash) else {
        return Ok(());
    };
    let mut variants = build.store.variants(&output.path).into_iter();
    let stored = variants.find(|stored| stored.info.nar_hash == first.nar_hash);
    let scratch = &build.left.scratch[name];
    // Which files differ helps, and is not what failed.
    let differences = stored
        .and_then(|stored| differences(build, &stored, scratch).ok())
        .unwrap_or_default();
    let made = build.left.folder.join(scratch.base_name());
    let kept = keep.map(|folder| keep_at(folder, &made, &output.path));
    Err(OutputError::NotDeterministic {
        derivation: build.print(build.path),
        output: build.print(&output.path),
        kept: kept.transpose()?,
        differences,
    })
}

/// Moves an output to where it is kept.
fn keep_at(folder: &Path, made: &Path, path: &StorePath) -> Result<PathBuf, OutputError> {
    let mut name = OsString::from(path.base_name());
    name.push(".check");
    let kept = folder.join(name);
    fs::rename(made, &kept).map_err(|error| failed("keep", made, error))?;
    Ok(kept)
}

/// What is known of a file, folder or symlink.
#[derive(PartialEq, Eq)]
enum Known {
    Folder,
    Symlink(Vec<u8>),
    File {
        executable: bool,
        size: u64,
        hash: [u8; 32],
    },
}

/// The first names at which what is stored and what is left differ.
fn differences(
    build: &Build<'_>,
    stored: &StoredPath,
    scratch: &StorePath,
) -> io::Result<Vec<Difference>> {
    let mut first = BTreeMap::new();
    let tree = build.store.tree(stored).map_err(io::Error::other)?;
    if tree_is_large(&tree)? {
        return Ok(Vec::new());
    }
    let walked = tree.walk(|name, event| {
        let known = match event {
            TreeEvent::Enter(_) => Known::Folder,
            TreeEvent::Symlink(_, target) => Known::Symlink(target.to_vec()),
            TreeEvent::File(_, file) => Known::File {
                executable: file.executable,
                size: file.size,
                hash: file.hash,
            },
            TreeEvent::Leave => return,
        };
        first.insert(name.to_vec(), known);
    });
    walked.map_err(io::Error::other)?;
    let mut found = Vec::new();
    each_left(build, scratch, |name, second| {
        let difference = match first.remove(name) {
            None => Some(DifferenceKind::Added),
            Some(first) => differs(&first, &second),
        };
        note(&mut found, name, difference);
        found.len() < MOST
    })?;
    if found.len() < MOST {
        for name in first.keys() {
            note(&mut found, name, Some(DifferenceKind::Missing));
        }
    }
    found.truncate(MOST);
    Ok(found)
}

fn tree_is_large(tree: &niphas_store::Tree) -> io::Result<bool> {
    let mut events = tree.events();
    let mut files = 0;
    while events.next().map_err(io::Error::other)?.is_some() {
        files += 1;
        if files > MOST_FILES {
            return Ok(true);
        }
    }
    Ok(false)
}

fn note(found: &mut Vec<Difference>, name: &[u8], kind: Option<DifferenceKind>) {
    found.extend(kind.map(|kind| Difference {
        name: String::from_utf8_lossy(&printable(name, false)).into_owned(),
        kind,
    }));
}

fn differs(first: &Known, second: &Known) -> Option<DifferenceKind> {
    match (first, second) {
        _ if first == second => None,
        (Known::Symlink(_), Known::Symlink(_)) => Some(DifferenceKind::Target),
        (
            Known::File { size, hash, .. },
            Known::File {
                size: second_size,
                hash: second_hash,
                ..
            },
        ) if (size, hash) != (second_size, second_hash) => {
            Some(DifferenceKind::Contents(*size, *second_size))
        }
        (Known::File { .. }, Known::File { .. }) => Some(DifferenceKind::Executable),
        _ => Some(DifferenceKind::Kind),
    }
}

/// Gives each file, folder and symlink of an output that a builder left, until `take` wants no more.
fn each_left(
    build: &Build<'_>,
    scratch: &StorePath,
    mut take: impl FnMut(&[u8], Known) -> bool,
) -> io::Result<()> {
    let folder = open_folder(build).map_err(io::Error::other)?;
    let root = Place {
        folder: folder.as_fd(),
        name: scratch.base_name().as_ref(),
    };
    let mut nar = Reader::new(TreeReader::new(root, &build.left.folder));
    let (mut name, mut open): (Vec<u8>, Vec<usize>) = (Vec::new(), Vec::new());
    while let Some(event) = nar.next_event().map_err(io::Error::other)? {
        let known = match event {
            Event::Entry(entry) => {
                name.truncate(open.last().copied().unwrap_or(0));
                if !name.is_empty() {
                    name.push(b'/');
                }
                name.extend_from_slice(&entry);
                continue;
            }
            Event::EndDirectory => {
                open.pop();
                continue;
            }
            Event::Directory => {
                open.push(name.len());
                Known::Folder
            }
            Event::Symlink(target) => Known::Symlink(target),
            Event::File {
                executable, size, ..
            } => {
                let mut hasher = blake3::Hasher::new();
                let mut piece = [0; 8192];
                loop {
                    match nar.read(&mut piece)? {
                        0 => break,
                        count => {
                            hasher.update(&piece[..count]);
                        }
                    }
                }
                Known::File {
                    executable,
                    size,
                    hash: *hasher.finalize().as_bytes(),
                }
            }
        };
        if !take(&name, known) {
            break;
        }
    }
    Ok(())
}
