//! Reads what an environment evaluated to.

use std::collections::{BTreeMap, BTreeSet};

use niphas_api::{System, VIEW_ROOT};
use nix_formats::{StoreDir, StorePath};
use serde_json::{Map, Value, json};

use crate::attribute_path::{AttributePath, Element};
use crate::names::{why_bad_name, why_no_label};
use crate::problem::{Problem, ProblemKind, Problems};
use crate::rules::Rules;
use crate::schema::{Checker, describe, object_schema, workload_schema};
use crate::store_paths;

/// What `niphasConfigurations.<name>` evaluated to.
pub struct Evaluated<'a> {
    /// The environment's name.
    pub name: &'a str,
    /// Its value, as `builtins.toJSON` would give it.
    pub value: &'a Value,
    /// The store paths in the string contexts below `workloads.<name>.<system>`.
    pub references: &'a dyn Fn(&str, &str) -> Vec<String>,
    /// Workloads that are known to keep the rules of the schema, since they were checked by this very program before.
    pub keeps_rules: &'a dyn Fn(&str) -> bool,
    /// The position of an attribute of the value as `file:line:column`, if it has one.
    pub position: &'a dyn Fn(&[&str]) -> Option<String>,
}

/// An environment whose workloads fit the API. Their closures are not known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedEnvironment {
    /// Its name.
    pub name: String,
    /// The namespace of its objects.
    pub namespace: Option<String>,
    /// Its workloads by name.
    pub workloads: BTreeMap<String, CheckedWorkload>,
}

/// A workload that fits the API.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedWorkload {
    /// The fields of its `spec`, less `closures`.
    pub(crate) spec: Map<String, Value>,
    /// The roots of its closure on each system: the package first.
    pub roots: BTreeMap<System, Vec<StorePath>>,
    /// Where the workload stands in the source.
    pub(crate) position: Option<String>,
}

const VERSION: u64 = 1;

/// The `_type` of what `niphas.lib.mkEnvironment` returns.
pub const ENVIRONMENT: &str = "niphas-environment";

/// Checks an environment: all its workloads on all its systems.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub fn check(evaluated: &Evaluated<'_>) -> Result<CheckedEnvironment, Problems> {
    let locate = |path: &AttributePath| locate(evaluated, path);
    let mut checker = Checker::new(&locate);
    let top = AttributePath::default();
    let environment = read_environment(&mut checker, evaluated);
    let Some((namespace, systems, workloads)) = environment else {
        let nothing = Problem {
            path: top,
            position: None,
            kind: ProblemKind::NotAnEnvironment("it cannot be read".into()),
        };
        return Err(Problems::from_found(checker.problems).unwrap_or(nothing.into()));
    };
    let schema = object_schema();
    // Those between a workload's name and its spec.
    let object_rules = json!({ "x-kubernetes-validations": schema["x-kubernetes-validations"] });
    let schema = workload_schema(schema);
    let rules = Rules::new();
    let rules_of = |name: &str| (!(evaluated.keeps_rules)(name)).then_some(&rules);
    let mut checked = BTreeMap::new();
    for (name, workload) in workloads {
        let path = top.attribute("workloads").attribute(name);
        if let Some(reason) = why_bad_name(name) {
            let kind = ProblemKind::BadName {
                name: name.clone(),
                what: "a workload",
                reason,
            };
            checker.report(&path, kind);
            continue;
        }
        let mut on_systems = Vec::new();
        for system in &systems {
            let Some(workload) = workload.get(system.as_str()) else {
                checker.report(
                    &path,
                    ProblemKind::MissingAttribute {
                        name: system.to_string(),
                    },
                );
                continue;
            };
            let references = (evaluated.references)(name, system.as_str());
            if let Some((spec, roots)) = check_on_system(
                &mut checker,
                rules_of(name),
                &schema,
                &path,
                system,
                workload,
                references,
            ) {
                on_systems.push((system, spec, roots));
            }
        }
        compare_systems(&mut checker, &path, &on_systems);
        let spec = on_systems
            .first()
            .map(|(_, spec, _)| spec.clone())
            .unwrap_or_default();
        let object = json!({ "metadata": { "name": name }, "spec": { "kind": spec.get("kind") } });
        if let Some(rules) = rules_of(name) {
            rules.check(&mut checker, &path, &object_rules, &object);
        }
        let roots = on_systems
            .into_iter()
            .map(|(system, _, roots)| (system.clone(), roots))
            .collect();
        let position = locate(&path);
        checked.insert(
            name.clone(),
            CheckedWorkload {
                spec,
                roots,
                position,
            },
        );
    }
    match Problems::from_found(checker.problems) {
        Some(problems) => Err(problems),
        None => Ok(CheckedEnvironment {
            name: evaluated.name.to_owned(),
            namespace,
            workloads: checked,
        }),
    }
}

type Environment<'a> = (Option<String>, Vec<System>, &'a Map<String, Value>);

/// The environment's own attributes, if it can be gone on with.
fn read_environment<'a>(
    checker: &mut Checker<'_>,
    evaluated: &Evaluated<'a>,
) -> Option<Environment<'a>> {
    let value = evaluated.value;
    let top = AttributePath::default();
    let mut not_one = |why: String| checker.report(&top, ProblemKind::NotAnEnvironment(why));
    if value["_type"] != ENVIRONMENT {
        not_one(format!("it is {}", describe(value)));
        return None;
    }
    if value["version"] != VERSION {
        not_one(format!(
            "its version is {}, expected {VERSION}",
            describe(&value["version"])
        ));
        return None;
    }
    if let Some(reason) = why_bad_name(evaluated.name) {
        let name = evaluated.name.to_owned();
        checker.report(
            &top,
            ProblemKind::BadName {
                name,
                what: "an environment",
                reason,
            },
        );
    }
    let namespace = match &value["namespace"] {
        Value::Null => None,
        Value::String(name) => {
            if let Some(reason) = why_no_label(name) {
                let kind = ProblemKind::BadName {
                    name: name.clone(),
                    what: "a namespace",
                    reason,
                };
                checker.report(&top.attribute("namespace"), kind);
            }
            Some(name.clone())
        }
        other => {
            wrong_type(checker, &top.attribute("namespace"), "a string", other);
            None
        }
    };
    let systems = read_systems(checker, &top.attribute("systems"), &value["systems"])?;
    let Some(workloads) = value["workloads"].as_object() else {
        wrong_type(
            checker,
            &top.attribute("workloads"),
            "a set",
            &value["workloads"],
        );
        return None;
    };
    Some((namespace, systems, workloads))
}

fn read_systems(
    checker: &mut Checker<'_>,
    path: &AttributePath,
    value: &Value,
) -> Option<Vec<System>> {
    let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
        wrong_type(checker, path, "a list of at least one system", value);
        return None;
    };
    let mut systems = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        match item.as_str().and_then(|text| text.parse::<System>().ok()) {
            Some(system) => {
                systems.insert(system);
            }
            None => wrong_type(
                checker,
                &path.index(index),
                "a system like \"x86_64-linux\"",
                item,
            ),
        }
    }
    (!systems.is_empty()).then(|| systems.into_iter().collect())
}

fn wrong_type(checker: &mut Checker<'_>, path: &AttributePath, expected: &str, value: &Value) {
    let (expected, found) = (expected.to_owned(), describe(value));
    checker.report(
        path,
        ProblemKind::WrongType {
            expected,
            found,
            hint: None,
        },
    );
}

/// A workload's spec and roots on one system, if there is something to run.
fn check_on_system(
    checker: &mut Checker<'_>,
    rules: Option<&Rules>,
    schema: &Value,
    path: &AttributePath,
    system: &System,
    workload: &Value,
    references: Vec<String>,
) -> Option<(Map<String, Value>, Vec<StorePath>)> {
    // Positions are asked for by the path in the value; users read the path without its inner parts.
    let attributes = &workload["attributes"];
    let package = read_package(checker, path, &workload["package"])?;
    let inner = path.attribute(system.as_str()).attribute("attributes");
    let found_before = checker.problems.len();
    let mut spec = checker.check(&inner, schema, attributes);
    if let Some(rules) = rules {
        rules.check(checker, &inner, schema, &spec);
    }
    for problem in &mut checker.problems[found_before..] {
        problem.path = as_written(&problem.path);
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
    store_paths::replace_package(&mut spec, &package);
    let mut others = BTreeSet::new();
    for reference in references {
        if let Ok(reference) = StoreDir::default().parse_canonical(&reference) {
            others.insert(reference);
        } else {
            let found = format!("{reference:?}");
            checker.report(path, ProblemKind::NotAStorePath { found });
        }
    }
    others.remove(&package);
    let roots = std::iter::once(package).chain(others).collect();
    match spec {
        Value::Object(spec) => Some((spec, roots)),
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

/// What must be the same on all systems, and is not.
fn compare_systems(
    checker: &mut Checker<'_>,
    path: &AttributePath,
    on_systems: &[(&System, Map<String, Value>, Vec<StorePath>)],
) {
    let Some(((one_system, one, _), others)) = on_systems.split_first() else {
        return;
    };
    for (other_system, other, _) in others {
        let inner = path.attribute(one_system.as_str()).attribute("attributes");
        let mut differences = Vec::new();
        compare_sets(&inner, one, other, &mut differences);
        for (inner, one, other) in differences {
            let store_path = [one, other]
                .iter()
                .any(|value| value.as_str().is_some_and(store_paths::names_store_path));
            let kind = ProblemKind::DiffersBetweenSystems {
                one: describe(one),
                one_system: one_system.to_string(),
                other: describe(other),
                other_system: other_system.to_string(),
                store_path,
            };
            let position = (checker.locate)(&inner);
            checker.problems.push(Problem {
                path: as_written(&inner),
                position,
                kind,
            });
        }
    }
}

type Difference<'a> = (AttributePath, &'a Value, &'a Value);

fn compare_sets<'a>(
    path: &AttributePath,
    one: &'a Map<String, Value>,
    other: &'a Map<String, Value>,
    differences: &mut Vec<Difference<'a>>,
) {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for name in names {
        let field = |fields: &'a Map<String, Value>| fields.get(name).unwrap_or(&Value::Null);
        compare(&path.attribute(name), field(one), field(other), differences);
    }
}

fn compare<'a>(
    path: &AttributePath,
    one: &'a Value,
    other: &'a Value,
    differences: &mut Vec<Difference<'a>>,
) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => compare_sets(path, one, other, differences),
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&path.index(index), one, other, differences);
            }
        }
        (one, other) if one != other => differences.push((path.clone(), one, other)),
        _ => {}
    }
}

/// `workloads.web.x86_64-linux.attributes.args` is what the user wrote as `workloads.web.args`.
fn as_written(path: &AttributePath) -> AttributePath {
    let elements = path.elements();
    let inner = elements.get(3) == Some(&Element::Attribute("attributes".to_owned()));
    let skipped = if inner { 2..4 } else { 0..0 };
    elements
        .iter()
        .enumerate()
        .filter(|(index, _)| !skipped.contains(index))
        .fold(
            AttributePath::default(),
            |path, (_, element)| match element {
                Element::Attribute(name) => path.attribute(name),
                Element::Index(index) => path.index(*index),
            },
        )
}

/// The position of an attribute or of the nearest one around it.
fn locate(evaluated: &Evaluated<'_>, path: &AttributePath) -> Option<String> {
    let mut names = Vec::new();
    for element in path.elements() {
        match element {
            Element::Attribute(name) => names.push(name.as_str()),
            // Elements of lists have no positions, nor has what is in them for the caller.
            Element::Index(_) => break,
        }
    }
    while !names.is_empty() {
        // `workloads.<name>.<system>` and its `attributes` are made by nixlib: no places of the user's.
        let position = match names[..] {
            ["workloads", workload] => workload_position(evaluated.value, workload)
                .or_else(|| (evaluated.position)(&names)),
            ["workloads", ..] if matches!(names.len(), 3 | 4) => None,
            _ => (evaluated.position)(&names),
        };
        if position.is_some() {
            return position;
        }
        names.pop();
    }
    None
}

/// Where a workload is defined, as nixlib found out.
fn workload_position(environment: &Value, workload: &str) -> Option<String> {
    let position = &environment["positions"][workload];
    let file = position["file"].as_str()?;
    let line = position["line"].as_u64()?;
    Some(format!("{file}:{line}:{}", position["column"].as_u64()?))
}
