//! Memory that the C library's allocator keeps.

/// Has the C library's allocator share its memory among threads, whatever their number. Realising goes on in many short-lived
/// threads, and where each has memory of its own, as is the default, a process holds twice as much for no gain in speed.
///
/// For `main` of a program that opens a store, before it starts a thread.
pub fn share_memory_among_threads() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the C library's own interface")]
    // SAFETY: mallopt changes settings of the allocator only, and takes any value.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
