//! One policy for everything that speaks HTTP: how long a server may be silent, which redirects are followed, when a request
//! is sent again, by which certificates a server is verified, and what is never printed.

mod client;
mod redacted;
mod redirect;
mod retry;
mod secret;
mod tls;
mod within;

pub use client::{Limits, SetupError, client, client_of_certificates, client_without_redirects};
pub use redacted::{Redacted, is_secret_parameter, redacted};
pub use redirect::{RedirectError, is_loopback, is_same_origin, next_hop};
pub use retry::{Failure, Retries, RetryPolicy, is_of_certificates, retry_after};
pub use secret::Secret;
