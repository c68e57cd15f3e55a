//! Who commits are by: what git itself would take.

use git2::{Repository, Signature};

use crate::error::Error;
use crate::repository::Author;

/// Who a commit is by.
pub(crate) struct Identity {
    pub(crate) author: Signature<'static>,
    pub(crate) committer: Signature<'static>,
}

impl Identity {
    /// An author that was named does both; else git's variables say, then its configuration.
    pub(crate) fn of(repository: &Repository, named: Option<&Author>) -> Result<Self, Error> {
        if let Some(named) = named {
            let author = Signature::now(&named.name, &named.email)?;
            let committer = author.clone();
            return Ok(Self { author, committer });
        }
        let configured = repository.signature().ok();
        let configured = configured.as_ref().and_then(|signature| {
            let (name, email) = (signature.name().ok()?, signature.email().ok()?);
            Some((name.to_owned(), email.to_owned()))
        });
        let variable = |name: &str| std::env::var(name).ok();
        Ok(Self {
            author: signature(
                variable("GIT_AUTHOR_NAME"),
                variable("GIT_AUTHOR_EMAIL"),
                configured.as_ref(),
            )?,
            committer: signature(
                variable("GIT_COMMITTER_NAME"),
                variable("GIT_COMMITTER_EMAIL"),
                configured.as_ref(),
            )?,
        })
    }
}

/// What a variable does not say is as configured, or the program's own.
fn signature(
    name: Option<String>,
    email: Option<String>,
    configured: Option<&(String, String)>,
) -> Result<Signature<'static>, Error> {
    let is_set = |text: &String| !text.trim().is_empty();
    let (own_name, own_email) = match configured {
        Some((name, email)) => (name.as_str(), email.as_str()),
        None => ("niphas", "niphas@localhost"),
    };
    let name = name.filter(is_set).unwrap_or_else(|| own_name.to_owned());
    let email = email.filter(is_set).unwrap_or_else(|| own_email.to_owned());
    Ok(Signature::now(&name, &email)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_go_before_the_configuration() {
        let configured = ("Conf".to_owned(), "conf@example.org".to_owned());
        let text = |text: &str| Some(text.to_owned());
        for (name, email, configured, expected) in [
            (
                text("Ann"),
                text("ann@example.org"),
                Some(&configured),
                "Ann <ann@example.org>",
            ),
            (
                text("Ann"),
                None,
                Some(&configured),
                "Ann <conf@example.org>",
            ),
            (
                text(" "),
                text(""),
                Some(&configured),
                "Conf <conf@example.org>",
            ),
            (None, None, None, "niphas <niphas@localhost>"),
            (text("Ann"), None, None, "Ann <niphas@localhost>"),
        ] {
            let signature = signature(name, email, configured).unwrap();
            assert_eq!(signature.to_string(), expected);
        }
    }
}
