//! Which environments of a flake a command line names.

use anyhow::anyhow;

use crate::failure::Failure;

/// A flake on the command line, and environments of it.
#[derive(Debug, clap::Args)]
pub(crate) struct SelectionArgs {
    /// The flake; after '#' one environment of it, as in `.#staging`
    #[arg(default_value = ".")]
    pub(crate) flake: String,
    /// Take only this environment; repeatable [default: all]
    #[arg(short, long = "environment", value_name = "NAME")]
    environments: Vec<String>,
}

impl SelectionArgs {
    /// The names of the environments, of which one may be the fragment of the flake: none for all.
    pub(crate) fn names(&self, fragment: &str) -> Result<Vec<String>, Failure> {
        let selected = match fragment.strip_prefix("niphasConfigurations.") {
            Some(name) => name,
            None => fragment,
        };
        match (selected, self.environments.as_slice()) {
            ("", names) => Ok(names.to_vec()),
            (name, []) => Ok(vec![name.to_owned()]),
            (name, _) => Err(Failure::with_hint(
                anyhow!(
                    "'{}' names environment '{name}', and --environment others",
                    self.flake
                ),
                "name the environments in one way",
            )),
        }
    }

    /// The flake without what stands after `#`.
    pub(crate) fn reference(&self) -> &str {
        match self.flake.split('#').next() {
            None | Some("") => ".",
            Some(reference) => reference,
        }
    }

    /// The same arguments, as a shell reads them.
    pub(crate) fn words(&self) -> String {
        let mut words = String::new();
        if self.flake != "." {
            words = format!(" {}", quoted(&self.flake));
        }
        for name in &self.environments {
            words += " --environment ";
            words += &quoted(name);
        }
        words
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+/:@%=,#".contains(c);
    if word.chars().all(is_plain) && !word.starts_with('#') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(flake: &str, environments: &[&str]) -> SelectionArgs {
        SelectionArgs {
            flake: flake.to_owned(),
            environments: environments.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn the_arguments_can_be_given_to_a_shell_again() {
        assert_eq!(selection(".", &[]).words(), "");
        assert_eq!(selection(".#staging", &[]).words(), " .#staging");
        assert_eq!(selection("#staging", &[]).words(), " '#staging'");
        let odd = selection("git+file:///it's?dir=a", &["a", "b c"]);
        assert_eq!(
            odd.words(),
            r" 'git+file:///it'\''s?dir=a' --environment a --environment 'b c'"
        );
        assert_eq!(odd.reference(), "git+file:///it's?dir=a");
        assert_eq!(selection("#x", &[]).reference(), ".");
        assert_eq!(selection("./a#x", &[]).reference(), "./a");
    }
}
