//! The files of a sandbox, before anything is mounted. All are named from the scratch folder.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, fchown, symlink};
use std::path::{Path, PathBuf};

use super::message::{Fault, Job, Part, fault_at};
use super::supervisor::{GROUP, USER};
use crate::BUILD_DIR;

/// What becomes `/`.
pub(super) const ROOT: &str = "root";
/// What becomes [`BUILD_DIR`].
pub(super) const BUILD: &str = "build";
/// What becomes the store.
pub(super) const STORE: &str = "root/nix/store";

/// Whose files those of a builder are, if not the calling user's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    /// The user ID and the group ID.
    pub(super) id: u32,
}

/// Makes all folders and files of a sandbox, with their owners and modes.
pub(super) fn prepare(job: &Job, owner: Option<Owner>) -> Result<(), Fault> {
    // What lies in it would be open to all that may enter it: folders that all may write to, for one.
    set_mode(Path::new("."), 0o700)?;
    folder(ROOT, 0o750)?;
    give(ROOT, owner, 0)?;
    folder("root/tmp", 0o1777)?;
    for path in [
        "root/etc",
        "root/dev",
        "root/dev/shm",
        "root/dev/pts",
        "root/proc",
        "root/nix",
    ] {
        folder(path, 0o755)?;
    }
    folder(STORE, 0o1775)?;
    give(STORE, owner, 0)?;
    folder(BUILD, 0o700)?;
    give(BUILD, owner, owner.map_or(0, |owner| owner.id))?;
    etc(job)?;
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, target) in links {
        let path = Path::new("root/dev").join(name);
        symlink(target, &path).map_err(fault_at(Part::Other, "create", &path))?;
    }
    for (name, contents) in &job.process.files {
        build_file(name, contents, owner)?;
    }
    Ok(())
}

fn etc(job: &Job) -> Result<(), Fault> {
    let passwd = format!(
        "root:x:0:0:Nix build user:{BUILD_DIR}:/noshell\n\
         nixbld:x:{USER}:{GROUP}:Nix build user:{BUILD_DIR}:/noshell\n\
         nobody:x:65534:65534:Nobody:/:/noshell\n"
    );
    file("root/etc/passwd", &passwd)?;
    file(
        "root/etc/group",
        &format!("root:x:0:\nnixbld:!:{GROUP}:\nnogroup:x:65534:\n"),
    )?;
    if job.network.is_none() {
        file("root/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
    } else {
        file(
            "root/etc/nsswitch.conf",
            "hosts: files dns\nservices: files\n",
        )
    }
}

/// A file that the builder finds where it begins. Its name is one component, so it is nowhere else.
fn build_file(name: &[u8], contents: &[u8], owner: Option<Owner>) -> Result<(), Fault> {
    let path = Path::new(BUILD).join(OsStr::from_bytes(name));
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(fault_at(Part::Other, "name a file of the builder", &path)(
            rustix::io::Errno::INVAL,
        ));
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(fault_at(Part::Other, "create", &path))?;
    file.write_all(contents)
        .map_err(fault_at(Part::Other, "write", &path))?;
    match owner {
        Some(Owner { id }) => fchown(&file, Some(id), Some(id)).map_err(fault_at(
            Part::Users,
            "change the owner of",
            &path,
        )),
        None => Ok(()),
    }
}

/// Makes a folder of exactly this mode.
fn folder(path: &str, mode: u32) -> Result<(), Fault> {
    let path = Path::new(path);
    DirBuilder::new()
        .mode(mode)
        .create(path)
        .map_err(fault_at(Part::Other, "create", path))?;
    set_mode(path, mode)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Fault> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fault_at(
        Part::Other,
        "change the mode of",
        path,
    ))
}

/// Makes a file or folder belong to `user`, and to the group of the builder. Without a build user it stays as it is.
fn give(path: &str, owner: Option<Owner>, user: u32) -> Result<(), Fault> {
    match owner {
        Some(owner) => chown(path, Some(user), Some(owner.id)).map_err(fault_at(
            Part::Users,
            "change the owner of",
            Path::new(path),
        )),
        None => Ok(()),
    }
}

fn file(path: &str, contents: &str) -> Result<(), Fault> {
    fs::write(path, contents).map_err(fault_at(Part::Other, "write", Path::new(path)))
}

/// Makes what a file or folder is bound over, and the folders to it.
pub(super) fn mount_point(target: &Path, is_folder: bool) -> Result<(), Fault> {
    let path: PathBuf = Path::new(ROOT).join(target);
    if is_folder {
        return fs::create_dir_all(&path).map_err(fault_at(Part::Other, "create", &path));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(fault_at(Part::Other, "create", parent))?;
    }
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(&path);
    created
        .map(drop)
        .map_err(fault_at(Part::Other, "create", &path))
}
