//! Limits on how long a server may keep us waiting.

#![expect(unsafe_code, reason = "libgit2 keeps its time limits in globals")]

use std::sync::Once;

const CONNECT_MILLISECONDS: i32 = 30_000;
const SERVER_MILLISECONDS: i32 = 120_000;

/// Sets the time limits of all connections, once for the process.
pub(crate) fn set() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        // SAFETY: these write a global of libgit2 each, which it reads when it opens a connection.
        // `Once` keeps two threads from writing at a time, and every connection of this crate is
        // opened after it.
        let result = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(CONNECT_MILLISECONDS)
                .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(SERVER_MILLISECONDS))
        };
        if let Err(error) = result {
            tracing::warn!(%error, "cannot limit the time of git connections");
        }
    });
}
