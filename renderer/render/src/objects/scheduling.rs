//! On which nodes pods can run.

use std::collections::BTreeSet;

use super::grammar::{LABEL_VALUE, QUALIFIED_NAME};
use super::place::Place;
use super::pod::labels;
use crate::schema::Checker;

const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "PreferNoSchedule"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn check(checker: &mut Checker<'_>, pod: &Place<'_>) {
    labels(checker, &pod.field("nodeSelector"), true);
    for toleration in pod.items("tolerations") {
        tolerates(checker, &toleration);
    }
    spread(checker, pod);
    let affinity = pod.field("affinity");
    let nodes = affinity.field("nodeAffinity");
    for term in nodes.field(REQUIRED).items("nodeSelectorTerms") {
        of_nodes(checker, &term);
    }
    for preferred in nodes.items(PREFERRED) {
        preferred.between(checker, "weight", 1, 100);
        of_nodes(checker, &preferred.field("preference"));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.field(kind);
        for term in pods.items(REQUIRED) {
            of_pods(checker, &term);
        }
        for preferred in pods.items(PREFERRED) {
            preferred.between(checker, "weight", 1, 100);
            of_pods(checker, &preferred.field("podAffinityTerm"));
        }
    }
}

fn tolerates(checker: &mut Checker<'_>, toleration: &Place<'_>) {
    let text = |field: &str| toleration.text(field).filter(|text| !text.is_empty());
    let exists = text("operator") == Some("Exists");
    if text("operator").is_some() {
        toleration.one_of(checker, "operator", &["Equal", "Exists"]);
    }
    if text("effect").is_some() {
        toleration.one_of(checker, "effect", &EFFECTS);
    }
    match text("key") {
        Some(_) => toleration.form(checker, "key", QUALIFIED_NAME),
        None if !exists => {
            let problem = "the toleration names no key".to_owned();
            let remedy = "write its key, or operator = \"Exists\" for every taint";
            toleration.report(checker, problem, remedy);
        }
        None => {}
    }
    if exists && text("value").is_some() {
        let problem = "the toleration has a value, and the operator Exists".to_owned();
        toleration.report(checker, problem, "write operator = \"Equal\", or no value");
    } else {
        toleration.form(checker, "value", LABEL_VALUE);
    }
    if toleration.present("tolerationSeconds").is_some() && text("effect") != Some("NoExecute") {
        let problem = "tolerationSeconds are for the effect NoExecute".to_owned();
        toleration.report(
            checker,
            problem,
            "write effect = \"NoExecute\", or no tolerationSeconds",
        );
    }
}

fn spread(checker: &mut Checker<'_>, pod: &Place<'_>) {
    let mut seen = BTreeSet::new();
    for constraint in pod.items("topologySpreadConstraints") {
        constraint.between(checker, "maxSkew", 1, i64::from(i32::MAX));
        constraint.between(checker, "minDomains", 1, i64::from(i32::MAX));
        constraint.form(checker, "topologyKey", QUALIFIED_NAME);
        constraint.one_of(
            checker,
            "whenUnsatisfiable",
            &["DoNotSchedule", "ScheduleAnyway"],
        );
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            constraint.one_of(checker, policy, &["Honor", "Ignore"]);
        }
        selector(checker, &constraint.field("labelSelector"));
        let is_soft = constraint.text("whenUnsatisfiable") == Some("ScheduleAnyway");
        if let Some(least) = constraint.present("minDomains").filter(|_| is_soft) {
            let problem = "minDomains counts only with whenUnsatisfiable DoNotSchedule".to_owned();
            least.report(checker, problem, "write that, or take minDomains away");
        }
        let selects = constraint.present("labelSelector").is_some();
        if let Some(keys) = constraint.present("matchLabelKeys").filter(|_| !selects) {
            let problem = "matchLabelKeys narrows a labelSelector, and there is none".to_owned();
            keys.report(checker, problem, "write labelSelector, too");
        }
        let key = (
            constraint.text("topologyKey"),
            constraint.text("whenUnsatisfiable"),
        );
        if !seen.insert(key) {
            let problem = format!("two constraints are for {}", key.0.unwrap_or_default());
            constraint.report(checker, problem, "make one of the two");
        }
    }
}

/// A term of what is asked of nodes.
fn of_nodes(checker: &mut Checker<'_>, term: &Place<'_>) {
    for list in ["matchExpressions", "matchFields"] {
        for requirement in term.items(list) {
            let operators = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
            requirement.one_of(checker, "operator", &operators);
            has_values(checker, &requirement);
            if list == "matchFields" {
                requirement.one_of(checker, "key", &["metadata.name"]);
            } else {
                requirement.form(checker, "key", QUALIFIED_NAME);
            }
        }
    }
}

fn of_pods(checker: &mut Checker<'_>, term: &Place<'_>) {
    if term.text("topologyKey").unwrap_or_default().is_empty() {
        let problem = "the term names no topologyKey".to_owned();
        term.report(
            checker,
            problem,
            "write one, like \"kubernetes.io/hostname\"",
        );
    } else {
        term.form(checker, "topologyKey", QUALIFIED_NAME);
    }
    selector(checker, &term.field("labelSelector"));
    selector(checker, &term.field("namespaceSelector"));
}

/// Checks a label selector.
pub(super) fn selector(checker: &mut Checker<'_>, selector: &Place<'_>) {
    labels(checker, &selector.field("matchLabels"), true);
    for requirement in selector.items("matchExpressions") {
        let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
        requirement.one_of(checker, "operator", &operators);
        requirement.form(checker, "key", QUALIFIED_NAME);
        has_values(checker, &requirement);
    }
}

/// As many values as the operator compares with.
fn has_values(checker: &mut Checker<'_>, requirement: &Place<'_>) {
    let values = requirement.value["values"].as_array().map_or(0, Vec::len);
    let operator = requirement.text("operator").unwrap_or_default();
    let (fits, remedy) = match operator {
        "In" | "NotIn" => (values > 0, "write its values"),
        "Exists" | "DoesNotExist" => (values == 0, "take the values away, or write In or NotIn"),
        "Gt" | "Lt" => (values == 1, "write one value"),
        _ => return,
    };
    if !fits {
        let problem = format!("the operator {operator} has {values} values");
        requirement.report(checker, problem, remedy);
    }
}
