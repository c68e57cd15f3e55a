//! The pages of `niphas-eval`, for people who ask what became of a push.
//!
//! The service fills the values of [`model`] and gets an HTML document. A page needs no script, but for logs that grow: without
//! scripts, such a page loads itself again. [`paths`] says where each page is, [`ASSETS`] what else is served, and
//! [`CONTENT_SECURITY_POLICY`] which header goes with each answer.
//!
//! The crate is pure. Names, messages and logs are strangers' texts: templates escape them, characters that hide or reorder others are
//! replaced, links lead to web pages only, and every list, picture and log is bounded whatever the service hands in.

mod ansi;
mod closures;
mod derivations;
mod frame;
mod graph;
mod graph_svg;
mod log;
pub mod model;
pub mod paths;
mod run;
mod sources;
mod text;

pub use ansi::{Ansi, Span};
pub use closures::closures_page;
pub use frame::{Frame, message_page};
pub use log::{LogText, log_page};
pub use run::run_page;
pub use sources::{source_page, sources_page};

/// The header `Content-Security-Policy` of every answer: nothing from elsewhere, nothing inline, no form, and no page around it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file that pages refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its path.
    pub path: &'static str,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// What is in it: some parts, one after the other.
    pub parts: &'static [&'static str],
}

/// The files that pages refer to.
pub const ASSETS: [Asset; 2] = [
    Asset {
        path: paths::STYLE,
        content_type: "text/css; charset=utf-8",
        parts: &[niphas_review::STYLE, include_str!("style.css")],
    },
    Asset {
        path: paths::SCRIPT,
        content_type: "text/javascript; charset=utf-8",
        parts: &[include_str!("log.js")],
    },
];
