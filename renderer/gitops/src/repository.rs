//! The run: read the tip, apply the files, commit, advance; again if the branch moved.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

use git2::{Commit, DiffFormat, ErrorCode, Oid, Repository, Tree};
use niphas_render::RenderedEnvironment;
use niphas_review::Review;

use crate::access::Access;
use crate::error::Error;
use crate::identity::Identity;
use crate::local::{self, Local};
use crate::location::Location;
use crate::owned_files::{self, Applied, FileChange, apply};
use crate::owner::Owner;
use crate::proposal::{Next, Tips};
use crate::provenance::{Provenance, Relation, refuse_to_go_back};
use crate::remote::Remote;
use crate::review::review;
use crate::signing::SigningKey;
use crate::subject::Subject;

/// With this many tries, a hundred writers at once get through.
const ATTEMPTS: u32 = 40;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What a run writes.
pub struct Request<'a> {
    /// The files of each environment, by its name.
    pub environments: BTreeMap<String, RenderedEnvironment>,
    /// What they were rendered from.
    pub provenance: Provenance,
    /// How a revision that the repository names relates to the source's own (ours first).
    pub history: &'a dyn Fn(&str, &str) -> Relation,
    /// Who commits; if not given, whom git's configuration names.
    pub author: Option<Author>,
    /// The first line of the commit message; if not given, it names the environments.
    pub subject: Option<Subject>,
    /// The key that signs the commit, if it is signed.
    pub signing_key: Option<&'a SigningKey>,
    /// What is done only if it is asked for.
    pub allow: Allowed,
    /// The names of all environments of the flake, if others of it in the repository count as gone.
    pub all_environments: Option<BTreeSet<String>>,
    /// Whether to remove environments that the flake has no more.
    pub prune: bool,
}

/// What a run does only if it is asked for, for it may lose something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// Whether an environment may lose its last workload.
    pub empty: bool,
    /// Whether to go on if the history does not know what the repository was rendered from.
    pub unknown_source: bool,
    /// Whether to replace environments of other flakes.
    pub other_owner: bool,
}

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The branch's tip; `None` if it has no commit yet.
    pub tip: Option<Oid>,
    /// The files, sorted by path. None: the run would commit nothing.
    pub changes: Vec<FileChange>,
    /// The change as a patch.
    pub diff: String,
    /// The environments that are in the repository, and in the flake no more. With [`Request::prune`] they are removed.
    pub gone: Vec<String>,
    /// Whether the branch has changes that are not needed any more, and would be put back to its base.
    pub withdraws: bool,
    /// What the changes mean.
    pub review: Review,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was there already: no commit.
    Unchanged {
        /// The branch's tip.
        tip: Option<Oid>,
        /// As in [`Plan::gone`].
        gone: Vec<String>,
    },
    /// One commit was made.
    Committed {
        /// The commit, now the branch's tip.
        commit: Oid,
        /// The files, sorted by path.
        changes: Vec<FileChange>,
        /// How often the branch had to be read: more than once if others wrote to it meanwhile.
        attempts: u32,
        /// As in [`Plan::gone`].
        gone: Vec<String>,
        /// The tip of a branch of its own whose commits, all of niphas, this one replaces.
        replaced: Option<Oid>,
        /// What the changes mean.
        review: Review,
    },
    /// The base has everything already, so it needs no branch with a change.
    NotNeeded {
        /// The base's tip.
        base: Oid,
        /// What the branch had, if it had changes that are not needed any more: it is at the base now.
        withdrawn: Option<Oid>,
        /// As in [`Plan::gone`].
        gone: Vec<String>,
    },
}

/// What a run would do with a branch as it was read.
struct Draft {
    tips: Tips,
    applied: Applied,
    next: Next,
}

/// Whether a branch went where it was to go.
pub(crate) enum Advance {
    Done,
    /// Another writer was faster.
    Moved,
}

enum Backend {
    Local(Local),
    Remote(Box<Remote>),
}

/// A branch of a GitOps repository.
pub struct GitOpsRepository {
    backend: Backend,
    /// The branch that is made from the base, if the base itself is not written to.
    proposal: Option<String>,
}

impl GitOpsRepository {
    /// Opens a repository. Without a branch it is the one that `HEAD` names there.
    pub fn open(location: &Location, branch: Option<&str>, access: Access) -> Result<Self, Error> {
        if let Some(branch) = branch.filter(|branch| !local::is_branch_name(branch)) {
            return Err(Error::BadBranch(branch.to_owned()));
        }
        let backend = match location {
            Location::Path(path) => Backend::Local(Local::open(path, branch)?),
            Location::Remote(url) => Backend::Remote(Box::new(Remote::open(url, branch, access)?)),
        };
        Ok(Self {
            backend,
            proposal: None,
        })
    }

    /// The same repository, whose branch is only read: what changes goes to a branch of its own, `branch`, which is made from
    /// it, or made again if there is one with earlier changes.
    pub fn proposing_on(mut self, branch: &str) -> Result<Self, Error> {
        if !local::is_branch_name(branch) {
            return Err(Error::BadBranch(branch.to_owned()));
        }
        if branch == self.base() {
            return Err(Error::BranchOfItself(branch.to_owned()));
        }
        match &mut self.backend {
            Backend::Local(local) => local.propose_on(branch)?,
            Backend::Remote(remote) => remote.propose_on(branch),
        }
        self.proposal = Some(branch.to_owned());
        Ok(self)
    }

    /// The branch that is written to.
    pub fn branch(&self) -> &str {
        self.proposal.as_deref().unwrap_or(self.base())
    }

    /// The branch that is read.
    pub fn base(&self) -> &str {
        match &self.backend {
            Backend::Local(local) => local.base(),
            Backend::Remote(remote) => remote.base(),
        }
    }

    pub(crate) fn repository(&self) -> &Repository {
        match &self.backend {
            Backend::Local(local) => &local.repository,
            Backend::Remote(remote) => &remote.repository,
        }
    }

    /// The tip now of the branch that is read; `None` if it has no commit yet.
    pub fn tip(&self) -> Result<Option<Oid>, Error> {
        Ok(self.tips()?.base)
    }

    fn tips(&self) -> Result<Tips, Error> {
        match &self.backend {
            Backend::Local(local) => local.tips(),
            Backend::Remote(remote) => remote.tips(),
        }
    }

    /// What a commit has at each of these paths: Git's names of the files and folders there, if any.
    pub fn objects(&self, commit: Oid, paths: &[String]) -> Result<Vec<Option<Oid>>, Error> {
        let tree = self.tree(Some(commit))?;
        paths
            .iter()
            .map(|path| match tree.get_path(Path::new(path)) {
                Ok(entry) => Ok(Some(entry.id())),
                Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            })
            .collect()
    }

    /// The names of all environments that a commit has, of whatever flake.
    pub fn environments(&self, commit: Oid) -> Result<Vec<String>, Error> {
        owned_files::environments(self.repository(), &self.tree(Some(commit))?)
    }

    /// The environments that a commit has of a flake, and that are not among `names`, sorted.
    pub fn gone(
        &self,
        commit: Oid,
        owner: &Owner,
        names: &BTreeSet<String>,
    ) -> Result<Vec<String>, Error> {
        owned_files::gone(self.repository(), &self.tree(Some(commit))?, owner, names)
    }

    /// What [`GitOpsRepository::commit`] would do now. Nothing is written that anybody sees.
    ///
    /// # Errors
    /// Those of `commit`, but for what only a push tells.
    pub fn plan(&self, request: &Request<'_>) -> Result<Plan, Error> {
        let repository = self.repository();
        let Draft {
            tips,
            mut applied,
            next,
        } = self.draft(request)?;
        let tip = tips.base;
        if matches!(next, Next::Keep) && self.proposal.is_some() {
            // Its changes to the base are those of the branch already.
            applied.changes.clear();
            applied.replaced.clear();
            applied.tree = self.tree(tip)?.id();
        }
        let old = self.tree(tip)?;
        let new = repository.find_tree(applied.tree)?;
        let diff = repository.diff_tree_to_tree(Some(&old), Some(&new), None)?;
        let mut text = Vec::new();
        diff.print(DiffFormat::Patch, |_, _, line| {
            if matches!(line.origin(), '+' | '-' | ' ') {
                text.push(line.origin() as u8);
            }
            text.extend_from_slice(line.content());
            true
        })?;
        let diff = String::from_utf8_lossy(&text).into_owned();
        let review = review(repository, request, &applied)?;
        Ok(Plan {
            tip,
            review,
            changes: applied.changes,
            diff,
            gone: applied.gone,
            withdraws: matches!(next, Next::Withdraw),
        })
    }

    /// Commits the environments' files to the branch; all of them, or nothing.
    ///
    /// # Errors
    /// Whenever the branch is not what the request wants in the end.
    pub fn commit(&self, request: &Request<'_>) -> Result<Outcome, Error> {
        for attempt in 1..=ATTEMPTS {
            let draft = self.draft(request)?;
            if let Some(outcome) = self.write(draft, request, attempt)? {
                return Ok(outcome);
            }
            tracing::info!(
                branch = self.branch(),
                attempt,
                "the branch moved: once more"
            );
            std::thread::sleep(pause(attempt));
        }
        Err(Error::Contended {
            branch: self.branch().to_owned(),
            attempts: ATTEMPTS,
        })
    }

    /// Reads the branch, and decides what to do with it.
    fn draft(&self, request: &Request<'_>) -> Result<Draft, Error> {
        let tips = self.tips()?;
        let applied = self.apply(tips.base, request)?;
        let next = match &self.proposal {
            Some(branch) => self.next_of_proposal(branch, &tips, &applied, request)?,
            None if applied.changes.is_empty() => Next::Keep,
            None => Next::Write,
        };
        Ok(Draft {
            tips,
            applied,
            next,
        })
    }

    /// Does what was decided; `None` if the branch moved since it was read.
    fn write(
        &self,
        draft: Draft,
        request: &Request<'_>,
        attempts: u32,
    ) -> Result<Option<Outcome>, Error> {
        let Draft {
            tips,
            applied,
            next,
        } = draft;
        let review = match next {
            Next::Write => review(self.repository(), request, &applied)?,
            Next::Keep | Next::NotNeeded | Next::Withdraw => Review::default(),
        };
        let (to, what) = match (next, tips.base) {
            (Next::Write, base) => {
                if attempts == 1 && request.signing_key.is_none() {
                    self.warn_unless_unsigned();
                }
                let commit = self.make_commit(base, &applied, request, &review)?;
                (commit, format!("{} files", applied.changes.len()))
            }
            (Next::Withdraw, Some(base)) => (base, "the change is not needed any more".to_owned()),
            (Next::NotNeeded, Some(base)) => {
                return Ok(Some(Outcome::NotNeeded {
                    base,
                    withdrawn: None,
                    gone: applied.gone,
                }));
            }
            (Next::Keep | Next::NotNeeded | Next::Withdraw, _) => {
                return Ok(Some(Outcome::Unchanged {
                    tip: tips.branch,
                    gone: applied.gone,
                }));
            }
        };
        let advanced = match &self.backend {
            Backend::Local(local) => local.advance(tips.branch, to, &format!("niphas: {what}")),
            Backend::Remote(remote) => remote.advance(tips.branch, to),
        }?;
        let Applied { changes, gone, .. } = applied;
        Ok(match (advanced, tips.base) {
            (Advance::Moved, _) => None,
            (Advance::Done, Some(base)) if to == base => Some(Outcome::NotNeeded {
                base,
                withdrawn: tips.branch,
                gone,
            }),
            (Advance::Done, _) => Some(Outcome::Committed {
                commit: to,
                changes,
                attempts,
                gone,
                replaced: self.replaced(tips, to)?,
                review,
            }),
        })
    }

    /// Says that the commit is not signed, where git would sign it.
    fn warn_unless_unsigned(&self) {
        let config = self.repository().config();
        if config.is_ok_and(|config| config.get_bool("commit.gpgSign").unwrap_or(false)) {
            tracing::warn!(
                "git's setting commit.gpgSign asks for signed commits, and no key to sign with was given: this commit is not signed"
            );
        }
    }

    /// The branch's former tip, if a commit that it was moved to does not descend from it.
    fn replaced(&self, tips: Tips, to: Oid) -> Result<Option<Oid>, Error> {
        match tips.branch {
            Some(tip) if !self.repository().graph_descendant_of(to, tip)? => Ok(Some(tip)),
            _ => Ok(None),
        }
    }

    fn apply(&self, tip: Option<Oid>, request: &Request<'_>) -> Result<Applied, Error> {
        let tree = self.tree(tip)?;
        let applied = apply(self.repository(), &tree, request);
        if matches!(&applied, Ok(applied) if applied.changes.is_empty()) {
            return applied;
        }
        // An old source comes first: what else is wrong may be due to it. Whose the environment is comes before that.
        if matches!(&applied, Err(Error::OtherOwner { .. })) {
            return applied;
        }
        if let Some(tip) = self.find_commit(tip)? {
            let ours = request.provenance.revision.as_deref();
            let allow = request.allow.unknown_source;
            let gone = applied.iter().flat_map(|applied| &applied.gone);
            let gone = gone.filter(|_| request.prune);
            for environment in request.environments.keys().chain(gone) {
                refuse_to_go_back(&tip, environment, ours, request.history, allow)?;
            }
        }
        applied
    }

    fn make_commit(
        &self,
        tip: Option<Oid>,
        applied: &Applied,
        request: &Request<'_>,
        review: &Review,
    ) -> Result<Oid, Error> {
        let repository = self.repository();
        let Identity { author, committer } = Identity::of(repository, request.author.as_ref())?;
        let mut names: BTreeSet<&str> = request.environments.keys().map(String::as_str).collect();
        if request.prune {
            names.extend(applied.gone.iter().map(String::as_str));
        }
        let subject = request.subject.as_ref();
        let body = review.commit_body();
        let message = request.provenance.message(subject, names, &body);
        let tree = repository.find_tree(applied.tree)?;
        let parent = self.find_commit(tip)?;
        let parents: Vec<&Commit<'_>> = parent.iter().collect();
        let Some(key) = request.signing_key else {
            return Ok(repository.commit(None, &author, &committer, &message, &tree, &parents)?);
        };
        let commit =
            repository.commit_create_buffer(&author, &committer, &message, &tree, &parents)?;
        let signature = key.sign(&commit)?;
        Ok(repository.commit_signed(commit.as_str()?, &signature, None)?)
    }

    fn find_commit(&self, id: Option<Oid>) -> Result<Option<Commit<'_>>, Error> {
        Ok(id.map(|id| self.repository().find_commit(id)).transpose()?)
    }

    /// The tree of a tip; an empty one if there is none.
    fn tree(&self, tip: Option<Oid>) -> Result<Tree<'_>, Error> {
        let repository = self.repository();
        let tree = match self.find_commit(tip)? {
            Some(commit) => commit.tree_id(),
            None => repository.treebuilder(None)?.write()?,
        };
        Ok(repository.find_tree(tree)?)
    }
}

/// Longer after each try, and never the same for two writers.
fn pause(attempt: u32) -> Duration {
    let longest = FIRST_PAUSE
        .saturating_mul(1 << attempt.min(10))
        .min(LONGEST_PAUSE);
    // Each `RandomState` has random keys.
    let random = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    longest.mul_f64(random)
}
