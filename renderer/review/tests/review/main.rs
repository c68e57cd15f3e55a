//! Reviews of made-up changes.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

mod hostile;
mod large;
mod made;
mod models;
mod reports;
