//! Programs that git's configuration of the user or the machine names. What a repository's own configuration names is not run.

use git2::Config;

/// The pager, `core.pager`.
pub fn pager() -> Option<String> {
    setting("core.pager")
}

/// The program for OpenPGP keys; git's own default if none is named.
pub(crate) fn gpg() -> String {
    let named = setting("gpg.openpgp.program").or_else(|| setting("gpg.program"));
    named.unwrap_or_else(|| "gpg".to_owned())
}

fn setting(name: &str) -> Option<String> {
    Config::open_default().ok()?.get_string(name).ok()
}
