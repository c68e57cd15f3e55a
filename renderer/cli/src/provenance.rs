//! Where a flake comes from, as a commit is to say.

use std::path::PathBuf;

use niphas_gitops::Source as SourceRevision;
use niphas_http::redacted;
use nix_formats::HashAlgorithm;
use nix_formats::HashFormat;

use crate::failure::Failure;
use crate::flake::Source;

/// The origin of a flake.
pub(crate) struct Origin {
    /// Its repository and revision, if it is in one.
    pub source: Option<SourceRevision>,
    /// A clone with the repository's history, if there is one on this machine.
    pub clone: Option<PathBuf>,
    /// The hash of its lock file.
    pub flake_lock: String,
}

/// Finds out where a flake comes from.
pub(crate) fn of(source: &Source) -> Result<Origin, Failure> {
    let flake = &source.locked.flake;
    let input = &flake.locked.input;
    let attrs = input.attrs();
    let revision = match (input.rev()?, attrs.string("dirtyRev")?) {
        (Some(rev), _) => Some(rev),
        (None, Some(dirty)) => Some(dirty.to_owned()),
        (None, None) => None,
    };
    let folder = source.locked.source_folder();
    let repository = match (attrs.string("url")?, folder.as_deref()) {
        (_, Some(folder)) => {
            niphas_gitops::origin_url(folder).unwrap_or_else(|| flake.resolved.to_string())
        }
        (Some(url), None) => redacted(url),
        (None, None) => flake.resolved.to_string(),
    };
    let lock_file = source.locked.lock_file.to_json();
    let hash = HashAlgorithm::Sha256.digest(lock_file.as_bytes());
    Ok(Origin {
        source: revision.map(|revision| SourceRevision {
            repository,
            revision,
        }),
        clone: folder,
        flake_lock: hash.to_string(HashFormat::Sri, true),
    })
}
