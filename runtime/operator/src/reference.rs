//! The reference page of the command line.

use std::path::Path;

use clap::CommandFactory as _;
use niphas_cli_reference::{assert_page, page};

use crate::args::Args;

const INTRODUCTION: &str = "\
# The command line of `niphas-operator`

A test makes this page of the program's options. What the program does: [operator.md](operator.md).
";

#[test]
fn the_reference_page_is_what_the_options_say() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/cli-niphas-operator.md"
    );
    assert_page(Path::new(file), &page(INTRODUCTION, Args::command()));
}
