//! Repositories elsewhere: bare clones in the cache folder, brought up to date as needed.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use git2::{
    AutotagOption, Config, Cred, CredentialType, Direction, FetchOptions, Oid, Progress,
    RemoteCallbacks, Repository,
};

use super::cache::Key;
use super::git::{Place, Wanted, default_ref, parse_oid, resolve};
use super::git_size::Part;
use super::rate::Rate;
use super::{FetchSettings, Fetcher, Found};
use crate::attrs::Attrs;
use crate::error::FlakeError;
use crate::input::{Input, Scheme};
use crate::url::Url;

/// The most objects of a pack: libgit2 has each in memory while it takes the pack in. Linux has some 11 million.
const MAX_OBJECTS: usize = 32 << 20;

impl Fetcher {
    /// The clone that fetches of a repository elsewhere are made into, with the history that they brought. None for inputs that
    /// are no such repositories, or were not fetched yet.
    pub fn clone_folder(&self, input: &Input) -> Result<Option<PathBuf>, FlakeError> {
        if input.scheme() != Some(Scheme::Git) {
            return Ok(None);
        }
        let Place::Remote(url) = Place::of(input)? else {
            return Ok(None);
        };
        let shallow = input.flag("shallow")?;
        let (folder, _lock) = self.cache.repository(&url.expose(), shallow)?;
        Ok(folder.join("HEAD").exists().then_some(folder))
    }

    /// `url` is where `place` is.
    pub(super) fn find_remote(
        &self,
        place: &Place,
        url: &Url,
        input: &Input,
        part: Part<'_>,
    ) -> Result<Found, FlakeError> {
        niphas_git::limit_time(niphas_git::TimeLimits::default());
        niphas_git::limit_memory(niphas_git::MAX_OBJECT);
        if url.scheme == "file" {
            let path = url.file_path().map_err(crate::RefError::from)?;
            niphas_git::refuse_pipes(Path::new(&path))
                .map_err(FlakeError::git(format!("opening Git repository '{path}'")))?;
        }
        let shallow = input.flag("shallow")?;
        let (folder, lock) = self.cache.repository(&url.expose(), shallow)?;
        let repository = open_clone(&folder)?;
        let clone = Clone {
            repository: &repository,
            url,
            shallow,
            settings: &self.settings,
        };
        let rev = input.rev()?.map(|rev| parse_oid(&rev)).transpose()?;
        let is_known = |rev: Oid| repository.find_object(rev, None).is_ok();
        let reference = match input.reference()? {
            Some(reference) => reference.to_owned(),
            None => self.remote_head(place, &clone)?,
        };
        let rev = if let Some(rev) = rev {
            if !is_known(rev) {
                clone.fetch_rev(rev)?;
            }
            rev
        } else {
            let local = local_ref(&reference);
            self.update_ref(&clone, &reference, &local, input.flag("allRefs")?)?;
            resolve(&repository, &local)?
        };
        if !is_known(rev) {
            return Err(FlakeError::RevNotFound {
                rev: rev.to_string(),
                reference,
                repository: place.to_string(),
            });
        }
        // A repository may be a submodule of itself, and nothing removes objects of a clone.
        drop(lock);
        let reference = &reference;
        let wanted = Wanted { reference, rev };
        self.find_commit(&repository, place, input, &wanted, part)
    }

    /// Brings a branch or tag of the clone up to date, unless it was just now.
    fn update_ref(
        &self,
        clone: &Clone<'_>,
        reference: &str,
        local: &str,
        all_refs: bool,
    ) -> Result<(), FlakeError> {
        let key = Key::new("git-ref", &[&clone.url.expose(), reference]);
        let is_here = clone.repository.refname_to_id(local).is_ok();
        let known = self.cache.look_up(&key);
        let is_fresh = known.is_some_and(|entry| entry.is_fresh(self.settings.ttl()));
        if is_here && is_fresh && !all_refs {
            return Ok(());
        }
        let specs = if all_refs {
            "+refs/*:refs/*".to_owned()
        } else {
            format!("+{}:{local}", remote_ref(reference))
        };
        match clone.fetch(&[&specs]) {
            Ok(()) => self.cache.remember(&key, &Attrs::new()),
            Err(error) if !is_here || !self.settings.uses_stale => Err(error),
            Err(error) => {
                let url = clone.url;
                tracing::warn!(
                    "{error}; could not update local clone of Git repository '{url}', continuing with the most recent version"
                );
                Ok(())
            }
        }
    }

    /// The branch that the other side's `HEAD` is at.
    fn remote_head(&self, place: &Place, clone: &Clone<'_>) -> Result<String, FlakeError> {
        let url = clone.url;
        let key = Key::new("git-head", &[&url.expose()]);
        let cached = self.cache.look_up(&key);
        if let Some(entry) = &cached
            && entry.is_fresh(self.settings.ttl())
            && let Some(head) = entry.attrs.string("head")?
        {
            return Ok(head.to_owned());
        }
        match clone.ask_head() {
            Ok(Some(head)) => {
                let attrs = Attrs::from_iter([("head", head.as_str())]);
                self.cache.remember(&key, &attrs)?;
                Ok(head)
            }
            Ok(None) => Ok(default_ref(place)),
            Err(error) => {
                let known = cached.as_ref().and_then(|entry| entry.attrs.get("head"));
                let Some(crate::Attr::String(head)) = known else {
                    return Err(error);
                };
                tracing::warn!(
                    "could not get HEAD ref for repository '{url}'; using expired cached ref '{head}'"
                );
                Ok(head.clone())
            }
        }
    }
}

/// The clone in `folder`, which does not know where it comes from: a URL may hold a password.
fn open_clone(folder: &Path) -> Result<Repository, FlakeError> {
    let failed = || FlakeError::git(format!("opening the clone '{}'", folder.display()));
    if !folder.join("HEAD").exists() {
        return Repository::init_bare(folder).map_err(failed());
    }
    let repository = Repository::open_bare(folder).map_err(failed())?;
    // Older versions wrote it down.
    if repository.find_remote("origin").is_ok() {
        repository.remote_delete("origin").map_err(failed())?;
    }
    Ok(repository)
}

/// What a reference is called at the other side.
fn remote_ref(reference: &str) -> String {
    if reference.starts_with("refs/") || reference == "HEAD" {
        reference.to_owned()
    } else {
        format!("refs/heads/{reference}")
    }
}

/// What it is called in the clone.
fn local_ref(reference: &str) -> String {
    match reference {
        "HEAD" => "refs/fetched/HEAD".to_owned(),
        other => remote_ref(other),
    }
}

struct Clone<'a> {
    repository: &'a Repository,
    url: &'a Url,
    shallow: bool,
    settings: &'a FetchSettings,
}

impl Clone<'_> {
    /// Fails if the repository is not on this machine and servers are not asked.
    fn may_ask(&self, address: &str) -> Result<(), FlakeError> {
        if self.url.scheme == "file" {
            return Ok(());
        }
        self.settings.may_ask(address)
    }

    fn ask_head(&self) -> Result<Option<String>, FlakeError> {
        let failed = || FlakeError::git(format!("asking '{}' for its HEAD", self.url));
        let address = self.url.expose();
        self.may_ask(&address)?;
        let mut remote = self
            .repository
            .remote_anonymous(&address)
            .map_err(failed())?;
        let connection = remote
            .connect_auth(Direction::Fetch, Some(callbacks(self.settings)), None)
            .map_err(failed())?;
        let heads = connection.list().map_err(failed())?;
        Ok(heads
            .iter()
            .find(|head| head.name() == "HEAD")
            .and_then(|head| head.symref_target().map(str::to_owned)))
    }

    fn fetch(&self, specs: &[&str]) -> Result<(), FlakeError> {
        let address = self.url.expose();
        self.may_ask(&address)?;
        tracing::info!("fetching Git repository '{}'", self.url);
        // Repositories of this machine can't be cloned in part.
        let shallow = self.shallow && !address.starts_with("file:");
        let limits = &self.settings.limits;
        let mut rate = Rate::new(limits.min_rate, limits.read_timeout);
        let refusal = Cell::new(None);
        let mut fetch = || {
            let mut remote = self.repository.remote_anonymous(&address)?;
            let mut callbacks = callbacks(self.settings);
            callbacks.transfer_progress(|progress| match self.refuse(&progress, &mut rate) {
                None => true,
                error => {
                    refusal.set(error);
                    false
                }
            });
            let mut options = FetchOptions::new();
            options
                .remote_callbacks(callbacks)
                .download_tags(AutotagOption::None)
                .update_fetchhead(false);
            if shallow {
                options.depth(1);
            }
            // Without a message the log of a ref would name the URL.
            remote.fetch(specs, Some(&mut options), Some("fetch"))
        };
        let fetched = fetch();
        fetched.map_err(|error| {
            refusal.take().unwrap_or_else(|| {
                FlakeError::git(format!("fetching Git repository '{}'", self.url))(error)
            })
        })
    }

    /// Why no more of a pack is taken.
    fn refuse(&self, progress: &Progress<'_>, rate: &mut Rate) -> Option<FlakeError> {
        let url = || self.url.expose().into();
        let (received, limit) = (progress.received_bytes() as u64, self.settings.max_download);
        // Once all has come, this machine is at work.
        let is_here = progress.received_objects() == progress.total_objects();
        if received > limit {
            Some(FlakeError::TooLarge { url: url(), limit })
        } else if progress.total_objects() > MAX_OBJECTS {
            Some(FlakeError::TooManyObjects {
                url: url(),
                limit: MAX_OBJECTS,
            })
        } else if !is_here && !rate.holds(received) {
            let limits = &self.settings.limits;
            Some(FlakeError::Download {
                url: url(),
                reason: format!(
                    "the server sent less than {} bytes per second for {} s",
                    limits.min_rate,
                    limits.read_timeout.as_secs_f64()
                ),
            })
        } else {
            None
        }
    }

    /// Fetches a commit: alone, if the other side lets us, else with all branches and tags.
    fn fetch_rev(&self, rev: Oid) -> Result<(), FlakeError> {
        let alone = format!("+{rev}:refs/fetched/{rev}");
        match self.fetch(&[&alone]) {
            Ok(()) if self.repository.find_object(rev, None).is_ok() => return Ok(()),
            // Asking for more would take even longer.
            Err(error) if error.is_limit() => return Err(error),
            _ => {}
        }
        let everything = Clone {
            shallow: false,
            ..*self
        };
        everything.fetch(&["+refs/*:refs/*"])
    }
}

/// The login of the settings, or keys of the SSH agent and passwords of Git's credential helpers.
fn callbacks(settings: &FetchSettings) -> RemoteCallbacks<'_> {
    if let Some(login) = &settings.git_login {
        return login.callbacks();
    }
    let mut callbacks = RemoteCallbacks::new();
    let mut asked = 0;
    callbacks.credentials(move |url, user, allowed| {
        asked += 1;
        if asked > 4 {
            return Err(git2::Error::from_str(
                "the server refused the credentials; put the key into the SSH agent, or set up a Git credential helper",
            ));
        }
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user.unwrap_or("git"));
        }
        if allowed.contains(CredentialType::SSH_KEY) {
            return Cred::ssh_key_from_agent(user.unwrap_or("git"));
        }
        if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) {
            return Cred::credential_helper(&Config::open_default()?, url, user);
        }
        Cred::default()
    });
    callbacks
}
