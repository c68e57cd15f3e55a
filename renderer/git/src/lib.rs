//! What all uses of libgit2 have in common: how long a server or a pipe may keep us waiting, how much memory an object may take,
//! and errors that hold no secret.

#![expect(unsafe_code, reason = "libgit2 keeps its limits in globals")]

mod local;
mod login;
mod memory;

pub use local::{discover, open, refuse_pipes};
pub use login::{Login, Proof};
pub use memory::{MAX_OBJECT, limit_memory};

use std::sync::OnceLock;
use std::time::Duration;

use git2::{ErrorClass, ErrorCode};

/// How long to wait for a Git server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// Time to connect.
    pub connect: Duration,
    /// Longest silence. Hooks of a server that is pushed to may think for a while.
    pub silence: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            silence: Duration::from_mins(2),
        }
    }
}

static LIMITS: OnceLock<TimeLimits> = OnceLock::new();

/// Limits the time of all connections of the process that are opened from now on, and says how. The first call counts.
pub fn limit_time(limits: TimeLimits) -> TimeLimits {
    *LIMITS.get_or_init(|| {
        let milliseconds = |limit: Duration| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: these write a global of libgit2 each, which it reads when it opens a connection. `OnceLock` keeps two
        // threads from writing at a time, and every connection of niphas is opened after a call of this function.
        let result = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(milliseconds(limits.connect))
                .and_then(|()| {
                    git2::opts::set_server_timeout_in_milliseconds(milliseconds(limits.silence))
                })
        };
        if let Err(error) = result {
            tracing::warn!(%error, "failed to limit the time of Git connections");
        }
        limits
    })
}

/// Whether a time limit passed.
pub fn is_timeout(error: &git2::Error) -> bool {
    error.code() == ErrorCode::Timeout
}

/// The error without secrets of URLs in it; where it is for a limit, with the limit.
pub fn explained(error: &git2::Error) -> git2::Error {
    let message = match LIMITS.get() {
        Some(limits) if is_timeout(error) => format!(
            "no connection within {} s, or the server sent nothing for {} s",
            limits.connect.as_secs_f64(),
            limits.silence.as_secs_f64()
        ),
        _ if error.class() == ErrorClass::NoMemory => memory::explained(),
        _ => niphas_http::redacted(error.message()),
    };
    git2::Error::new(error.code(), error.class(), message)
}
