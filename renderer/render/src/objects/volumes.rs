//! Volumes of a pod, and where its containers mount them.

use std::collections::BTreeSet;

use niphas_api::{Amount, VIEW};
use serde_json::Value;

use super::container::place_of;
use super::downward;
use super::grammar::{DESCENDING_PATH, LABEL};
use super::place::Place;
use super::resources::of_bytes;
use crate::schema::Checker;
use crate::suggestion::nearest;

const CLOSURE: &str = "closure";
/// The volumes that every pod may have from niphas.
const OWN: [&str; 3] = [CLOSURE, "files", "tmp"];

const ONE_POD: &str = "ReadWriteOncePod";
const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", ONE_POD];

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
    match kind {
        "downwardAPI" => downward::files(checker, &source),
        "ephemeral" => claim(checker, &source.field("volumeClaimTemplate").field("spec")),
        "fc" if source.present("targetWWNs").is_some() && source.present("lun").is_none() => {
            let problem = "fc has targetWWNs and no lun".to_owned();
            source.report(checker, problem, "write its lun");
        }
        "projected" => projected(checker, &source),
        _ => {}
    }
}

/// What an ephemeral volume claims.
fn claim(checker: &mut Checker<'_>, spec: &Place<'_>) {
    let modes = spec.value["accessModes"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    for mode in modes.iter().filter_map(Value::as_str) {
        if !ACCESS_MODES.contains(&mode) {
            let problem = format!("{mode:?} is no access mode");
            let remedy = format!("write one of {}", ACCESS_MODES.join(", "));
            spec.field("accessModes").report(checker, problem, &remedy);
        }
    }
    access_modes(checker, spec);
    let resources = spec.field("resources");
    if resources.value["requests"]["storage"].is_null() {
        let problem = "the claim asks for no storage".to_owned();
        resources.report(
            checker,
            problem,
            "write resources.requests.storage, like 1Gi",
        );
    }
}

/// One access mode excludes all others.
pub(super) fn access_modes(checker: &mut Checker<'_>, claim: &Place<'_>) {
    let modes = claim.value["accessModes"].as_array();
    if modes.is_some_and(|modes| modes.len() > 1 && modes.iter().any(|mode| mode == ONE_POD)) {
        let problem = format!("{ONE_POD} stands beside other access modes");
        claim
            .field("accessModes")
            .report(checker, problem, "write it alone");
    }
}

/// Sources that are laid over each other in one folder.
fn projected(checker: &mut Checker<'_>, source: &Place<'_>) {
    let mut paths = BTreeSet::new();
    for projected in source.items("sources") {
        let fields = projected.value.as_object();
        let kinds = fields.map_or(0, serde_json::Map::len);
        if kinds != 1 {
            let problem = format!("one of the sources of a projected volume is {kinds} at once");
            projected.report(checker, problem, "write one kind for each element");
        }
        downward::files(checker, &projected.field("downwardAPI"));
        for (kind, _) in fields.into_iter().flatten() {
            let kind = projected.field(kind);
            let own = kind.text("path").map(|path| (path, kind.clone()));
            let items = kind.items("items").into_iter();
            let items = items.filter_map(|item| Some((item.text("path")?, item)));
            for (path, place) in own.into_iter().chain(items) {
                if !paths.insert(path) {
                    let problem = format!("two sources have a file {path:?}");
                    place.report(checker, problem, "give one of the two another path");
                }
            }
        }
    }
}

/// Checks what a container has as a device.
pub(super) fn check_devices(checker: &mut Checker<'_>, container: &Place<'_>, pod: &Place<'_>) {
    let volumes = pod.items("volumes");
    for device in container.items("volumeDevices") {
        let name = device.text("name").unwrap_or_default();
        let volume = volumes
            .iter()
            .find(|volume| volume.text("name") == Some(name));
        let is_claimed = |volume: &Place<'_>| {
            let of_claims = ["persistentVolumeClaim", "ephemeral"];
            of_claims.iter().any(|kind| volume.present(kind).is_some())
        };
        if volume.is_some_and(|volume| !is_claimed(volume)) {
            let problem = format!("the volume {name:?} is no claim, and can be no device");
            let remedy = "mount it, or make it a persistentVolumeClaim or ephemeral";
            device.report(checker, problem, remedy);
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
        let recursive = mount.text("recursiveReadOnly").unwrap_or("Disabled");
        if recursive != "Disabled" && !mount.is_true("readOnly") {
            let problem = format!("recursiveReadOnly is {recursive}, and readOnly is not true");
            mount.report(checker, problem, "write readOnly = true, too");
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

/// The names of what a pod template mounts and has no volumes for: a StatefulSet's claims, of which Kubernetes makes them.
pub(super) fn claims(spec: &serde_json::Map<String, Value>) -> impl Iterator<Item = &str> {
    let is_stateful = spec.get("kind").is_some_and(|kind| kind == "StatefulSet");
    let claims = spec.get("volumeClaims").filter(|_| is_stateful);
    claims
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|claims| claims.keys().map(String::as_str))
}
