//! Inputs: what a flake reference refers to, less the folder within it.
//!
//! An [`Input`] is a map of attributes, checked by the [`Scheme`] that its `type` names. What
//! each scheme accepts, and how it is written as a URL, is in the module of that scheme.

mod archive;
mod curl;
mod git;
mod git_url;
mod indirect;
mod path;
mod ref_name;

use std::fmt;

use nix_formats::hash::{Hash, HashAlgorithm, HashFormat};

use crate::attrs::Attrs;
use crate::error::RefError;
use crate::url::{Url, split_scheme};

pub(crate) use archive::Forge;
pub use git_url::fix_git_url;

/// What kind of place an input is fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// A plain file at a URL.
    File,
    /// A Git repository.
    Git,
    /// An archive that GitHub makes of a commit.
    GitHub,
    /// An archive that GitLab makes of a commit.
    GitLab,
    /// A name to look up in the registries.
    Indirect,
    /// A folder of this machine.
    Path,
    /// An archive that `SourceHut` makes of a commit.
    SourceHut,
    /// An archive at a URL.
    Tarball,
}

impl Scheme {
    const ALL: [Self; 8] = [
        Self::File,
        Self::Git,
        Self::GitHub,
        Self::GitLab,
        Self::Indirect,
        Self::Path,
        Self::SourceHut,
        Self::Tarball,
    ];

    /// The attribute `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Git => "git",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Indirect => "indirect",
            Self::Path => "path",
            Self::SourceHut => "sourcehut",
            Self::Tarball => "tarball",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    fn allowed_attrs(self) -> &'static [&'static str] {
        match self {
            Self::File | Self::Tarball => curl::ATTRS,
            Self::Git => git::ATTRS,
            Self::GitHub | Self::GitLab | Self::SourceHut => archive::ATTRS,
            Self::Indirect => indirect::ATTRS,
            Self::Path => path::ATTRS,
        }
    }

    fn read_url(self, url: &Url, require_tree: bool) -> Result<Option<Input>, RefError> {
        match self {
            Self::File | Self::Tarball => Ok(curl::from_url(self, url, require_tree)),
            Self::Git => git::from_url(url),
            Self::GitHub => archive::from_url(Forge::GitHub, url),
            Self::GitLab => archive::from_url(Forge::GitLab, url),
            Self::SourceHut => archive::from_url(Forge::SourceHut, url),
            Self::Indirect => indirect::from_url(url),
            Self::Path => path::from_url(url),
        }
    }
}

/// A commit's name that can't exist: a repository without commits has it.
pub(crate) const NULL_REV: &str = "0000000000000000000000000000000000000000";

/// Something to fetch.
///
/// Two inputs are the same when their attributes are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Input {
    attrs: Attrs,
    scheme: Option<Scheme>,
}

impl Input {
    fn new(scheme: Scheme, attrs: Attrs) -> Self {
        Self {
            attrs,
            scheme: Some(scheme),
        }
    }

    /// Reads an input from a URL. `require_tree` tells whether a URL that could be a file or an
    /// archive has to be an archive.
    pub fn from_url(url: &Url, require_tree: bool) -> Result<Self, RefError> {
        for scheme in Scheme::ALL {
            if let Some(input) = scheme.read_url(url, require_tree)? {
                input.check_common()?;
                return Ok(input);
            }
        }
        if split_scheme(&url.scheme) == (Some("file"), "git") {
            return Err(RefError::SwappedScheme(url.to_string()));
        }
        Err(RefError::Unsupported(url.to_string()))
    }

    /// Reads an input from attributes. A `type` that is not known gives an input that can be
    /// kept and compared, but neither printed nor fetched: lock files may hold such.
    pub fn from_attrs(attrs: Attrs) -> Result<Self, RefError> {
        let name = attrs.string("type")?.ok_or(RefError::NoType)?;
        let Some(scheme) = Scheme::from_name(name) else {
            let input = Self {
                attrs,
                scheme: None,
            };
            input.check_common()?;
            return Ok(input);
        };
        for (name, _) in attrs.iter() {
            if name != "type" && name != "__final" && !scheme.allowed_attrs().contains(&name) {
                return Err(RefError::UnknownAttr {
                    name: name.to_owned(),
                    scheme: scheme.name(),
                });
            }
        }
        let attrs = match scheme {
            Scheme::File | Scheme::Tarball => attrs,
            Scheme::Git => git::check_attrs(attrs)?,
            Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut => archive::check_attrs(attrs)?,
            Scheme::Indirect => indirect::check_attrs(attrs)?,
            Scheme::Path => path::check_attrs(attrs)?,
        };
        let input = Self::new(scheme, attrs);
        input.check_common()?;
        Ok(input)
    }

    fn check_common(&self) -> Result<(), RefError> {
        self.attrs.required_string("type")?;
        self.reference()?;
        self.rev_count()?;
        self.last_modified()?;
        Ok(())
    }

    /// The attributes, `type` among them.
    pub fn attrs(&self) -> &Attrs {
        &self.attrs
    }

    /// The attributes, to change them.
    pub(crate) fn attrs_mut(&mut self) -> &mut Attrs {
        &mut self.attrs
    }

    /// The scheme, if `type` names a known one.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The input as a URL.
    pub fn to_url(&self) -> Result<Url, RefError> {
        match self.scheme {
            None => Err(RefError::CannotShow(self.attrs.to_json())),
            Some(Scheme::File | Scheme::Tarball) => curl::to_url(self),
            Some(Scheme::Git) => git::to_url(self),
            Some(Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut) => archive::to_url(self),
            Some(Scheme::Indirect) => indirect::to_url(self),
            Some(Scheme::Path) => path::to_url(self),
        }
    }

    /// Whether it can be fetched without a look into the registries.
    pub fn is_direct(&self) -> bool {
        self.scheme != Some(Scheme::Indirect)
    }

    /// Whether it says exactly what to fetch, so that fetching it is pure.
    pub fn is_locked(&self) -> Result<bool, RefError> {
        Ok(match self.scheme {
            None | Some(Scheme::Indirect) => false,
            Some(Scheme::Git) => self.rev()?.is_some_and(|rev| rev != NULL_REV),
            Some(Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut) => self.rev()?.is_some(),
            Some(Scheme::File | Scheme::Path | Scheme::Tarball) => self.nar_hash()?.is_some(),
        })
    }

    /// Whether its attributes came from a fetch: nothing may be added to them.
    pub fn is_final(&self) -> bool {
        matches!(self.attrs.bool("__final"), Ok(Some(true)))
    }

    pub(crate) fn set_final(&mut self) {
        self.attrs.set("__final", true);
    }

    /// The relative path, if it is one of those.
    pub fn relative_path(&self) -> Option<&str> {
        match self.scheme {
            Some(Scheme::Path) => self
                .attrs
                .string("path")
                .ok()
                .flatten()
                .filter(|path| !path.starts_with('/')),
            _ => None,
        }
    }

    /// The name of its store path.
    pub fn name(&self) -> Result<&str, RefError> {
        Ok(self.attrs.string("name")?.unwrap_or("source"))
    }

    /// The attribute `ref`.
    pub fn reference(&self) -> Result<Option<&str>, RefError> {
        self.attrs.string("ref")
    }

    /// The attribute `rev` as 40 or 64 hexadecimal digits.
    pub fn rev(&self) -> Result<Option<String>, RefError> {
        self.attrs.string("rev")?.map(parse_rev).transpose()
    }

    /// The attribute `narHash`.
    pub fn nar_hash(&self) -> Result<Option<Hash>, RefError> {
        let Some(text) = self.attrs.string("narHash")? else {
            return Ok(None);
        };
        if text.is_empty() {
            return Ok(Some(Hash::sha256([0; 32])));
        }
        let hash = Hash::parse_sri(text)?;
        if hash.algorithm() != HashAlgorithm::Sha256 {
            return Err(RefError::NarHashAlgorithm);
        }
        Ok(Some(hash))
    }

    pub(crate) fn set_nar_hash(&mut self, hash: &Hash) {
        self.attrs
            .set("narHash", hash.to_string(HashFormat::Sri, true));
    }

    /// The attribute `revCount`.
    pub fn rev_count(&self) -> Result<Option<u64>, RefError> {
        self.attrs.int("revCount")
    }

    /// The attribute `lastModified`, seconds since 1970.
    pub fn last_modified(&self) -> Result<Option<u64>, RefError> {
        self.attrs.int("lastModified")
    }

    /// Whether the flag `name` is set.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, RefError> {
        Ok(self.attrs.bool(name)?.unwrap_or(false))
    }

    /// Whether `other` is this input, perhaps with a `ref` and a `rev` more.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        if self.attrs == other.attrs {
            return true;
        }
        let mut bare = other.attrs.clone();
        bare.remove("ref");
        bare.remove("rev");
        self.attrs == bare
    }

    /// The same input at another branch or commit.
    pub(crate) fn with_overrides(
        &self,
        reference: Option<&str>,
        rev: Option<&str>,
    ) -> Result<Self, RefError> {
        let mut input = self.clone();
        match self.scheme {
            None => {}
            Some(Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut) => {
                archive::apply_overrides(&mut input, reference, rev)?;
            }
            Some(Scheme::Git | Scheme::Indirect) => {
                if let Some(rev) = rev {
                    input.attrs.set("rev", rev);
                }
                if let Some(reference) = reference {
                    input.attrs.set("ref", reference);
                }
                if self.scheme == Some(Scheme::Git)
                    && input.reference()?.is_none()
                    && input.rev()?.is_some()
                {
                    return Err(RefError::RevWithoutRef(input.to_url()?.to_string()));
                }
            }
            Some(Scheme::File | Scheme::Path | Scheme::Tarball) => {
                if let Some(reference) = reference {
                    return Err(RefError::CannotSetRef {
                        input: self.to_url()?.to_string(),
                        reference: reference.to_owned(),
                    });
                }
                if let Some(rev) = rev {
                    return Err(RefError::CannotSetRev {
                        input: self.to_url()?.to_string(),
                        rev: rev.to_owned(),
                    });
                }
            }
        }
        Ok(input)
    }
}

impl Input {
    /// Its URL without what a fetch found out and a reader does not need, `github:acme/shop/0123…`.
    pub(crate) fn name_for_people(&self) -> String {
        let mut input = self.clone();
        for found in ["lastModified", "narHash", "revCount"] {
            input.attrs.remove(found);
        }
        input.to_string()
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_url() {
            Ok(url) => url.fmt(f),
            Err(_) => f.write_str(&self.attrs.to_json()),
        }
    }
}

/// Reads a commit's name: with its algorithm, or SHA-1 in any form.
fn parse_rev(text: &str) -> Result<String, RefError> {
    let hash = match Hash::parse_any_prefixed(text) {
        Ok(hash) => hash,
        Err(_) => Hash::parse_any(text, Some(HashAlgorithm::Sha1))?,
    };
    Ok(hash.to_string(HashFormat::Base16, false))
}

/// Whether `text` is a commit's name as it stands in URLs: 40 hexadecimal digits.
fn is_rev(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
