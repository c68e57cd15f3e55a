//! How much memory an object may take.
//!
//! libgit2 holds an object in memory as a whole, also while it resolves deltas: the object that the delta is of, the delta and the
//! result. How large they are stands in the pack, which a server made, and compressed zeros take a thousandth of it. libgit2 bounds
//! the results of deltas only. So its memory comes from here, and no piece of it is larger than an object may be.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use libgit2_sys::{GIT_OPT_SET_ALLOCATOR, git_libgit2_opts};

/// The most bytes of an object that is read.
pub const MAX_OBJECT: u64 = 1 << 30;

/// What libgit2 takes beside an object's bytes.
const BESIDE: usize = 4096;

/// The largest piece of memory for libgit2.
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// `git_allocator` of git2/sys/alloc.h.
#[repr(C)]
struct Allocator {
    malloc: unsafe extern "C" fn(usize, *const c_char, c_int) -> *mut c_void,
    realloc: unsafe extern "C" fn(*mut c_void, usize, *const c_char, c_int) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
}

/// Refuses objects of more than this many bytes from now on, in all of the process, and gives how many. The first call counts, and
/// has to come before libgit2 is used. Three of them may be in memory at the same time: a delta, what it is of, and what it makes.
pub fn limit_memory(max_object: u64) -> u64 {
    static LIMIT: OnceLock<u64> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let most = usize::try_from(max_object).unwrap_or(usize::MAX);
        MOST.store(most.saturating_add(BESIDE), Relaxed);
        let mut allocator = Allocator {
            malloc,
            realloc,
            free,
        };
        // SAFETY: libgit2 copies the functions. They take memory from where libgit2's own took it, so what it has by now can be
        // freed. `OnceLock` keeps two threads from writing at a time, and niphas uses libgit2 after a call of this function only.
        let result =
            unsafe { git_libgit2_opts(GIT_OPT_SET_ALLOCATOR as c_int, &raw mut allocator) };
        if result != 0 {
            tracing::warn!("failed to limit the memory of Git objects");
        }
        max_object
    })
}

/// Why there was no memory.
pub(crate) fn explained() -> String {
    let most = MOST.load(Relaxed).saturating_sub(BESIDE);
    format!("the repository has an object of more than {most} bytes")
}

unsafe extern "C" fn malloc(size: usize, _file: *const c_char, _line: c_int) -> *mut c_void {
    if size > MOST.load(Relaxed) {
        return ptr::null_mut();
    }
    // SAFETY: any size may be asked for.
    unsafe { libc::malloc(size) }
}

unsafe extern "C" fn realloc(
    old: *mut c_void,
    size: usize,
    _file: *const c_char,
    _line: c_int,
) -> *mut c_void {
    if size > MOST.load(Relaxed) {
        return ptr::null_mut();
    }
    // SAFETY: libgit2 gives what `malloc` or this gave it, or nothing.
    unsafe { libc::realloc(old, size) }
}

unsafe extern "C" fn free(old: *mut c_void) {
    // SAFETY: libgit2 gives what `malloc` or `realloc` gave it, or nothing.
    unsafe { libc::free(old) }
}
