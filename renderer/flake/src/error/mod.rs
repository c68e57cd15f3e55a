//! What can go wrong. Where Nix has a text for it, the text is Nix's.

mod lock_file;
mod reference;

use std::path::PathBuf;

use niphas_http::Redacted;
use nix_formats::nar::WriterError;
use nix_formats::store_path::StorePathError;
use thiserror::Error;
use tree_writer::TreeError;

pub use lock_file::LockFileError;
pub use reference::{RefError, UrlError};

/// Anything that stops a fetch, a lock or a look at a flake.
#[derive(Debug, Error)]
pub enum FlakeError {
    /// A reference that can't be read.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// A lock file that can't be used.
    #[error(transparent)]
    LockFile(#[from] LockFileError),
    /// A store path that can't be made.
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    /// While an input was fetched.
    #[error("while fetching the input '{input}'")]
    Fetching {
        /// The input.
        input: String,
        /// Why.
        #[source]
        source: Box<FlakeError>,
    },
    /// While an input was locked.
    #[error("while updating the flake input '{path}'")]
    UpdatingInput {
        /// E.g. `a/b`.
        path: String,
        /// Why.
        #[source]
        source: Box<FlakeError>,
    },
    /// While a flake's lock file was made.
    #[error("while updating the lock file of flake '{flake}'")]
    UpdatingLock {
        /// The flake.
        flake: String,
        /// Why.
        #[source]
        source: Box<FlakeError>,
    },
    /// A file or folder that can't be read or written.
    #[error("{action} '{}'", path.display())]
    Io {
        /// E.g. `reading`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A path that doesn't exist.
    #[error("path '{}' does not exist", .0.display())]
    NotFound(PathBuf),
    /// A socket, a device, a pipe.
    #[error("file '{}' has an unsupported type", .0.display())]
    FileType(PathBuf),
    /// A file's name that isn't UTF-8.
    #[error("the file name '{}' is not valid UTF-8", .0.display())]
    FileName(PathBuf),
    /// Libgit2 failed.
    #[error("{action}")]
    Git {
        /// What was tried.
        action: String,
        /// What libgit2 says.
        #[source]
        source: git2::Error,
    },
    /// A tree in a Git repository that no commit of Git's has.
    #[error("refused the Git tree entry '{entry}': it {problem}")]
    GitTree {
        /// Its path in the tree.
        entry: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A tree in a Git repository that is larger than it may be.
    #[error(
        "expected a tree of at most {limit} {what} in the Git repository '{repository}' and its submodules, found at least {found}; split the repository"
    )]
    GitTreeTooLarge {
        /// Which.
        repository: String,
        /// What there is too much of.
        what: &'static str,
        /// How much was counted.
        found: u64,
        /// How much is let through.
        limit: u64,
    },
    /// A tree that is refused, or that can't be written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A tree that has no NAR.
    #[error("failed to archive '{}'", place.display())]
    Archiving {
        /// What, in the tree.
        place: PathBuf,
        /// Why.
        #[source]
        source: WriterError,
    },
    /// A repository that has more objects than any.
    #[error("expected at most {limit} objects from '{url}', found more")]
    TooManyObjects {
        /// From where.
        url: Redacted,
        /// How many are let through.
        limit: usize,
    },
    /// Submodules of submodules without end.
    #[error("expected submodules nested at most {limit} deep, found more")]
    SubmodulesTooDeep {
        /// How deep they may be.
        limit: usize,
    },
    /// A .gitmodules that wants other files of this machine to be read.
    #[error("refused '{}': it includes another file, which .gitmodules may not; remove the include", .0.display())]
    GitmodulesInclude(PathBuf),
    /// A submodule that is not where .gitmodules says.
    #[error(
        "expected the submodule '{path}' to be a folder of its repository, found a symbolic link on the way; change its path in .gitmodules"
    )]
    SubmoduleBehindLink {
        /// The path that .gitmodules gives.
        path: String,
    },
    /// A repository without its whole history.
    #[error(
        "'{0}' is a shallow Git repository, but shallow repositories are only allowed when `shallow = true;` is specified"
    )]
    Shallow(String),
    /// A commit that isn't where it should be.
    #[error(
        "Cannot find Git revision '{rev}' in ref '{reference}' of repository '{repository}'! Please make sure that the rev exists on the ref you've specified or add allRefs = true; to fetchGit."
    )]
    RevNotFound {
        /// The commit.
        rev: String,
        /// The branch or tag.
        reference: String,
        /// The repository.
        repository: String,
    },
    /// Uncommitted changes where they are refused.
    #[error("Git tree '{0}' is dirty")]
    Dirty(String),
    /// A repository with files in Git LFS, of which no server is known.
    #[error(
        "the Git LFS server of '{0}' is not known: it is asked over HTTP, so fetch the repository from an 'https://' URL, or set 'lfs.url' in its Git configuration"
    )]
    LfsServer(String),
    /// A file that could not be fetched from Git LFS.
    #[error("failed to fetch the file 'sha256:{oid}' from Git LFS: {reason}")]
    LfsFile {
        /// The SHA-256 of its contents.
        oid: String,
        /// The server's message, or what differs.
        reason: String,
    },
    /// Neither Git nor Nix say what that would mean.
    #[error("exportIgnore and submodules are not supported together yet")]
    ExportIgnoreSubmodules,
    /// A download failed.
    #[error("unable to download '{url}': {reason}")]
    Download {
        /// From where.
        url: Redacted,
        /// Status or cause.
        reason: String,
    },
    /// An answer that is larger than it may be.
    #[error("'{url}' is larger than {limit} bytes")]
    TooLarge {
        /// From where.
        url: Redacted,
        /// How much is let through.
        limit: u64,
    },
    /// A forge's answer that makes no sense.
    #[error("unexpected answer from '{url}': {reason}")]
    ForgeAnswer {
        /// From where.
        url: Redacted,
        /// What is wrong with it.
        reason: String,
    },
    /// A local archive that isn't one.
    #[error("tarball {tarball} {problem}")]
    LocalTarball {
        /// Its URL or path, in the quotes that Nix puts around it.
        tarball: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An archive that can't be unpacked.
    #[error("cannot unpack '{archive}': {reason}")]
    Archive {
        /// Which.
        archive: String,
        /// Why.
        reason: String,
    },
    /// `Link:` header to something else.
    #[error("tarball 'Link' headers that redirect to non-tarball URLs are not supported")]
    ImmutableLink,
    /// A name that no registry knows.
    #[error("cannot find flake '{0}' in the flake registries")]
    NotInRegistries(String),
    /// A name where names may not be looked up.
    #[error("'{0}' is an indirect flake reference, but registry lookups are not allowed")]
    RegistriesNotAllowed(String),
    /// Registry entries that lead in a circle.
    #[error("cycle detected in flake registry for '{0}'")]
    RegistryCycle(String),
    /// The global registry can't be fetched.
    #[error(
        "cannot find flake '{input}' in the local flake registries, and the global flake registry could not be read; write the input out in full (e.g. 'github:owner/repo'), or name a local registry file as the flake registry"
    )]
    GlobalRegistry {
        /// What was looked up.
        input: String,
        /// Why the registry can't be read.
        #[source]
        source: Box<FlakeError>,
    },
    /// An input from outside that pretends to come from a lock file.
    #[error("input '{0}' is not allowed to use the '__final' attribute")]
    FinalNotAllowed(String),
    /// An input that could give anything, in an evaluation that has to be pure.
    #[error("in pure evaluation mode, '{fetcher}' doesn't fetch unlocked input '{input}'")]
    UnlockedFetch {
        /// The builtin.
        fetcher: &'static str,
        /// The input.
        input: String,
    },
    /// An input of a type that isn't known.
    #[error("cannot fetch unsupported input '{0}'")]
    UnsupportedInput(String),
    /// A name where only a place will do.
    #[error("indirect input '{0}' cannot be fetched directly")]
    Indirect(String),
    /// A relative path that nothing is known to be relative to.
    #[error("cannot fetch input '{0}' because it uses a relative path")]
    RelativePath(String),
    /// Other contents than the lock file says.
    #[error("NAR hash mismatch in input '{input}', expected '{expected}' but got '{got}'")]
    NarHashMismatch {
        /// The input.
        input: String,
        /// What the reference or the lock file says.
        expected: String,
        /// What is there.
        got: String,
    },
    /// Another commit, time or count than the reference says.
    #[error("'{field}' attribute mismatch in input '{input}', expected {expected}, got {got}")]
    FieldMismatch {
        /// Which.
        field: String,
        /// The input.
        input: String,
        /// What the reference says.
        expected: String,
        /// What is there.
        got: String,
    },
    /// Another attribute than the lock file says.
    #[error("mismatch in field '{field}' of input '{expected}', got '{got}'")]
    LockMismatch {
        /// Which.
        field: String,
        /// The attributes of the lock file.
        expected: String,
        /// Those that the fetch gave.
        got: String,
    },
    /// A file of another hash than asked for.
    #[error(
        "hash mismatch in file downloaded from '{url}':\n  specified: {expected}\n  got:       {got}"
    )]
    HashMismatch {
        /// From where.
        url: Redacted,
        /// What was asked for.
        expected: String,
        /// What came.
        got: String,
    },
    /// `inputs.self` with something else than `submodules` or `lfs`.
    #[error("flake 'self' attribute '{0}' is not supported")]
    SelfAttr(String),
    /// A relative path that leaves its source tree.
    #[error("relative path '{path}' of input '{input}' points outside its source tree '{parent}'")]
    OutsideTree {
        /// The relative path.
        path: String,
        /// The input.
        input: String,
        /// The tree.
        parent: String,
    },
    /// No flake.nix where one should be.
    #[error("source tree referenced by '{reference}' does not contain a '/{file}' file")]
    NoFlakeFile {
        /// The flake reference.
        reference: String,
        /// E.g. `sub/flake.nix`.
        file: String,
    },
    /// A flake.nix that Git doesn't know.
    #[error("Path '{path}' in the repository \"{}\" is not tracked by Git.\n\nTo make it visible to Nix, run:\n\ngit -C \"{}\" add \"{path}\"", repository.display(), repository.display())]
    Untracked {
        /// Within the repository.
        path: String,
        /// Where that is.
        repository: PathBuf,
    },
    /// flake.nix can't be read as one.
    #[error("cannot read '{file}'")]
    FlakeNix {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A flake that is an input of itself.
    #[error("found circular import of flake '{0}'")]
    CircularImport(String),
    /// More inputs than any flake has.
    #[error("flake '{flake}' has more than {limit} inputs, all levels together")]
    TooManyInputs {
        /// Which.
        flake: String,
        /// How many there may be.
        limit: usize,
    },
    /// Inputs of inputs of inputs without end.
    #[error("the inputs of flake '{flake}' are nested more than {limit} deep")]
    TooDeep {
        /// Which.
        flake: String,
        /// How deep they may be.
        limit: usize,
    },
    /// An input without a commit or hash where that is required.
    #[error("cannot update unlocked flake input '{0}' in pure mode")]
    UnlockedInPureMode(String),
    /// A lock file that would hold an input that isn't locked.
    #[error(
        "Not writing lock file of flake '{flake}' because it has an unlocked input ('{input}'). Use '--allow-dirty-locks' to allow this anyway."
    )]
    UnlockedInput {
        /// Which flake.
        flake: String,
        /// Which input.
        input: String,
    },
    /// A relative path has to be followed, and the flake that has it is only known from a lock file.
    #[error(
        "relative path '{0}' leads from a flake that was not fetched: the lock file does not fit; remove flake.lock and lock again"
    )]
    UnfetchedParent(String),
    /// A lock file that would have to change and may not.
    #[error(
        "flake '{0}' requires lock file changes but they're not allowed due to '--no-update-lock-file'"
    )]
    LockNotUpToDate(String),
    /// A lock file of a flake that isn't on this machine.
    #[error(
        "cannot write modified lock file of flake '{0}' (use '--no-write-lock-file' to ignore)"
    )]
    CannotWriteLock(String),
    /// A lock file that cannot be committed, for there is no repository.
    #[error(
        "the lock file of flake '{0}' cannot be committed: the flake is in no Git repository of this machine"
    )]
    CannotCommitLock(String),
    /// Servers are not asked, and earlier fetches did not bring it.
    #[error("'{0}' is not among the sources that earlier runs fetched, and servers are not asked")]
    Offline(Redacted),
}

impl FlakeError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether what was fetched has another hash than asked for, or the cause of this error is that.
    pub fn is_hash_mismatch(&self) -> bool {
        match self {
            Self::NarHashMismatch { .. } | Self::HashMismatch { .. } => true,
            Self::Fetching { source, .. }
            | Self::UpdatingInput { source, .. }
            | Self::UpdatingLock { source, .. } => source.is_hash_mismatch(),
            _ => false,
        }
    }

    /// Whether a server took too long, or sent too much.
    pub(crate) fn is_limit(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::TooManyObjects { .. } | Self::Download { .. } => true,
            Self::Git { source, .. } => niphas_git::is_timeout(source),
            _ => false,
        }
    }

    pub(crate) fn git(action: impl Into<String>) -> impl FnOnce(git2::Error) -> Self {
        let action = action.into();
        move |source| Self::Git {
            action,
            source: niphas_git::explained(&source),
        }
    }
}
