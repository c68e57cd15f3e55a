//! `flake:`: a name that the registries turn into something to fetch.

use super::ref_name::is_legal_ref_name;
use super::{Input, Scheme, is_rev};
use crate::attrs::Attrs;
use crate::error::RefError;
use crate::flake_ref::is_flake_id;
use crate::url::Url;

pub(super) const ATTRS: &[&str] = &["id", "ref", "rev", "narHash"];

pub(super) fn from_url(url: &Url) -> Result<Option<Input>, RefError> {
    if url.scheme != "flake" {
        return Ok(None);
    }
    let segments = url.segments();
    let mut attrs = Attrs::new();
    attrs.set("type", "indirect");
    let (id, reference, rev) = match segments[..] {
        [id] => (id, None, None),
        [id, rev] if is_rev(rev) => (id, None, Some(rev)),
        [id, reference] if is_legal_ref_name(reference) => (id, Some(reference), None),
        [_, other] => {
            return Err(RefError::IndirectRefOrRev {
                url: url.to_string(),
                name: other.to_owned(),
            });
        }
        [_, reference, _] if !is_legal_ref_name(reference) => {
            return Err(RefError::IndirectRef {
                url: url.to_string(),
                name: reference.to_owned(),
            });
        }
        [_, _, rev] if !is_rev(rev) => {
            return Err(RefError::IndirectRev {
                url: url.to_string(),
                name: rev.to_owned(),
            });
        }
        [id, reference, rev] => (id, Some(reference), Some(rev)),
        _ => return Err(RefError::InvalidUrl(url.to_string())),
    };
    if !is_flake_id(id) {
        return Err(RefError::FlakeId(id.to_owned()));
    }
    attrs.set("id", id);
    if let Some(rev) = rev {
        attrs.set("rev", rev.to_ascii_lowercase());
    }
    if let Some(reference) = reference {
        attrs.set("ref", reference);
    }
    Ok(Some(Input::new(Scheme::Indirect, attrs)))
}

pub(super) fn check_attrs(attrs: Attrs) -> Result<Attrs, RefError> {
    let id = attrs.required_string("id")?;
    if !is_flake_id(id) {
        return Err(RefError::FlakeId(id.to_owned()));
    }
    Ok(attrs)
}

pub(super) fn to_url(input: &Input) -> Result<Url, RefError> {
    let mut path = vec![input.attrs.required_string("id")?.to_owned()];
    path.extend(input.reference()?.map(str::to_owned));
    path.extend(input.rev()?);
    Ok(Url {
        scheme: "flake".to_owned(),
        authority: None,
        path,
        query: std::collections::BTreeMap::new(),
        fragment: String::new(),
    })
}
