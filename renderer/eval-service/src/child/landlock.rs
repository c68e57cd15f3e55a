//! Landlock: a process gives up all files but some, and needs no privilege for it.
//!
//! By the kernel's own interface, <https://docs.kernel.org/userspace-api/landlock.html>.

#![expect(unsafe_code, reason = "these calls have no safe wrapper")]

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The version that is needed, of Linux 6.2: what is moved and truncated is refused, too.
const NEEDED: i64 = 3;

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
/// All that can be refused: by version 3, and by version 5 controls of devices as well.
const ALL: u64 = (1 << 15) - 1;
const IOCTL_DEV: u64 = 1 << 15;
/// To bind and to connect, by TCP.
const NETWORK: u64 = 3;
/// Abstract sockets, and signals.
const SCOPES: u64 = 3;

const READ: u64 = READ_FILE | READ_DIR;
const WRITE: u64 =
    READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE;

/// `struct landlock_ruleset_attr`.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: i32 = 1;

/// Leaves this thread, and what it starts from now on, these trees to read and this folder to write, and no other file. Newer kernels
/// refuse TCP, abstract sockets and signals to others besides.
pub(super) fn restrict<'p>(
    readable: impl IntoIterator<Item = &'p Path>,
    writable: &Path,
) -> Result<()> {
    let version = version();
    if version < NEEDED {
        let said = format!("expected Landlock of version {NEEDED}, found {version}");
        return Err(Error::new(ErrorKind::Unsupported, said));
    }
    let ruleset = ruleset(version)?;
    for path in readable {
        let file = open(path)?;
        let access = if file.metadata()?.is_dir() {
            READ
        } else {
            READ_FILE
        };
        allow(&ruleset, &file, access)?;
    }
    allow(&ruleset, &open(writable)?, WRITE)?;
    // SAFETY: neither call touches memory of ours.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(Error::last_os_error());
        }
        checked(libc::syscall(
            libc::SYS_landlock_restrict_self,
            ruleset.as_raw_fd(),
            0_u32,
        ))?;
    }
    Ok(())
}

/// The kernel's version of Landlock; 0 if it has none, or it is off.
fn version() -> i64 {
    // SAFETY: with this flag the kernel reads nothing.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttr>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    version.max(0)
}

fn ruleset(version: i64) -> Result<OwnedFd> {
    let since = |first: i64, access: u64| if version >= first { access } else { 0 };
    let attr = RulesetAttr {
        handled_access_fs: ALL | since(5, IOCTL_DEV),
        handled_access_net: since(4, NETWORK),
        scoped: since(6, SCOPES),
    };
    // Older kernels do not know the fields at the end.
    let size = match version {
        ..4 => 8,
        4..6 => 16,
        _ => size_of::<RulesetAttr>(),
    };
    // SAFETY: the kernel reads `size` bytes of `attr`, which has no fewer.
    let ruleset = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attr,
            size,
            0_u32,
        )
    };
    let ruleset = i32::try_from(checked(ruleset)?).map_err(Error::other)?;
    // SAFETY: the kernel made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(ruleset) })
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_PATH);
    options.open(path).map_err(|error| {
        let said = format!("opening '{}': {error}", path.display());
        Error::new(error.kind(), said)
    })
}

fn allow(ruleset: &OwnedFd, below: &File, access: u64) -> Result<()> {
    let attr = PathBeneathAttr {
        allowed_access: access,
        parent_fd: below.as_raw_fd(),
    };
    // SAFETY: the kernel reads `attr`.
    let added = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &raw const attr,
            0_u32,
        )
    };
    checked(added).map(drop)
}

fn checked(result: i64) -> Result<i64> {
    if result < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(result)
    }
}
