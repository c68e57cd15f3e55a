//! What a pod is given of itself: fields and resources, in variables and in files.

use niphas_api::Amount;

use super::place::Place;
use crate::schema::Checker;
use crate::suggestion::nearest;

/// Fields of the pod that a file can have.
const IN_FILES: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// Those that a variable can have.
const IN_VARIABLES: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Maps of which a single entry can be had.
const MAPS: [&str; 2] = ["metadata.annotations", "metadata.labels"];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// Checks where the value of a variable comes from.
pub(super) fn variable(checker: &mut Checker<'_>, from: &Place<'_>) {
    field(checker, &from.field("fieldRef"), &IN_VARIABLES);
    resource(checker, &from.field("resourceFieldRef"));
}

/// Checks the files of a volume, or of a part of one.
pub(super) fn files(checker: &mut Checker<'_>, source: &Place<'_>) {
    for file in source.items("items") {
        field(checker, &file.field("fieldRef"), &IN_FILES);
        if let Some(reference) = file.present("resourceFieldRef") {
            resource(checker, &reference);
            if reference
                .text("containerName")
                .unwrap_or_default()
                .is_empty()
            {
                let problem = "resourceFieldRef names no container".to_owned();
                reference.report(checker, problem, "write its containerName");
            }
        }
    }
}

fn field(checker: &mut Checker<'_>, reference: &Place<'_>, known: &[&str]) {
    let Some(path) = reference.text("fieldPath") else {
        return;
    };
    let is_entry = path.strip_suffix("']").is_some_and(|path| {
        let map = path.split_once("['");
        map.is_some_and(|(map, key)| MAPS.contains(&map) && !key.is_empty())
    });
    if is_entry || known.contains(&path) {
        return;
    }
    let remedy = if MAPS.contains(&path) {
        format!("name the entry, like {path}['example.org/name']")
    } else if let Some(nearest) = nearest(path, known.iter().copied()) {
        format!("did you mean '{nearest}'?")
    } else {
        format!("write one of {}", known.join(", "))
    };
    let problem = format!("{path:?} is no field that can be had here");
    reference
        .field("fieldPath")
        .report(checker, problem, &remedy);
}

fn resource(checker: &mut Checker<'_>, reference: &Place<'_>) {
    let Some(name) = reference.text("resource") else {
        return;
    };
    let is_pages = ["limits.hugepages-", "requests.hugepages-"];
    if !is_pages.iter().any(|start| name.starts_with(start)) {
        reference.one_of(checker, "resource", &RESOURCES);
    }
    let units: &[&str] = match name {
        "limits.cpu" | "requests.cpu" => &["1m", "1"],
        _ => &[
            "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
        ],
    };
    let divisor = reference.field("divisor");
    let (Some(given), true) = (divisor.value.as_str(), divisor.is_given()) else {
        return;
    };
    let Ok(amount) = given.parse::<Amount>() else {
        return;
    };
    let is_unit = |unit: &&str| unit.parse::<Amount>().is_ok_and(|unit| unit == amount);
    if !amount.is_zero() && !units.iter().any(is_unit) {
        let problem = format!("{name} cannot be divided by {}", divisor.written());
        divisor.report(
            checker,
            problem,
            &format!("write one of {}", units.join(", ")),
        );
    }
}
