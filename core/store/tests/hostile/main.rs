//! What an enemy's cache sends: refused with an error that says why, and nothing is left of it.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod bombs;
mod compressed;
mod narinfos;
mod nars;
#[path = "../support/mod.rs"]
mod support;
mod texts;

use std::path::Path;

use niphas_store::RealiseError;

use support::names;

/// More than all the tests here together take, and less than any one bomb unpacks to.
const MOST_MEMORY: u64 = 448 << 20;

fn assert_empty(dir: &Path, what: &str) {
    for part in ["tmp", "packs", "closures", "signatures"] {
        assert_eq!(
            names(dir, part),
            Vec::<String>::new(),
            "{part} after {what}"
        );
    }
}

/// The whole error, which is for people: it is short, and has nothing in it that plays tricks on terminals.
fn told(error: &RealiseError, what: &str) -> String {
    let text = nix_formats::chain(error);
    let start: String = text.chars().take(400).collect();
    assert!(text.len() <= 4096, "{what}: {} bytes: {start}", text.len());
    let is_trick = |c: char| c.is_control() && c != '\n';
    assert!(!text.chars().any(is_trick), "{what}: {start:?}");
    text
}

/// The most memory that this process ever held.
fn assert_memory_is_bounded() {
    let peak = niphas_testing::memory::peak("self").unwrap();
    assert!(peak < MOST_MEMORY, "{peak} bytes");
}
