//! Pages of command lines, made from clap.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::cell;

/// The page of a program's command line: its commands, each with its options by heading. `about` follows the first sentence.
pub fn command_line_page(about: &str, mut program: Command) -> String {
    program.build();
    let name = program.get_name().to_owned();
    let mut page = format!(
        "# The command line of `{name}`\n\nA test makes this page of the program's options. {}\n",
        about.trim_end()
    );
    describe(&mut program, &name, &mut page);
    page
}

/// The options of each command that has no commands of its own, by name: `cache push: to sign_keys …`. Those of `everywhere`
/// are global: the program reads them before it runs any command.
///
/// # Panics
///
/// If another option is global. All commands take such an option, and the compiler cannot report those that do not read it, as it does
/// for a field of a command's own arguments.
pub fn options(mut program: Command, everywhere: &[&str]) -> Vec<String> {
    program.build();
    let mut lines = Vec::new();
    list(&program, "", everywhere, &mut lines);
    lines
}

fn list(command: &Command, name: &str, everywhere: &[&str], lines: &mut Vec<String>) {
    if !command.has_subcommands() {
        for arg in command.get_arguments() {
            let id = arg.get_id();
            let is_expected = !arg.is_global_set() || everywhere.contains(&id.as_str());
            assert!(is_expected, "{name} takes the global option {id}");
        }
        let ids = command
            .get_arguments()
            .filter(|arg| !is_builtin(arg) && !arg.is_global_set());
        let ids: Vec<&str> = ids.map(|arg| arg.get_id().as_str()).collect();
        lines.push(format!("{name}: {}", ids.join(" ")));
    }
    for command in commands(command) {
        let name = format!("{name} {}", command.get_name());
        list(command, name.trim_start(), everywhere, lines);
    }
}

fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    let all = command.get_subcommands();
    all.filter(|command| command.get_name() != "help" && !command.is_hide_set())
}

fn describe(command: &mut Command, name: &str, page: &mut String) {
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let _ = write!(page, "\n## `{name}`\n\n");
    let about = command.get_long_about().or(command.get_about());
    if let Some(about) = about {
        let _ = write!(page, "{}\n\n", about.to_string().trim_end());
    }
    for line in usage.lines() {
        let _ = writeln!(page, "    {}", line.trim_start());
    }
    let mut headings: Vec<&str> = Vec::new();
    // Options that all commands have are described once, where the program is.
    let is_below = name.contains(' ');
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| is_shown(arg) && !(is_below && arg.is_global_set()))
        .collect();
    for arg in &shown {
        if !headings.contains(&heading(arg)) {
            headings.push(heading(arg));
        }
    }
    for wanted in headings {
        let _ = write!(page, "\n| {wanted} | |\n|---|---|\n");
        for arg in shown.iter().filter(|arg| heading(arg) == wanted) {
            let _ = writeln!(page, "| {} | {} |", spelled(arg), cell(&help(arg)));
        }
    }
    let after = command.get_after_long_help().or(command.get_after_help());
    if let Some(after) = after {
        page.push('\n');
        for line in after.to_string().lines() {
            let _ = writeln!(page, "    {line}");
        }
    }
    let names: Vec<String> = commands(command)
        .map(|command| command.get_name().to_owned())
        .collect();
    for below in names {
        if let Some(command) = command.find_subcommand_mut(&below) {
            describe(command, &format!("{name} {below}"), page);
        }
    }
}

fn is_builtin(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn is_shown(arg: &Arg) -> bool {
    !is_builtin(arg) && !arg.is_hide_set()
}

fn heading(arg: &Arg) -> &str {
    match arg.get_help_heading() {
        Some(heading) => heading,
        None if arg.is_positional() => "Arguments",
        None => "Options",
    }
}

/// An option as it is written, with its values.
fn spelled(arg: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let values: Vec<String> = match arg.get_value_names() {
        _ if !arg.get_action().takes_values() => Vec::new(),
        Some(values) => values.iter().map(|value| format!("<{value}>")).collect(),
        None => vec![format!("<{}>", arg.get_id())],
    };
    let values = values.join(" ");
    match (names.is_empty(), values.is_empty()) {
        (true, _) => format!("`{values}`"),
        (false, true) => format!("`{}`", names.join("`, `")),
        (false, false) => format!("`{} {values}`", names.join("`, `")),
    }
}

fn help(arg: &Arg) -> String {
    let text = arg.get_long_help().or(arg.get_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    let mut parts: Vec<String> = text.split("\n\n").map(str::to_owned).collect();
    let takes_values = arg.get_action().takes_values();
    let possible = arg.get_possible_values();
    if takes_values && !possible.is_empty() && !arg.is_hide_possible_values_set() {
        let names: Vec<String> = possible
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        parts.push(format!("One of {}.", names.join(", ")));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.display()))
        .collect();
    if takes_values && !defaults.is_empty() {
        parts.push(format!("Default: {}.", defaults.join(" ")));
    }
    if let Some(variable) = arg.get_env().filter(|_| !arg.is_hide_env_set()) {
        parts.push(format!("Variable: `{}`.", variable.display()));
    }
    if arg.is_required_set() && !arg.is_positional() {
        parts.push("Required.".to_owned());
    }
    parts.retain(|part| !part.is_empty());
    let ended = parts.into_iter().map(|part| match part.trim_end() {
        part if part.ends_with(['.', ':', ';']) => part.to_owned(),
        part => format!("{part}."),
    });
    ended.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let all = Arg::new("all").long("all").action(clap::ArgAction::SetTrue);
        let to = Arg::new("to")
            .long("to")
            .value_name("URL")
            .env("P_TO")
            .required(true)
            .help("Push to a|b");
        let level = Arg::new("level")
            .short('l')
            .long("level")
            .default_value("3")
            .help("Try harder")
            .help_heading("Speed");
        let path = Arg::new("path").value_name("PATH").help("The path");
        let push = Command::new("push-all")
            .about("Push")
            .args([to, level, path]);
        Command::new("my-program")
            .about("Do it")
            .arg(all)
            .subcommand(Command::new("cache").subcommand(push))
    }

    #[test]
    fn a_page_has_every_command_with_its_options() {
        let page = command_line_page("More: b.md.\n", program());
        let expected = [
            "# The command line of `my-program`\n\nA test makes this page of the program's options. More: b.md.\n\n",
            "## `my-program`\n\nDo it\n",
            "\n| Options | |\n|---|---|\n| `--all` |  |\n",
            "## `my-program cache push-all`\n\nPush\n\n    my-program cache push-all [OPTIONS] --to <URL> [PATH]\n",
            "| Arguments | |\n|---|---|\n| `<PATH>` | The path. |\n",
            "| `--to <URL>` | Push to a\\|b. Variable: `P_TO`. Required. |\n",
            "| Speed | |\n|---|---|\n| `-l`, `--level <level>` | Try harder. Default: `3`. |\n",
        ];
        for part in expected {
            assert!(page.contains(part), "{part}\nis not in\n{page}");
        }
        assert_eq!(options(program(), &[]), ["cache push-all: to level path"]);
    }

    #[test]
    #[should_panic(expected = "cache push-all takes the global option all")]
    fn a_global_option_is_noticed() {
        options(
            program().mut_arg("all", |all| all.global(true)),
            &["verbose"],
        );
    }

    #[test]
    fn options_that_all_commands_have_are_described_once() {
        let program = program().mut_arg("all", |all| all.global(true));
        assert_eq!(
            options(program.clone(), &["all"]),
            ["cache push-all: to level path"]
        );
        let page = command_line_page("", program);
        assert_eq!(page.matches("`--all`").count(), 1, "{page}");
    }
}
