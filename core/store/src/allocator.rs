//! The allocator of programs that open a store.
//!
//! Realising a closure of small paths allocates much, on one thread what another frees; the C library's allocator makes
//! threads wait for each other then, a sixth of the processor's time. Why this one: `docs/decisions/dependencies.md`.

use std::ffi::c_char;

pub use tikv_jemallocator::Jemalloc as Allocator;

/// Two arenas, whatever the number of processors, and what is free for 20 ms goes back to the kernel: looked at only while
/// memory is asked for, so with a longer time a driver that has nothing to do would hold more. For `main` to export as
/// `_rjem_malloc_conf`, where jemalloc looks for it.
pub const ALLOCATOR_SETTINGS: Option<&c_char> = {
    let settings = c"narenas:2,dirty_decay_ms:20,muzzy_decay_ms:0";
    // SAFETY: it points at the first of the string's bytes.
    #[expect(unsafe_code, reason = "what C code takes for a string")]
    Some(unsafe { &*settings.as_ptr() })
};
