//! What is bound into a sandbox.
//!
//! The supervisor makes mount points, and mounts the folders of the inputs once, read-only, at a place of its own. The builder's
//! process, in a mount namespace that its user namespace owns, binds single paths from there.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use niphas_store::mount::mount_image;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_bind, mount_bind_recursive, mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chroot, pivot_root};

use super::files::{BUILD, ROOT, STORE, mount_point};
use super::message::{Fault, ImageSource, Job, Part, fault, fault_at};
use super::{devices, system};
use crate::BUILD_DIR;

/// A file or folder, and where in the sandbox it is shown, as a path below its root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bind {
    source: PathBuf,
    target: PathBuf,
    part: Part,
}

/// Makes all that is bound ready, in the order in which Nix binds it: by their paths.
pub(super) fn prepare(job: &Job) -> Result<Vec<Bind>, Fault> {
    let mut binds = Vec::new();
    if let Some(shell) = &job.shell {
        bind(&mut binds, shell, "bin/sh")?;
    }
    binds.push(Bind::new(
        PathBuf::from(BUILD),
        inside(BUILD_DIR),
        Part::Mounts,
    ));
    make_point(&binds)?;
    for device in devices::nodes(job.kvm) {
        binds.push(Bind::new(
            PathBuf::from("/dev").join(device),
            Path::new("dev").join(device),
            Part::Devices,
        ));
        mount_point(&Path::new("dev").join(device), false)?;
    }
    if let Some(network) = &job.network {
        for file in ["/etc/hosts", "/etc/resolv.conf", "/etc/services"] {
            if Path::new(file).exists() {
                bind(&mut binds, Path::new(file), &file[1..])?;
            }
        }
        if let Some(certificates) = &network.certificates {
            bind(
                &mut binds,
                certificates,
                "etc/ssl/certs/ca-certificates.crt",
            )?;
        }
    }
    let mut inputs = Vec::new();
    if let Some(image) = &job.image {
        let stage = Path::new("image");
        stage_image(image, stage)?;
        bind_inputs(&mut inputs, &image.names, &stage.join("store"))?;
    }
    for (number, source) in job.folders.iter().enumerate() {
        let stage = PathBuf::from(format!("inputs-{number}"));
        stage_folder(&source.folder, &stage)?;
        bind_inputs(&mut inputs, &source.names, &stage)?;
    }
    inputs.sort_by(|one, other| one.target.cmp(&other.target));
    binds.append(&mut inputs);
    Ok(binds)
}

impl Bind {
    fn new(source: PathBuf, target: PathBuf, part: Part) -> Self {
        Self {
            source,
            target,
            part,
        }
    }
}

/// The last of `binds` is a folder: makes its mount point.
fn make_point(binds: &[Bind]) -> Result<(), Fault> {
    binds
        .last()
        .map_or(Ok(()), |bind| mount_point(&bind.target, true))
}

/// Binds what `source` is, after all symlinks.
fn bind(binds: &mut Vec<Bind>, source: &Path, target: &str) -> Result<(), Fault> {
    let source = fs::canonicalize(source).map_err(fault_at(Part::Mounts, "find", source))?;
    mount_point(Path::new(target), source.is_dir())?;
    binds.push(Bind::new(source, PathBuf::from(target), Part::Mounts));
    Ok(())
}

/// Shows a folder at a place of the supervisor, read-only.
fn stage_folder(folder: &Path, stage: &Path) -> Result<(), Fault> {
    fs::create_dir(stage).map_err(fault_at(Part::Other, "create", stage))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, folder, flags).map_err(fault_at(Part::Mounts, "bind", folder))?;
    system::restrict_mount(&tree).map_err(fault_at(
        Part::Mounts,
        "make read-only in the sandbox",
        folder,
    ))?;
    move_mount(
        &tree,
        "",
        CWD,
        stage,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(fault_at(Part::Mounts, "mount", stage))
}

/// Mounts a closure image at a place of the supervisor. Only root may, of the machine.
fn stage_image(image: &ImageSource, stage: &Path) -> Result<(), Fault> {
    fs::create_dir(stage).map_err(fault_at(Part::Other, "create", stage))?;
    mount_image(&image.file, &image.devices, image.view, stage).map_err(|error| {
        let errno = error.io().and_then(io::Error::raw_os_error);
        Fault {
            part: Part::Images,
            action: format!("mount the inputs: {error}"),
            errno,
        }
    })
}

fn bind_inputs(binds: &mut Vec<Bind>, names: &[String], stage: &Path) -> Result<(), Fault> {
    for name in names {
        let from = stage.join(name);
        let metadata =
            fs::symlink_metadata(&from).map_err(fault_at(Part::Mounts, "read the input", &from))?;
        let target = inside("/nix/store").join(name);
        if metadata.is_symlink() {
            copy_link(&from, &Path::new(STORE).join(name), &metadata)?;
        } else {
            mount_point(&target, metadata.is_dir())?;
            binds.push(Bind::new(from, target, Part::Mounts));
        }
    }
    Ok(())
}

/// A symlink cannot be bound: one like it is made.
fn copy_link(from: &Path, to: &Path, metadata: &Metadata) -> Result<(), Fault> {
    let target = fs::read_link(from).map_err(fault_at(Part::Mounts, "read", from))?;
    symlink(target, to).map_err(fault_at(Part::Other, "create", to))?;
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(fault_at(
        Part::Other,
        "set the time of",
        to,
    ))
}

/// A path of the sandbox, without its root.
fn inside(path: &str) -> PathBuf {
    PathBuf::from(path.trim_start_matches('/'))
}

/// Mounts all of a sandbox, and makes it all that this process sees.
pub(super) fn enter(binds: &[Bind]) -> Result<(), Fault> {
    // A mount of its own, as the kernel wants of what becomes the root.
    mount_bind(ROOT, ROOT).map_err(fault(Part::Mounts, "bind the root of the sandbox"))?;
    // Nix has a mount here too, and shares it, to show paths to a builder that runs already.
    mount_bind(STORE, STORE).map_err(fault(Part::Mounts, "bind the store of the sandbox"))?;
    mount_change(STORE, MountPropagationFlags::SHARED)
        .map_err(fault(Part::Mounts, "share the store of the sandbox"))?;
    for bind in binds {
        let target = Path::new(ROOT).join(&bind.target);
        mount_bind_recursive(&bind.source, &target).map_err(fault_at(
            bind.part,
            "bind",
            &bind.source,
        ))?;
    }
    let proc = "mount a fresh procfs";
    mount("none", "root/proc", "proc", MountFlags::empty(), None)
        .map_err(fault(Part::Proc, proc))?;
    devices::mount()?;
    rustix::fs::chmod("root/etc", rustix::fs::Mode::from_raw_mode(0o555))
        .map_err(fault(Part::Other, "make '/etc' read-only"))?;
    rustix::process::chdir(ROOT).map_err(fault(Part::Mounts, "enter the root of the sandbox"))?;
    // The old root is mounted over the new one, and then taken away: no folder for it is needed.
    pivot_root(".", ".").map_err(fault(Part::Mounts, "change the root"))?;
    unmount(".", UnmountFlags::DETACH)
        .map_err(fault(Part::Mounts, "unmount the machine's files"))?;
    chroot(".").map_err(fault(Part::Mounts, "change the root"))?;
    rustix::process::chdir(BUILD_DIR).map_err(fault(Part::Mounts, "enter the folder of the build"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_inside_has_no_root() {
        assert_eq!(inside("/nix/store"), Path::new("nix/store"));
    }
}
