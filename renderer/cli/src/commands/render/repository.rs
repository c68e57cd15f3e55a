//! The GitOps repository that is rendered to.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use niphas_environments::RepositoryKey;
use niphas_gitops::{
    Access, Allowed, Author, GitOpsRepository, Location, SigningKey, Subject, Token,
};
use niphas_render::DeployFolder;
use tempfile::TempDir;

use crate::failure::Failure;

/// Which repository to write to, where in it, and how to log in.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Repository")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(super) struct RepositoryArgs {
    /// Commit to this GitOps repository: a directory, or a URL
    ///
    /// URLs: https://…, ssh://… or user@host:path.
    ///
    /// Variable: `NIPHAS_GITOPS_REPOSITORY`.
    #[arg(
        long,
        value_name = "REPOSITORY",
        env = "NIPHAS_GITOPS_REPOSITORY",
        hide_env = true
    )]
    pub(super) to: Location,
    /// Commit to this branch [default: the one that HEAD names]
    #[arg(long)]
    branch: Option<String>,
    /// Commit to a branch of its own, made from the other: for pull requests
    ///
    /// It has one commit on top of the default branch, or of --branch, and each run makes it again; never if it has a commit
    /// of others. A change that is not needed any more is taken off it.
    #[arg(long, value_name = "NAME", conflicts_with = "init")]
    pub(super) create_branch: Option<String>,
    /// Begin the commit message with this line [default: the names of the environments]
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub(super) message: Option<Subject>,
    /// Put the environments into this directory
    #[arg(long, value_name = "DIR", default_value = "deploy")]
    pub(super) dir: DeployFolder,
    /// Make the repository if there is none at its path
    ///
    /// An empty directory may be there.
    #[arg(long)]
    init: bool,
    /// Commit as `NAME <ADDRESS>` [default: git's variables and configuration]
    #[arg(long, value_name = "AUTHOR", value_parser = parse_author, hide_short_help = true)]
    pub(super) author: Option<Author>,
    /// Sign the commit with the private key in a file: OpenSSH's, or OpenPGP's
    ///
    /// It must have no passphrase. An OpenPGP key is one that `gpg --armor --export-secret-keys` wrote, and `gpg` signs with it.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    signing_key: Option<PathBuf>,
    /// Log in by the token in a file, over HTTPS
    #[arg(long, value_name = "FILE", conflicts_with = "git_token_env")]
    git_token_file: Option<PathBuf>,
    /// Log in by the token in an environment variable, over HTTPS
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    git_token_env: Option<String>,
    /// Log in by a private key, over SSH [default: the SSH agent]
    #[arg(long, value_name = "FILE")]
    git_ssh_key: Option<PathBuf>,
    /// Allow an environment to become empty
    #[arg(long, hide_short_help = true)]
    allow_empty: bool,
    /// Allow a source that may be older than the one the repository was rendered from
    #[arg(long, hide_short_help = true)]
    allow_unknown_source: bool,
    /// Take over environments that were rendered from another flake
    #[arg(long, hide_short_help = true)]
    take_over: bool,
    /// Remove environments that are no longer in the flake
    #[arg(long, hide_short_help = true)]
    pub(super) prune_environments: bool,
}

impl RepositoryArgs {
    /// What the files depend on.
    pub(super) fn key(&self) -> Result<RepositoryKey<'_>, Failure> {
        let Self {
            to,
            branch,
            // Runs for a branch of its own are not compared with the last.
            create_branch: _,
            message: _,
            dir,
            init: _,
            author: _,
            signing_key: _,
            git_token_file: _,
            git_token_env: _,
            git_ssh_key: _,
            allow_empty: _,
            allow_unknown_source: _,
            take_over: _,
            prune_environments: _,
        } = self;
        Ok(RepositoryKey {
            to: match to {
                Location::Path(path) => std::path::absolute(path)?.display().to_string(),
                Location::Remote(url) => url.clone(),
            },
            branch: branch.as_deref(),
            dir: dir.to_string(),
        })
    }

    /// What may be lost.
    pub(super) fn allowed(&self) -> Allowed {
        Allowed {
            empty: self.allow_empty,
            unknown_source: self.allow_unknown_source,
            other_owner: self.take_over,
        }
    }

    /// The key that signs, if one was named: so that its faults are reported before anything is evaluated.
    pub(super) fn signing_key(&self) -> Result<Option<SigningKey>, niphas_gitops::Error> {
        let key = self.signing_key.as_deref().map(SigningKey::read);
        Ok(key.transpose()?)
    }

    /// The repository, if it is on this machine and need not be made: so that its faults are reported before anything is
    /// evaluated for it.
    pub(super) fn local(&self) -> Result<Option<GitOpsRepository>, Failure> {
        let Location::Path(path) = &self.to else {
            return Ok(None);
        };
        if self.to_make().is_some() {
            return Ok(None);
        }
        match self.open(&self.to) {
            Ok(repository) => Ok(Some(repository)),
            Err(error) if is_free(path) => Err(Failure::with_hint(
                error,
                "make one with --init, or give the path of an existing one",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// The repository to write to, made if it has to be. With `only_reports` an empty one is made in its place, to compare with,
    /// which lasts as long as the folder.
    pub(super) fn open_or_make(
        &self,
        only_reports: bool,
    ) -> Result<(GitOpsRepository, Option<TempDir>), Failure> {
        let branch = self.branch.as_deref().unwrap_or("main");
        let (mut to, mut stand_in) = (self.to.clone(), None);
        if let Some(path) = self.to_make() {
            if only_reports {
                let folder = stand_in.insert(TempDir::new()?);
                to = Location::Path(folder.path().to_owned());
                niphas_gitops::init(folder.path(), branch)?;
            } else {
                niphas_gitops::init(path, branch)?;
            }
        }
        let repository = self.open(&to)?;
        Ok((repository, stand_in))
    }

    /// Where a repository has to be made.
    fn to_make(&self) -> Option<&Path> {
        match &self.to {
            Location::Path(path) if self.init && is_free(path) => Some(path),
            _ => None,
        }
    }

    /// Opens the repository.
    pub(super) fn open(&self, to: &Location) -> Result<GitOpsRepository, niphas_gitops::Error> {
        let access = Access {
            login: None,
            token: match (&self.git_token_file, &self.git_token_env) {
                (Some(file), _) => Some(Token::File(file.clone())),
                (None, Some(name)) => Some(Token::Environment(name.clone())),
                (None, None) => None,
            },
            ssh_key: self.git_ssh_key.clone(),
        };
        let repository = GitOpsRepository::open(to, self.branch.as_deref(), access)?;
        match &self.create_branch {
            Some(branch) => repository.proposing_on(branch),
            None => Ok(repository),
        }
    }
}

/// Whether there is nothing at a path, or an empty folder.
fn is_free(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

fn parse_author(text: &str) -> Result<Author, String> {
    let parts = text.strip_suffix('>').and_then(|text| text.split_once('<'));
    match parts {
        Some((name, email)) if !name.trim().is_empty() && email.contains('@') => Ok(Author {
            name: name.trim().to_owned(),
            email: email.trim().to_owned(),
        }),
        _ => Err("expected \"NAME <ADDRESS>\"".to_owned()),
    }
}
