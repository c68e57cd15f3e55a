//! A branch of its own for a change that others merge: the base, and one commit of niphas on top.
//!
//! Each run makes the branch again from the base as it is then, so that it can always be merged and never has more than the
//! newest change. That replaces commits, so it is done only to those of niphas itself: a commit with trailers of niphas whose
//! files all are as a lock in it says. The branch is moved only if it still has the commit that was looked at.

use std::collections::{BTreeMap, BTreeSet};

use git2::{Commit, Delta, DiffDelta, FileMode, Oid, Repository, Tree};
use niphas_render::{EnvironmentName, FileHash, Lock};

use crate::error::Error;
use crate::generated::{ATTRIBUTES, ATTRIBUTES_FILE};
use crate::owned_files::{Applied, Files, LOCKS};
use crate::provenance::{has_trailers, refuse_to_go_back};
use crate::repository::{GitOpsRepository, Request};

/// The tips of the branch that is read, and of the one that is written to. Most often they are one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tips {
    pub(crate) base: Option<Oid>,
    pub(crate) branch: Option<Oid>,
}

/// What a run does with the branch.
pub(crate) enum Next {
    /// It is as it should be.
    Keep,
    /// It gets a commit on top of the base.
    Write,
    /// Its base has everything, and it has no changes of its own.
    NotNeeded,
    /// Its base has everything: it is put back to it.
    Withdraw,
}

/// What a branch has beyond its base.
struct Proposal<'r> {
    tip: Commit<'r>,
    /// The environments that its commits change.
    environments: BTreeSet<String>,
    /// The files that it changes, compared with where it left the base.
    changes: Vec<Change>,
}

/// A file, and its blobs before and after; zero where there is none.
type Change = (Vec<u8>, Oid, Oid);

impl GitOpsRepository {
    /// What becomes of the branch `branch`, which is made from the base.
    ///
    /// # Errors
    /// Where something would be lost.
    pub(crate) fn next_of_proposal(
        &self,
        branch: &str,
        tips: &Tips,
        applied: &Applied,
        request: &Request<'_>,
    ) -> Result<Next, Error> {
        let Some(base) = tips.base else {
            return Err(Error::EmptyBase {
                branch: branch.to_owned(),
                base: self.base().to_owned(),
            });
        };
        let repository = self.repository();
        let needed = !applied.changes.is_empty();
        let proposal = match tips.branch {
            Some(tip) => Proposal::read(repository, branch, base, tip)?,
            None => None,
        };
        let Some(proposal) = proposal else {
            return Ok(if needed { Next::Write } else { Next::NotNeeded });
        };
        let base = repository.find_commit(base)?.tree()?;
        let wanted = repository.find_tree(applied.tree)?;
        if needed && proposal.changes == changes(repository, Some(&base), &wanted)? {
            return Ok(Next::Keep);
        }
        // Others' changes on the branch stay where this run has nothing to add.
        let rendered =
            |name: &String| request.environments.contains_key(name) || applied.gone.contains(name);
        if !needed && !proposal.environments.iter().any(rendered) {
            return Ok(Next::NotNeeded);
        }
        proposal.refuse_to_lose(repository, branch, request)?;
        Ok(if needed { Next::Write } else { Next::Withdraw })
    }
}

impl<'r> Proposal<'r> {
    /// Of the commits that a branch has and its base does not; `None` if there are none.
    fn read(
        repository: &'r Repository,
        branch: &str,
        base: Oid,
        tip: Oid,
    ) -> Result<Option<Self>, Error> {
        let mut walk = repository.revwalk()?;
        walk.push(tip)?;
        walk.hide(base)?;
        let mut environments = None;
        for commit in walk {
            let commit = repository.find_commit(commit?)?;
            let Some(changed) = environments_changed_by(repository, &commit)? else {
                return Err(Error::ForeignCommit {
                    branch: branch.to_owned(),
                    commit: commit.id(),
                });
            };
            environments
                .get_or_insert_with(BTreeSet::new)
                .extend(changed);
        }
        let Some(environments) = environments else {
            return Ok(None);
        };
        let tip = repository.find_commit(tip)?;
        let left_at = match repository.merge_base(base, tip.id()) {
            Ok(commit) => Some(repository.find_commit(commit)?.tree()?),
            Err(error) if error.code() == git2::ErrorCode::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let changes = changes(repository, left_at.as_ref(), &tip.tree()?)?;
        Ok(Some(Self {
            tip,
            environments,
            changes,
        }))
    }

    /// Refuses to replace the branch's commits where they have what this run does not: environments that it does not render,
    /// another flake's, or a newer source's.
    fn refuse_to_lose(
        &self,
        repository: &Repository,
        branch: &str,
        request: &Request<'_>,
    ) -> Result<(), Error> {
        let tree = self.tip.tree()?;
        let mut files = Files::new(repository, &tree);
        let owner = &request.provenance.owner;
        for name in &self.environments {
            let theirs = match lock(&mut files, name)? {
                Some(lock) => lock.owner,
                None => None,
            };
            let is_ours = theirs.as_deref().is_none_or(|theirs| owner.is(theirs));
            if !request.environments.contains_key(name) {
                // One that the flake has no more, in a run for all of its environments.
                if request.all_environments.is_some() && theirs.is_some() && is_ours {
                    continue;
                }
                return Err(Error::OtherProposal {
                    branch: branch.to_owned(),
                    environment: name.clone(),
                });
            }
            if let Some(theirs) = theirs.filter(|_| !is_ours && !request.allow.other_owner) {
                return Err(Error::OtherOwner {
                    environment: name.clone(),
                    theirs,
                    ours: owner.to_string(),
                });
            }
            let ours = request.provenance.revision.as_deref();
            let allow = request.allow.unknown_source;
            refuse_to_go_back(&self.tip, name, ours, request.history, allow)?;
        }
        Ok(())
    }
}

/// The environments that a commit changes, if niphas made it: nothing in it is another writer's.
fn environments_changed_by(
    repository: &Repository,
    commit: &Commit<'_>,
) -> Result<Option<BTreeSet<String>>, Error> {
    if commit.parent_count() > 1 || !has_trailers(commit)? {
        return Ok(None);
    }
    let before = match commit.parent(0) {
        Ok(parent) => Some(parent.tree()?),
        Err(_) => None,
    };
    let after = commit.tree()?;
    let diff = repository.diff_tree_to_tree(before.as_ref(), Some(&after), None)?;
    let environments: BTreeSet<String> = diff.deltas().filter_map(|of| environment(&of)).collect();
    let empty = repository.treebuilder(None)?.write()?;
    let before = match before {
        Some(tree) => tree,
        None => repository.find_tree(empty)?,
    };
    let (mut before, mut after) = (
        Files::new(repository, &before),
        Files::new(repository, &after),
    );
    let (mut listed_before, mut listed) = (BTreeSet::new(), BTreeMap::new());
    for name in &environments {
        // A lock that cannot be read is not as niphas wrote it.
        let (Ok(old), Ok(new)) = (lock(&mut before, name), lock(&mut after, name)) else {
            return Ok(None);
        };
        listed_before.extend(old.into_iter().flat_map(|lock| lock.files.into_keys()));
        listed.extend(new.into_iter().flat_map(|lock| lock.files));
    }
    for delta in diff.deltas() {
        let file = delta.new_file();
        let Some(path) = path(&delta) else {
            return Ok(None);
        };
        let removed = delta.status() == Delta::Deleted;
        if environment(&delta).is_some() || (removed && listed_before.contains(path)) {
            continue;
        }
        let is_as_listed = match listed.get(path) {
            _ if is_attributes(path) => after
                .read(path, file.id())
                .is_ok_and(|bytes| bytes == ATTRIBUTES),
            Some(hash) if !removed && file.mode() == FileMode::Blob => after
                .read(path, file.id())
                .is_ok_and(|bytes| FileHash::of(&bytes) == *hash),
            _ => false,
        };
        if !is_as_listed {
            return Ok(None);
        }
    }
    Ok(Some(environments))
}

/// The environment whose lock a change is of.
fn environment(delta: &DiffDelta<'_>) -> Option<String> {
    let name = path(delta)?
        .strip_prefix(".niphas/")?
        .strip_suffix(".lock")?;
    let name: EnvironmentName = name.parse().ok()?;
    Some(name.to_string())
}

fn is_attributes(path: &str) -> bool {
    path.strip_prefix(LOCKS)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|name| name == ATTRIBUTES_FILE)
}

fn path<'d>(delta: &DiffDelta<'d>) -> Option<&'d str> {
    let file = delta.new_file();
    let bytes = file
        .path_bytes()
        .or_else(|| delta.old_file().path_bytes())?;
    str::from_utf8(bytes).ok()
}

/// An environment's lock, if it has one.
fn lock(files: &mut Files<'_>, environment: &str) -> Result<Option<Lock>, Error> {
    let path = Lock::path(environment);
    let Some(id) = files.find(&path)? else {
        return Ok(None);
    };
    let bytes = files.read(&path, id)?;
    match Lock::parse(&bytes) {
        Ok(lock) => Ok(Some(lock)),
        Err(source) => Err(Error::Lock { path, source }),
    }
}

fn changes(
    repository: &Repository,
    from: Option<&Tree<'_>>,
    to: &Tree<'_>,
) -> Result<Vec<Change>, Error> {
    let diff = repository.diff_tree_to_tree(from, Some(to), None)?;
    let change = |delta: DiffDelta<'_>| {
        let path = delta.new_file().path_bytes().unwrap_or_default().to_vec();
        (path, delta.old_file().id(), delta.new_file().id())
    };
    Ok(diff.deltas().map(change).collect())
}

/// Refuses a name beside which other branches cannot be: Git keeps `a/b` in a folder `a`.
pub(crate) fn refuse_in_the_way(branch: &str, existing: &[String]) -> Result<(), Error> {
    let is_below = |name: &str, folder: &str| {
        name.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    match existing
        .iter()
        .find(|other| is_below(other, branch) || is_below(branch, other))
    {
        Some(other) => Err(Error::BranchInTheWay {
            branch: branch.to_owned(),
            other: other.clone(),
        }),
        None => Ok(()),
    }
}
