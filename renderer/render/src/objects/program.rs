//! What a workload runs, and the files that it reads: texts that are likely not what they were meant to be.

use nix_formats::StoreDir;

use super::place::Place;
use crate::schema::Checker;

/// Checks the attributes of a workload.
pub(super) fn check(checker: &mut Checker<'_>, attributes: &Place<'_>) {
    let program = attributes.value["command"][0].as_str();
    if let Some(program) = program.filter(|program| has_options(program)) {
        let problem = format!("the program's name is {program:?}, blanks and options included");
        let remedy =
            "write a list, the program and each option for itself, or write the options as args";
        attributes.field("command").report(checker, problem, remedy);
    }
    let files = attributes.field("files");
    for (path, file) in files.value.as_object().into_iter().flatten() {
        let text = file["text"].as_str().unwrap_or_default();
        if is_store_path(text) {
            let problem = format!("the file would hold the path {text}, not what lies there");
            let remedy = "write builtins.readFile ./file for what is in it; a text that is meant to be a path ends in a line feed";
            files.field(path).report(checker, problem, remedy);
        }
    }
}

/// `api --port 80` is no name of a program, unlike `My Program`.
fn has_options(program: &str) -> bool {
    program.contains(" -")
}

/// A path literal in Nix becomes this, and nothing else in the text.
fn is_store_path(text: &str) -> bool {
    !text.contains(char::is_whitespace)
        && StoreDir::default().parse_subpath(text.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_one_path_are_told_from_others() {
        let path = "/nix/store/9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-app.conf";
        assert!(is_store_path(path));
        for text in [
            "",
            "/etc/app.conf",
            "/nix/store",
            &format!("{path}\n"),
            &format!("include {path}"),
        ] {
            assert!(!is_store_path(text), "{text:?}");
        }
    }

    #[test]
    fn programs_with_options_are_told_from_names() {
        assert!(has_options("api --port 80") && has_options("sh -c"));
        assert!(!has_options("/nix/root/bin/My Program") && !has_options("a-b"));
    }
}
