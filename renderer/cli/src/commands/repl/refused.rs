//! Commands of `nix repl` that this one does not have, and why.

use anyhow::anyhow;

use crate::failure::Failure;

/// What refuses a command, and what to do instead.
struct Refused {
    names: &'static [&'static str],
    reason: &'static str,
    instead: &'static str,
}

const REFUSED: &[Refused] = &[
    Refused {
        names: &[":i"],
        reason: "niphas has no profiles to install into",
        instead: "':bl' builds a derivation and links to it",
    },
    Refused {
        names: &[":s", ":sh", ":u"],
        reason: "a session starts no shells",
        instead: "':b' builds a derivation; with Nix, 'nix develop' and 'nix shell' start shells",
    },
    Refused {
        names: &[":e", ":edit"],
        reason: "a session starts no editor",
        instead: "':p builtins.unsafeGetAttrPos \"x\" set' prints where an attribute is defined",
    },
];

/// Why a command of Nix's is none here; none for other names.
pub(super) fn refusal(name: &str) -> Option<Failure> {
    let refused = REFUSED
        .iter()
        .find(|refused| refused.names.contains(&name))?;
    Some(Failure::with_hint(
        anyhow!("'{name}' is not available here: {}", refused.reason),
        refused.instead,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::repl::line::COMMANDS;

    #[test]
    fn what_is_refused_is_no_command() {
        let names = REFUSED.iter().flat_map(|refused| refused.names);
        for name in names {
            assert!(
                !COMMANDS.iter().any(|about| about.names.contains(name)),
                "{name}"
            );
        }
        assert!(refusal(":nope").is_none());
    }
}
