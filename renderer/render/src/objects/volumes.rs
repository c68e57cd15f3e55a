//! Volumes of a pod, and where its containers mount them.

use std::collections::BTreeSet;

use niphas_api::{Amount, VIEW};
use serde_json::Value;

use super::container::place_of;
use super::grammar::{DESCENDING_PATH, LABEL};
use super::place::Place;
use super::resources::of_bytes;
use crate::schema::Checker;
use crate::suggestion::nearest;

const CLOSURE: &str = "closure";
/// The volumes that every pod may have from niphas.
const OWN: [&str; 3] = [CLOSURE, "files", "tmp"];

/// What volumes of each kind cannot do without.
const REQUIRED: [(&str, &str); 8] = [
    ("configMap", "name"),
    ("csi", "driver"),
    ("ephemeral", "volumeClaimTemplate"),
    ("hostPath", "path"),
    ("nfs", "path"),
    ("nfs", "server"),
    ("persistentVolumeClaim", "claimName"),
    ("secret", "secretName"),
];

/// Checks the volumes; gives the names that containers can mount, those of `claims` among them.
pub(super) fn check<'a>(
    checker: &mut Checker<'_>,
    pod: &Place<'a>,
    claims: impl Iterator<Item = &'a str>,
) -> BTreeSet<&'a str> {
    let mut names: BTreeSet<&str> = claims.collect();
    for volume in pod.items("volumes") {
        let name = volume.text("name").unwrap_or_default();
        volume.form(checker, "name", LABEL);
        if names.contains(name) {
            let problem = format!("the volume {name:?} is a volume claim, too");
            volume.report(checker, problem, "give one of the two another name");
        }
        names.insert(name);
        one_source(checker, &volume, name);
    }
    names
}

fn one_source(checker: &mut Checker<'_>, volume: &Place<'_>, name: &str) {
    let fields = volume.value.as_object().into_iter().flatten();
    let sources: Vec<&str> = fields
        .map(|(name, _)| name.as_str())
        .filter(|name| *name != "name")
        .collect();
    match sources.as_slice() {
        [] => {
            let problem = format!("the volume {name:?} has nothing in it");
            let remedy = "say what it is, like emptyDir = { } or configMap.name = \"…\"";
            volume.report(checker, problem, remedy);
        }
        [source] => source_is_whole(checker, volume, source),
        several => {
            let problem = format!("the volume {name:?} is {} at once", several.join(" and "));
            let remedy = if OWN.contains(&name) {
                "give the volume another name: niphas has volumes named closure, files and tmp"
            } else {
                "make two volumes of it"
            };
            volume.report(checker, problem, remedy);
        }
    }
}

fn source_is_whole(checker: &mut Checker<'_>, volume: &Place<'_>, kind: &str) {
    let source = volume.field(kind);
    for (_, field) in REQUIRED.iter().filter(|(of, _)| *of == kind) {
        let value = &source.value[*field];
        if value.is_null() || value == "" {
            let problem = format!("{kind} has no {field}");
            source.report(checker, problem, &format!("write {kind}.{field}"));
        }
    }
    if let Some(limit) = source.text("sizeLimit")
        && let Ok(amount) = limit.parse::<Amount>()
    {
        of_bytes(checker, &source.field("sizeLimit"), "sizeLimit", &amount);
    }
    if kind == "hostPath"
        && source
            .text("path")
            .is_some_and(|path| path.split('/').any(|part| part == ".."))
    {
        let problem = "the path of a hostPath has a part '..'".to_owned();
        source
            .field("path")
            .report(checker, problem, "write the path without it");
    }
    source.between(checker, "defaultMode", 0, 0o777);
    for item in source.items("items") {
        item.form(checker, "path", DESCENDING_PATH);
        item.between(checker, "mode", 0, 0o777);
    }
    if kind == "projected" {
        for projected in source.items("sources") {
            let kinds = projected.value.as_object().map_or(0, serde_json::Map::len);
            if kinds != 1 {
                let problem =
                    format!("one of the sources of a projected volume is {kinds} at once");
                projected.report(checker, problem, "write one kind for each element");
            }
        }
    }
}

/// Checks what a container mounts.
pub(super) fn check_mounts(
    checker: &mut Checker<'_>,
    container: &Place<'_>,
    attributes: Option<&Place<'_>>,
    volumes: &BTreeSet<&str>,
) {
    let sees_closure = attributes.is_some()
        || container
            .items("volumeMounts")
            .iter()
            .any(|mount| mount.text("name") == Some(CLOSURE));
    for mount in container.items("volumeMounts") {
        let name = mount.text("name").unwrap_or_default();
        let path = mount.text("mountPath").unwrap_or_default();
        if !volumes.contains(name) {
            let remedy = match nearest(name, volumes.iter().copied()) {
                Some(nearest) => format!("did you mean '{nearest}'?"),
                None => "add it to podTemplate.spec.volumes".to_owned(),
            };
            let problem = format!("no volume is named {name:?}");
            mount.field("name").report(checker, problem, &remedy);
        }
        if path.is_empty() {
            let problem = format!("the volume {name:?} is mounted nowhere");
            mount.report(checker, problem, "write its mountPath");
        }
        let is_closure = name == CLOSURE && path == VIEW;
        if sees_closure && !is_closure && is_below(path, VIEW) {
            let problem = format!("the volume {name:?} is mounted at {path}, where the closure is");
            mount
                .field("mountPath")
                .report(checker, problem, "mount it elsewhere");
        }
        mount.form(checker, "subPath", DESCENDING_PATH);
        mount.form(checker, "subPathExpr", DESCENDING_PATH);
        if mount.present("subPath").is_some() && mount.present("subPathExpr").is_some() {
            let problem = "subPath and subPathExpr exclude each other".to_owned();
            mount.report(checker, problem, "write one of the two");
        }
        let propagations = ["None", "HostToContainer", "Bidirectional"];
        mount.one_of(checker, "mountPropagation", &propagations);
        let is_privileged = container.value["securityContext"]["privileged"] == true;
        if mount.text("mountPropagation") == Some("Bidirectional") && !is_privileged {
            let problem =
                "only privileged containers mount with Bidirectional propagation".to_owned();
            let remedy = "write HostToContainer, or securityContext.privileged = true";
            mount
                .field("mountPropagation")
                .report(checker, problem, remedy);
        }
    }
    below_files(checker, container, attributes);
}

/// A file has nothing below it: such a mount fails on the node.
fn below_files(checker: &mut Checker<'_>, container: &Place<'_>, attributes: Option<&Place<'_>>) {
    let mounts = container.items("volumeMounts");
    let files: Vec<&str> = mounts
        .iter()
        .filter(|mount| mount.text("name") == Some("files") && mount.present("subPath").is_some())
        .filter_map(|mount| mount.text("mountPath"))
        .collect();
    for mount in &mounts {
        let path = mount.text("mountPath").unwrap_or_default();
        let above = files
            .iter()
            .find(|file| **file != path && is_below(path, file));
        if let Some(file) = above {
            let problem = format!("{path} is below {file}, which is a file");
            let name = mount.text("name").unwrap_or_default();
            let own = attributes.map(|own| match name {
                "files" => own.field("files").field(path),
                claim => own.field("volumeClaims").field(claim),
            });
            let place = place_of(mount.clone(), own);
            place.report(checker, problem, "give one of the two another path");
        }
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The names of what a pod template mounts from the workload's volume claims.
pub(super) fn claims(spec: &serde_json::Map<String, Value>) -> impl Iterator<Item = &str> {
    let claims = spec.get("volumeClaims").and_then(Value::as_object);
    claims
        .into_iter()
        .flat_map(|claims| claims.keys().map(String::as_str))
}
