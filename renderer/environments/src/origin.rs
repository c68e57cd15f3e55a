//! Where a flake comes from, as a commit is to say.

use std::path::PathBuf;

use niphas_gitops::{Owner, Relation, history_in, origin_url};
use niphas_http::redacted;
use nix_flake::{FlakeRef, LockFile, RefError};
use nix_formats::{HashAlgorithm, HashFormat};

use crate::opened_flake::OpenedFlake;

/// The origin of a flake.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Whose its environments are.
    pub owner: Owner,
    /// Its repository's URL, with the flake's folder as `?dir=`; for a flake in no repository, where it is.
    pub repository: String,
    /// Its commit, with `-dirty` behind it if there are uncommitted changes; `None` if it is in no repository.
    pub revision: Option<String>,
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
        // A path is copied as it is, even below a repository's folder.
        let origin = match attrs.string("type")? {
            Some("path") => None,
            _ => clone.as_deref().and_then(origin_url),
        };
        let repository = match (origin, attrs.string("url")?, &clone) {
            (Some(origin), ..) => origin,
            (None, Some(url), None) => redacted(url),
            _ => resolved.to_string(),
        };
        let dir = resolved.subdir.as_str();
        let owner = Owner::new(&repository, dir);
        Ok(Self {
            owner,
            repository: with_dir(repository, dir),
            revision,
            flake_lock: lock_digest(&locked.lock_file),
            clone,
        })
    }

    /// The origin of a commit of a repository elsewhere: `reference` is what was fetched, `rev` what it was at, and `clone` where the
    /// repository's history is.
    pub fn of_commit(
        reference: &FlakeRef,
        rev: &str,
        lock_file: &LockFile,
        clone: Option<PathBuf>,
    ) -> Result<Self, RefError> {
        let url = reference.input.attrs().required_string("url")?;
        let dir = reference.subdir.as_str();
        let repository = redacted(url);
        Ok(Self {
            owner: Owner::new(&repository, dir),
            repository: with_dir(repository, dir),
            revision: Some(rev.to_owned()),
            flake_lock: lock_digest(lock_file),
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

/// A repository's URL with the flake's folder in it.
fn with_dir(repository: String, dir: &str) -> String {
    let names_dir = dir.is_empty() || repository.contains("dir=");
    match repository.contains('?') {
        _ if names_dir => repository,
        true => format!("{repository}&dir={dir}"),
        false => format!("{repository}?dir={dir}"),
    }
}

fn lock_digest(lock_file: &LockFile) -> String {
    let hash = HashAlgorithm::Sha256.digest(lock_file.to_json().as_bytes());
    hash.to_string(HashFormat::Sri, true)
}
