//! The system calls that no crate wraps safely: changing a mount, and loop devices.

#![expect(unsafe_code, reason = "system calls that rustix has no functions for")]

use linux_raw_sys::loop_device::{
    LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LO_FLAGS_READ_ONLY, LOOP_CONFIGURE, LOOP_CTL_GET_FREE,
    loop_config, loop_info64,
};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl};

/// Makes a mount and all below it read-only, without set-user-ID programs and device files, and stops them from sharing
/// what is mounted in them with other mounts.
pub(super) fn restrict(mount: &OwnedFd) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    // SAFETY: the path is a string that ends with a zero byte; the structure is the one the call reads, of the size told;
    // the call writes to no memory of ours.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_error())
    }
}

/// The number of a loop device that is unused just now.
pub(super) fn free_loop_device(control: &OwnedFd) -> Result<i32, Errno> {
    // SAFETY: the request takes no argument and answers with a number.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE.into()) };
    if result >= 0 {
        Ok(result)
    } else {
        Err(last_error())
    }
}

/// Lets the loop device `device` read `backing`, in blocks of 512 bytes, until the last who has it open closes it.
pub(super) fn configure_loop_device(device: &OwnedFd, backing: &OwnedFd) -> Result<(), Errno> {
    let config = loop_config {
        fd: backing.as_raw_fd().cast_unsigned(),
        block_size: 512,
        info: loop_info64 {
            lo_device: 0,
            lo_inode: 0,
            lo_rdevice: 0,
            lo_offset: 0,
            lo_sizelimit: 0,
            lo_number: 0,
            lo_encrypt_type: 0,
            lo_encrypt_key_size: 0,
            lo_flags: LO_FLAGS_READ_ONLY as u32
                | LO_FLAGS_AUTOCLEAR as u32
                | LO_FLAGS_DIRECT_IO as u32,
            lo_file_name: [0; 64],
            lo_crypt_name: [0; 64],
            lo_encrypt_key: [0; 32],
            lo_init: [0; 2],
        },
        __reserved: [0; 8],
    };
    // SAFETY: the request reads this structure and writes nothing.
    unsafe {
        let request = Setter::<{ LOOP_CONFIGURE as Opcode }, loop_config>::new(config);
        ioctl(device.as_fd(), request)
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
