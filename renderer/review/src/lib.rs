//! What a change of rendered files means for those who review it: which closures change and by how much, which packages came,
//! went and changed, and which pods restart and why.
//!
//! - [`Reviewer`] reads the files of workloads as they were and as they will be, and gives a [`Review`].
//! - A review is printed as text ([`Review::text`]), as the body of a commit ([`Review::commit_body`]), as a comment for a pull
//!   request ([`Review::markdown`]), as a page with a [`Picture`] of the sizes ([`Review::html`]), and is JSON by serde.
//! - [`compare_closures`] compares two closures alone.
//!
//! The crate is pure. What files held before comes from a repository that others write to: it is read with bounded memory and
//! time, names in it stand in a report as plain text in whatever form, and what cannot be read is reported as that.

mod budget;
mod closure;
mod commit_body;
mod files;
mod html;
mod manifests;
mod markdown;
mod package;
mod picture;
mod pods;
mod review;
mod reviewer;
mod rows;
mod svg;
mod text;
mod treemap;
mod words;

pub use files::{FilePair, workload_of};
pub use html::STYLE;
pub use markdown::{MARKDOWN_LIMIT, MARKER};
pub use package::{Package, PackageChange, compare_closures, split_name};
pub use picture::Picture;
pub use review::{
    ChangeKind, ClosureChange, ClosureSize, Effect, NewPaths, ObjectChange, Reason, Review,
    WorkloadChange,
};
pub use reviewer::Reviewer;
pub use words::size_change;
