//! The filter in a thread of this process.

#![expect(unsafe_code, reason = "system calls as a builder makes them")]

use std::ffi::c_long;
use std::io::Error;
use std::thread;

use libc::{EOPNOTSUPP, EPERM};
use tempfile::NamedTempFile;

use super::super::Filter;

/// Runs `test` in a thread that has the filter.
fn filtered<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            assert!(Filter::nix().install().unwrap().is_none());
            test()
        });
        thread.join().unwrap()
    })
}

fn error_of(result: c_long) -> Option<i32> {
    (result == -1).then(|| Error::last_os_error().raw_os_error().unwrap())
}

#[test]
fn set_id_bits_are_refused_and_other_bits_are_not() {
    let file = NamedTempFile::new().unwrap();
    let path = std::ffi::CString::new(file.path().to_str().unwrap()).unwrap();
    let raw = std::os::fd::AsRawFd::as_raw_fd(&file);
    let change = |mode: u32| {
        // SAFETY: the path is a string that ends with a zero byte, the file is open.
        unsafe {
            [
                libc::syscall(libc::SYS_fchmod, raw, mode),
                libc::syscall(libc::SYS_fchmodat, libc::AT_FDCWD, path.as_ptr(), mode),
                libc::syscall(libc::SYS_fchmodat2, libc::AT_FDCWD, path.as_ptr(), mode, 0),
            ]
            .map(error_of)
        }
    };
    filtered(|| {
        for mode in [0o4755, 0o2755, 0o6000] {
            assert_eq!(change(mode), [Some(EPERM); 3]);
        }
        let [fchmod, fchmodat, _] = change(0o1755);
        assert_eq!([fchmod, fchmodat], [None; 2]);
    });
}

#[test]
fn extended_attributes_are_not_supported() {
    let path = c"/proc/self/exe";
    let answers = filtered(|| {
        let mut value = [0_u8; 8];
        // SAFETY: the paths and names are strings that end with a zero byte, the buffer is as long as told.
        unsafe {
            [
                libc::getxattr(
                    path.as_ptr(),
                    c"user.x".as_ptr(),
                    value.as_mut_ptr().cast(),
                    value.len(),
                ) as c_long,
                libc::setxattr(
                    path.as_ptr(),
                    c"user.x".as_ptr(),
                    value.as_ptr().cast(),
                    value.len(),
                    0,
                )
                .into(),
                libc::fgetxattr(0, c"user.x".as_ptr(), value.as_mut_ptr().cast(), 8) as c_long,
            ]
            .map(error_of)
        }
    });
    assert_eq!(answers, [Some(EOPNOTSUPP); 3]);
}

/// `int 0x80` makes a call of 32 bits from a program of 64 bits.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_interface_of_32_bits_is_no_way_around() {
    fn call32(number: u32, first: u32, second: u32) -> i32 {
        let result: u64;
        // SAFETY: the calls made here take numbers, and no memory.
        unsafe {
            std::arch::asm!(
                "xchg {first:r}, rbx",
                "int 0x80",
                "xchg {first:r}, rbx",
                first = inout(reg) u64::from(first) => _,
                inlateout("rax") u64::from(number) => result,
                in("rcx") u64::from(second),
                in("rdx") 0_u64,
                lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            );
        }
        result as i32
    }
    const GETPID: u32 = 20;
    const FCHMOD: u32 = 94;
    const FGETXATTR: u32 = 231;
    let file = NamedTempFile::new().unwrap();
    let raw = std::os::fd::AsRawFd::as_raw_fd(&file).cast_unsigned();
    filtered(|| {
        if call32(GETPID, 0, 0) != std::process::id() as i32 {
            return; // The kernel has no such interface.
        }
        assert_eq!(call32(FCHMOD, raw, 0o4755), -EPERM);
        assert_eq!(call32(FCHMOD, raw, 0o755), 0);
        assert_eq!(call32(FGETXATTR, raw, 0), -EOPNOTSUPP);
    });
}
