//! For tests: reference pages of command lines, made from clap, so that a page and its program cannot differ.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Arg, Command};

/// The page of a program: an introduction, then each command with its options by heading.
pub fn page(introduction: &str, mut program: Command) -> String {
    program.build();
    let mut page = introduction.trim_end().to_owned() + "\n";
    let name = program.get_name().to_owned();
    describe(&mut program, &name, &mut page);
    page
}

/// Fails if a page differs from its file; with `NIPHAS_BLESS` set the file is written instead.
///
/// # Panics
///
/// If they differ, or the file cannot be written.
pub fn assert_page(file: &Path, page: &str) {
    if std::env::var_os("NIPHAS_BLESS").is_some() {
        let written = fs::write(file, page);
        assert!(written.is_ok(), "cannot write '{}'", file.display());
        return;
    }
    let found = fs::read_to_string(file).unwrap_or_default();
    let line = found.lines().zip(page.lines()).position(|(a, b)| a != b);
    assert!(
        found == page,
        "'{}' is not what the program's options say, from line {}: run this test with NIPHAS_BLESS=1",
        file.display(),
        line.unwrap_or_else(|| found.lines().count().min(page.lines().count())) + 1
    );
}

/// The options of each command that has no commands of its own, by name: `cache push: to sign_keys …`.
pub fn options(mut program: Command) -> Vec<String> {
    program.build();
    let mut lines = Vec::new();
    list(&program, "", &mut lines);
    lines
}

fn list(command: &Command, name: &str, lines: &mut Vec<String>) {
    if !command.has_subcommands() {
        let ids = command.get_arguments().filter(|arg| !is_builtin(arg));
        let ids: Vec<&str> = ids.map(|arg| arg.get_id().as_str()).collect();
        lines.push(format!("{name}: {}", ids.join(" ")));
    }
    for command in commands(command) {
        let name = format!("{name} {}", command.get_name());
        list(command, name.trim_start(), lines);
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
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| is_shown(arg, command))
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

/// Options of the whole program stand with the program.
fn is_shown(arg: &Arg, command: &Command) -> bool {
    let is_inherited = arg.is_global_set() && !command.has_subcommands();
    !is_builtin(arg) && !arg.is_hide_set() && !is_inherited
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

/// Text in one cell of a table.
fn cell(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = words.replace('|', "\\|");
    let parts = parts.split('`').enumerate().map(|(index, part)| {
        // Between back quotes all counts as it is.
        let is_code = index % 2 == 1;
        if is_code {
            part.to_owned()
        } else {
            part.replace('<', "&lt;")
        }
    });
    parts.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let all = Arg::new("all")
            .long("all")
            .global(true)
            .action(clap::ArgAction::SetTrue);
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
        let page = page("# p\n", program());
        let expected = [
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
        assert_eq!(options(program()), ["cache push-all: to level path all"]);
    }
}
