//! Where an input of a lock file comes from.

use nix_flake::{Input, Scheme};

/// The URL of the repository, or of the file, that a locked input is fetched from: what a policy is asked about. None for what names
/// no server.
pub fn input_url(input: &Input) -> Option<String> {
    let attrs = input.attrs();
    let text = |name| attrs.string(name).ok().flatten();
    match input.scheme()? {
        Scheme::Git | Scheme::Tarball | Scheme::File => text("url").map(str::to_owned),
        scheme @ (Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut) => {
            let usual = match scheme {
                Scheme::GitHub => "github.com",
                Scheme::GitLab => "gitlab.com",
                _ => "git.sr.ht",
            };
            let host = text("host").unwrap_or(usual);
            let (owner, repository) = (text("owner")?, text("repo")?);
            // GitLab's groups within groups are one part.
            let owner = owner.replace("%2F", "/").replace("%2f", "/");
            Some(format!("https://{host}/{owner}/{repository}"))
        }
        Scheme::Path | Scheme::Indirect => None,
    }
}
