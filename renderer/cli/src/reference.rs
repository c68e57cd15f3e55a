//! Tests of the command line as a whole: its reference page, which options each command has, and the length of its help.

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use niphas_reference::{assert_page, command_line_page, options};

use crate::cli::Cli;
use crate::commands::run;
use crate::failure::Failure;

const ABOUT: &str = "`niphas COMMAND -h` shows the options that are used most, `--help` all of
them. Variables that the program reads beside those of options: [variables.md](variables.md). Settings of Nix: [nix-conf.md](nix-conf.md).";

#[test]
fn the_reference_page_is_what_the_options_say() {
    assert_page("cli.md", &command_line_page(ABOUT, Cli::command()));
}

/// Before an option is added to a command here, see that the command reads it.
#[test]
fn each_command_has_the_options_that_it_reads() {
    insta::assert_snapshot!(options(Cli::command(), &["verbose", "quiet", "debug"]).join("\n"));
}

#[test]
fn the_short_help_of_each_command_fits_a_screen() {
    fn check(command: &mut clap::Command, name: &str) {
        let help = command.render_help().to_string();
        let lines = help.lines().count();
        assert!(lines <= 40, "{name} -h has {lines} lines:\n{help}");
        for below in command.get_subcommands_mut() {
            let name = format!("{name} {}", below.get_name());
            check(below, &name);
        }
    }
    let mut command = Cli::command().term_width(100);
    command.build();
    check(&mut command, "niphas");
}

#[test]
fn options_that_a_command_does_not_read_are_errors() {
    let cases = [
        "render --to gitops --arg a 1+",
        "show --argstr a b",
        "repl --impure",
        "repl --no-eval-cache",
        "derivation show --no-eval-cache",
        "lock --eval-timeout 1",
        "cache push --to file:///cache --required-signatures 2 x",
    ];
    for case in cases {
        let words = std::iter::once("niphas").chain(case.split(' '));
        let error = Cli::try_parse_from(words).expect_err(case);
        assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{case}");
    }
    for case in ["eval .#x --arg a 1", "derivation show .#x --argstr a b"] {
        let words = std::iter::once("niphas").chain(case.split(' '));
        let cli = Cli::try_parse_from(words).expect(case);
        match run(&cli.command).expect_err(case) {
            Failure::Other { error, .. } => {
                assert!(error.to_string().contains("take no arguments"), "{error}");
            }
            Failure::Nix(report) | Failure::HashMismatch(report) | Failure::Build(report, _) => {
                panic!("{}", String::from_utf8_lossy(&report))
            }
        }
    }
}
