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
        names: &[":b", ":bl", ":build"],
        reason: "niphas evaluates without building",
        instead: "':p x.drvPath' prints the derivation; with Nix, 'nix build' builds it",
    },
    Refused {
        names: &[":i"],
        reason: "niphas builds nothing, and has no profiles to install into",
        instead: "with Nix, 'nix profile add' installs a package",
    },
    Refused {
        names: &[":s", ":sh", ":u"],
        reason: "a shell needs its dependencies built, and niphas evaluates without building",
        instead: "with Nix, 'nix develop' and 'nix shell' start shells",
    },
    Refused {
        names: &[":log"],
        reason: "niphas builds nothing, and so has no build logs",
        instead: "with Nix, 'nix log' shows the log of a build",
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
    use crate::commands::repl::session::COMMANDS;

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
