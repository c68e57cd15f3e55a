//! A repository on a server: fetched into a temporary one, and pushed to.

use std::cell::RefCell;

use git2::{
    AutotagOption, Direction, ErrorCode, FetchOptions, Oid, ProxyOptions, PushOptions,
    RemoteRedirect, Repository,
};
use tempfile::TempDir;

use crate::access::{Access, Authentication};
use crate::error::Error;
use crate::repository::Advance;

/// Our name for the branch's tip in the temporary repository.
const TIP: &str = "refs/niphas/tip";
/// Our name for the commit to push.
const NEXT: &str = "refs/niphas/next";

pub(crate) struct Remote {
    pub(crate) repository: Repository,
    url: String,
    access: Access,
    branch: String,
    /// Removed when dropped, after the repository in it.
    _folder: TempDir,
}

/// What a server has.
struct Advertised {
    tip: Option<Oid>,
    branches: Vec<String>,
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
        let branch = match branch {
            Some(branch) => branch.to_owned(),
            None => default_branch(&repository, &url, &access)?,
        };
        Ok(Self {
            repository,
            url,
            access,
            branch,
            _folder: folder,
        })
    }

    pub(crate) fn branch(&self) -> &str {
        &self.branch
    }

    fn reference(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    /// Asks the server for the branch's tip, and fetches what is new.
    pub(crate) fn tip(&self) -> Result<Option<Oid>, Error> {
        let Advertised { tip, branches } = self.fetch()?;
        match tip {
            Some(tip) => {
                self.repository
                    .reference(TIP, tip, true, "niphas: fetched")?;
                Ok(Some(tip))
            }
            None if branches.is_empty() => Ok(None),
            None => Err(Error::NoBranch {
                branch: self.branch.clone(),
                existing: branches,
            }),
        }
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
        let mut branches = Vec::new();
        let mut tip = None;
        for head in connection.list().map_err(explain)? {
            if head.name() == self.reference() {
                tip = Some(head.oid());
            }
            branches.extend(head.name().strip_prefix("refs/heads/").map(str::to_owned));
        }
        let known = tip.is_none_or(|tip| self.repository.find_commit(tip).is_ok());
        if !known {
            tracing::info!(url = %niphas_http::redacted(&self.url), branch = self.branch, "fetching");
            let mut options = FetchOptions::new();
            options
                .remote_callbacks(authentication.callbacks())
                .proxy_options(proxy())
                .download_tags(AutotagOption::None)
                .follow_redirects(RemoteRedirect::Initial);
            let wanted = [self.reference()];
            connection
                .remote()
                .download(&wanted, Some(&mut options))
                .map_err(explain)?;
        }
        Ok(Advertised { tip, branches })
    }

    /// Pushes `to`, which descends from `from`, without force.
    pub(crate) fn advance(&self, from: Option<Oid>, to: Oid) -> Result<Advance, Error> {
        self.repository
            .reference(NEXT, to, true, "niphas: to push")?;
        let authentication = Authentication::new(&self.access, &self.url);
        let rejected = RefCell::new(None);
        let mut remote = self
            .repository
            .remote_anonymous(&self.url)
            .map_err(|error| authentication.explain(&error))?;
        let mut callbacks = authentication.callbacks();
        callbacks.push_update_reference(|_, message| {
            *rejected.borrow_mut() = message.map(str::to_owned);
            Ok(())
        });
        let mut options = PushOptions::new();
        options.remote_callbacks(callbacks).proxy_options(proxy());
        let refspec = format!("{NEXT}:{}", self.reference());
        let pushed = remote.push(&[refspec], Some(&mut options));
        drop(options);
        let rejected = rejected.into_inner();
        match (pushed, rejected) {
            (Ok(()), None) => Ok(Advance::Done),
            (Err(error), _) if error.code() == ErrorCode::NotFastForward => Ok(Advance::Moved),
            (Err(error), None) => Err(authentication.explain(&error)),
            (_, Some(message)) => {
                // Servers word it each in their own way. Where the branch is now says more.
                let busy = ["lock", "failed to update ref", "already exists"];
                let moved = self.fetch()?.tip != from;
                if moved || busy.iter().any(|words| message.contains(words)) {
                    return Ok(Advance::Moved);
                }
                Err(Error::Refused {
                    branch: self.branch.clone(),
                    message,
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
        Err(error) if error.code() == ErrorCode::NotFound => Err(Error::NoDefaultBranch),
        Err(error) => Err(explain(error)),
    }
}

fn proxy<'a>() -> ProxyOptions<'a> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}
