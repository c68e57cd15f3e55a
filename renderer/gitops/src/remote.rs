//! A repository on a server: fetched into a temporary one, and pushed to.

use std::cell::{Cell, RefCell};

use git2::{
    AutotagOption, Direction, ErrorCode, FetchOptions, Oid, ProxyOptions, PushOptions,
    RemoteRedirect, Repository,
};
use tempfile::TempDir;

use crate::access::{Access, Authentication};
use crate::error::Error;
use crate::proposal::{Tips, refuse_in_the_way};
use crate::repository::Advance;
use crate::server_words::ServerWords;

/// So often a branch may be replaced while its commits are fetched.
const MOST_REPLACED: usize = 10;
/// The folder of our names for branches' tips in the temporary repository.
const TIPS: &str = "refs/niphas/tips";
/// Our name for the commit to push.
const NEXT: &str = "refs/niphas/next";

pub(crate) struct Remote {
    pub(crate) repository: Repository,
    url: String,
    access: Access,
    base: String,
    /// The branch that is made from the base, if the base itself is not written to.
    proposal: Option<String>,
    /// Removed when dropped, after the repository in it.
    _folder: TempDir,
}

/// What a server has.
struct Advertised {
    tips: Tips,
    branches: Vec<String>,
    /// Whether the tips' commits are here now.
    downloaded: Result<(), Error>,
}

impl Remote {
    pub(crate) fn open(url: &str, branch: Option<&str>, access: Access) -> Result<Self, Error> {
        niphas_git::limit_time(niphas_git::TimeLimits::default());
        niphas_git::limit_memory(niphas_git::MAX_OBJECT);
        let folder = tempfile::Builder::new()
            .prefix("niphas-")
            .tempdir()
            .map_err(|error| git2::Error::from_str(&format!("no temporary folder: {error}")))?;
        let repository = Repository::init_bare(folder.path())?;
        let url = url.to_owned();
        let base = match branch {
            Some(branch) => branch.to_owned(),
            None => default_branch(&repository, &url, &access)?,
        };
        Ok(Self {
            repository,
            url,
            access,
            base,
            proposal: None,
            _folder: folder,
        })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn propose_on(&mut self, branch: &str) {
        self.proposal = Some(branch.to_owned());
    }

    /// The branch that is written to.
    fn branch(&self) -> &str {
        self.proposal.as_ref().unwrap_or(&self.base)
    }

    /// Asks the server for the branches' tips, and fetches what is new.
    pub(crate) fn tips(&self) -> Result<Tips, Error> {
        let Advertised { tips, branches, .. } = self.fetch_unless_replaced()?;
        if tips.base.is_none() && !branches.is_empty() {
            return Err(Error::NoBranch {
                branch: self.base.clone(),
                existing: branches,
            });
        }
        if let Some(branch) = &self.proposal {
            refuse_in_the_way(branch, &branches)?;
        }
        for (branch, tip) in [(self.base(), tips.base), (self.branch(), tips.branch)] {
            if let Some(tip) = tip {
                self.repository.reference(
                    &format!("{TIPS}/{branch}"),
                    tip,
                    true,
                    "niphas: fetched",
                )?;
            }
        }
        Ok(tips)
    }

    /// Servers do not give commits that a branch has no more: one that was replaced since the server named it is asked for
    /// again.
    fn fetch_unless_replaced(&self) -> Result<Advertised, Error> {
        let mut before = None;
        for _ in 0..MOST_REPLACED {
            let advertised = self.fetch()?;
            match advertised.downloaded {
                Err(error) if before == Some(advertised.tips) => return Err(error),
                Err(_) => before = Some(advertised.tips),
                Ok(()) => return Ok(advertised),
            }
        }
        let advertised = self.fetch()?;
        advertised.downloaded.map(|()| Advertised {
            downloaded: Ok(()),
            ..advertised
        })
    }

    fn fetch(&self) -> Result<Advertised, Error> {
        let authentication = Authentication::new(&self.access, &self.url);
        let explain = |error: git2::Error| authentication.explain(&error);
        let mut remote = self
            .repository
            .remote_anonymous(&self.url)
            .map_err(explain)?;
        let mut connection = remote
            .connect_auth(
                Direction::Fetch,
                Some(authentication.callbacks()),
                Some(proxy()),
            )
            .map_err(explain)?;
        let (base, branch) = (reference(&self.base), reference(self.branch()));
        let mut branches = Vec::new();
        let mut tips = Tips::default();
        for head in connection.list().map_err(explain)? {
            if head.name() == base {
                tips.base = Some(head.oid());
            }
            if head.name() == branch {
                tips.branch = Some(head.oid());
            }
            branches.extend(head.name().strip_prefix("refs/heads/").map(str::to_owned));
        }
        let mut wanted = vec![(base, tips.base), (branch, tips.branch)];
        wanted.dedup();
        wanted.retain(|(_, tip)| tip.is_some_and(|tip| self.repository.find_commit(tip).is_err()));
        let wanted: Vec<String> = wanted.into_iter().map(|(name, _)| name).collect();
        let mut downloaded = Ok(());
        if !wanted.is_empty() {
            tracing::info!(url = %niphas_http::redacted(&self.url), branch = self.branch(), "fetching");
            let mut options = FetchOptions::new();
            options
                .remote_callbacks(authentication.callbacks())
                .proxy_options(proxy())
                .download_tags(AutotagOption::None)
                .follow_redirects(RemoteRedirect::Initial);
            downloaded = connection
                .remote()
                .download(&wanted, Some(&mut options))
                .map_err(explain);
        }
        Ok(Advertised {
            tips,
            branches,
            downloaded,
        })
    }

    /// Pushes `to` to the branch, if it is still at `from`.
    ///
    /// Without force, unless the branch is one that niphas makes from the base: `to` need not descend from `from` there.
    pub(crate) fn advance(&self, from: Option<Oid>, to: Oid) -> Result<Advance, Error> {
        self.repository
            .reference(NEXT, to, true, "niphas: to push")?;
        let authentication = Authentication::new(&self.access, &self.url);
        let (rejected, words) = (RefCell::new(None), ServerWords::default());
        let mut remote = self
            .repository
            .remote_anonymous(&self.url)
            .map_err(|error| authentication.explain(&error))?;
        let mut callbacks = authentication.callbacks();
        callbacks.sideband_progress(|bytes| {
            words.hear(bytes);
            true
        });
        callbacks.push_update_reference(|_, message| {
            *rejected.borrow_mut() = message.map(str::to_owned);
            Ok(())
        });
        // The server compares the branch with what it has just told, and that is compared with `from` here. So a commit that
        // was not read is never replaced.
        let has_moved = Cell::new(false);
        callbacks.push_negotiation(|updates| {
            let is_there = |tip: Oid| from.map_or(tip.is_zero(), |from| tip == from);
            if updates.iter().all(|update| is_there(update.src())) {
                return Ok(());
            }
            has_moved.set(true);
            Err(git2::Error::from_str("the branch moved"))
        });
        let mut options = PushOptions::new();
        options.remote_callbacks(callbacks).proxy_options(proxy());
        let force = if self.proposal.is_some() { "+" } else { "" };
        let refspec = format!("{force}{NEXT}:{}", reference(self.branch()));
        let pushed = remote.push(&[refspec], Some(&mut options));
        drop(options);
        let rejected = rejected.into_inner();
        match (pushed, rejected) {
            _ if has_moved.get() => Ok(Advance::Moved),
            (Ok(()), None) => Ok(Advance::Done),
            (Err(error), _) if error.code() == ErrorCode::NotFastForward => Ok(Advance::Moved),
            (Err(error), None) => Err(authentication.explain(&error)),
            (_, Some(message)) => {
                // Servers word it each in their own way. Where the branch is now says more.
                let busy = ["lock", "failed to update ref", "already exists"];
                let moved = self.fetch()?.tips.branch != from;
                if moved || busy.iter().any(|words| message.contains(words)) {
                    return Ok(Advance::Moved);
                }
                Err(Error::Refused {
                    branch: self.branch().to_owned(),
                    message,
                    by_force: !force.is_empty(),
                    words: words.lines(),
                })
            }
        }
    }
}

fn default_branch(repository: &Repository, url: &str, access: &Access) -> Result<String, Error> {
    let authentication = Authentication::new(access, url);
    let explain = |error: git2::Error| authentication.explain(&error);
    let mut remote = repository.remote_anonymous(url).map_err(explain)?;
    let connection = remote
        .connect_auth(
            Direction::Fetch,
            Some(authentication.callbacks()),
            Some(proxy()),
        )
        .map_err(explain)?;
    match connection.default_branch() {
        Ok(name) => {
            let name = String::from_utf8_lossy(&name).into_owned();
            Ok(name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned())
        }
        Err(error) if error.code() == ErrorCode::NotFound => Err(match connection.list() {
            Ok([]) => Error::EmptyRepository { url: url.into() },
            _ => Error::NoDefaultBranch,
        }),
        Err(error) => Err(explain(error)),
    }
}

fn reference(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

fn proxy<'a>() -> ProxyOptions<'a> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}
