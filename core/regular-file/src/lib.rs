//! Opens files that are regular, and never waits for one that is not.
//!
//! Where a file is expected, a folder from outside may hold a pipe, which keeps its reader waiting for a writer that never comes, a
//! device, which never ends, or a link to one. For paths that the user names, which may be pipes on purpose (`<(…)`), use
//! [`std::fs`].

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Opens the regular file at `path` for reading; links are followed.
///
/// # Errors
///
/// Besides those of [`File::open`]: [`io::ErrorKind::IsADirectory`], and [`io::ErrorKind::InvalidInput`] for all else that is not
/// a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Opening a device may set it to work, so that a look comes first.
    check(&fs::metadata(path)?)?;
    open_now(path, OFlags::empty())
}

/// As [`open`], but a link at `path` itself is an error.
pub fn open_no_follow(path: &Path) -> io::Result<File> {
    let about = fs::symlink_metadata(path)?;
    if about.is_symlink() {
        return Err(Errno::LOOP.into());
    }
    check(&about)?;
    open_now(path, OFlags::NOFOLLOW)
}

/// Another file may have come to `path` since it was looked at: opening a pipe returns at once.
fn open_now(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// The contents of the regular file at `path`, with the errors of [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut contents = Vec::new();
    file.read_to_end(&mut contents)?;
    Ok(contents)
}

/// The text of the regular file at `path`, with the errors of [`open`], and [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Checks that this is about a regular file, with the errors of [`open`].
pub fn check(about: &Metadata) -> io::Result<()> {
    let kind = about.file_type();
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(Errno::ISDIR.into());
    }
    let found = if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "a device"
    };
    let message = format!("expected a regular file, found {found}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn pipes_sockets_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, path("pipe"), FileType::Fifo, mode, 0).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink("pipe", path("link")).unwrap();
        symlink("/dev/zero", path("device")).unwrap();
        for (name, found) in [
            ("pipe", "a pipe"),
            ("link", "a pipe"),
            ("socket", "a socket"),
            ("device", "a device"),
        ] {
            let expected = format!("expected a regular file, found {found}");
            assert_eq!(open(&path(name)).unwrap_err().to_string(), expected);
            assert_eq!(read(&path(name)).unwrap_err().to_string(), expected);
            // As if it had come to its place after the look.
            assert!(open_now(&path(name), OFlags::empty()).is_err(), "{name}");
        }
        let error = read_to_string(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let missing = open(&path("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn links_to_files_are_followed_if_that_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "text").unwrap();
        symlink("file", &link).unwrap();
        assert_eq!(read_to_string(&link).unwrap(), "text");
        assert!(open_no_follow(&file).is_ok());
        let error = open_no_follow(&link).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }
}
