//! For tests: reference pages, made from what programs declare, so that a page and its program cannot differ.

mod command_line;
mod metrics;
mod settings;

use std::fs;
use std::path::Path;

pub use command_line::{command_line_page, options};
pub use metrics::{Label, metrics_page};
pub use settings::settings_page;

/// Fails if a page of docs/reference differs from its file; with `NIPHAS_BLESS` set the file is written instead.
///
/// # Panics
///
/// If they differ, or the file cannot be written.
pub fn assert_page(name: &str, page: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let file = folder.join(name);
    if std::env::var_os("NIPHAS_BLESS").is_some() {
        let written = fs::write(&file, page);
        assert!(written.is_ok(), "failed to write '{}'", file.display());
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let line = found.lines().zip(page.lines()).position(|(a, b)| a != b);
    assert!(
        found == page,
        "docs/reference/{name} differs from the program at line {}: run this test with NIPHAS_BLESS=1",
        line.unwrap_or_else(|| found.lines().count().min(page.lines().count())) + 1
    );
}

/// Text in one cell of a table.
fn cell(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = words.replace('|', "\\|");
    let parts = parts.split('`').enumerate().map(|(index, part)| {
        // Between back quotes all counts as it is.
        let is_code = index % 2 == 1;
        if is_code {
            part.to_owned()
        } else {
            part.replace('<', "&lt;")
        }
    });
    parts.collect::<Vec<_>>().join("`")
}
