//! Defaults that the renderer writes into a workload: they stand in the commit, where they are reviewed. The operator has none of
//! them, so what was rendered before stays as it is until it is rendered again.

use niphas_api::WORKLOAD_LABEL;
use serde_json::{Map, Value, json};

use crate::rules::with_defaults;

/// How long pods stay bound to a node that does not answer, in seconds. Kubernetes' own default is 300.
const FAILOVER_SECONDS: u32 = 30;

/// The attribute that leaves out what [`high_availability`] writes.
pub(crate) const HIGH_AVAILABILITY: &str = "highAvailability";

/// Completes the routes of a workload whose attributes fit `schema`: their paths, and what the Gateway API's definitions have as
/// defaults, which the API server would add and GitOps tools take for drift.
pub(crate) fn routes(schema: &Value, spec: &mut Value) {
    for ingress in each(spec, "ingress", "ingresses") {
        let hosts = ingress.get_mut("hosts").and_then(Value::as_object_mut);
        for host in hosts.into_iter().flat_map(Map::values_mut) {
            everything_without(host, "backends");
        }
    }
    for route in each(spec, "httpRoute", "httpRoutes") {
        everything_without(route, "rules");
    }
    for (one, further) in [("httpRoute", "httpRoutes"), ("grpcRoute", "grpcRoutes")] {
        let rules = &schema["properties"][one]["properties"]["rules"];
        for route in each(spec, one, further) {
            if let Some(given) = route.get_mut("rules") {
                *given = with_defaults(rules, given);
            }
        }
    }
}

/// The objects of a kind that a workload has one or several of.
fn each<'v>(
    spec: &'v mut Value,
    one: &'static str,
    further: &'static str,
) -> impl Iterator<Item = &'v mut Value> {
    let fields = spec.as_object_mut().into_iter().flatten();
    fields
        .filter_map(move |(name, value)| match name {
            name if name == one => Some(vec![value]),
            name if name == further => {
                let further = value.as_object_mut()?;
                Some(further.values_mut().collect())
            }
            _ => None,
        })
        .flatten()
}

/// Gives the set all paths, unless it says in another way what it serves.
fn everything_without(set: &mut Value, other: &str) {
    let Some(fields) = set.as_object_mut() else {
        return;
    };
    let says = |name: &str| match fields.get(name) {
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(items)) => !items.is_empty(),
        _ => false,
    };
    if !says("paths") && !says(other) {
        fields.insert("paths".to_owned(), json!(["/"]));
    }
}

/// Pods that take each other's place are spread over zones and nodes, drains leave all but one of them, and those of a failed node
/// soon run elsewhere. What the workload says itself counts.
pub(crate) fn high_availability(name: &str, spec: &mut Map<String, Value>) {
    let is_chosen = spec.remove(HIGH_AVAILABILITY).is_none_or(|is| is == true);
    let kind = spec.get("kind").and_then(Value::as_str);
    let kind = kind.unwrap_or("Deployment").to_owned();
    if !is_chosen || !matches!(kind.as_str(), "Deployment" | "StatefulSet") {
        return;
    }
    let fewest = match spec.get("autoscaling") {
        Some(autoscaling) => autoscaling["minReplicas"].as_i64(),
        None => spec.get("replicas").and_then(Value::as_i64),
    };
    if fewest.unwrap_or(1) > 1 {
        spec.entry("disruptionBudget")
            .or_insert_with(|| json!({ "maxUnavailable": 1 }));
    }
    let template = spec
        .entry("podTemplate")
        .or_insert_with(|| json!({}))
        .as_object_mut();
    let Some(pod) = template.and_then(|template| {
        let pod = template.entry("spec").or_insert_with(|| json!({}));
        pod.as_object_mut()
    }) else {
        return;
    };
    pod.entry("tolerations").or_insert_with(|| {
        let toleration = |condition: &str| {
            json!({
                "key": format!("node.kubernetes.io/{condition}"),
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": FAILOVER_SECONDS,
            })
        };
        json!([toleration("not-ready"), toleration("unreachable")])
    });
    // Of one pod, too: else all would restart where a second one is asked for.
    let others = |topology: &str| {
        let mut others = json!({
            "topologyKey": topology,
            "labelSelector": { "matchLabels": { WORKLOAD_LABEL: name } },
        });
        // Else the pods of before would count while they are replaced.
        if kind == "Deployment" {
            others["matchLabelKeys"] = json!(["pod-template-hash"]);
        }
        others
    };
    pod.entry("topologySpreadConstraints").or_insert_with(|| {
        let mut nodes = others("kubernetes.io/hostname");
        nodes["maxSkew"] = json!(1);
        nodes["whenUnsatisfiable"] = json!("ScheduleAnyway");
        json!([nodes])
    });
    // No second constraint: the scheduler weighs none of them for a node that lacks the label of one, and nodes of many clusters
    // have no zone.
    pod.entry("affinity").or_insert_with(|| {
        json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
            { "weight": 100, "podAffinityTerm": others("topology.kubernetes.io/zone") },
        ] } })
    });
}
