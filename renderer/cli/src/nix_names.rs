//! Names of Nix's programs: a link to this program that has one of them takes its command lines.
//!
//! `nix` has the commands' own names, so nothing is different there.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, ArgAction, Command};

use crate::nix_settings;

/// The arguments of a program's command line, as this program has them.
pub(crate) fn as_niphas(command: &Command, mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    match name.and_then(OsStr::to_str) {
        Some("nix-instantiate") => {
            arguments.insert(1, "instantiate".into());
            arguments
        }
        Some("nix-build") => {
            arguments.insert(1, "build".into());
            with_file(command, arguments)
        }
        _ => arguments,
    }
}

/// The arguments of `build`, where the first one that is no option is the file whose attributes are built, as for `nix-build`.
fn with_file(root: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let options = root.find_subcommand("build").into_iter().chain([root]);
    let options: Vec<&Arg> = options.flat_map(Command::get_arguments).collect();
    let mut arguments = nix_settings::as_options(root, arguments).into_iter();
    let mut written: Vec<OsString> = arguments.by_ref().take(2).collect();
    written.push("--print-out-paths".into());
    let mut has_source = false;
    while let Some(argument) = arguments.next() {
        if argument.as_encoded_bytes().starts_with(b"-") {
            let option = options.iter().find(|option| is_named(option, &argument));
            has_source |=
                option.is_some_and(|option| matches!(option.get_id().as_str(), "file" | "expr"));
            let values = option.map_or(0, |option| values_after(option, &argument));
            written.push(argument);
            written.extend(arguments.by_ref().take(values));
        } else if has_source {
            written.push(argument);
        } else {
            written.extend(source(argument));
            has_source = true;
        }
    }
    if !has_source {
        written.extend(source("./default.nix".into()));
    }
    written
}

fn source(file: OsString) -> [OsString; 2] {
    match file.to_str() {
        // A file of the look-up path.
        Some(text) if text.starts_with('<') => ["--expr".into(), format!("import {text}").into()],
        _ => ["--file".into(), file],
    }
}

/// Whether an argument is this option, with or without its value.
fn is_named(option: &Arg, argument: &OsStr) -> bool {
    let Some(text) = argument.to_str() else {
        return false;
    };
    if let Some(long) = text.strip_prefix("--") {
        let name = long.split_once('=').map_or(long, |(name, _)| name);
        let aliases = option.get_all_aliases().unwrap_or_default();
        return option.get_long() == Some(name) || aliases.contains(&name);
    }
    let short = text.chars().nth(1);
    short.is_some() && option.get_short() == short
}

/// How many of the arguments after this one are values of the option.
fn values_after(option: &Arg, argument: &OsStr) -> usize {
    if !matches!(option.get_action(), ArgAction::Set | ArgAction::Append) {
        return 0;
    }
    let bytes = argument.as_encoded_bytes();
    let is_with_value = match bytes.strip_prefix(b"--") {
        Some(long) => long.contains(&b'='),
        None => bytes.len() > 2,
    };
    let values = option.get_num_args().map_or(1, |range| range.min_values());
    values - usize::from(is_with_value)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn command_lines_of_nix_are_ours() {
        for (line, expected) in [
            (
                "/bin/nix-instantiate a.nix -A b",
                "/bin/nix-instantiate instantiate a.nix -A b",
            ),
            ("nix eval .#x", "nix eval .#x"),
            ("niphas build .#x", "niphas build .#x"),
            (
                "nix-build",
                "nix-build build --print-out-paths --file ./default.nix",
            ),
            (
                "nix-build -A a -Ab --attr=c dir --no-out-link",
                "nix-build build --print-out-paths -A a -Ab --attr=c --file dir --no-out-link",
            ),
            (
                "nix-build --arg x 1 --argstr y 2 -j 3 --tarball-ttl 0 f.nix",
                "nix-build build --print-out-paths --arg x 1 --argstr y 2 -j 3 --option tarball-ttl 0 --file f.nix",
            ),
            (
                "nix-build -E 1 -A a",
                "nix-build build --print-out-paths -E 1 -A a",
            ),
        ] {
            let arguments = line.split(' ').map(OsString::from).collect();
            let written = as_niphas(&Cli::command(), arguments);
            assert_eq!(written.join(OsStr::new(" ")), expected);
        }
    }

    #[test]
    fn a_file_of_the_look_up_path_is_imported() {
        let arguments = ["nix-build", "<nixpkgs>", "-A", "hello"].map(OsString::from);
        let written = as_niphas(&Cli::command(), arguments.into());
        assert_eq!(
            written[3..5],
            ["--expr", "import <nixpkgs>"].map(OsString::from)
        );
    }
}
