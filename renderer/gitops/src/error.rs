//! Why a run wrote nothing.

use std::fmt;
use std::path::PathBuf;

use git2::Oid;
use niphas_http::Redacted;
use niphas_render::LockError;

use crate::access::Token;
use crate::signing::SigningError;

/// What libgit2 says.
#[derive(Debug)]
pub struct GitError(git2::Error);

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for GitError {}

impl From<git2::Error> for GitError {
    fn from(error: git2::Error) -> Self {
        Self(error)
    }
}

impl From<git2::Error> for Error {
    fn from(error: git2::Error) -> Self {
        Self::Git(error.into())
    }
}

/// Why a run wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository, or it cannot be read.
    #[error("cannot open the repository at '{path}'")]
    Open {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        source: GitError,
    },
    /// A remote repository cannot be fetched from or pushed to.
    #[error("cannot reach the repository '{url}'")]
    Remote {
        /// The repository.
        url: Redacted,
        /// Why.
        source: GitError,
    },
    /// The name is no name of a branch.
    #[error("'{0}' cannot be the name of a branch")]
    BadBranch(String),
    /// The repository has commits, but not this branch.
    #[error("the repository has no branch '{branch}'{}", list(.existing))]
    NoBranch {
        /// The branch.
        branch: String,
        /// The branches that there are.
        existing: Vec<String>,
    },
    /// A branch cannot be made from itself.
    #[error("branch '{0}' cannot be created from itself")]
    BranchOfItself(String),
    /// There is no commit to make a branch from.
    #[error("branch '{branch}' cannot be created: '{base}' has no commit yet")]
    EmptyBase {
        /// The branch.
        branch: String,
        /// What it was to be made from.
        base: String,
    },
    /// Git cannot have both branches.
    #[error("branch '{branch}' cannot be created beside the branch '{other}'")]
    BranchInTheWay {
        /// The branch.
        branch: String,
        /// The one that is there.
        other: String,
    },
    /// The branch of its own has a commit that is not niphas' alone.
    #[error("branch '{branch}' has a commit that niphas did not make: {commit}")]
    ForeignCommit {
        /// The branch.
        branch: String,
        /// The commit.
        commit: Oid,
    },
    /// The branch of its own has changes that this run knows nothing of.
    #[error(
        "branch '{branch}' has changes of environment '{environment}', which this run does not render"
    )]
    OtherProposal {
        /// The branch.
        branch: String,
        /// The environment.
        environment: String,
    },
    /// The branch to write to was not named, and the repository has no default.
    #[error("the repository has no default branch")]
    NoDefaultBranch,
    /// There is no signature.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The branch to write to was not named, and the repository has none yet.
    #[error("the repository '{url}' is empty, and names no branch")]
    EmptyRepository {
        /// The repository.
        url: Redacted,
    },
    /// A git operation failed that should not.
    #[error("git failed")]
    Git(#[source] GitError),
    /// The file with the token cannot be read.
    #[error("cannot read the token file '{path}'")]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no token where one was said to be.
    #[error("no token in {}", place(.0))]
    NoToken(Token),
    /// The server wants a user and password, and we have none.
    #[error("the server of '{url}' wants credentials, and there are none")]
    NoCredentials {
        /// The repository.
        url: Redacted,
    },
    /// The server did not accept the credentials.
    #[error("the server of '{url}' did not accept the credentials")]
    Denied {
        /// The repository.
        url: Redacted,
    },
    /// The token would have gone to another server, or over an open line.
    #[error("the token was not sent: '{url}' is not HTTPS, or leads to another server")]
    TokenNotSent {
        /// The repository.
        url: Redacted,
    },
    /// No private key was given, and there is no agent to ask.
    #[error("the server of '{url}' wants an SSH key: none was given, and no SSH agent runs")]
    NoSshAgent {
        /// The repository.
        url: Redacted,
    },
    /// The private key is not there.
    #[error("no SSH key at '{0}'")]
    NoSshKey(PathBuf),
    /// The server has a rule against this push.
    #[error(
        "the repository refused the push to '{branch}': {message}{}",
        said(words)
    )]
    Refused {
        /// The branch.
        branch: String,
        /// Why, in few words.
        message: String,
        /// Whether it was a branch of its own, which may be pushed to by force.
        by_force: bool,
        /// What the server said to people, by lines.
        words: Vec<String>,
    },
    /// Others were faster each time.
    #[error("gave up after {attempts} attempts: others changed '{branch}' each time")]
    Contended {
        /// The branch.
        branch: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The branch is checked out, and there is uncommitted work.
    #[error("'{branch}' is checked out at '{work_tree}', where {what}")]
    DirtyWorkTree {
        /// The branch.
        branch: String,
        /// The work tree.
        work_tree: PathBuf,
        /// What is not clean.
        what: String,
    },
    /// The branch is checked out in a linked work tree.
    #[error("'{branch}' is checked out in another work tree of the repository")]
    CheckedOutElsewhere {
        /// The branch.
        branch: String,
    },
    /// The lock of the environment cannot be read.
    #[error("cannot read '{path}' in the repository")]
    Lock {
        /// The lock.
        path: String,
        /// Why.
        source: LockError,
    },
    /// A file of ours was changed by another writer.
    #[error("'{path}' was {how} by hand since niphas wrote it")]
    EditedByHand {
        /// The file.
        path: String,
        /// `edited` or `removed`.
        how: &'static str,
    },
    /// Something that is not ours stands where a file belongs.
    #[error("'{path}' is in the way: niphas did not write it")]
    InTheWay {
        /// What is there.
        path: String,
    },
    /// The environment has no workloads any more.
    #[error("environment '{environment}' has no workloads: {files} files would be removed")]
    Empties {
        /// The environment.
        environment: String,
        /// How many files it has now.
        files: usize,
    },
    /// What is there was rendered from a newer source.
    #[error(
        "environment '{environment}' was rendered from {recorded}, which is newer than this source, {ours}"
    )]
    Stale {
        /// The environment.
        environment: String,
        /// The source revision in the repository.
        recorded: String,
        /// The source revision of this run.
        ours: String,
    },
    /// What is there was rendered from this source, and then changed by another writer's commit.
    #[error(
        "environment '{environment}' was changed by commit {commit} after it was rendered from this source"
    )]
    RolledBack {
        /// The environment.
        environment: String,
        /// The commit on top.
        commit: Oid,
    },
    /// It cannot be told whether what is there was rendered from a newer source.
    #[error(
        "environment '{environment}' was rendered from {recorded}, {}",
        if *has_revision { "which this source's history does not have" } else { "and this source has no revision" }
    )]
    UnknownSource {
        /// The environment.
        environment: String,
        /// The source revision in the repository.
        recorded: String,
        /// Whether this run's source has a revision.
        has_revision: bool,
    },
    /// Another flake's environment has this name.
    #[error(
        "environment '{environment}' in the repository belongs to the flake {theirs}; this flake is {ours}"
    )]
    OtherOwner {
        /// The environment.
        environment: String,
        /// The flake that it was rendered from.
        theirs: String,
        /// The flake of this run.
        ours: String,
    },
}

impl Error {
    pub(crate) fn remote(url: &str, source: &git2::Error) -> Self {
        Self::Remote {
            url: url.into(),
            source: niphas_git::explained(source).into(),
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Signing(error) => return error.hint(),
            Self::Open { source, .. } => match source.0.code() {
                git2::ErrorCode::NotFound => {
                    "make one with 'git init', or give the path of an existing one"
                }
                git2::ErrorCode::Owner => {
                    "the folder belongs to another user: add it to git's safe.directory"
                }
                _ => return None,
            },
            Self::Remote { url, source } => match (source.0.class(), source.0.code()) {
                (_, git2::ErrorCode::Certificate) if !url.to_string().starts_with("http") => {
                    "the host's key is not in ~/.ssh/known_hosts, or another one is: compare it with \
                     the one that the host's operator publishes, and add it there"
                }
                (_, git2::ErrorCode::Certificate) => {
                    "the server's certificate is not of an authority that this machine trusts"
                }
                (git2::ErrorClass::Http, _) if source.0.message().contains("404") => {
                    "check the address; servers also say so of repositories that one may not see"
                }
                _ => return None,
            },
            Self::NoBranch { .. } => "create the branch first, or name another",
            Self::NoDefaultBranch => "name the branch to write to",
            Self::EmptyRepository { .. } => "name the branch to make",
            Self::NoCredentials { .. } => {
                "give a token by file or by environment variable, or configure git's credential.helper"
            }
            Self::NoSshAgent { .. } => "load a key into the SSH agent, or give one as a file",
            Self::Denied { .. } => "check that the token or key may write to this repository",
            Self::TokenNotSent { .. } => "give the repository's own https:// address",
            Self::Refused {
                by_force: false, ..
            } => {
                "the branch may be protected: let niphas push to it, or render to a branch of its own and merge that"
            }
            Self::Contended { .. } => "run it again",
            Self::DirtyWorkTree { .. } => {
                "commit or stash what is there, or check out another branch"
            }
            Self::CheckedOutElsewhere { .. } => "check out another branch there",
            Self::Lock {
                source: LockError::Version(_),
                ..
            } => "a newer niphas wrote it: use that",
            Self::Lock { .. } => "restore it from the repository's history",
            Self::EditedByHand { .. } => {
                "make the change in the flake instead, and put the file back as niphas wrote it \
                 (git revert)"
            }
            Self::InTheWay { .. } => "move it away, or render to another folder",
            Self::Stale { .. } => "render the newest source",
            Self::RolledBack { .. } => {
                "it was rolled back, it seems: render a newer source, or revert that commit"
            }
            Self::OtherOwner { .. } => {
                "names of environments are unique in a GitOps repository: give this one another name, or use a repository for \
                 each flake"
            }
            Self::UnknownSource {
                has_revision: false,
                ..
            } => "render a commit of the flake's Git repository",
            Self::UnknownSource { .. } => {
                "fetch the source's whole history (a shallow clone lacks it)"
            }
            _ => return self.hint_of_proposal(),
        };
        Some(hint.to_owned())
    }

    /// The same for a branch of its own.
    fn hint_of_proposal(&self) -> Option<String> {
        let hint = match self {
            Self::BranchOfItself(_) => "give another name, or name the branch to create it from",
            Self::EmptyBase { .. } => "render to that branch first",
            Self::BranchInTheWay { .. } => "give it another name",
            Self::ForeignCommit { .. } => {
                "niphas makes the branch again on each run, and keeps commits of others: merge or delete the branch, or \
                 give another name"
            }
            Self::OtherProposal { .. } => {
                "give each flake, and each selection of environments, a branch of its own; or merge or delete this one"
            }
            Self::Refused { by_force: true, .. } => {
                "let niphas create branches of this name, and push to them by force: it replaces its own commits there"
            }
            // What allows the others is an option of the program, or there is nothing to do.
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn said(words: &[String]) -> String {
    let lines = words.iter().map(|line| format!("\n  {line}"));
    if words.is_empty() {
        String::new()
    } else {
        format!("\nthe server said:{}", lines.collect::<String>())
    }
}

fn list(branches: &[String]) -> String {
    match branches {
        [] => String::new(),
        branches => format!("; it has: {}", branches.join(", ")),
    }
}

fn place(token: &Token) -> String {
    match token {
        Token::File(path) => format!("the file '{}'", path.display()),
        Token::Environment(name) => format!("the environment variable '{name}'"),
    }
}
