//! The workload's files. They are mounted one by one (`subPath`), which kubelet never updates in a
//! running pod: so a change must restart the pods, and the pod template carries the files' hash.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, KeyToPath, Volume, VolumeMount,
};
use kube::core::DynamicObject;
use sha2::{Digest, Sha256};

use super::{ChildrenError, Parent, object};

/// What a ConfigMap may hold, in bytes.
const LIMIT: usize = 1 << 20;

/// Leaves room for a number where two keys are the same.
const KEY_LENGTH: usize = 200;

const VOLUME: &str = "files";

/// The pod template's annotation with the SHA-256 of the files.
const HASH_ANNOTATION: &str = "niphas.io/files-hash";

pub(super) fn config_map(parent: &Parent<'_>) -> Result<Option<DynamicObject>, ChildrenError> {
    let files = &parent.spec().files;
    if files.is_empty() {
        return Ok(None);
    }
    let size = files.values().map(|file| file.text.len()).sum();
    if size > LIMIT {
        return Err(ChildrenError::FilesTooLarge(size));
    }
    let data = keys(parent)
        .into_iter()
        .map(|(path, key)| (key, files[&path].text.clone()))
        .collect();
    object(&ConfigMap {
        metadata: parent.metadata_of(name(parent)),
        data: Some(data),
        ..ConfigMap::default()
    })
    .map(Some)
}

fn name(parent: &Parent<'_>) -> String {
    format!("{}-files", parent.name())
}

/// The ConfigMap's keys by path: the path, in characters that keys may have.
fn keys(parent: &Parent<'_>) -> BTreeMap<String, String> {
    let mut taken = BTreeSet::new();
    let key = |path: &String| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let mut key: String = path
            .trim_start_matches('/')
            .chars()
            .map(|c| if allowed(c) { c } else { '_' })
            .collect();
        // A key has at most 253 characters; the end of a path tells more than its beginning.
        let excess = key.len().saturating_sub(KEY_LENGTH);
        key.drain(..excess);
        let numbered = (2..).map(|number| format!("{key}-{number}"));
        let free = std::iter::once(key.clone())
            .chain(numbered)
            .find(|key| !taken.contains(key));
        let key = free.unwrap_or(key);
        taken.insert(key.clone());
        (path.clone(), key)
    };
    parent.spec().files.keys().map(key).collect()
}

/// The volume with the files.
pub(super) fn volume(parent: &Parent<'_>) -> Option<Volume> {
    let files = &parent.spec().files;
    if files.is_empty() {
        return None;
    }
    let items = keys(parent)
        .into_iter()
        .map(|(path, key)| KeyToPath {
            // The schema lets octal digits through only.
            mode: i32::from_str_radix(&files[&path].mode, 8).ok(),
            path: key.clone(),
            key,
        })
        .collect();
    Some(Volume {
        name: VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: name(parent),
            items: Some(items),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    })
}

/// One mount for each file.
pub(super) fn mounts(parent: &Parent<'_>) -> impl Iterator<Item = VolumeMount> {
    keys(parent).into_iter().map(|(path, key)| VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: path,
        sub_path: Some(key),
        read_only: Some(true),
        ..VolumeMount::default()
    })
}

/// The annotation that restarts the pods when a file changes.
pub(super) fn hash_annotation(parent: &Parent<'_>) -> Option<(String, String)> {
    let files = &parent.spec().files;
    if files.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for (path, file) in files {
        // Lengths first, so that no two sets of files hash the same bytes.
        for text in [path, &file.mode, &file.text] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    let hash = HEXLOWER.encode(&hash.finalize());
    Some((HASH_ANNOTATION.to_owned(), hash))
}
