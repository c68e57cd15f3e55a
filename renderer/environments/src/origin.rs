//! Where a flake comes from, as a commit is to say.

use std::path::PathBuf;

use niphas_gitops::{Relation, Source, history_in, origin_url};
use niphas_http::redacted;
use nix_flake::RefError;
use nix_formats::{HashAlgorithm, HashFormat};

use crate::opened_flake::OpenedFlake;

/// The origin of a flake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its repository and revision, if it is in one.
    pub source: Option<Source>,
    /// The hash of its lock file.
    pub flake_lock: String,
    /// A clone with the repository's history, if there is one on this machine.
    clone: Option<PathBuf>,
}

impl Origin {
    /// Finds out where a flake comes from.
    pub fn of(flake: &OpenedFlake) -> Result<Self, RefError> {
        let locked = &flake.locked;
        let input = &locked.flake.locked.input;
        let attrs = input.attrs();
        let revision = match (input.rev()?, attrs.string("dirtyRev")?) {
            (Some(rev), _) => Some(rev),
            (None, Some(dirty)) => Some(dirty.to_owned()),
            (None, None) => None,
        };
        let clone = locked.source_folder();
        let resolved = &locked.flake.resolved;
        let repository = match (attrs.string("url")?, clone.as_deref()) {
            (_, Some(folder)) => origin_url(folder).unwrap_or_else(|| resolved.to_string()),
            (Some(url), None) => redacted(url),
            (None, None) => resolved.to_string(),
        };
        let lock_file = locked.lock_file.to_json();
        let hash = HashAlgorithm::Sha256.digest(lock_file.as_bytes());
        Ok(Self {
            source: revision.map(|revision| Source {
                repository,
                revision,
            }),
            flake_lock: hash.to_string(HashFormat::Sri, true),
            clone,
        })
    }

    /// Compares revisions of the repository, as far as a clone on this machine knows them: this run's first, then a recorded
    /// one.
    pub fn history(&self) -> impl Fn(&str, &str) -> Relation + use<> {
        let clone = self.clone.as_deref().map(history_in);
        move |ours: &str, recorded: &str| match &clone {
            Some(history) => history(ours, recorded),
            None if ours == recorded => Relation::Same,
            None => Relation::Unknown,
        }
    }
}
