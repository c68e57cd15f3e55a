//! The reference page of the command line.

use clap::CommandFactory as _;
use niphas_reference::{assert_page, command_line_page};

use crate::args::Args;

#[test]
fn the_reference_page_is_what_the_options_say() {
    let page = command_line_page(
        "What the program does: [eval-service.md](eval-service.md).",
        Args::command(),
    );
    assert_page("cli-niphas-eval.md", &page);
}
