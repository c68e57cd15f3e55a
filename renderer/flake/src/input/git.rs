//! `git`: a repository, by any transport that Git knows.

use super::git_url::fix_git_url;
use super::ref_name::is_legal_ref_name;
use super::{Input, Scheme};
use crate::attrs::Attrs;
use crate::error::RefError;
use crate::url::{Url, split_scheme};

pub(super) const ATTRS: &[&str] = &[
    "url",
    "ref",
    "rev",
    "shallow",
    "submodules",
    "lfs",
    "exportIgnore",
    "lastModified",
    "revCount",
    "narHash",
    "allRefs",
    "name",
    "dirtyRev",
    "dirtyShortRev",
    "verifyCommit",
    "keytype",
    "publicKey",
    "publicKeys",
];

const VERIFY: &[&str] = &["verifyCommit", "keytype", "publicKey", "publicKeys"];

pub(super) fn from_url(url: &Url) -> Result<Option<Input>, RefError> {
    if url.scheme != "git" && split_scheme(&url.scheme).0 != Some("git") {
        return Ok(None);
    }
    let mut repository = url.clone();
    repository.query.clear();
    let mut attrs = Attrs::new();
    attrs.set("type", "git");
    for (name, value) in &url.query {
        match name.as_str() {
            "rev" | "ref" | "keytype" | "publicKey" | "publicKeys" => {
                attrs.set(name, value.as_str());
            }
            "shallow" | "submodules" | "lfs" | "exportIgnore" | "allRefs" | "verifyCommit" => {
                attrs.set(name, value == "1");
            }
            _ => {
                repository.query.insert(name.clone(), value.clone());
            }
        }
    }
    attrs.set("url", repository.expose());
    Ok(Some(Input::new(Scheme::Git, check_attrs(attrs)?)))
}

pub(super) fn check_attrs(mut attrs: Attrs) -> Result<Attrs, RefError> {
    if VERIFY.iter().any(|name| attrs.contains(name)) {
        return Err(RefError::VerifiedFetches);
    }
    if let Some(reference) = attrs.string("ref")?
        && !is_legal_ref_name(reference)
    {
        return Err(RefError::GitRefName(reference.to_owned()));
    }
    let url = fix_git_url(attrs.required_string("url")?)?.expose();
    attrs.set("url", url);
    for flag in ["shallow", "submodules", "allRefs"] {
        attrs.bool(flag)?;
    }
    Ok(attrs)
}

pub(super) fn to_url(input: &Input) -> Result<Url, RefError> {
    let mut url = Url::parse(input.attrs.required_string("url")?)?;
    if url.scheme != "git" {
        url.scheme.insert_str(0, "git+");
    }
    if let Some(rev) = input.rev()? {
        url.query.insert("rev".to_owned(), rev);
    }
    if let Some(reference) = input.reference()? {
        url.query.insert("ref".to_owned(), reference.to_owned());
    }
    for flag in ["shallow", "lfs", "submodules", "exportIgnore"] {
        if input.flag(flag)? {
            url.query.insert(flag.to_owned(), "1".to_owned());
        }
    }
    Ok(url)
}
