//! The CSI driver of niphas: a pod names a closure by an inline ephemeral volume, and gets it at `/nix`.

mod attributes;
mod base_image;
mod config;
mod events;
mod http;
mod identity;
mod logging;
mod metrics;
pub mod proto;
mod registration;
mod socket;

pub use base_image::archive as base_image_archive;
pub use http::connect;
pub use identity::DRIVER;
pub use logging::{LogFormat, start as start_logging};

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
