//! Whether a line is complete, and how it could go on.

use std::fs;

use nix_evaluator::parser::parse;

use super::line::{COMMANDS, Line};
use super::session::Session;

/// More has to be typed before the text means something.
pub(super) fn is_incomplete(text: &str) -> bool {
    let source = match Line::of(text) {
        Line::Expression(source) | Line::Definition(_, source) => source,
        Line::Command(command, source) if command.takes_expression() => source,
        Line::Command(..) | Line::Unknown(_) => return false,
    };
    !source.is_empty() && parse(source.as_bytes()).is_err_and(|error| error.is_incomplete())
}

/// Where the word before the cursor starts, and what it could become.
pub(super) fn completions(session: &mut Session<'_, '_>, text: &str) -> (usize, Vec<String>) {
    if text.starts_with(':') && !text.contains(char::is_whitespace) {
        let names = COMMANDS.iter().flat_map(|about| about.names);
        let names = names.filter(|name| name.starts_with(text));
        return (0, names.map(|&name| name.to_owned()).collect());
    }
    let start = word_start(text);
    let word = &text[start..];
    if word.contains('/')
        || matches!(Line::of(text), Line::Command(command, _) if command.takes_file())
    {
        return files(text);
    }
    let names = match word.rsplit_once('.') {
        None => session.variables(),
        Some((set, _)) => session.attribute_names(set),
    };
    let (set, begun) = match word.rsplit_once('.') {
        None => (String::new(), word),
        Some((set, begun)) => (format!("{set}."), begun),
    };
    let fitting = names.into_iter().filter(|name| name.starts_with(begun));
    (start, fitting.map(|name| format!("{set}{name}")).collect())
}

/// Names, their paths and what paths are made of; strings as names are not completed.
fn word_start(text: &str) -> usize {
    let part_of_word = |char: char| char.is_alphanumeric() || "_'-./~".contains(char);
    text.char_indices()
        .rev()
        .take_while(|&(_, char)| part_of_word(char))
        .last()
        .map_or(text.len(), |(start, _)| start)
}

fn files(text: &str) -> (usize, Vec<String>) {
    let start = text.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let word = &text[start..];
    let (folder, begun) = match word.rfind('/') {
        Some(slash) => word.split_at(slash + 1),
        None => ("", word),
    };
    let shown = if folder.is_empty() { "./" } else { folder };
    let Ok(entries) = fs::read_dir(shown) else {
        return (start, Vec::new());
    };
    let mut found: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let end = if entry.path().is_dir() { "/" } else { "" };
            name.starts_with(begun)
                .then(|| format!("{folder}{name}{end}"))
        })
        .collect();
    found.sort();
    (start, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_too_early_is_incomplete() {
        for text in [
            "{ a = 1;",
            "let x = 1; in",
            "f = x:",
            ":p [ 1",
            "''\n  text",
        ] {
            assert!(is_incomplete(text), "{text}");
        }
        for text in ["", "1", ":l file", ":q", "x = 1", "} {", ":nonsense {"] {
            assert!(!is_incomplete(text), "{text}");
        }
    }

    #[test]
    fn a_word_is_a_path_of_attributes() {
        assert_eq!(word_start("map lib.attrsets.ma"), 4);
        assert_eq!(word_start("x + "), 4);
        assert_eq!(word_start("(lib"), 1);
    }
}
