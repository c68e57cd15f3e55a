//! Kubernetes objects in files.

use niphas_api::{BASE_IMAGE, NiphasWorkload, children};
use serde_json::Value;

/// niphas writes no larger objects.
const MANIFEST_LIMIT: usize = 1 << 20;

/// An object in a file cannot be read, or no objects can be made of it.
pub(crate) struct Unreadable;

/// The object of a file.
pub(crate) fn read(yaml: &[u8]) -> Result<Value, Unreadable> {
    if yaml.len() > MANIFEST_LIMIT {
        return Err(Unreadable);
    }
    let text = str::from_utf8(yaml).map_err(|_| Unreadable)?;
    // niphas writes no anchors; a few of them may stand for very much.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_aliases: 0,
            max_anchors: 0,
            max_merge_keys: 0,
            max_documents: 1,
            max_nodes: 200_000,
        },
    };
    let object: Value =
        serde_saphyr::from_str_with_options(text, options).map_err(|_| Unreadable)?;
    if object.is_object() {
        Ok(object)
    } else {
        Err(Unreadable)
    }
}

/// The plain objects that an object stands for: a workload's children, or the object itself.
pub(crate) fn expand(object: Value) -> Result<Vec<Value>, Unreadable> {
    if object["kind"] != "NiphasWorkload" {
        return Ok(vec![object]);
    }
    let workload: NiphasWorkload = serde_json::from_value(object).map_err(|_| Unreadable)?;
    let children = children(&workload, BASE_IMAGE).map_err(|_| Unreadable)?;
    let children = children.into_iter().map(serde_json::to_value);
    children.collect::<Result<_, _>>().map_err(|_| Unreadable)
}
