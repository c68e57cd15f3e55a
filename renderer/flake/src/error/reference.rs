//! Errors of URLs and flake references.

use std::path::PathBuf;

use niphas_http::Redacted;
use nix_formats::hash::HashError;
use thiserror::Error;

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
    /// Another type instead of a string.
    #[error("input attribute '{name}' is not a string {attrs}")]
    AttrNotString {
        /// The attribute.
        name: String,
        /// All of them.
        attrs: String,
    },
    /// Another type instead of a number.
    #[error("input attribute '{0}' is not an integer")]
    AttrNotInt(String),
    /// Another type instead of a Boolean.
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
