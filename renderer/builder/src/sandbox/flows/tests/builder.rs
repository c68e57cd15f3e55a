//! Threads of this process that are supervised as builders are, and the calls that they make.

use std::ffi::c_long;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::channel;
use std::{io, thread};

use super::super::super::seccomp::Filter;
use super::super::address::Encoded;
use super::super::supervise;

/// Runs `builder` in a thread that the policy holds for, and gives what it gave, with the addresses that were denied.
pub(super) fn supervised<T: Send>(
    policy: &str,
    builder: impl FnOnce() -> T + Send,
) -> (T, Vec<SocketAddr>) {
    let policy = policy.parse().unwrap();
    let (denied, all_denied) = channel();
    let (give, taken) = channel();
    let (go_on, goes_on) = channel();
    let filter = Filter::supervised();
    let result = thread::scope(|scope| {
        let builder = scope.spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            give.send(filter.install().unwrap().unwrap()).unwrap();
            goes_on.recv().unwrap();
            builder()
        });
        let told = move |address| denied.send(address).unwrap();
        let supervisor = supervise(taken.recv().unwrap(), policy, None, told).unwrap();
        go_on.send(()).unwrap();
        let result = builder.join();
        // It ends by itself, once the last thread that has the filter ends.
        supervisor.join().unwrap();
        result
    });
    match result {
        Ok(result) => (result, all_denied.try_iter().collect()),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The error of a call, or what it gave.
pub(super) fn outcome(result: c_long) -> Result<i64, i32> {
    match result {
        -1 => Err(io::Error::last_os_error().raw_os_error().unwrap()),
        result => Ok(result),
    }
}

pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> OwnedFd {
    // SAFETY: the call takes numbers, and gives a descriptor of this caller.
    unsafe {
        let socket = libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol);
        assert!(socket >= 0, "{}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(socket)
    }
}

pub(super) fn bytes_of(address: &str) -> Vec<u8> {
    Encoded::internet(address.parse().unwrap()).0
}

pub(super) fn connect(socket: &OwnedFd, address: &[u8]) -> Result<i64, i32> {
    // SAFETY: the address is as long as told.
    outcome(unsafe {
        libc::connect(
            socket.as_raw_fd(),
            address.as_ptr().cast(),
            address.len() as u32,
        )
        .into()
    })
}

pub(super) fn send_to(
    socket: &OwnedFd,
    data: &[u8],
    flags: i32,
    address: &[u8],
) -> Result<i64, i32> {
    // SAFETY: the data and the address are as long as told.
    outcome(unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            data.as_ptr().cast(),
            data.len(),
            flags,
            address.as_ptr().cast(),
            address.len() as u32,
        ) as c_long
    })
}

/// A message, and what it points to.
pub(super) struct Message<'a> {
    pub(super) data: &'a [u8],
    pub(super) address: &'a [u8],
    pub(super) control: &'a [u64],
}

impl Message<'_> {
    fn with<T>(&self, run: impl FnOnce(libc::msghdr) -> T) -> T {
        let mut piece = libc::iovec {
            iov_base: self.data.as_ptr().cast_mut().cast(),
            iov_len: self.data.len(),
        };
        // SAFETY: all fields may be zero.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        if !self.address.is_empty() {
            header.msg_name = self.address.as_ptr().cast_mut().cast();
            header.msg_namelen = self.address.len() as u32;
        }
        if !self.control.is_empty() {
            header.msg_control = self.control.as_ptr().cast_mut().cast();
            header.msg_controllen = size_of_val(self.control) as _;
        }
        run(header)
    }
}

pub(super) fn send_message(socket: &OwnedFd, message: &Message, flags: i32) -> Result<i64, i32> {
    message.with(|header| {
        // SAFETY: what the message points to lives until the call returns.
        outcome(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) as c_long })
    })
}

/// `sendmmsg` with two messages; gives how many bytes of each were sent, too.
pub(super) fn send_two(socket: &OwnedFd, messages: [&Message; 2]) -> (Result<i64, i32>, [u32; 2]) {
    messages[0].with(|first| {
        messages[1].with(|second| {
            // SAFETY: all fields may be zero, and what the messages point to lives until the call returns.
            unsafe {
                let mut list: [libc::mmsghdr; 2] = zeroed();
                list[0].msg_hdr = first;
                list[1].msg_hdr = second;
                let result = libc::sendmmsg(socket.as_raw_fd(), list.as_mut_ptr(), 2, 0);
                (outcome(result.into()), list.map(|message| message.msg_len))
            }
        })
    })
}

pub(super) fn set_option(
    socket: &OwnedFd,
    level: i32,
    name: i32,
    value: &[u8],
) -> Result<i64, i32> {
    // SAFETY: the value is as long as told.
    outcome(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as u32,
        )
        .into()
    })
}

/// A call by the interface of 32 bits, with memory below 4 GiB.
#[cfg(target_arch = "x86_64")]
pub(super) mod narrow {
    use super::size_of;

    const SOCKETCALL: u64 = 102;

    /// Memory that numbers of 32 bits reach.
    pub(in super::super) struct Memory {
        start: *mut u8,
        used: usize,
    }

    const SIZE: usize = 65536;

    impl Memory {
        pub(in super::super) fn new() -> Self {
            // SAFETY: new memory is no one else's.
            let start = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    SIZE,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
                    -1,
                    0,
                )
            };
            assert_ne!(start, libc::MAP_FAILED);
            Self {
                start: start.cast(),
                used: 0,
            }
        }

        /// Puts bytes into it, and gives their address.
        pub(in super::super) fn put(&mut self, bytes: &[u8]) -> u32 {
            assert!(self.used + bytes.len() <= SIZE);
            // SAFETY: the place is within the memory.
            let place = unsafe { self.start.add(self.used) };
            // SAFETY: as above; the bytes are others.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
            self.used += bytes.len().next_multiple_of(8);
            place as usize as u32
        }

        pub(in super::super) fn put_words(&mut self, words: &[u32]) -> u32 {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            debug_assert_eq!(bytes.len(), size_of_val(words));
            self.put(&bytes)
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: it was mapped, and nothing points to it any more.
            unsafe { libc::munmap(self.start.cast(), SIZE) };
        }
    }

    /// `socketcall`
    pub(in super::super) fn socketcall(memory: &mut Memory, number: u32, args: &[u32]) -> i32 {
        let args = memory.put_words(args);
        call(SOCKETCALL, [number, args, 0, 0])
    }

    /// A call by `int 0x80`.
    pub(in super::super) fn call(number: u64, args: [u32; 4]) -> i32 {
        let result: u64;
        let [first, second, third, fourth] = args.map(u64::from);
        // SAFETY: what the arguments point to is as large as the call takes it to be.
        unsafe {
            std::arch::asm!(
                "xchg {first:r}, rbx",
                "int 0x80",
                "xchg {first:r}, rbx",
                first = inout(reg) first => _,
                inlateout("rax") number => result,
                in("rcx") second,
                in("rdx") third,
                in("rsi") fourth,
                lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            );
        }
        result as i32
    }

    /// The kernel has the interface.
    pub(in super::super) fn is_there() -> bool {
        const GETPID: u64 = 20;
        call(GETPID, [0; 4]) == std::process::id() as i32
    }

    const _: () = assert!(size_of::<usize>() == 8);
}
