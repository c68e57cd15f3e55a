//! The system calls that no crate wraps safely.

#![expect(unsafe_code, reason = "system calls that rustix has no functions for")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{null, null_mut};

use libc::{iovec, seccomp_data, seccomp_notif, seccomp_notif_addfd, seccomp_notif_resp};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// A call that waits for its supervisor.
#[derive(Debug, Clone)]
pub(super) struct Notification {
    pub(super) id: u64,
    /// The thread that made it, in the process namespace of the supervisor.
    pub(super) thread: u32,
    pub(super) data: seccomp_data,
}

/// Where the calls of a builder arrive.
#[derive(Debug)]
pub(super) struct Listener {
    descriptor: OwnedFd,
    /// Room for a notification: of a kernel that has a larger one than this program knows, too.
    buffer: Vec<u64>,
}

/// As much as a kernel's notification may take; it is 80 bytes now.
const MAX_NOTIFICATION: usize = 4096;

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`: the builder's thread and the supervisor take turns on one processor.
const SYNC_WAKE_UP: u64 = 1;

impl Listener {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        // SAFETY: the request takes a number. Kernels before 6.6 do not know it, and go without.
        unsafe {
            libc::ioctl(
                descriptor.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                SYNC_WAKE_UP,
            )
        };
        Self {
            descriptor,
            buffer: vec![0; MAX_NOTIFICATION / 8],
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Takes the next call. There is one if the descriptor is ready to be read; it may have ended meanwhile.
    pub(super) fn receive(&mut self) -> Result<Notification, Errno> {
        self.buffer.fill(0);
        let pointer: *mut seccomp_notif = self.buffer.as_mut_ptr().cast();
        // SAFETY: the kernel writes one notification of its own size, which the buffer has room for; it is aligned, and zero
        // as the kernel demands.
        checked(unsafe {
            libc::ioctl(
                self.descriptor.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                pointer,
            )
        })?;
        // SAFETY: the buffer holds a notification, and its fields take any value.
        let notification = unsafe { &*pointer };
        Ok(Notification {
            id: notification.id,
            thread: notification.pid,
            data: notification.data,
        })
    }

    /// The call still waits.
    pub(super) fn is_valid(&self, id: u64) -> bool {
        // SAFETY: the kernel reads the number.
        let result = unsafe {
            libc::ioctl(
                self.descriptor.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
                &raw const id,
            )
        };
        result == 0
    }

    /// Ends a call with what it gives, or with an error.
    pub(super) fn answer(&self, id: u64, result: Result<i64, Errno>) {
        let (val, error) = match result {
            Ok(value) => (value, 0),
            Err(error) => (0, -error.raw_os_error()),
        };
        let answer = seccomp_notif_resp {
            id,
            val,
            error,
            flags: 0,
        };
        // SAFETY: the kernel reads the structure. It fails only if the call has ended meanwhile.
        unsafe {
            libc::ioctl(
                self.descriptor.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw const answer,
            )
        };
    }

    /// Ends a call with a new file descriptor of the caller.
    pub(super) fn answer_with(&self, id: u64, file: &OwnedFd, flags: i32) -> Result<(), Errno> {
        let added = seccomp_notif_addfd {
            id,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: file.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: flags.cast_unsigned(),
        };
        // SAFETY: the kernel reads the structure.
        checked(unsafe {
            libc::ioctl(
                self.descriptor.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ADDFD,
                &raw const added,
            )
        })
        .map(drop)
    }
}

/// Fills `buffer` from places in the memory of a thread, which have as many bytes together.
pub(super) fn read_memory(
    thread: Pid,
    places: &[(u64, u64)],
    buffer: &mut [u8],
) -> Result<(), Errno> {
    if buffer.is_empty() {
        return Ok(());
    }
    let local = iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let remote: Vec<iovec> = places
        .iter()
        .map(|(address, length)| iovec {
            iov_base: *address as usize as *mut _,
            iov_len: *length as usize,
        })
        .collect();
    // SAFETY: the kernel writes to `buffer`, no more than its length; the other addresses are those of another process.
    let read = unsafe {
        libc::process_vm_readv(
            thread.as_raw_nonzero().get(),
            &raw const local,
            1,
            remote.as_ptr(),
            remote.len() as libc::c_ulong,
            0,
        )
    };
    match checked(read)? {
        read if read as usize == buffer.len() => Ok(()),
        _ => Err(Errno::FAULT),
    }
}

/// What is sent in one call.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) address: &'a [u8],
    pub(super) data: &'a [u8],
    /// Control messages, aligned as they have to be.
    pub(super) control: &'a [u64],
    pub(super) flags: i32,
}

/// Sends without waiting, and without a signal.
pub(super) fn send(socket: &OwnedFd, outgoing: &Outgoing) -> Result<usize, Errno> {
    let piece = iovec {
        iov_base: outgoing.data.as_ptr().cast_mut().cast(),
        iov_len: outgoing.data.len(),
    };
    // SAFETY: all fields of the structure may be zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    if !outgoing.address.is_empty() {
        message.msg_name = outgoing.address.as_ptr().cast_mut().cast();
        message.msg_namelen = outgoing.address.len() as u32;
    }
    message.msg_iov = (&raw const piece).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = match outgoing.control {
        [] => null_mut(),
        control => control.as_ptr().cast_mut().cast(),
    };
    message.msg_controllen = size_of_val(outgoing.control) as _;
    let flags = outgoing.flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads what the structure points to, which lives until the call returns, and writes to none of it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) };
    checked(sent).map(|sent| sent as usize)
}

pub(super) fn connect(socket: &OwnedFd, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads the address, which is as long as told.
    let result = unsafe {
        libc::connect(
            socket.as_raw_fd(),
            address.as_ptr().cast(),
            address.len() as u32,
        )
    };
    checked(result).map(drop)
}

pub(super) fn open_socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    // SAFETY: the call takes numbers.
    let socket = checked(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: the kernel opened the descriptor for this caller.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// Sets an option of a socket. `value` has no pointers in it.
pub(super) fn set_option(
    socket: &OwnedFd,
    [level, name]: [i32; 2],
    value: &[u8],
) -> Result<(), Errno> {
    let pointer = match value {
        [] => null(),
        value => value.as_ptr(),
    };
    // SAFETY: the kernel reads the value, which is as long as told.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            pointer.cast(),
            value.len() as u32,
        )
    };
    checked(result).map(drop)
}

/// Gives this thread a working folder of its own.
pub(super) fn unshare_working_folder() -> Result<(), Errno> {
    // SAFETY: the table of file descriptors stays shared, which is what the function asks for.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }
}

fn checked<T: PartialEq + From<i8>>(result: T) -> Result<T, Errno> {
    if result == T::from(-1) {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(result)
    }
}
