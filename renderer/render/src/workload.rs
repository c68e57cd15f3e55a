//! One workload: what it evaluated to on each system, against the API.

use std::collections::{BTreeMap, BTreeSet};

use niphas_api::{System, VIEW_ROOT};
use nix_formats::{StoreDir, StorePath};
use serde_json::{Map, Value, json};

use crate::attribute_path::AttributePath;
use crate::companions::Companions;
use crate::environment::{CheckedWorkload, Evaluated, WorkloadRoots};
use crate::places::as_written;
use crate::problem::ProblemKind;
use crate::rules::Rules;
use crate::schema::{Checker, describe, object_schema, workload_schema};
use crate::store_paths::{self, Mentions};
use crate::systems::compare_systems;
use crate::{objects, programs, written_defaults};

/// What workloads are checked against.
pub(crate) struct Schema {
    /// Of what users write.
    workload: Value,
    /// The rules between a workload's name and its spec.
    object_rules: Value,
    rules: Rules,
}

impl Schema {
    pub(crate) fn new() -> Self {
        let schema = object_schema();
        Self {
            object_rules: json!({ "x-kubernetes-validations": schema["x-kubernetes-validations"] }),
            workload: workload_schema(schema),
            rules: Rules::new(),
        }
    }
}

/// A workload's spec and roots on one system.
pub(crate) struct OnSystem<'a> {
    pub(crate) system: &'a System,
    pub(crate) spec: Map<String, Value>,
    pub(crate) roots: WorkloadRoots,
}

/// Where nixlib hands on the attributes that users wrote below `path`.
pub(crate) fn attributes_of(path: &AttributePath, system: &System) -> AttributePath {
    path.attribute(system.as_str()).attribute("attributes")
}

/// Checks a workload on all its systems. `path` is its place.
pub(crate) fn check(
    checker: &mut Checker<'_>,
    evaluated: &Evaluated<'_>,
    schema: &Schema,
    systems: &[System],
    (path, name, workload): (&AttributePath, &str, &Value),
    namespace: Option<&str>,
) -> CheckedWorkload {
    let keeps_rules = (evaluated.keeps_rules)(name);
    let found_before = checker.problems.len();
    let mut on_systems = Vec::new();
    for system in systems {
        let Some(workload) = workload.get(system.as_str()) else {
            let name = system.to_string();
            checker.report(path, ProblemKind::MissingAttribute { name });
            continue;
        };
        let references = (evaluated.references)(name, system.as_str());
        let before = checker.problems.len();
        let found = on_system(
            checker,
            schema,
            keeps_rules,
            path,
            (system, workload, references),
        );
        write_as_users_do(checker, before);
        on_systems.extend(found);
    }
    compare_systems(checker, path, &on_systems);
    let mut spec = on_systems
        .first()
        .map(|first| first.spec.clone())
        .unwrap_or_default();
    let companions = Companions::take(checker, path, &mut spec, namespace);
    let object = json!({ "metadata": { "name": name }, "spec": { "kind": spec.get("kind") } });
    let mut mentions = Mentions::default();
    if let Some(first) = on_systems.first() {
        let inner = attributes_of(path, first.system);
        mentions.find(&inner, &spec, checker.locate);
        if !keeps_rules {
            schema
                .rules
                .check(checker, path, &schema.object_rules, &object);
            let roots: Vec<_> = on_systems
                .iter()
                .map(|one| (one.system, &one.roots))
                .collect();
            let workload = objects::Workload {
                name,
                spec: &spec,
                roots: &roots,
                path: &inner,
                is_sound: checker.problems.len() == found_before,
            };
            let before = checker.problems.len();
            objects::check(checker, &workload);
            write_as_users_do(checker, before);
        }
    }
    // What they write needs no check, and has no place.
    written_defaults::high_availability(name, &mut spec);
    CheckedWorkload {
        companions,
        roots: on_systems
            .into_iter()
            .map(|one| (one.system.clone(), one.roots))
            .collect::<BTreeMap<_, _>>(),
        spec,
        mentions,
        position: (checker.locate)(path),
    }
}

/// Positions are asked for by the path in the value; users read the path without its inner parts.
fn write_as_users_do(checker: &mut Checker<'_>, found_before: usize) {
    for problem in &mut checker.problems[found_before..] {
        problem.path = as_written(&problem.path);
    }
}

/// A workload's spec and roots on one system, if there is something to run.
fn on_system<'a>(
    checker: &mut Checker<'_>,
    schema: &Schema,
    keeps_rules: bool,
    path: &AttributePath,
    (system, workload, references): (&'a System, &Value, Vec<String>),
) -> Option<OnSystem<'a>> {
    let attributes = &workload["attributes"];
    if !attributes.is_object() {
        let kind = ProblemKind::WrongType {
            expected: "a set, or a function that returns one".to_owned(),
            found: describe(attributes),
            hint: None,
        };
        checker.report(path, kind);
        return None;
    }
    let package = read_package(checker, path, &workload["package"])?;
    let inner = attributes_of(path, system);
    let mut spec = checker.check(&inner, &schema.workload, attributes);
    if !keeps_rules {
        schema.rules.check(checker, &inner, &schema.workload, &spec);
    }
    if spec["command"].is_null() {
        let command = match workload["mainProgram"].as_str() {
            Some(program) if !program.is_empty() && !program.contains('/') => {
                format!("{VIEW_ROOT}/bin/{program}")
            }
            _ if attributes["command"].is_null() => {
                let package = package.name().to_owned();
                checker.report(path, ProblemKind::NoCommand { package });
                return None;
            }
            _ => return None,
        };
        if attributes["command"].is_null() {
            spec["command"] = Value::from(vec![command]);
        }
    }
    written_defaults::routes(&schema.workload, &mut spec);
    let names = programs::read(checker, &inner, workload, &mut spec);
    store_paths::replace_roots(&mut spec, &package, &names);
    let mut others: BTreeSet<StorePath> = names.values().cloned().collect();
    for reference in references {
        if let Ok(reference) = StoreDir::default().parse_canonical(&reference) {
            others.insert(reference);
        } else {
            let found = format!("{reference:?}");
            checker.report(path, ProblemKind::NotAStorePath { found });
        }
    }
    others.remove(&package);
    let roots = WorkloadRoots {
        paths: std::iter::once(package).chain(others).collect(),
        names,
    };
    match spec {
        Value::Object(spec) => Some(OnSystem {
            system,
            spec,
            roots,
        }),
        _ => None,
    }
}

fn read_package(
    checker: &mut Checker<'_>,
    path: &AttributePath,
    package: &Value,
) -> Option<StorePath> {
    if package.is_null() {
        checker.report(path, ProblemKind::NoPackage);
        return None;
    }
    let parsed = package
        .as_str()
        .and_then(|text| StoreDir::default().parse_canonical(text).ok());
    if parsed.is_none() {
        let found = describe(package);
        checker.report(
            &path.attribute("package"),
            ProblemKind::NotAStorePath { found },
        );
    }
    parsed
}
