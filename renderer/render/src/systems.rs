//! What must be the same on all systems: one pod template serves them all.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::attribute_path::AttributePath;
use crate::places::as_written;
use crate::problem::{Problem, ProblemKind};
use crate::schema::{Checker, describe};
use crate::store_paths;
use crate::workload::{OnSystem, attributes_of};

/// What must be the same on all systems, and is not.
pub(crate) fn compare_systems(
    checker: &mut Checker<'_>,
    path: &AttributePath,
    on_systems: &[OnSystem<'_>],
) {
    let Some((one, others)) = on_systems.split_first() else {
        return;
    };
    let one_system = one.system;
    let names = |on_system: &OnSystem<'_>| -> Vec<String> {
        let names = on_system.roots.names.keys();
        names.map(ToString::to_string).collect()
    };
    for on_other in others {
        let OnSystem {
            system: other_system,
            spec: other,
            ..
        } = on_other;
        if names(one) != names(on_other) {
            let kind = ProblemKind::DiffersBetweenSystems {
                one: format!("the roots {}", names(one).join(", ")),
                one_system: one_system.to_string(),
                other: format!("the roots {}", names(on_other).join(", ")),
                other_system: other_system.to_string(),
                store_path: false,
            };
            checker.report(path, kind);
        }
        let inner = attributes_of(path, one_system);
        let mut differences = Vec::new();
        compare_sets(&inner, &one.spec, other, &mut differences);
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
