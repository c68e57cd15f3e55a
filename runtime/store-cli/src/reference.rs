//! Tests of the command line as a whole.

use std::path::Path;

use clap::CommandFactory as _;
use niphas_cli_reference::{assert_page, options, page};

use crate::cli::Cli;

const INTRODUCTION: &str = "\
# The command line of `niphas-store`

A test makes this page of the program's options. What a store is: [node-store.md](node-store.md).

Variables that stand for an option are named with it. `NIPHAS_LOG` (`warn`, `info`, `debug`, `trace`) says what to print beside
errors; `NO_COLOR` and `CLICOLOR_FORCE` decide about colours.
";

#[test]
fn the_reference_page_is_what_the_options_say() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/cli-niphas-store.md"
    );
    assert_page(Path::new(file), &page(INTRODUCTION, Cli::command()));
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
        "umount: folder lazy store",
    ];
    assert_eq!(options(Cli::command()), expected);
}
