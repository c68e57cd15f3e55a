//! Tests of the command line as a whole.

use clap::CommandFactory as _;
use niphas_reference::{assert_page, command_line_page, options};

use crate::cli::Cli;

const ABOUT: &str = "What a store is: [node-store.md](node-store.md). Variables that the program
reads beside those of options: [variables.md](variables.md).";

#[test]
fn the_reference_page_is_what_the_options_say() {
    let page = command_line_page(ABOUT, Cli::command());
    assert_page("cli-niphas-store.md", &page);
}

/// Before an option is added to a command here, see that the command reads it.
#[test]
fn each_command_has_the_options_that_it_reads() {
    let caches = "caches keys key_files required_signatures netrc_file cache_token_file";
    let expected = [
        &format!("realise: paths digest root sync output {caches} store"),
        "list: output store",
        "ls: path recursive output store",
        "cat: file store",
        "dump: path store",
        "du: paths output store",
        "roots list: output store",
        "roots add: name paths digest store",
        "roots remove: names store",
        "gc: above down_to dry_run output store",
        &format!("verify: paths repair output {caches} store"),
        "image: paths output store",
        "export: paths to store",
        "mount: paths to view store",
        "umount: folder lazy",
    ];
    assert_eq!(options(Cli::command(), &[]), expected);
}
