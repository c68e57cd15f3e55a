//! The pods of a workload, and why they are replaced.

use std::collections::{BTreeMap, BTreeSet};

use niphas_api::{CSI_DRIVER, MAIN_CONTAINER};
use nix_formats::StorePath;
use serde_json::{Map, Value};

use crate::review::{Effect, Reason};
use crate::words::word;

/// The annotation with the hash of the workload's files.
const FILES_ANNOTATION: &str = "niphas.io/files-hash";
const ROOTS_ATTRIBUTE: &str = "niphas.io/roots.";

/// The object of a workload that has the pod template.
pub(crate) struct Controller<'a> {
    pub(crate) object: &'a Value,
    pub(crate) kind: &'a str,
    pub(crate) template: &'a Value,
}

/// The kinds that run pods, and where they have the template.
const KINDS: [(&str, &str); 5] = [
    ("Deployment", "/spec/template"),
    ("StatefulSet", "/spec/template"),
    ("DaemonSet", "/spec/template"),
    ("Job", "/spec/template"),
    ("CronJob", "/spec/jobTemplate/spec/template"),
];

impl<'a> Controller<'a> {
    /// The first of the objects that runs pods.
    pub(crate) fn find(objects: &'a [Value]) -> Option<Self> {
        objects.iter().find_map(|object| {
            let kind = object["kind"].as_str()?;
            let (kind, place) = KINDS.iter().find(|(name, _)| *name == kind)?;
            let template = object.pointer(place)?;
            Some(Self {
                object,
                kind,
                template,
            })
        })
    }

    /// The name of the closure's first root, as in `api-4.0.0`.
    pub(crate) fn program(&self) -> Option<String> {
        let volumes = self.template["spec"]["volumes"].as_array()?;
        let closure = volumes.iter().find(|volume| is_closure(volume))?;
        let attributes = closure["csi"]["volumeAttributes"].as_object()?;
        let roots = attributes
            .iter()
            .find(|(name, _)| name.starts_with(ROOTS_ATTRIBUTE))?;
        let first = roots.1.as_str()?.split(' ').next()?;
        let path = StorePath::from_base_name(first).ok()?;
        Some(path.name().to_owned())
    }

    /// What becomes of pods whose template differs.
    pub(crate) fn effect(&self) -> Effect {
        match self.kind {
            "Job" => Effect::RunsAgain,
            "CronJob" => Effect::NextRun,
            _ => Effect::Restarts,
        }
    }
}

/// The parts that differ between two pod templates, sorted; the closure first.
pub(crate) fn reasons(before: &Value, after: &Value) -> Vec<Reason> {
    let mut reasons = Reasons::default();
    for field in differing(&before["metadata"], &after["metadata"]) {
        let names = differing(&before["metadata"][field], &after["metadata"][field]);
        let (files, names): (Vec<_>, Vec<_>) = names
            .into_iter()
            .partition(|name| *name == FILES_ANNOTATION);
        if !files.is_empty() {
            reasons.add("files", None, []);
        }
        if !names.is_empty() {
            reasons.add(field, None, names);
        }
    }
    let (before, after) = (&before["spec"], &after["spec"]);
    for field in differing(before, after) {
        let (before, after) = (&before[field], &after[field]);
        match field {
            "containers" | "initContainers" => reasons.of_containers(field, before, after),
            "volumes" => reasons.of_volumes(before, after),
            _ => reasons.add(field, None, []),
        }
    }
    reasons.into_vec()
}

#[derive(Default)]
struct Reasons(BTreeMap<(bool, Option<String>, String), BTreeSet<String>>);

impl Reasons {
    fn add<'n>(
        &mut self,
        part: &str,
        container: Option<&str>,
        names: impl IntoIterator<Item = &'n str>,
    ) {
        let key = (part != "closure", container.map(word), word(part));
        self.0
            .entry(key)
            .or_default()
            .extend(names.into_iter().map(word));
    }

    fn into_vec(self) -> Vec<Reason> {
        let reasons = self
            .0
            .into_iter()
            .map(|((_, container, part), names)| Reason {
                part,
                container,
                names: names.into_iter().collect(),
            });
        reasons.collect()
    }

    fn of_containers(&mut self, field: &str, before: &Value, after: &Value) {
        let (before, after) = (by_name(before), by_name(after));
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let (Some(before), Some(after)) = (before.get(name), after.get(name)) else {
                self.add(field, None, [name]);
                continue;
            };
            let container = (name != MAIN_CONTAINER).then_some(name);
            for part in differing(before, after) {
                let (before, after) = (&before[part], &after[part]);
                let lists = (before.is_array() || before.is_null())
                    && (after.is_array() || after.is_null());
                let named = matches!(part, "env" | "ports" | "volumeMounts") && lists;
                let (before, after) = (by_name(before), by_name(after));
                let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
                let names = names
                    .into_iter()
                    .filter(|name| named && before.get(name) != after.get(name));
                self.add(part, container, names);
            }
        }
    }

    fn of_volumes(&mut self, before: &Value, after: &Value) {
        let (before, after) = (by_name(before), by_name(after));
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let (before, after) = (before.get(name), after.get(name));
            if before == after {
                continue;
            }
            if before.is_some_and(|volume| is_closure(volume))
                || after.is_some_and(|volume| is_closure(volume))
            {
                self.add("closure", None, []);
            } else {
                self.add("volumes", None, [name]);
            }
        }
    }
}

fn is_closure(volume: &Value) -> bool {
    volume["csi"]["driver"] == CSI_DRIVER
}

/// The items of a list by their names.
fn by_name(list: &Value) -> BTreeMap<&str, &Value> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    items
        .iter()
        .map(|item| (item["name"].as_str().unwrap_or_default(), item))
        .collect()
}

/// The fields that two sets differ in, sorted.
pub(crate) fn differing<'a>(before: &'a Value, after: &'a Value) -> Vec<&'a str> {
    fn fields(value: &Value) -> impl Iterator<Item = &str> {
        value
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
    }
    let names: BTreeSet<&str> = fields(before).chain(fields(after)).collect();
    names
        .into_iter()
        .filter(|name| before[*name] != after[*name])
        .collect()
}
