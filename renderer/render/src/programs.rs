//! The further programs of a workload's pods, and its further roots: each has a name, by which the view has it.

use std::collections::BTreeMap;

use niphas_api::{VIEW_ROOTS, ViewName};
use nix_formats::{StoreDir, StorePath};
use serde_json::Value;

use crate::attribute_path::AttributePath;
use crate::problem::ProblemKind;
use crate::schema::{Checker, describe};

/// The attributes that have containers in them.
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

/// Reads the programs and roots that nixlib hands on apart, and gives each container of `spec` its command where it has none.
/// `inner` is the place of the workload's attributes.
pub(crate) fn read(
    checker: &mut Checker<'_>,
    inner: &AttributePath,
    workload: &Value,
    spec: &mut Value,
) -> BTreeMap<ViewName, StorePath> {
    let mut names = BTreeMap::new();
    for list in CONTAINERS {
        for (name, program) in members(&workload["programs"][list]) {
            let place = inner.attribute(list).attribute(name);
            // A container that is not set.
            if program.is_null() {
                continue;
            }
            let Some(package) = store_path(checker, &place, &program["package"]) else {
                continue;
            };
            let container = spec.get_mut(list).and_then(|list| list.get_mut(name));
            if let Some(container) = container {
                set_command(
                    checker,
                    &place,
                    container,
                    program,
                    (name.as_str(), &package),
                );
            }
            // A name that is none is the schema's to refuse.
            if let Ok(name) = name.parse::<ViewName>()
                && names.insert(name.clone(), package).is_some()
            {
                taken(checker, &place, &name);
            }
        }
    }
    for (name, root) in members(&workload["roots"]) {
        let place = inner.attribute("roots").attribute(name);
        if root.is_null() {
            continue;
        }
        let Some(root) = store_path(checker, &place, root) else {
            continue;
        };
        match name.parse::<ViewName>() {
            Ok(name) if names.contains_key(&name) => taken(checker, &place, &name),
            Ok(name) => {
                names.insert(name, root);
            }
            Err(_) => {
                let problem = format!("{name:?} is no name of a root");
                let remedy = "write at most 31 lower-case letters, digits and '-'".to_owned();
                let remedy = Some(remedy);
                checker.report(&place, ProblemKind::Refused { problem, remedy });
            }
        }
    }
    names
}

fn taken(checker: &mut Checker<'_>, path: &AttributePath, name: &ViewName) {
    let problem = format!("two roots have the name {name}");
    let remedy = Some("give the container or the root another name".to_owned());
    checker.report(path, ProblemKind::Refused { problem, remedy });
}

fn members(set: &Value) -> impl Iterator<Item = (&String, &Value)> {
    set.as_object().into_iter().flatten()
}

fn store_path(
    checker: &mut Checker<'_>,
    place: &AttributePath,
    value: &Value,
) -> Option<StorePath> {
    if value.is_null() {
        checker.report(place, ProblemKind::NoPackage);
        return None;
    }
    let text = value.as_str();
    let parsed = text.and_then(|text| StoreDir::default().parse_canonical(text).ok());
    if parsed.is_none() {
        let found = describe(value);
        checker.report(place, ProblemKind::NotAStorePath { found });
    }
    parsed
}

fn set_command(
    checker: &mut Checker<'_>,
    place: &AttributePath,
    container: &mut Value,
    program: &Value,
    (name, package): (&str, &StorePath),
) {
    if !container.is_object() || !container["command"].is_null() {
        return;
    }
    match program["mainProgram"].as_str() {
        Some(program) if !program.is_empty() && !program.contains('/') => {
            container["command"] = vec![format!("{VIEW_ROOTS}/{name}/bin/{program}")].into();
        }
        _ => {
            let package = package.name().to_owned();
            checker.report(place, ProblemKind::NoCommand { package });
        }
    }
}
