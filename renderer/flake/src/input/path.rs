//! `path:`: a folder of this machine, copied as it is.

use std::collections::BTreeMap;

use super::{Input, Scheme};
use crate::attrs::{Attr, Attrs};
use crate::error::RefError;
use crate::url::Url;

pub(super) const ATTRS: &[&str] = &["path", "rev", "revCount", "lastModified", "narHash"];

pub(super) fn from_url(url: &Url) -> Result<Option<Input>, RefError> {
    if url.scheme != "path" {
        return Ok(None);
    }
    if let Some(authority) = url.authority.as_ref().filter(|a| !a.host.is_empty()) {
        return Err(RefError::PathAuthority {
            url: url.to_string(),
            authority: authority.to_string(),
        });
    }
    let mut attrs = Attrs::new();
    attrs.set("type", "path");
    attrs.set("path", url.file_path()?);
    for (name, value) in &url.query {
        match name.as_str() {
            "rev" | "narHash" => attrs.set(name, value.as_str()),
            "revCount" | "lastModified" => {
                let number: u64 = value.parse().map_err(|_| RefError::PathParameter {
                    url: url.to_string(),
                    problem: "invalid",
                    name: name.clone(),
                })?;
                attrs.set(name, number);
            }
            _ => {
                return Err(RefError::PathParameter {
                    url: url.to_string(),
                    problem: "unsupported",
                    name: name.clone(),
                });
            }
        }
    }
    Ok(Some(Input::new(Scheme::Path, attrs)))
}

pub(super) fn check_attrs(attrs: Attrs) -> Result<Attrs, RefError> {
    attrs.required_string("path")?;
    Ok(attrs)
}

pub(super) fn to_url(input: &Input) -> Result<Url, RefError> {
    let query: BTreeMap<String, String> = input
        .attrs
        .iter()
        .filter(|(name, _)| !matches!(*name, "path" | "type" | "__final"))
        .map(|(name, value)| {
            let value = match value {
                Attr::String(text) => text.clone(),
                Attr::Int(number) => number.to_string(),
                Attr::Bool(flag) => u8::from(*flag).to_string(),
            };
            (name.to_owned(), value)
        })
        .collect();
    Ok(Url {
        scheme: "path".to_owned(),
        authority: None,
        path: input
            .attrs
            .required_string("path")?
            .split('/')
            .map(str::to_owned)
            .collect(),
        query,
        fragment: String::new(),
    })
}
