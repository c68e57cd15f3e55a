//! One policy for everything that speaks HTTP: how long a server may be silent, which redirects are followed, by which
//! certificates a server is verified, and what is never printed.

mod client;
mod redacted;
mod redirect;
mod secret;
mod tls;
mod within;

pub use client::{Limits, SetupError, client, client_without_redirects};
pub use redacted::{Redacted, is_secret_parameter, redacted};
pub use redirect::{RedirectError, is_loopback, is_same_origin, next_hop};
pub use secret::Secret;
