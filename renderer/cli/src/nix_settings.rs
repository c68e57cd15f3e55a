//! Nix's settings as options: `--NAME VALUE`, `--extra-NAME VALUE`, and `--NAME` or `--no-NAME` where it is true or false.
//!
//! Nix takes each of its settings so; commands with `--option` do, too. What they read is in effect, all others are ignored, as with
//! `--option`. An option of the command's own goes before a setting of the same name. Settings that say what is trusted, where builds
//! go and what they see are not among them: to ignore one of those would not be what was asked for.

use std::collections::HashSet;
use std::ffi::OsString;

use clap::Command;

/// Those that are true or false (`nix config show` of 2.34.8).
const SWITCHES: &[&str] = &[
    "abort-on-warn",
    "accept-flake-config",
    "allow-dirty",
    "allow-dirty-locks",
    "allow-import-from-derivation",
    "allow-new-privileges",
    "allow-symlinked-store",
    "allow-unsafe-native-code-during-evaluation",
    "always-allow-substitutes",
    "auto-allocate-uids",
    "auto-optimise-store",
    "builders-use-substitutes",
    "compress-build-log",
    "debugger-on-trace",
    "debugger-on-warn",
    "eval-cache",
    "fallback",
    "filter-syscalls",
    "fsync-metadata",
    "fsync-store-paths",
    "http2",
    "ignore-try",
    "impersonate-linux-26",
    "keep-build-log",
    "keep-derivations",
    "keep-env-derivations",
    "keep-failed",
    "keep-going",
    "keep-outputs",
    "nix-shell-always-looks-for-shell-nix",
    "nix-shell-shebang-arguments-relative-to-script",
    "preallocate-contents",
    "print-missing",
    "pure-eval",
    "require-drop-supplementary-groups",
    "restrict-eval",
    "run-diff-hook",
    "sandbox",
    "sandbox-fallback",
    "show-trace",
    "substitute",
    "sync-before-registering",
    "trace-function-calls",
    "trace-import-from-derivation",
    "trace-verbose",
    "trust-tarballs-from-git-forges",
    "use-case-hack",
    "use-cgroups",
    "use-registries",
    "use-sqlite-wal",
    "use-xdg-base-directories",
    "warn-dirty",
    "warn-short-path-literals",
];

/// Those that `extra-NAME` adds to.
const LISTS: &[&str] = &[
    "access-tokens",
    "allowed-impure-host-deps",
    "allowed-uris",
    "allowed-users",
    "build-hook",
    "experimental-features",
    "external-builders",
    "extra-platforms",
    "hashed-mirrors",
    "ignored-acls",
    "impure-env",
    "nix-path",
    "system-features",
    "trusted-users",
];

/// Those with one value.
const VALUES: &[&str] = &[
    "bash-prompt",
    "bash-prompt-prefix",
    "bash-prompt-suffix",
    "build-dir",
    "build-poll-interval",
    "build-users-group",
    "builders",
    "commit-lock-file-summary",
    "connect-timeout",
    "cores",
    "diff-hook",
    "download-attempts",
    "download-buffer-size",
    "download-speed",
    "eval-attrset-update-layer-rhs-threshold",
    "eval-profile-file",
    "eval-profiler",
    "eval-profiler-frequency",
    "eval-system",
    "flake-registry",
    "gc-reserved-space",
    "http-connections",
    "id-count",
    "json-log-path",
    "lint-absolute-path-literals",
    "lint-short-path-literals",
    "lint-url-literals",
    "log-lines",
    "max-build-log-size",
    "max-call-depth",
    "max-free",
    "max-jobs",
    "max-silent-time",
    "max-substitution-jobs",
    "min-free",
    "min-free-check-interval",
    "nar-buffer-size",
    "narinfo-cache-meta-ttl",
    "narinfo-cache-negative-ttl",
    "narinfo-cache-positive-ttl",
    "netrc-file",
    "sandbox-build-dir",
    "sandbox-dev-shm-size",
    "ssl-cert-file",
    "stalled-download-timeout",
    "start-id",
    "system",
    "tarball-ttl",
    "timeout",
    "upgrade-nix-store-path-url",
    "user-agent-suffix",
    "warn-large-path-threshold",
];

/// The arguments of a program's command line, with each setting as `--option NAME VALUE`.
pub(crate) fn as_options(command: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let Some((place, own)) = options_of(command, &arguments) else {
        return arguments;
    };
    let mut arguments = arguments.into_iter();
    let mut written: Vec<OsString> = arguments.by_ref().take(place).collect();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            written.push(argument);
            break;
        }
        let setting = argument.to_str().and_then(|text| text.strip_prefix("--"));
        let meaning = setting
            .filter(|name| !own.contains(*name))
            .and_then(meaning);
        let value = match meaning {
            Some((_, Some(value))) => Some(value.into()),
            Some((_, None)) => arguments.next(),
            None => None,
        };
        match (meaning, value) {
            (Some((name, _)), Some(value)) => {
                written.extend(["--option".into(), name.into(), value]);
            }
            // It is an option of the command, or no option; or its value is missing, which the grammar says.
            _ => written.push(argument),
        }
    }
    written.extend(arguments);
    written
}

/// The settings that a command line gives by `--option`, in its order.
pub(crate) fn given(arguments: &[OsString]) -> Vec<[String; 2]> {
    let before = arguments.iter().position(|argument| argument == "--");
    let arguments = &arguments[..before.unwrap_or(arguments.len())];
    arguments
        .windows(3)
        .filter(|words| words[0] == "--option")
        .filter_map(|words| Some([words[1].to_str()?.to_owned(), words[2].to_str()?.to_owned()]))
        .collect()
}

/// The setting that an option without its dashes is, and its value if the name says it.
fn meaning(option: &str) -> Option<(&str, Option<&'static str>)> {
    if SWITCHES.contains(&option) {
        return Some((option, Some("true")));
    }
    if option == "relaxed-sandbox" {
        return Some(("sandbox", Some("relaxed")));
    }
    if let Some(name) = option.strip_prefix("no-")
        && SWITCHES.contains(&name)
    {
        return Some((name, Some("false")));
    }
    let plain = option.strip_prefix("extra-");
    let is_known =
        LISTS.contains(&plain.unwrap_or(option)) || plain.is_none() && VALUES.contains(&option);
    is_known.then_some((option, None))
}

/// Where the options of the named command begin, and the long names that it has; nothing for a command without `--option`.
fn options_of<'a>(root: &'a Command, arguments: &[OsString]) -> Option<(usize, HashSet<&'a str>)> {
    let mut command = root;
    let mut place = 1;
    for (index, argument) in arguments.iter().enumerate().skip(1) {
        let is_option = argument.as_encoded_bytes().starts_with(b"-");
        match command.find_subcommand(argument) {
            Some(named) => (command, place) = (named, index + 1),
            // The values of options before the first command are skipped.
            None if !is_option && place > 1 => break,
            None => {}
        }
    }
    let names: HashSet<&str> = command
        .get_arguments()
        .chain(root.get_arguments())
        .flat_map(|argument| {
            let aliases = argument.get_all_aliases().unwrap_or_default();
            argument.get_long().into_iter().chain(aliases)
        })
        .collect();
    names.contains("option").then_some((place, names))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn written(line: &str) -> String {
        let arguments = line.split(' ').map(OsString::from).collect();
        let written = as_options(&Cli::command(), arguments);
        written.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn settings_are_options_of_commands_that_take_them() {
        for (line, expected) in [
            (
                "niphas eval .#x --tarball-ttl 0",
                "niphas eval .#x --option tarball-ttl 0",
            ),
            (
                "niphas eval --sandbox --no-warn-dirty .#x",
                "niphas eval --option sandbox true --option warn-dirty false .#x",
            ),
            (
                "niphas instantiate --relaxed-sandbox",
                "niphas instantiate --option sandbox relaxed",
            ),
            (
                "niphas build --extra-access-tokens a=b",
                "niphas build --option extra-access-tokens a=b",
            ),
            (
                "niphas --color never eval --gc-reserved-space 1",
                "niphas --color never eval --option gc-reserved-space 1",
            ),
        ] {
            assert_eq!(written(line), expected);
        }
    }

    #[test]
    fn what_a_command_has_itself_or_does_not_know_stays() {
        for line in [
            "niphas eval --show-trace --max-jobs 3 --system x86_64-linux",
            "niphas eval --no-such-setting --extra-cores 3",
            "niphas eval --expr 1 -- --sandbox",
            "niphas key generate --sandbox",
            "niphas eval --tarball-ttl",
            "niphas",
        ] {
            assert_eq!(written(line), line);
        }
    }

    #[test]
    fn each_setting_is_named_once() {
        let all: Vec<&&str> = SWITCHES.iter().chain(LISTS).chain(VALUES).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn the_settings_of_a_command_line_come_in_its_order() {
        let line = [
            "niphas", "eval", "--option", "cores", "1", "--option", "cores", "2", "--", "--option",
            "cores", "3",
        ];
        let found = given(&line.map(OsString::from));
        assert_eq!(found, [["cores", "1"], ["cores", "2"]]);
    }
}
