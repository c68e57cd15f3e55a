//! Tests of the command line as a whole: its reference page, which options each command has, and the length of its help.

use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use niphas_cli_reference::{assert_page, options, page};

use crate::cli::Cli;
use crate::commands::run;
use crate::failure::Failure;

const INTRODUCTION: &str = "\
# The command line of `niphas`

A test makes this page of the program's options. `niphas COMMAND -h` shows the options that are used most, `--help` all of them.

## Environment

Variables that stand for an option are named with it. A variable that is empty counts as not set.

| Variable | |
|---|---|
| `NIPHAS_LOG` | What to print beside errors: `warn` (the default), `info`, `debug` or `trace`. |
| `NO_COLOR`, `CLICOLOR_FORCE` | Never, or always, print in colour. |
| `HOME`, `XDG_CACHE_HOME`, `XDG_CONFIG_HOME`, `XDG_CONFIG_DIRS`, `XDG_STATE_HOME` | Where files of the user are. |
| `NIX_PATH` | The look-up path, after `--include`. |
| `NIX_CONF_DIR`, `NIX_USER_CONF_FILES`, `NIX_CONFIG` | Nix's settings: where nix.conf is, and more of them. |
| `GITHUB_TOKEN` | A token for github.com. |
| `SSL_CERT_FILE` | The certificates of authorities to trust, instead of the machine's. |
| `AWS_…` | Credentials for caches in buckets: see [binary-caches.md](binary-caches.md). |
| `SSH_AUTH_SOCK` | The SSH agent. |

## Settings of Nix

| In nix.conf | |
|---|---|
| `access-tokens`, `extra-access-tokens` | Tokens by host. |
| `allow-dirty` | Whether work trees with changes may be used. |
| `flake-registry` | The registry of flakes. |
| `netrc-file` | A netrc file with logins for binary caches. |
| `tarball-ttl` | For how many seconds what was fetched without an exact version counts. |

`--option NAME VALUE` sets others for one run; nix.conf is not read for those.
";

#[test]
fn the_reference_page_is_what_the_options_say() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
    assert_page(Path::new(file), &page(INTRODUCTION, Cli::command()));
}

/// Before an option is added to a command here, see that the command reads it.
#[test]
fn each_command_has_the_options_that_it_reads() {
    insta::assert_snapshot!(options(Cli::command()).join("\n"));
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
        "instantiate --impure",
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
            Failure::Nix(report) => panic!("{}", String::from_utf8_lossy(&report)),
        }
    }
}
