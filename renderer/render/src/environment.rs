//! Reads what an environment evaluated to.

use std::collections::{BTreeMap, BTreeSet};

use niphas_api::{System, ViewName, architecture};
use nix_formats::StorePath;
use serde_json::{Map, Value};

use crate::attribute_path::{AttributePath, Element};
use crate::companions::Companions;
use crate::further_objects::{self, Common, FOLDER, FurtherObject};
use crate::names::{why_bad_name, why_no_label};
use crate::objects::Names;
use crate::places::locate;
use crate::problem::{Problem, ProblemKind, Problems};
use crate::schema::{Checker, KubernetesVersion, describe, kubernetes_schema};
use crate::store_paths::Mentions;
use crate::suggestion::nearest;
use crate::workload::{self, Schema};

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
    pub position: &'a dyn Fn(&[Element]) -> Option<String>,
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
    /// Its objects that are no workloads.
    pub objects: Vec<FurtherObject>,
}

/// A workload that fits the API.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedWorkload {
    /// The fields of its `spec`, less `closures`.
    pub(crate) spec: Map<String, Value>,
    /// What of it is not in `spec`.
    pub(crate) companions: Companions,
    /// The roots of its closure on each system.
    pub roots: BTreeMap<System, WorkloadRoots>,
    /// The store paths that stand in its texts.
    pub(crate) mentions: Mentions,
    /// Where the workload stands in the source.
    pub(crate) position: Option<String>,
}

/// The roots of a workload's closure on one system.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadRoots {
    /// The package first.
    pub paths: Vec<StorePath>,
    /// Those that have a name in the view.
    pub names: BTreeMap<ViewName, StorePath>,
}

const VERSION: u64 = 1;

/// Systems that may have been meant.
const SYSTEMS: [&str; 8] = [
    "aarch64-linux",
    "armv7l-linux",
    "i686-linux",
    "loongarch64-linux",
    "powerpc64le-linux",
    "riscv64-linux",
    "s390x-linux",
    "x86_64-linux",
];

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
        let nothing = Problem::not_an_environment("it cannot be read");
        return Err(Problems::from_found(checker.problems).unwrap_or(nothing.into()));
    };
    let schema = Schema::new();
    let mut taken = Names::default();
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
        let workload = (&path, name.as_str(), workload);
        let namespace = namespace.as_deref();
        let workload = workload::check(
            &mut checker,
            evaluated,
            &schema,
            &systems,
            workload,
            namespace,
        );
        let place = workload.companions.namespace.as_deref().or(namespace);
        for (object, other) in taken.take(place.unwrap_or_default(), name, &workload.spec) {
            let problem = format!("the {object} is the workload {other:?}'s, too");
            let which = if other == name { "" } else { "workloads " };
            let remedy = Some(format!("give one of the two {which}another name"));
            checker.report(&path, ProblemKind::Refused { problem, remedy });
        }
        checked.insert(name.clone(), workload);
    }
    let common = Common {
        environment: evaluated.name,
        namespace: namespace.as_deref(),
    };
    let objects = further_objects::read(&mut checker, evaluated.value, common);
    if !objects.is_empty() && checked.contains_key(FOLDER) {
        let kind = ProblemKind::BadName {
            name: FOLDER.to_owned(),
            what: "a workload",
            reason: "the folder of this name has the environment's other objects",
        };
        checker.report(&top.attribute("workloads").attribute(FOLDER), kind);
    }
    match Problems::from_found(checker.problems) {
        Some(problems) => Err(problems),
        None => Ok(CheckedEnvironment {
            name: evaluated.name.to_owned(),
            namespace,
            workloads: checked,
            objects,
        }),
    }
}

/// Checks what an environment is, and what systems it is for: what its workloads cannot be evaluated without. `value` is all
/// of it but the workloads.
///
/// # Errors
/// Everything that is wrong with that.
pub fn check_head(
    value: &Value,
    position: &dyn Fn(&[Element]) -> Option<String>,
) -> Result<(), Problems> {
    let evaluated = Evaluated {
        name: "",
        value,
        references: &|_, _| Vec::new(),
        keeps_rules: &|_| false,
        position,
    };
    let locate = |path: &AttributePath| locate(&evaluated, path);
    let mut checker = Checker::new(&locate);
    if is_environment(&mut checker, value) {
        let path = AttributePath::default().attribute("systems");
        read_systems(&mut checker, &path, &value["systems"]);
    }
    Problems::from_found(checker.problems).map_or(Ok(()), Err)
}

fn is_environment(checker: &mut Checker<'_>, value: &Value) -> bool {
    let why = if value["_type"] != ENVIRONMENT {
        format!("it is {}", describe(value))
    } else if value["version"] != VERSION {
        let version = describe(&value["version"]);
        format!("its version is {version}, expected {VERSION}")
    } else {
        return true;
    };
    checker.report(
        &AttributePath::default(),
        ProblemKind::NotAnEnvironment(why),
    );
    false
}

type Environment<'a> = (Option<String>, Vec<System>, &'a Map<String, Value>);

/// The environment's own attributes, if it can be gone on with.
fn read_environment<'a>(
    checker: &mut Checker<'_>,
    evaluated: &Evaluated<'a>,
) -> Option<Environment<'a>> {
    let value = evaluated.value;
    let top = AttributePath::default();
    if !is_environment(checker, value) {
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
    let kubernetes = &value["kubernetes"];
    if !kubernetes.is_null() {
        checker.check(
            &top.attribute("kubernetes"),
            &kubernetes_schema(),
            kubernetes,
        );
        checker.kubernetes = KubernetesVersion::of_environment(kubernetes);
    }
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
        let path = path.index(index);
        let expected = "a system of Linux that Kubernetes knows, like \"x86_64-linux\"";
        let Some(text) = item.as_str() else {
            wrong_type(checker, &path, expected, item);
            continue;
        };
        let known = text.parse::<System>().ok();
        if let Some(system) = known.filter(|system| architecture(system).is_some()) {
            systems.insert(system);
        } else {
            let kind = ProblemKind::BadValue {
                expected: expected.to_owned(),
                found: describe(item),
                suggestion: nearest(text, SYSTEMS),
            };
            checker.report(&path, kind);
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
