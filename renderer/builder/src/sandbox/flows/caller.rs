//! The thread of a builder that made a call, and waits for what it gives.
//!
//! Its ID may be another thread's by the time that it is looked at. What is read here counts only if the notification of
//! the call is valid afterwards: then the thread has waited all the time.

use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal,
};

use super::kernel;

/// Where the supervisor has its own file descriptors: its working folder is a `/proc` of its process namespace.
pub(super) const OWN_DESCRIPTORS: &str = "self/fd";

/// A thread of a builder.
#[derive(Debug)]
pub(super) struct Caller {
    id: Pid,
    descriptor: OwnedFd,
}

impl Caller {
    pub(super) fn new(id: u32) -> Result<Self, Errno> {
        let id = Pid::from_raw(id.cast_signed()).ok_or(Errno::SRCH)?;
        // Of threads that are not the first of their process only Linux 6.9 and later give one.
        let thread = PidfdFlags::from_bits_retain(libc::PIDFD_THREAD);
        let descriptor = match pidfd_open(id, thread) {
            Err(Errno::INVAL) => pidfd_open(process_of(id)?, PidfdFlags::empty())?,
            other => other?,
        };
        Ok(Self { id, descriptor })
    }

    /// A duplicate of one of its file descriptors.
    pub(super) fn descriptor(&self, number: RawFd) -> Result<OwnedFd, Errno> {
        pidfd_getfd(&self.descriptor, number, PidfdGetfdFlags::empty())
    }

    /// Fills `buffer` from its memory.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        self.read_pieces(&[(address, buffer.len() as u64)], buffer)
    }

    /// Fills `buffer` from several places of its memory, which have as many bytes together.
    pub(super) fn read_pieces(
        &self,
        pieces: &[(u64, u64)],
        buffer: &mut [u8],
    ) -> Result<(), Errno> {
        kernel::read_memory(self.id, pieces, buffer)
    }

    /// Its memory, to write to; valid for this thread's program alone, whatever becomes of its ID.
    pub(super) fn memory(&self) -> Result<OwnedFd, Errno> {
        let path = format!("{}/mem", self.id.as_raw_nonzero());
        openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Opens a file as the thread names it: within its root, from its working folder.
    pub(super) fn file(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let id = self.id.as_raw_nonzero();
        let place = OFlags::PATH | OFlags::CLOEXEC;
        let root = openat(CWD, format!("{id}/root"), place, Mode::empty())?;
        let mut full = Vec::new();
        if !path.starts_with(b"/") {
            full = readlinkat(CWD, format!("{id}/cwd"), full)?.into_bytes();
            full.push(b'/');
        }
        full.extend(path);
        openat2(root, full, place, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// Sends it a signal, as the kernel would have.
    pub(super) fn signal(&self, signal: Signal) {
        // Fails only if the thread has ended meanwhile.
        let _ = pidfd_send_signal(&self.descriptor, signal);
    }

    /// A signal has come that ends the wait for a call.
    pub(super) fn is_interrupted(&self) -> Result<bool, Errno> {
        let status = read_file(&format!("{}/status", self.id.as_raw_nonzero()))?;
        let mask = |name| field(&status, name, 16);
        let own = mask("SigPnd:").unwrap_or(0);
        // In a process with several threads, one that is not this may take it.
        let shared = match field(&status, "Threads:", 10) {
            Some(1) => mask("ShdPnd:").unwrap_or(0),
            _ => 0,
        };
        let blocked = mask("SigBlk:").unwrap_or(u64::MAX);
        Ok((own | shared) & !blocked != 0)
    }
}

/// The process of a thread.
fn process_of(thread: Pid) -> Result<Pid, Errno> {
    let status = read_file(&format!("{}/status", thread.as_raw_nonzero()))?;
    let id = field(&status, "Tgid:", 10).and_then(|id| i32::try_from(id).ok());
    id.and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

fn read_file(path: &str) -> Result<String, Errno> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0; 4096];
    let length = rustix::io::read(&file, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str, radix: u32) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(value.trim(), radix).ok()
}
