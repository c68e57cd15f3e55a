//! Fetches: what the service does for an evaluation before there is one, with the login that the evaluation never sees.
//!
//! Each source has a folder of its own, so what one may not read is not there. Of a flake only the lock file is read: it names all
//! that the evaluation will need, with the hashes that the contents are checked against.

use std::path::PathBuf;
use std::sync::Arc;

use git2::{Direction, Remote};
use niphas_git::Login;
use nix_flake::{
    Attrs, FetchSettings, Fetched, Fetcher, FlakeError, FlakeRef, LockFile, UseRegistries,
};

use crate::child::LOCK_HINT;
use crate::policy::{NamespacePolicy, input_url};

/// Inputs of one flake, with all theirs.
const MOST_INPUTS: usize = 500;
/// The largest lock file.
const MAX_LOCK_FILE: u64 = 16 << 20;

/// A flake of a branch.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) url: String,
    pub(crate) name: String,
    /// The commit that is fetched, of this branch or another; left out, the one that the branch is at.
    pub(crate) revision: Option<String>,
    pub(crate) dir: Option<String>,
    pub(crate) login: Arc<Login>,
}

/// A flake that is here, with all that its lock file names.
#[derive(Debug)]
pub(crate) struct FetchedFlake {
    /// As the source names it.
    pub(crate) reference: FlakeRef,
    /// The commit, with the hash of its files.
    pub(crate) locked: FlakeRef,
    pub(crate) revision: String,
    pub(crate) lock_file: LockFile,
    /// The trees of the flake and of its inputs.
    pub(crate) trees: Vec<PathBuf>,
    /// The clone of its repository.
    pub(crate) clone: Option<PathBuf>,
}

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// A server did not give it; it may do later.
    #[error("{0}")]
    Server(String),
    /// It is not one that is fetched, as long as it does not change.
    #[error("{0}")]
    Refused(String),
}

impl From<FlakeError> for FetchError {
    fn from(error: FlakeError) -> Self {
        Self::Server(nix_formats::chain(&error))
    }
}

impl Branch {
    /// The commit that the branch is at now.
    pub(crate) fn tip(&self) -> Result<String, FetchError> {
        niphas_git::limit_time(niphas_git::TimeLimits::default());
        niphas_git::limit_memory(niphas_git::MAX_OBJECT);
        let shown = niphas_http::redacted(&self.url);
        let failed = |error: git2::Error| {
            let error = niphas_git::explained(&error);
            FetchError::Server(format!("asking '{shown}' for its branches: {error}"))
        };
        let mut remote = Remote::create_detached(self.url.as_str()).map_err(failed)?;
        let connection = remote
            .connect_auth(Direction::Fetch, Some(self.login.callbacks()), None)
            .map_err(failed)?;
        let wanted = format!("refs/heads/{}", self.name);
        let heads = connection.list().map_err(failed)?;
        let head = heads.iter().find(|head| head.name() == wanted);
        head.map(|head| head.oid().to_string()).ok_or_else(|| {
            FetchError::Server(format!(
                "the repository '{shown}' has no branch '{}'",
                self.name
            ))
        })
    }

    /// Fetches the flake that the branch is at now, and what its lock file names, into a folder.
    pub(crate) fn fetch(
        &self,
        cache: PathBuf,
        policy: &NamespacePolicy,
        max_download: u64,
    ) -> Result<FetchedFlake, FetchError> {
        let refused = |error: nix_flake::RefError| FetchError::Refused(error.to_string());
        let mut attrs = Attrs::from_iter([
            ("type", "git"),
            ("url", self.url.as_str()),
            ("ref", self.name.as_str()),
        ]);
        if let Some(dir) = &self.dir {
            attrs.set("dir", dir.as_str());
        }
        if let Some(revision) = &self.revision {
            attrs.set("rev", revision.as_str());
        }
        let reference = FlakeRef::from_attrs(attrs).map_err(refused)?;
        let mut settings = FetchSettings::new(cache);
        settings.git_login = Some(Arc::clone(&self.login));
        settings.uses_stale = false;
        settings.ttl = std::time::Duration::ZERO;
        settings.registries.global = String::new();
        settings.max_download = max_download;
        settings.max_unpacked = max_download.saturating_mul(4);
        let fetcher = Fetcher::new(settings);
        let fetched = fetcher.fetch(&reference.input, UseRegistries::No)?.fetched;
        let revision = fetched.input.rev().map_err(refused)?;
        let revision = revision
            .ok_or_else(|| FetchError::Server("the fetched branch is at no commit".to_owned()))?;
        let lock_file = lock_file(&fetched, &reference.subdir)?;
        let mut trees = vec![fetched.tree.root().to_owned()];
        trees.extend(fetch_inputs(&fetcher, &lock_file, policy)?);
        trees.sort();
        trees.dedup();
        let clone = fetcher.clone_folder(&reference.input)?;
        let locked = FlakeRef {
            input: fetched.input,
            subdir: reference.subdir.clone(),
        };
        Ok(FetchedFlake {
            reference,
            locked,
            revision,
            lock_file,
            trees,
            clone,
        })
    }
}

/// The lock file of a flake; an empty one if it has none.
fn lock_file(flake: &Fetched, dir: &str) -> Result<LockFile, FetchError> {
    let file = std::path::Path::new(dir).join("flake.lock");
    let Some(text) = flake.tree.read_text(&file, MAX_LOCK_FILE)? else {
        return Ok(LockFile::default());
    };
    LockFile::parse(&text, &file.display().to_string())
        .map_err(|error| FetchError::Refused(nix_formats::chain(&error)))
}

/// Fetches what a lock file names; gives where the trees are.
fn fetch_inputs(
    fetcher: &Fetcher,
    lock_file: &LockFile,
    policy: &NamespacePolicy,
) -> Result<Vec<PathBuf>, FetchError> {
    let refused = |error: nix_flake::RefError| FetchError::Refused(error.to_string());
    if let Some(input) = lock_file.unlocked_input(false).map_err(refused)? {
        return Err(FetchError::Refused(format!(
            "flake.lock does not lock the input '{input}'; {LOCK_HINT}"
        )));
    }
    let keys = lock_file.keys();
    if keys.len() > MOST_INPUTS {
        return Err(FetchError::Refused(format!(
            "flake.lock has {} inputs, expected at most {MOST_INPUTS}",
            keys.len()
        )));
    }
    let mut trees = Vec::new();
    for id in keys.into_keys() {
        let Some(lock) = &lock_file.node(id).lock else {
            continue;
        };
        let input = &lock.locked.input;
        if input.relative_path().is_some() {
            continue;
        }
        let url = input_url(input);
        if !url.as_deref().is_some_and(|url| policy.admits_input(url)) {
            return Err(FetchError::Refused(format!(
                "the input '{}' of the flake is not allowed for this namespace; ask the administrator of niphas-eval to allow it in 'inputs'",
                lock.locked
            )));
        }
        let fetched = fetcher.fetch(input, UseRegistries::No)?.fetched;
        trees.push(fetched.tree.root().to_owned());
    }
    Ok(trees)
}
