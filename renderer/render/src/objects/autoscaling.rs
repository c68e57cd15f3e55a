//! What an autoscaler goes by.

use niphas_api::Amount;

use super::place::Place;
use crate::schema::Checker;

/// The types of metrics, and the field of each.
const TYPES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

/// `pod` is the pod that is scaled.
pub(super) fn check(checker: &mut Checker<'_>, autoscaling: &Place<'_>, pod: &Place<'_>) {
    for resource in ["cpu", "memory"] {
        if let Some(percent) = autoscaling.present(resource) {
            is_requested(checker, &percent, resource, None, pod);
        }
    }
    for metric in autoscaling.items("metrics") {
        of_type(checker, &metric, pod);
    }
    for direction in ["scaleDown", "scaleUp"] {
        let rules = autoscaling.field("behavior").field(direction);
        rules.one_of(checker, "selectPolicy", &["Disabled", "Max", "Min"]);
        rules.between(checker, "stabilizationWindowSeconds", 0, 3600);
        for policy in rules.items("policies") {
            policy.one_of(checker, "type", &["Percent", "Pods"]);
            policy.between(checker, "value", 1, i64::from(i32::MAX));
            policy.between(checker, "periodSeconds", 1, 1800);
        }
    }
}

fn of_type(checker: &mut Checker<'_>, metric: &Place<'_>, pod: &Place<'_>) {
    metric.one_of(checker, "type", &TYPES.map(|(name, _)| name));
    let Some((name, field)) = TYPES
        .iter()
        .find(|(name, _)| metric.text("type") == Some(name))
    else {
        return;
    };
    for (_, other) in TYPES.iter().filter(|(_, other)| other != field) {
        if let Some(other) = metric.present(other) {
            let problem = format!("a metric of the type {name} has {field} alone");
            other.report(
                checker,
                problem,
                "take the other away, or write another type",
            );
        }
    }
    let Some(source) = metric.present(field) else {
        let problem = format!("a metric of the type {name} has no {field}");
        return metric.report(checker, problem, &format!("write {field}"));
    };
    names(checker, &source, field);
    let target = source.field("target");
    let takes: &[&str] = match *field {
        "containerResource" | "resource" => &["AverageValue", "Utilization"],
        "pods" => &["AverageValue"],
        _ => &["AverageValue", "Value"],
    };
    target.one_of(checker, "type", takes);
    let value = match target.text("type") {
        Some("Utilization") => "averageUtilization",
        Some("AverageValue") => "averageValue",
        Some("Value") => "value",
        _ => return,
    };
    if target.present(value).is_none() {
        let problem = format!("the target has no {value}");
        target.report(checker, problem, &format!("write {value}"));
    }
    if let Some(text) = target.text(value)
        && let Ok(amount) = text.parse::<Amount>()
        && (amount.is_zero() || amount.is_negative())
    {
        let problem = format!("{value} is {text}");
        target
            .field(value)
            .report(checker, problem, "write more than 0");
    }
    target.between(checker, "averageUtilization", 1, i64::from(i32::MAX));
    if value == "averageUtilization"
        && let Some(resource) = source.text("name").filter(|name| !name.is_empty())
    {
        is_requested(checker, &source, resource, source.text("container"), pod);
    }
}

/// What is measured, and of what.
fn names(checker: &mut Checker<'_>, source: &Place<'_>, field: &str) {
    let needed: &[&[&str]] = match field {
        "containerResource" => &[&["name"], &["container"]],
        "resource" => &[&["name"]],
        "object" => &[
            &["metric", "name"],
            &["describedObject", "kind"],
            &["describedObject", "name"],
        ],
        _ => &[&["metric", "name"]],
    };
    for path in needed {
        let value = path.iter().fold(source.value, |value, name| &value[*name]);
        if value.is_null() || value == "" {
            let path = path.join(".");
            source.report(
                checker,
                format!("{field} has no {path}"),
                &format!("write {field}.{path}"),
            );
        }
    }
}

/// A percentage is one of what containers request.
fn is_requested(
    checker: &mut Checker<'_>,
    place: &Place<'_>,
    resource: &str,
    container: Option<&str>,
    pod: &Place<'_>,
) {
    for each in pod.items("containers") {
        let name = each.text("name").unwrap_or_default();
        let resources = &each.value["resources"];
        // Pods request what their limits are if they say nothing else.
        let is_requested = ["requests", "limits"]
            .into_iter()
            .any(|list| !resources[list][resource].is_null());
        if container.is_none_or(|container| container == name) && !is_requested {
            let problem = format!(
                "the container {name:?} requests no {resource}: there is nothing to take a percentage of"
            );
            let remedy = if name == niphas_api::MAIN_CONTAINER {
                format!("write resources.requests.{resource}")
            } else {
                format!("write resources.requests.{resource} of the container in podTemplate")
            };
            place.report(checker, problem, &remedy);
        }
    }
}
