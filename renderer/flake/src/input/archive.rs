//! `github`, `gitlab`, `sourcehut`: commits fetched as the archives that forges make of them.

use nix_formats::hash::HashFormat;

use super::ref_name::is_legal_ref_name;
use super::{Input, Scheme, is_rev, parse_rev};
use crate::attrs::Attrs;
use crate::error::RefError;
use crate::url::Url;

pub(super) const ATTRS: &[&str] = &[
    "owner",
    "repo",
    "ref",
    "rev",
    "narHash",
    "lastModified",
    "host",
    "treeHash",
];

/// A forge that makes archives of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forge {
    GitHub,
    GitLab,
    SourceHut,
}

impl Forge {
    pub(crate) fn of(scheme: Scheme) -> Option<Self> {
        match scheme {
            Scheme::GitHub => Some(Self::GitHub),
            Scheme::GitLab => Some(Self::GitLab),
            Scheme::SourceHut => Some(Self::SourceHut),
            _ => None,
        }
    }

    fn scheme(self) -> Scheme {
        match self {
            Self::GitHub => Scheme::GitHub,
            Self::GitLab => Scheme::GitLab,
            Self::SourceHut => Scheme::SourceHut,
        }
    }

    /// The input's attribute `type`.
    pub(crate) fn name(self) -> &'static str {
        self.scheme().name()
    }

    /// The host that is meant when none is named.
    pub(crate) fn default_host(self) -> &'static str {
        match self {
            Self::GitHub => "github.com",
            Self::GitLab => "gitlab.com",
            Self::SourceHut => "git.sr.ht",
        }
    }
}

pub(super) fn from_url(forge: Forge, url: &Url) -> Result<Option<Input>, RefError> {
    if url.scheme != forge.name() {
        return Ok(None);
    }
    let segments = url.segments();
    let (mut rev, mut reference) = (None, None);
    match segments[..] {
        [_, _] => {}
        [_, _, name] if is_rev(name) => rev = Some(name.to_owned()),
        [_, _, ..] if segments.len() > 2 => reference = Some(segments[2..].join("/")),
        _ => return Err(RefError::InvalidUrl(url.to_string())),
    }
    let mut attrs = Attrs::new();
    for (name, value) in &url.query {
        match name.as_str() {
            "rev" if rev.is_some() => return Err(RefError::SeveralRevs(url.to_string())),
            "rev" => rev = Some(value.clone()),
            "ref" if reference.is_some() => return Err(RefError::SeveralRefs(url.to_string())),
            "ref" => reference = Some(value.clone()),
            "host" | "narHash" => attrs.set(name, value.as_str()),
            _ => {}
        }
    }
    attrs.set("type", forge.name());
    attrs.set("owner", segments[0]);
    attrs.set("repo", segments[1]);
    if let Some(rev) = rev {
        attrs.set("rev", rev);
    }
    if let Some(reference) = reference {
        attrs.set("ref", reference);
    }
    Ok(Some(Input::new(forge.scheme(), check_attrs(attrs)?)))
}

pub(super) fn check_attrs(attrs: Attrs) -> Result<Attrs, RefError> {
    attrs.required_string("owner")?;
    attrs.required_string("repo")?;
    let reference = attrs.string("ref")?;
    let rev = attrs.string("rev")?;
    if let (Some(reference), Some(rev)) = (reference, rev) {
        return Err(RefError::RefAndRev {
            input: attrs.to_json(),
            rev: rev.to_owned(),
            reference: reference.to_owned(),
        });
    }
    if let Some(rev) = rev {
        parse_rev(rev)?;
    }
    if reference.is_some_and(|reference| !is_legal_ref_name(reference)) {
        return Err(RefError::ArchiveRefName(attrs.to_json()));
    }
    let is_host_char = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
    if attrs
        .string("host")?
        .is_some_and(|host| !host.bytes().all(is_host_char))
    {
        return Err(RefError::ArchiveHost(attrs.to_json()));
    }
    Ok(attrs)
}

pub(super) fn to_url(input: &Input) -> Result<Url, RefError> {
    let mut path = vec![
        input.attrs.required_string("owner")?.to_owned(),
        input.attrs.required_string("repo")?.to_owned(),
    ];
    path.extend(input.reference()?.map(str::to_owned));
    path.extend(input.rev()?);
    let mut url = Url {
        scheme: input.attrs.required_string("type")?.to_owned(),
        authority: None,
        path,
        query: std::collections::BTreeMap::new(),
        fragment: String::new(),
    };
    if let Some(hash) = input.nar_hash()? {
        url.query
            .insert("narHash".to_owned(), hash.to_string(HashFormat::Sri, true));
    }
    if let Some(host) = input.attrs.string("host")? {
        url.query.insert("host".to_owned(), host.to_owned());
    }
    Ok(url)
}

pub(super) fn apply_overrides(
    input: &mut Input,
    reference: Option<&str>,
    rev: Option<&str>,
) -> Result<(), RefError> {
    if let (Some(reference), Some(rev)) = (reference, rev) {
        return Err(RefError::BothOverrides {
            rev: rev.to_owned(),
            reference: reference.to_owned(),
            input: input.to_string(),
        });
    }
    if let Some(rev) = rev {
        input.attrs.set("rev", rev);
        input.attrs.remove("ref");
    }
    if let Some(reference) = reference {
        input.attrs.set("ref", reference);
        input.attrs.remove("rev");
    }
    Ok(())
}
