//! Git repositories: work trees where they are, commits written out from the objects.

use std::fmt;
use std::path::{Path, PathBuf};

use git2::{Commit, Oid, Repository};
use nix_formats::hash::HashFormat;

use super::cache::Key;
use super::git_size::{Part, TreeSize};
use super::git_tree::CommitTree;
use super::{Fetcher, Found, cached_number, check_against, hash_mismatch, lock};
use crate::attrs::Attrs;
use crate::error::FlakeError;
use crate::input::Input;
use crate::url::Url;

/// Where a repository is.
pub(super) enum Place {
    /// A repository with a work tree, on this machine.
    Local(PathBuf),
    /// Anything that has to be cloned; bare repositories of this machine among it.
    Remote(Url),
}

impl Place {
    pub(super) fn of(input: &Input) -> Result<Self, FlakeError> {
        let mut url =
            Url::parse(input.attrs().required_string("url")?).map_err(crate::RefError::from)?;
        if url.scheme != "file" {
            // Lock files of old Nix have the flake's folder in here.
            url.query.remove("dir");
            return Ok(Self::Remote(url));
        }
        let path = PathBuf::from(url.file_path().map_err(crate::RefError::from)?);
        let is_bare = path.exists() && !path.join(".git").exists();
        if is_bare {
            // Git would take them for a part of the name.
            url.query.clear();
            return Ok(Self::Remote(url));
        }
        if !path.is_absolute() {
            tracing::warn!(
                "Fetching Git repository '{url}', which uses a path relative to the current directory. This is not supported and will stop working in a future release. See https://github.com/NixOS/nix/issues/12281 for details."
            );
        }
        std::path::absolute(&path)
            .map(Self::Local)
            .map_err(FlakeError::io("resolving", path))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Remote(url) => url.fmt(f),
        }
    }
}

pub(super) fn open(path: &Path) -> Result<Repository, FlakeError> {
    niphas_git::limit_memory(niphas_git::MAX_OBJECT);
    niphas_git::open(path).map_err(FlakeError::git(format!(
        "opening Git repository '{}'",
        path.display()
    )))
}

/// A commit, and the branch or tag that it was found by.
pub(super) struct Wanted<'a> {
    pub(super) reference: &'a str,
    pub(super) rev: Oid,
}

impl Fetcher {
    pub(super) fn find_git(&self, input: &Input, part: Part<'_>) -> Result<Found, FlakeError> {
        if input.flag("exportIgnore")? && input.flag("submodules")? {
            return Err(FlakeError::ExportIgnoreSubmodules);
        }
        let is_unpinned = input.reference()?.is_none() && input.rev()?.is_none();
        let place = Place::of(input)?;
        match &place {
            Place::Local(path) if is_unpinned => self.find_worktree(path, input, part),
            Place::Local(path) => {
                let repository = open(path)?;
                let reference = match input.reference()? {
                    Some(reference) => reference.to_owned(),
                    None => head_ref(&repository)?.unwrap_or_else(|| default_ref(&place)),
                };
                let rev = match input.rev()? {
                    Some(rev) => parse_oid(&rev)?,
                    None => resolve(&repository, &reference)?,
                };
                let wanted = Wanted {
                    reference: &reference,
                    rev,
                };
                self.find_commit(&repository, &place, input, &wanted, part)
            }
            Place::Remote(url) => self.find_remote(&place, url, input, part),
        }
    }

    /// A commit that is in `repository`, which is the one at `place` or a clone of it.
    pub(super) fn find_commit(
        &self,
        repository: &Repository,
        place: &Place,
        input: &Input,
        &Wanted { reference, rev }: &Wanted<'_>,
        part: Part<'_>,
    ) -> Result<Found, FlakeError> {
        let specified = input;
        let shallow = input.flag("shallow")?;
        if repository.is_shallow() && !shallow {
            return Err(FlakeError::Shallow(place.to_string()));
        }
        let commit = repository
            .find_object(rev, None)
            .and_then(|object| object.peel_to_commit())
            .map_err(|_| FlakeError::RevNotFound {
                rev: rev.to_string(),
                reference: reference.to_owned(),
                repository: place.to_string(),
            })?;
        let mut input = input.clone();
        let last_modified = commit.time().seconds().unsigned_abs();
        let attrs = input.attrs_mut();
        attrs.set("ref", reference);
        attrs.set("rev", rev.to_string());
        attrs.set("lastModified", last_modified);
        if !shallow {
            let count = self.rev_count(repository, rev)?;
            input.attrs_mut().set("revCount", count);
        }
        let (submodules, export_ignore) = (input.flag("submodules")?, input.flag("exportIgnore")?);
        let lfs = input.flag("lfs")?;
        // The commit's name is the hash of its contents: Git checks it for each object that it reads.
        let flag = |set, name| if set { name } else { "" };
        let key = Key::new(
            "git",
            &[
                &rev.to_string(),
                flag(submodules, "submodules"),
                flag(export_ignore, "exportIgnore"),
                flag(lfs, "lfs"),
            ],
        );
        let (max_bytes, shown) = (self.settings.max_unpacked, place.to_string());
        if let Some(entry) = self.cache.look_up(&key)
            && let Some(size) = TreeSize::from_attrs(&entry.attrs)
            && let Some(content) = self.content_of(&entry.attrs)?
        {
            part.add(size, max_bytes, &shown)?;
            return Ok(Found {
                input,
                tree: content.tree,
                nar_hash: Some(content.nar_hash),
            });
        }
        let scratch = self.cache.scratch()?;
        let before = part.whole();
        let of = (repository, place, reference);
        let source = self.commit_tree(of, &commit, &input, scratch.path(), part)?;
        if let Some(expected) = specified.nar_hash()? {
            let got = source.nar_hash()?;
            if got != expected {
                // What else differs says more.
                input.set_final();
                check_against(specified, &mut input)?;
                return Err(hash_mismatch(specified, &expected, &got));
            }
        }
        let root = scratch.path().join("tree");
        let nar_hash = source.write(&root)?;
        let tree = self.cache.adopt_hashed(&root, &nar_hash)?;
        let hash = nar_hash.to_string(HashFormat::Sri, true);
        let mut known = Attrs::from_iter([("narHash", hash)]);
        part.whole().less(before).put_into(&mut known);
        self.cache.remember(&key, &known)?;
        Ok(Found {
            input,
            tree,
            nar_hash: Some(nar_hash),
        })
    }

    /// The tree of a commit as `input` wants it: with submodules and files of Git LFS, less what is left out of exports. `scratch`
    /// is a folder to work in.
    fn commit_tree<'r>(
        &self,
        (repository, place, reference): (&'r Repository, &Place, &str),
        commit: &Commit<'r>,
        input: &Input,
        scratch: &Path,
        part: Part<'_>,
    ) -> Result<CommitTree<'r>, FlakeError> {
        let max_bytes = self.settings.max_unpacked;
        let mut source = CommitTree::new(repository, &place.to_string(), commit, part, max_bytes)?;
        let lfs = input.flag("lfs")?;
        if input.flag("exportIgnore")? {
            source.honour_export_ignore(scratch)?;
        }
        let of = (repository, place);
        if input.flag("submodules")? {
            source.submodules = self.submodules(of, &source, (reference, lfs), scratch, part)?;
        }
        if lfs {
            source.large_files = self.large_files(of, &source, scratch, part)?;
        }
        Ok(source)
    }

    /// How many commits `rev` has behind it, itself included.
    pub(super) fn rev_count(&self, repository: &Repository, rev: Oid) -> Result<u64, FlakeError> {
        // A repository may have grafts, which change what is behind a commit: its place is a part of the key.
        let place = repository.path().display().to_string();
        let key = Key::new("rev-count", &[&place, &rev.to_string()]);
        if let Some(entry) = self.cache.look_up(&key)
            && let Some(count) = cached_number(&entry.attrs, "revCount")
        {
            return Ok(count);
        }
        let failed = || FlakeError::git(format!("counting the commits behind '{rev}'"));
        let mut walk = repository.revwalk().map_err(failed())?;
        walk.push(rev).map_err(failed())?;
        let mut count = 0;
        for commit in walk {
            commit.map_err(failed())?;
            count += 1;
        }
        self.cache
            .remember(&key, &Attrs::from_iter([("revCount", count)]))?;
        Ok(count)
    }

    /// Forgets all trees that were mounted from the folder `root`, whose files have changed.
    pub fn forget_folder(&self, root: &Path) {
        lock(&self.seen).retain(|_, resolved| resolved.fetched.tree.root() != root);
    }
}

/// The branch that `HEAD` is at, if it is at one.
pub(super) fn head_ref(repository: &Repository) -> Result<Option<String>, FlakeError> {
    let head = repository
        .find_reference("HEAD")
        .map_err(FlakeError::git("looking up HEAD"))?;
    Ok(head
        .symbolic_target_bytes()
        .map(|target| String::from_utf8_lossy(target).into_owned()))
}

pub(super) fn default_ref(place: &Place) -> String {
    tracing::warn!("could not read HEAD ref from repo at '{place}', using 'master'");
    "master".to_owned()
}

/// The commit that a reference leads to, through tags.
pub(super) fn resolve(repository: &Repository, reference: &str) -> Result<Oid, FlakeError> {
    repository
        .revparse_single(&format!("{reference}^{{commit}}"))
        .map(|object| object.id())
        .map_err(FlakeError::git(format!(
            "resolving Git reference '{reference}'"
        )))
}

pub(super) fn parse_oid(rev: &str) -> Result<Oid, FlakeError> {
    Oid::from_str(rev).map_err(FlakeError::git(format!("reading the Git revision '{rev}'")))
}
