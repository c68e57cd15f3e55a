//! The NAR of a file tree.

use std::ffi::OsString;
use std::fs::{self, FileType};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix_formats::nar::{Writer, WriterError};

use super::SourceError;

/// Files are read in pieces of this size.
const PIECE: usize = 256 * 1024;

/// Writes the NAR of the file, symlink or folder at `path`. A folder's files are
/// not to change meanwhile; if they do, it may be an error, or a NAR that never
/// was, so compare its hash with what is expected.
pub fn write_tree(path: &Path, out: &mut dyn Write) -> Result<(), SourceError> {
    let kind = fs::symlink_metadata(path)
        .map_err(|error| cannot_read(path, error))?
        .file_type();
    let mut tree = Tree {
        nar: Writer::new(out),
        path: path.to_owned(),
        piece: Vec::new(),
    };
    tree.node(kind)?;
    let Tree { nar, path, .. } = tree;
    nar.finish().map_err(|error| not_written(&path, error))?;
    Ok(())
}

struct Tree<W> {
    nar: Writer<W>,
    /// What is being written.
    path: PathBuf,
    /// As large as the largest that was read.
    piece: Vec<u8>,
}

impl<W: Write> Tree<W> {
    fn node(&mut self, kind: FileType) -> Result<(), SourceError> {
        if kind.is_file() {
            self.file()
        } else if kind.is_dir() {
            self.folder()
        } else if kind.is_symlink() {
            let target =
                fs::read_link(&self.path).map_err(|error| cannot_read(&self.path, error))?;
            let target = target.into_os_string().into_vec();
            self.nar
                .symlink(&target)
                .map_err(|error| not_written(&self.path, error))
        } else {
            let kind = io::Error::new(
                io::ErrorKind::Unsupported,
                "it is no file, folder or symlink",
            );
            Err(cannot_read(&self.path, kind))
        }
    }

    fn folder(&mut self) -> Result<(), SourceError> {
        let entries = || -> io::Result<Vec<(Vec<u8>, FileType)>> {
            let mut entries = fs::read_dir(&self.path)?
                .map(|entry| {
                    let entry = entry?;
                    Ok((entry.file_name().into_vec(), entry.file_type()?))
                })
                .collect::<io::Result<Vec<_>>>()?;
            entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            Ok(entries)
        };
        let entries = entries().map_err(|error| cannot_read(&self.path, error))?;
        self.nar
            .begin_directory()
            .map_err(|error| not_written(&self.path, error))?;
        for (name, kind) in entries {
            self.nar
                .entry(&name)
                .map_err(|error| not_written(&self.path, error))?;
            self.path.push(OsString::from_vec(name));
            self.node(kind)?;
            self.path.pop();
        }
        self.nar
            .end_directory()
            .map_err(|error| not_written(&self.path, error))
    }

    fn file(&mut self) -> Result<(), SourceError> {
        // Never follows a link that took the file's place.
        let opened = regular_file::open_no_follow(&self.path);
        let mut file = opened.map_err(|error| cannot_read(&self.path, error))?;
        let metadata = file
            .metadata()
            .map_err(|error| cannot_read(&self.path, error))?;
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let size = metadata.len();
        self.nar
            .begin_file(executable, size)
            .map_err(|error| not_written(&self.path, error))?;
        let mut left = size;
        while left > 0 {
            let room = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
            if self.piece.len() < room {
                self.piece.resize(room, 0);
            }
            let count = match file.read(&mut self.piece[..room]) {
                Ok(0) => {
                    let shrunk = io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "it became shorter while it was read",
                    );
                    return Err(cannot_read(&self.path, shrunk));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cannot_read(&self.path, error)),
            };
            self.nar
                .contents(&self.piece[..count])
                .map_err(|error| not_written(&self.path, error))?;
            left -= count as u64;
        }
        self.nar
            .end_file()
            .map_err(|error| not_written(&self.path, error))
    }
}

fn cannot_read(path: &Path, source: io::Error) -> SourceError {
    SourceError::Read {
        path: path.display().to_string(),
        source,
    }
}

fn not_written(path: &Path, error: WriterError) -> SourceError {
    match error {
        WriterError::Io(error) => SourceError::Write(error),
        source => SourceError::Tree {
            path: path.display().to_string(),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::nar::{Event, Reader};
    use nix_formats::{HashAlgorithm, HashFormat};

    use super::*;

    #[test]
    fn a_tree_s_nar_is_nix_s() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::write(root.join("b.txt"), "hello").unwrap();
        fs::write(root.join("b"), vec![7; PIECE + 1]).unwrap();
        fs::write(root.join("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("no such/target", root.join("link")).unwrap();
        let mut nar = Vec::new();
        write_tree(&root, &mut nar).unwrap();
        let mut reader = Reader::new(nar.as_slice());
        let mut seen = Vec::new();
        while let Some(event) = reader.next_event().unwrap() {
            seen.push(match event {
                Event::Directory => "(".to_owned(),
                Event::EndDirectory => ")".to_owned(),
                Event::Entry(name) => String::from_utf8(name).unwrap(),
                Event::File {
                    executable, size, ..
                } => format!("{size}{}", if executable { "x" } else { "" }),
                Event::Symlink(target) => String::from_utf8(target).unwrap(),
            });
        }
        assert_eq!(
            seen.join(" "),
            "( b 262145 b.txt 5 empty ( ) link no such/target run 10x )"
        );
        // nix-hash --type sha256 --base32 of the same tree
        assert_eq!(
            HashAlgorithm::Sha256
                .digest(&nar)
                .to_string(HashFormat::Nix32, false),
            "1qgm727mgyzbcbfbs2b13zflvv43avdvd6k46d8w6bnz33c5an4f"
        );
    }

    #[test]
    fn what_no_nar_can_hold_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = write_tree(folder.path(), &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot read '{}'", socket.display())
        );
    }
}
