//! Lines of a session: expressions, definitions and commands.

use niphas_terminal::print_line;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'t> {
    Expression(&'t str),
    /// A name and what it stands for.
    Definition(&'t str, &'t str),
    /// A command and what follows it.
    Command(Command, &'t str),
    /// A name that no command has.
    Unknown(&'t str),
}

/// What begins with a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Add,
    Build,
    BuildAndLink,
    Documentation,
    Environment,
    Load,
    LoadFlake,
    LastLoaded,
    Log,
    Print,
    Quit,
    Reload,
    Type,
    Trace,
}

/// A command's names, what follows it, and what it does.
pub(super) struct About {
    command: Command,
    pub names: &'static [&'static str],
    argument: &'static str,
    does: &'static str,
}

macro_rules! commands {
    ($($command:ident [$($name:literal)*] $argument:literal $about:literal)*) => {
        &[$(About {
            command: Command::$command,
            names: &[$($name),*],
            argument: $argument,
            does: $about,
        }),*]
    };
}

pub(super) const COMMANDS: &[About] = commands! {
    Help [":?" ":help"] "" "Show this"
    Add [":a" ":add"] "<expr>" "Make variables of a set's attributes"
    Build [":b" ":build"] "<expr>" "Build all outputs of a derivation"
    BuildAndLink [":bl"] "<expr>" "Build a derivation, and keep its outputs: links repl-result-OUTPUT in this directory"
    Documentation [":doc"] "<expr>" "Show what is written about a function"
    Environment [":env"] "" "Show the variables of this session"
    Load [":l" ":load"] "<file>" "Load a Nix file, and make variables of its attributes"
    LoadFlake [":lf" ":load-flake"] "<flake>" "Load a flake, and make variables of its outputs"
    LastLoaded [":ll" ":last-loaded"] "" "Show the variables that came with what was loaded last"
    Log [":log"] "<expr>" "Show the log of a derivation's build"
    Print [":p" ":print"] "<expr>" "Evaluate an expression all the way down, and print it; a string as it is"
    Quit [":q" ":quit"] "" "End the session"
    Reload [":r" ":reload"] "" "Reload all files; other variables are gone"
    Type [":t"] "<expr>" "Show what type a value has"
    Trace [":te" ":trace-enable"] "[true|false]" "Show the whole way to errors, or only its end"
};

impl Command {
    pub(super) fn takes_expression(self) -> bool {
        matches!(
            self,
            Command::Add
                | Command::Build
                | Command::BuildAndLink
                | Command::Documentation
                | Command::Log
                | Command::Print
                | Command::Type
        )
    }

    pub(super) fn takes_file(self) -> bool {
        matches!(self, Command::Load | Command::LoadFlake)
    }
}

impl<'t> Line<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let text = text.trim();
        if text.starts_with(':') {
            let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            let known = COMMANDS.iter().find(|about| about.names.contains(&name));
            return match known {
                Some(about) => Line::Command(about.command, rest.trim()),
                None => Line::Unknown(name),
            };
        }
        if let Some((name, value)) = text.split_once('=')
            && is_name(name.trim())
            && !value.starts_with('=')
        {
            let value = value.trim();
            return Line::Definition(name.trim(), value.strip_suffix(';').unwrap_or(value));
        }
        Line::Expression(text)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "_'-".contains(char))
}

/// Prints what lines can be.
pub(super) fn help() {
    print_line(b"<expr>                        Evaluate an expression, and print one level of it");
    print_line(b"<name> = <expr>               Define a variable");
    for about in COMMANDS {
        let line = format!("{} {}", about.names.join(", "), about.argument);
        print_line(format!("{line:<29} {}", about.does).as_bytes());
    }
}
