//! What programs print, the same way in each of them: reports of errors and warnings on standard error, results on standard
//! output, and sizes in units for people.
//!
//! Text that came from elsewhere may hold passwords in URLs and control characters: reports and warnings leave both out.

mod colour;
mod format;
mod report;
mod stdout;
mod warnings;

pub use colour::{in_colour, prints_in_colour};
pub use format::OutputFormat;
pub use nix_formats::size;
pub use report::{report, report_text};
pub use stdout::{OutputError, check_output, print_bytes, print_line, print_with};
pub use warnings::{start_messages, start_warnings};
