//! What can go wrong. Where Nix has a text for it, the text is Nix's.

use std::path::PathBuf;

use niphas_http::Redacted;
use nix_formats::hash::HashError;
use nix_formats::nar::WriterError;
use nix_formats::store_path::StorePathError;
use thiserror::Error;
use tree_writer::TreeError;

/// A URL that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It breaks the grammar.
    #[error("'{0}' is not a valid URL")]
    Invalid(Redacted),
    /// No `scheme:` in front.
    #[error("'{0}' doesn't have a scheme")]
    NoScheme(Redacted),
    /// Longer than any URL.
    #[error("the URL is longer than 64 KiB")]
    TooLong,
    /// `file://host/…`
    #[error("file:// URL '{url}' has unexpected authority '{authority}'")]
    FileAuthority {
        /// The URL.
        url: Redacted,
        /// What stands where nothing may.
        authority: String,
    },
    /// A port that is 0 or too large.
    #[error("port '{0}' is invalid")]
    Port(String),
    /// A broken percent escape, or one that isn't UTF-8.
    #[error("invalid URI parameter '{0}'")]
    Parameter(String),
    /// A query with characters that may not stand there.
    #[error("invalid URI query '{0}'")]
    Query(String),
    /// `%2F` in a file's name.
    #[error("URL path component '{0}' contains '/', which is not allowed in file names")]
    SlashInSegment(String),
    /// `%00` in a file's name.
    #[error("URL path component '{0}' contains NUL byte which is not allowed")]
    NulInSegment(String),
    /// `host:path` without a user.
    #[error("SCP-like URL '{0}' is not supported; use SSH URL syntax instead (ssh://...)")]
    ScpLike(Redacted),
}

/// A flake reference or an input's attributes that can't be read or shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RefError {
    /// A URL that can't be read.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A hash that can't be read.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// Too few segments, or too many.
    #[error("URL '{0}' is invalid")]
    InvalidUrl(String),
    /// A commit in the path and in the query.
    #[error("URL '{0}' contains multiple commit hashes")]
    SeveralRevs(String),
    /// A branch in the path and in the query.
    #[error("URL '{0}' contains multiple branch/tag names")]
    SeveralRefs(String),
    /// A commit and a branch where only one may be.
    #[error(
        "input {input} contains both a commit hash ('{rev}') and a branch/tag name ('{reference}')"
    )]
    RefAndRev {
        /// The input's attributes.
        input: String,
        /// The commit.
        rev: String,
        /// The branch or tag.
        reference: String,
    },
    /// Not a branch's name.
    #[error("input {0} contains an invalid branch/tag name")]
    ArchiveRefName(String),
    /// Not a host's name.
    #[error("input {0} contains an invalid instance host")]
    ArchiveHost(String),
    /// Not a branch's name.
    #[error("invalid Git branch/tag name '{0}'")]
    GitRefName(String),
    /// `flake:id/x` where `x` is neither.
    #[error("in flake URL '{url}', '{name}' is not a commit hash or branch/tag name")]
    IndirectRefOrRev {
        /// The URL.
        url: String,
        /// The segment.
        name: String,
    },
    /// `flake:id/x/…` where `x` is no branch.
    #[error("in flake URL '{url}', '{name}' is not a branch/tag name")]
    IndirectRef {
        /// The URL.
        url: String,
        /// The segment.
        name: String,
    },
    /// `flake:id/branch/x` where `x` is no commit.
    #[error("in flake URL '{url}', '{name}' is not a commit hash")]
    IndirectRev {
        /// The URL.
        url: String,
        /// The segment.
        name: String,
    },
    /// Not an identifier.
    #[error("'{0}' is not a valid flake ID")]
    FlakeId(String),
    /// A relative path where there is no folder for it to be relative to.
    #[error("flake reference '{0}' is not an absolute path")]
    NotAbsolute(Redacted),
    /// A flake reference that names a file.
    #[error("path '{}' is not a flake (because it's not a directory)", .0.display())]
    NotADirectory(PathBuf),
    /// A folder without flake.nix.
    #[error("path '{}' is not a flake (because it doesn't contain a 'flake.nix' file)", .0.display())]
    NoFlakeNix(PathBuf),
    /// No flake.nix up to the repository's root.
    #[error("path '{}' is not part of a flake (neither it nor its parent directories contain a 'flake.nix' file)", .0.display())]
    NotPartOfFlake(PathBuf),
    /// No flake.nix up to the root of the file system.
    #[error("could not find a flake.nix file")]
    NoFlakeFound,
    /// A path that can't be looked at.
    #[error("getting status of '{}': {reason}", path.display())]
    Status {
        /// The path.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// `?dir=` in a path that is within a repository already.
    #[error("flake URL '{0}' has an inconsistent 'dir' parameter")]
    InconsistentDir(Redacted),
    /// `#…` where none may be.
    #[error("unexpected fragment '{fragment}' in flake reference '{reference}'")]
    Fragment {
        /// What stands after `#`.
        fragment: String,
        /// The whole reference.
        reference: Redacted,
    },
    /// `path://host/…`
    #[error("path URL '{url}' should not have an authority ('{authority}')")]
    PathAuthority {
        /// The URL.
        url: String,
        /// What stands where nothing may.
        authority: String,
    },
    /// A query parameter that `path:` doesn't know or can't read.
    #[error("path URL '{url}' has {problem} parameter '{name}'")]
    PathParameter {
        /// The URL.
        url: String,
        /// `invalid` or `unsupported`.
        problem: &'static str,
        /// The parameter.
        name: String,
    },
    /// No scheme takes this URL.
    #[error("input '{0}' is unsupported")]
    Unsupported(String),
    /// `file+git:` for `git+file:`
    #[error("input '{0}' is unsupported; did you mean 'git+file' instead of 'file+git'?")]
    SwappedScheme(String),
    /// Attributes of an unknown type.
    #[error("cannot show unsupported input '{0}'")]
    CannotShow(String),
    /// Attributes without a type.
    #[error("'type' attribute to specify input scheme is required but not provided")]
    NoType,
    /// An attribute that the scheme doesn't have.
    #[error("input attribute '{name}' not supported by scheme '{scheme}'")]
    UnknownAttr {
        /// The attribute.
        name: String,
        /// The scheme.
        scheme: &'static str,
    },
    /// A required attribute isn't there.
    #[error("input attribute '{0}' is missing")]
    AttrMissing(String),
    /// Another type where a string is expected.
    #[error("input attribute '{name}' is not a string {attrs}")]
    AttrNotString {
        /// The attribute.
        name: String,
        /// All of them.
        attrs: String,
    },
    /// Another type where a number is expected.
    #[error("input attribute '{0}' is not an integer")]
    AttrNotInt(String),
    /// Another type where a Boolean is expected.
    #[error("input attribute '{0}' is not a Boolean")]
    AttrNotBool(String),
    /// A NAR hash of another algorithm.
    #[error("narHash must use SHA-256")]
    NarHashAlgorithm,
    /// Signed commits.
    #[error(
        "verifying the signatures of Git commits (verifyCommit, publicKeys) is not supported; verify them before the commit reaches the flake's lock file"
    )]
    VerifiedFetches,
    /// A registry entry that says which commit, without a branch.
    #[error("Git input '{0}' has a commit hash but no branch/tag name")]
    RevWithoutRef(String),
    /// An override that makes no sense for the scheme.
    #[error("don't know how to set branch/tag name of input '{input}' to '{reference}'")]
    CannotSetRef {
        /// The input.
        input: String,
        /// The branch or tag.
        reference: String,
    },
    /// An override that makes no sense for the scheme.
    #[error("don't know how to set revision of input '{input}' to '{rev}'")]
    CannotSetRev {
        /// The input.
        input: String,
        /// The commit.
        rev: String,
    },
    /// Two overrides where one may be.
    #[error(
        "cannot apply both a commit hash ({rev}) and a branch/tag name ('{reference}') to input '{input}'"
    )]
    BothOverrides {
        /// The commit.
        rev: String,
        /// The branch or tag.
        reference: String,
        /// The input.
        input: String,
    },
    /// Not a path of inputs such as `a/b`.
    #[error("invalid flake input attribute path element '{0}'")]
    InputPathElement(String),
}

impl RefError {
    /// Whether the text isn't a URL at all, so that it may be a path.
    pub(crate) fn is_bad_url(&self) -> bool {
        matches!(
            self,
            Self::Url(_)
                | Self::InvalidUrl(_)
                | Self::SeveralRevs(_)
                | Self::SeveralRefs(_)
                | Self::RefAndRev { .. }
                | Self::ArchiveRefName(_)
                | Self::ArchiveHost(_)
                | Self::GitRefName(_)
                | Self::IndirectRefOrRev { .. }
                | Self::IndirectRef { .. }
                | Self::IndirectRev { .. }
                | Self::FlakeId(_)
                | Self::NotAbsolute(_)
        )
    }
}

/// A lock file that can't be read or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LockFileError {
    /// Not JSON, or not of a lock file's shape.
    #[error("could not parse '{path}': {reason}")]
    Parse {
        /// Where it came from.
        path: String,
        /// What the parser says.
        reason: String,
    },
    /// A version older than 5 or newer than 7.
    #[error("lock file '{path}' has unsupported version {version}")]
    Version {
        /// Where it came from.
        path: String,
        /// What it says it is.
        version: u64,
    },
    /// A node's `locked` or `original` is not there.
    #[error("attribute '{0}' missing in lock file")]
    Missing(&'static str),
    /// An input names a node that is not there.
    #[error("lock file references missing node '{0}'")]
    MissingNode(String),
    /// An input names the root.
    #[error("lock file contains cycle to root node")]
    CycleToRoot,
    /// An input that leads back to its node.
    #[error("lock file contains a cycle through node '{0}'")]
    Cycle(String),
    /// An input that isn't locked: fetching it could give anything.
    #[error(
        "Lock file contains unlocked input '{0}'. Use '--allow-dirty-locks' to accept this lock file."
    )]
    Unlocked(String),
    /// More nodes than any flake has.
    #[error("the lock file has more than {0} nodes")]
    TooLarge(usize),
    /// Follows that lead in a circle.
    #[error("follow cycle detected: [{0}]")]
    FollowCycle(String),
    /// Follows that lead nowhere.
    #[error("input '{input}' follows a non-existent input '{target}'")]
    FollowsNothing {
        /// The input that follows.
        input: String,
        /// What it follows.
        target: String,
    },
    /// A reference in it can't be read.
    #[error(transparent)]
    Ref(#[from] RefError),
}

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
    /// Git LFS.
    #[error("Git LFS is not supported: fetch '{0}' without 'lfs'")]
    Lfs(String),
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
