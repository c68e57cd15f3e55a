//! `tarball` and `file`: what a plain HTTP or file URL names.

use nix_formats::hash::HashFormat;

use super::{Input, Scheme};
use crate::attrs::Attrs;
use crate::error::RefError;
use crate::url::{Url, split_scheme};

pub(super) const ATTRS: &[&str] = &[
    "url",
    "narHash",
    "name",
    "unpack",
    "rev",
    "revCount",
    "lastModified",
];

const TARBALL_EXTENSIONS: &[&str] = &[
    ".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst",
];

fn has_tarball_extension(url: &Url) -> bool {
    url.path.last().is_some_and(|name| {
        TARBALL_EXTENSIONS
            .iter()
            .any(|extension| name.ends_with(extension))
    })
}

fn is_ours(scheme: Scheme, url: &Url, require_tree: bool) -> bool {
    let (application, transport) = split_scheme(&url.scheme);
    if !matches!(transport, "file" | "http" | "https") {
        return false;
    }
    match application {
        Some(application) => application == scheme.name(),
        None => (require_tree || has_tarball_extension(url)) == (scheme == Scheme::Tarball),
    }
}

pub(super) fn from_url(scheme: Scheme, url: &Url, require_tree: bool) -> Option<Input> {
    if !is_ours(scheme, url, require_tree) {
        return None;
    }
    let mut url = url.clone();
    url.scheme = split_scheme(&url.scheme).1.to_owned();
    let mut attrs = Attrs::new();
    for name in ["narHash", "rev"] {
        if let Some(value) = url.query.get(name) {
            attrs.set(name, value.as_str());
        }
    }
    for name in ["revCount", "lastModified"] {
        let number: Option<u64> = url.query.get(name).and_then(|value| value.parse().ok());
        if let Some(number) = number {
            attrs.set(name, number);
        }
    }
    // The rest of the query belongs to the server.
    for name in ATTRS {
        url.query.remove(*name);
    }
    attrs.set("type", scheme.name());
    attrs.set("url", url.expose());
    Some(Input::new(scheme, attrs))
}

pub(super) fn to_url(input: &Input) -> Result<Url, RefError> {
    let mut url = Url::parse(input.attrs.required_string("url")?)?;
    if let Some(hash) = input.nar_hash()? {
        url.query
            .insert("narHash".to_owned(), hash.to_string(HashFormat::Sri, true));
    }
    Ok(url)
}
