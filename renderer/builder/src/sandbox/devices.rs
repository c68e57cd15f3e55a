//! `/dev` of a sandbox: a few nodes of the machine, and file systems of its own.

use rustix::fs::{Mode, chmod};
use rustix::mount::MountFlags;

use super::message::{Fault, Part, fault};

/// The nodes that are bound, by name, in order.
pub(super) fn nodes(kvm: bool) -> impl Iterator<Item = &'static str> {
    let kvm = kvm.then_some("kvm");
    ["full"]
        .into_iter()
        .chain(kvm)
        .chain(["null", "random", "tty", "urandom", "zero"])
}

/// Mounts what lies below `/dev`.
pub(super) fn mount() -> Result<(), Fault> {
    rustix::mount::mount(
        "none",
        "root/dev/shm",
        "tmpfs",
        MountFlags::empty(),
        c"size=50%",
    )
    .map_err(fault(Part::Mounts, "mount '/dev/shm'"))?;
    rustix::mount::mount(
        "none",
        "root/dev/pts",
        "devpts",
        MountFlags::empty(),
        c"newinstance,mode=0620",
    )
    .map_err(fault(Part::Mounts, "mount '/dev/pts'"))?;
    std::os::unix::fs::symlink("/dev/pts/ptmx", "root/dev/ptmx")
        .map_err(fault(Part::Other, "create '/dev/ptmx'"))?;
    // Some kernels make it with no permissions.
    chmod("root/dev/pts/ptmx", Mode::from_raw_mode(0o666))
        .map_err(fault(Part::Mounts, "change the mode of '/dev/pts/ptmx'"))
}
