//! Unix sockets that are served on, and that go away with whom they belong to.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use thiserror::Error;
use tokio::net::UnixListener;

/// A socket cannot be made.
#[derive(Debug, Error)]
pub(crate) enum SocketError {
    /// Something else has the name.
    #[error("'{0}' is there and is no socket: remove it, or give the socket another path")]
    NotASocket(PathBuf),
    /// Anything else.
    #[error("cannot listen on '{path}'")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket file that this process made. It is removed when dropped, unless another process has put its own in place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Listens on a socket that only this user may connect to. One that is there is replaced: only an earlier
    /// run of the driver makes it. The socket gets its name when it is ready, for kubelet connects at once.
    pub(crate) fn listen(path: &Path) -> Result<(Self, UnixListener), SocketError> {
        let error = |source| SocketError::Listen {
            path: path.to_owned(),
            source,
        };
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            Err(missing) if missing.kind() != io::ErrorKind::NotFound => {
                return Err(error(missing));
            }
            _ => {}
        }
        // A name that kubelet does not look at, until the permissions are right: umask is the whole process's.
        let mut hidden = path.to_owned();
        hidden.set_file_name(format!(
            ".{}.{}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            std::process::id()
        ));
        let _ = fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden).map_err(error)?;
        let finished = fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::symlink_metadata(&hidden))
            .and_then(|made| fs::rename(&hidden, path).map(|()| made.ino()));
        match finished {
            Ok(inode) => Ok((
                Self {
                    path: path.to_owned(),
                    inode,
                },
                listener,
            )),
            Err(source) => {
                let _ = fs::remove_file(&hidden);
                Err(error(source))
            }
        }
    }
}

impl SocketFile {
    /// Whether the socket is still there under its name.
    pub(crate) fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stale_sockets_are_replaced_and_ours_go_with_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("csi.sock");
        let (first, _listener) = SocketFile::listen(&path).unwrap();
        let (second, _listener) = SocketFile::listen(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        drop(first);
        assert!(path.exists(), "the first is not to remove the second's");
        tokio::net::UnixStream::connect(&path).await.unwrap();
        drop(second);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("csi.sock");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(
            SocketFile::listen(&path),
            Err(SocketError::NotASocket(at)) if at == path
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
