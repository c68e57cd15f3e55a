//! A repository on this machine: objects and branch are written in place.

use std::fs::File;
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{
    Branch, BranchType, CheckoutNotificationType, ErrorCode, Oid, Reference, Repository,
    RepositoryInitOptions, RepositoryState, StatusOptions,
};

use crate::error::Error;
use crate::proposal::{Tips, refuse_in_the_way};
use crate::repository::Advance;

/// Makes a repository with a work tree at a path, and `branch` as the one that its first commit will
/// make.
pub fn init(path: &Path, branch: &str) -> Result<(), Error> {
    niphas_git::limit_memory(niphas_git::MAX_OBJECT);
    let mut options = RepositoryInitOptions::new();
    options.initial_head(branch).no_reinit(true);
    Repository::init_opts(path, &options)
        .map(|_| ())
        .map_err(|source| Error::Open {
            path: path.to_owned(),
            source: source.into(),
        })
}

pub(crate) struct Local {
    pub(crate) repository: Repository,
    base: String,
    /// The branch that is written to: the base itself, or one that is made from it.
    branch: String,
}

impl Local {
    pub(crate) fn open(path: &Path, branch: Option<&str>) -> Result<Self, Error> {
        niphas_git::limit_memory(niphas_git::MAX_OBJECT);
        let open = |source: git2::Error| Error::Open {
            path: path.to_owned(),
            source: source.into(),
        };
        let repository = niphas_git::open(path).map_err(open)?;
        let branch = match branch {
            Some(branch) => branch.to_owned(),
            None => head_branch(&repository)?.ok_or(Error::NoDefaultBranch)?,
        };
        let local = Self {
            repository,
            base: branch.clone(),
            branch,
        };
        if local.tips()?.base.is_none() {
            let existing = local.branches()?;
            if !existing.is_empty() {
                return Err(Error::NoBranch {
                    branch: local.branch,
                    existing,
                });
            }
        }
        Ok(local)
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn propose_on(&mut self, branch: &str) -> Result<(), Error> {
        refuse_in_the_way(branch, &self.branches()?)?;
        branch.clone_into(&mut self.branch);
        Ok(())
    }

    fn branches(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for branch in self.repository.branches(Some(BranchType::Local))? {
            let (branch, _) = branch?;
            names.push(String::from_utf8_lossy(branch.name_bytes()?).into_owned());
        }
        names.sort();
        Ok(names)
    }

    pub(crate) fn tips(&self) -> Result<Tips, Error> {
        Ok(Tips {
            base: self.tip(&self.base)?,
            branch: self.tip(&self.branch)?,
        })
    }

    fn tip(&self, branch: &str) -> Result<Option<Oid>, Error> {
        match self.repository.refname_to_id(&reference(branch)) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves the branch from `from` to `to`, and the work tree with it if it has the branch.
    pub(crate) fn advance(
        &self,
        from: Option<Oid>,
        to: Oid,
        message: &str,
    ) -> Result<Advance, Error> {
        let Some(work_tree) = self.repository.workdir() else {
            return self.swap_beside_work_trees(from, to, message);
        };
        if head_branch(&self.repository)?.as_deref() != Some(&self.branch) {
            return self.swap_beside_work_trees(from, to, message);
        }
        // Writers of niphas take turns at the work tree. The file stays; the lock ends with us.
        let turn = self.repository.path().join("niphas-writer");
        let turn = File::create(&turn)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| git2::Error::from_str(&format!("{}: {error}", turn.display())))?;
        if self.tip(&self.branch)? != from {
            return Ok(Advance::Moved);
        }
        self.refuse_if_dirty(work_tree)?;
        let tree = self.repository.find_commit(to)?.tree()?;
        // Safe: it stops before the first file if one is not as the old tip has it.
        let mut in_the_way = Vec::new();
        let mut checkout = CheckoutBuilder::new();
        checkout
            .safe()
            .recreate_missing(true)
            .overwrite_ignored(false)
            .notify_on(CheckoutNotificationType::CONFLICT)
            .notify(|_, path, _, _, _| {
                in_the_way.extend(path.map(|path| format!("'{}'", path.display())));
                true
            });
        let checked_out = self
            .repository
            .checkout_tree(tree.as_object(), Some(&mut checkout));
        drop(checkout);
        match checked_out {
            Ok(()) => {}
            Err(error) if error.code() == ErrorCode::Conflict => {
                return Err(self.dirty(work_tree, untracked(&in_the_way)));
            }
            Err(error) => return Err(error.into()),
        }
        let advanced = self.swap(from, to, message);
        if !matches!(advanced, Ok(Advance::Done)) {
            // A writer without our lock was faster: back to what the branch has.
            let mut checkout = CheckoutBuilder::new();
            self.repository.checkout_head(Some(checkout.force()))?;
        }
        drop(turn);
        advanced
    }

    /// Moves a branch that this repository's own work tree, if it has one, does not have.
    fn swap_beside_work_trees(
        &self,
        from: Option<Oid>,
        to: Oid,
        message: &str,
    ) -> Result<Advance, Error> {
        let mut others = Vec::new();
        for name in self.repository.worktrees()?.iter().flatten().flatten() {
            let work_tree = self.repository.find_worktree(name)?;
            // One whose folder is gone has nothing checked out.
            others.extend(Repository::open_from_worktree(&work_tree));
        }
        if self.repository.is_worktree() {
            others.push(Repository::open(self.repository.commondir())?);
        }
        for other in others.iter().filter(|other| !other.is_bare()) {
            if head_branch(other)?.as_deref() == Some(&self.branch) {
                return Err(Error::CheckedOutElsewhere {
                    branch: self.branch.clone(),
                });
            }
        }
        self.swap(from, to, message)
    }

    /// Compare and swap, under git's own lock of the reference.
    fn swap(&self, from: Option<Oid>, to: Oid, message: &str) -> Result<Advance, Error> {
        let name = reference(&self.branch);
        let written = match from {
            Some(from) => self
                .repository
                .reference_matching(&name, to, true, from, message),
            None => self.repository.reference(&name, to, false, message),
        };
        match written.map(|reference: Reference<'_>| reference.target()) {
            Ok(_) => Ok(Advance::Done),
            Err(error)
                if matches!(
                    error.code(),
                    ErrorCode::Modified
                        | ErrorCode::Locked
                        | ErrorCode::Exists
                        | ErrorCode::NotFound
                ) =>
            {
                Ok(Advance::Moved)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refuse_if_dirty(&self, work_tree: &Path) -> Result<(), Error> {
        if self.repository.state() != RepositoryState::Clean {
            let what = "a merge or rebase is under way".to_owned();
            return Err(self.dirty(work_tree, what));
        }
        let mut options = StatusOptions::new();
        options.include_untracked(false).exclude_submodules(true);
        let statuses = self.repository.statuses(Some(&mut options))?;
        match statuses.iter().next() {
            Some(changed) => {
                let path = String::from_utf8_lossy(changed.path_bytes()).into_owned();
                Err(self.dirty(work_tree, format!("'{path}' has uncommitted changes")))
            }
            None => Ok(()),
        }
    }

    fn dirty(&self, work_tree: &Path, what: String) -> Error {
        let (branch, work_tree) = (self.branch.clone(), work_tree.to_owned());
        Error::DirtyWorkTree {
            branch,
            work_tree,
            what,
        }
    }
}

fn reference(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// That untracked files are in the way, and the first few of them.
fn untracked(files: &[String]) -> String {
    const FEW: usize = 3;
    match files {
        [] => "an untracked file is in the way".to_owned(),
        [file] => format!("the untracked file {file} is in the way"),
        files => {
            let more = files.len().saturating_sub(FEW);
            let few = files[..files.len() - more].join(", ");
            let more = (more > 0).then(|| format!(" and {more} more"));
            format!(
                "the untracked files {few}{} are in the way",
                more.unwrap_or_default()
            )
        }
    }
}

/// The branch that HEAD names, born or not.
fn head_branch(repository: &Repository) -> Result<Option<String>, Error> {
    let head = repository.find_reference("HEAD")?;
    let target = head.symbolic_target_bytes().map(String::from_utf8_lossy);
    Ok(target.and_then(|target| target.strip_prefix("refs/heads/").map(str::to_owned)))
}

/// Whether git would take this as a branch's name.
pub(crate) fn is_branch_name(name: &str) -> bool {
    Branch::name_is_valid(name).unwrap_or(false)
}
