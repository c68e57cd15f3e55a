//! What a commit was rendered from, and whether that is newer than this run's source.

use std::path::Path;

use git2::{Commit, ErrorCode, Oid, Repository};
use niphas_http::redacted;
use niphas_render::Lock;

use crate::error::Error;
use crate::owner::Owner;
use crate::subject::Subject;

const SOURCE_REPOSITORY: &str = "Niphas-Source-Repo";
const SOURCE_REVISION: &str = "Niphas-Source-Rev";
const FLAKE_LOCK: &str = "Niphas-Flake-Lock";
const RENDERER: &str = "Niphas-Renderer";

/// What a commit is made from: its trailers, and whose the environments are.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The flake.
    pub owner: Owner,
    /// Where the flake is, for people: its repository's URL, with the folder as `?dir=`.
    pub repository: String,
    /// The commit, with `-dirty` behind it if there are uncommitted changes; `None` if the flake is in no repository.
    pub revision: Option<String>,
    /// The hash of `flake.lock`, if there is one.
    pub flake_lock: Option<String>,
    /// Name and version of the program.
    pub renderer: String,
}

impl Provenance {
    /// The commit message for these environments; without a subject it begins with their names. The trailers stand last.
    pub(crate) fn message<'a>(
        &self,
        subject: Option<&Subject>,
        environments: impl IntoIterator<Item = &'a str>,
        body: &str,
    ) -> String {
        let mut message = if let Some(subject) = subject {
            subject.to_string()
        } else {
            let environments: Vec<&str> = environments.into_iter().collect();
            format!("niphas: render {}", environments.join(", "))
        };
        message.push_str("\n\n");
        if !body.is_empty() {
            message.extend([body, "\n"]);
        }
        let trailers = [
            (SOURCE_REPOSITORY, Some(&self.repository)),
            (SOURCE_REVISION, self.revision.as_ref()),
            (FLAKE_LOCK, self.flake_lock.as_ref()),
            (RENDERER, Some(&self.renderer)),
        ];
        for (key, value) in trailers {
            if let Some(value) = value {
                // A line break would end the trailer.
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                message.extend([key, ": ", &value, "\n"]);
            }
        }
        message
    }
}

/// How the recorded source revision relates to this run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// The recorded one is an ancestor.
    Older,
    /// The recorded one is a descendant.
    Newer,
    /// Neither descends from the other.
    Diverged,
    /// The fetched history does not say.
    Unknown,
}

/// Compares revisions in the history of the source's own clone: ours first, then the recorded one.
pub fn history_in(clone: &Path) -> impl Fn(&str, &str) -> Relation + use<> {
    let repository = niphas_git::discover(clone);
    move |ours, recorded| {
        let compare = |repository: &Repository| -> Result<Relation, git2::Error> {
            let ours = Oid::from_str(ours)?;
            let recorded = Oid::from_str(recorded)?;
            repository.find_commit(ours)?;
            repository.find_commit(recorded)?;
            Ok(if repository.graph_descendant_of(recorded, ours)? {
                Relation::Newer
            } else if repository.graph_descendant_of(ours, recorded)? {
                Relation::Older
            } else if repository.is_shallow() {
                Relation::Unknown
            } else {
                Relation::Diverged
            })
        };
        match &repository {
            _ if ours == recorded => Relation::Same,
            Ok(repository) => compare(repository).unwrap_or(Relation::Unknown),
            Err(_) => Relation::Unknown,
        }
    }
}

/// The URL of the remote `origin` of the clone that a folder is in, without user, password and other secrets.
pub fn origin_url(folder: &Path) -> Option<String> {
    let repository = niphas_git::discover(folder).ok()?;
    let remote = repository.find_remote("origin").ok()?;
    let text = remote.url().ok()?;
    let Ok(mut url) = url::Url::parse(text) else {
        return Some(redacted(text));
    };
    let cleared = url.set_password(None).and_then(|()| url.set_username(""));
    cleared.is_ok().then(|| redacted(url.as_str()))
}

/// The source of an environment's files, as a branch's history tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The revision, without `-dirty`.
    pub(crate) revision: String,
    /// The newest commit that changed the files without telling a source: not a commit of ours.
    pub(crate) changed_by: Option<Oid>,
}

/// Looks for the newest commit that changed the environment's lock and tells its source.
pub(crate) fn recorded(tip: &Commit<'_>, environment: &str) -> Result<Option<Recorded>, Error> {
    let mut commit = tip.clone();
    let mut changed_by = None;
    loop {
        let lock = lock_id(&commit, environment)?;
        let mut unchanged = None;
        for parent in commit.parents() {
            if lock_id(&parent, environment)? == lock {
                unchanged = Some(parent);
                break;
            }
        }
        if let Some(parent) = unchanged {
            commit = parent;
            continue;
        }
        // A root commit without a lock changed nothing: what it tells is of other environments.
        if commit.parent_count() == 0 && lock.is_none() {
            return Ok(None);
        }
        if let Some(revision) = source_revision(&commit)? {
            return Ok(Some(Recorded {
                revision,
                changed_by,
            }));
        }
        changed_by.get_or_insert(commit.id());
        match commit.parent(0) {
            Ok(parent) => commit = parent,
            Err(_) => return Ok(None),
        }
    }
}

fn lock_id(commit: &Commit<'_>, environment: &str) -> Result<Option<Oid>, Error> {
    match commit.tree()?.get_path(Path::new(&Lock::path(environment))) {
        Ok(entry) => Ok(Some(entry.id())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a commit says that niphas made it.
pub(crate) fn has_trailers(commit: &Commit<'_>) -> Result<bool, Error> {
    let message = String::from_utf8_lossy(commit.message_raw_bytes()).into_owned();
    let trailers = git2::message_trailers_strs(&message)?;
    Ok(trailers.iter().any(|(key, _)| key == RENDERER))
}

fn source_revision(commit: &Commit<'_>) -> Result<Option<String>, Error> {
    let message = String::from_utf8_lossy(commit.message_raw_bytes()).into_owned();
    let trailers = git2::message_trailers_strs(&message)?;
    let revision = trailers
        .iter()
        .find(|(key, _)| *key == SOURCE_REVISION)
        .map(|(_, revision)| revision.trim_end_matches("-dirty").to_owned());
    Ok(revision)
}

/// Whether this run's source may replace what is there. `ours` is its revision, if it has one.
pub(crate) fn refuse_to_go_back(
    tip: &Commit<'_>,
    environment: &str,
    ours: Option<&str>,
    history: &dyn Fn(&str, &str) -> Relation,
    allow_unknown: bool,
) -> Result<(), Error> {
    let Some(Recorded {
        revision: recorded,
        changed_by,
    }) = recorded(tip, environment)?
    else {
        return Ok(());
    };
    let environment = environment.to_owned();
    let relation = match ours {
        Some(ours) => history(ours.trim_end_matches("-dirty"), &recorded),
        None => Relation::Unknown,
    };
    match (relation, changed_by, ours) {
        (Relation::Newer, _, Some(ours)) => Err(Error::Stale {
            environment,
            recorded,
            ours: ours.to_owned(),
        }),
        (Relation::Same, Some(commit), _) => Err(Error::RolledBack {
            environment,
            commit,
        }),
        (Relation::Unknown, ..) if !allow_unknown => Err(Error::UnknownSource {
            environment,
            recorded,
            has_revision: ours.is_some(),
        }),
        _ => Ok(()),
    }
}
