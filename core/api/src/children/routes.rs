//! Routes of the Gateway API: objects of `gateway.networking.k8s.io/v1`.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::{ChildrenError, Own, Parent};
use crate::workload::ParentReference;

pub(super) fn http_routes(parent: &Parent<'_>) -> Result<Vec<DynamicObject>, ChildrenError> {
    let spec = parent.spec();
    parent
        .named(spec.http_route.as_ref(), &spec.http_routes, |route| route.name.as_ref())
        .into_iter()
        .map(|(name, route)| {
            let own = Own {
                labels: &route.labels,
                annotations: &route.annotations,
            };
            let port = route.port.as_deref();
            let rules = if route.rules.is_empty() {
                let matches = http_matches(&route.paths);
                vec![json!({ "matches": matches, "backendRefs": [backend(parent, port, "httpRoute")?] })]
            } else {
                complete(parent, &route.rules, port, "httpRoute")?
            };
            let mut spec = spec_of(&route.parent_refs, &route.hostnames);
            spec["rules"] = Value::Array(rules);
            object(parent, "HTTPRoute", (name, own), &spec)
        })
        .collect()
}

pub(super) fn grpc_routes(parent: &Parent<'_>) -> Result<Vec<DynamicObject>, ChildrenError> {
    let spec = parent.spec();
    parent
        .named(spec.grpc_route.as_ref(), &spec.grpc_routes, |route| {
            route.name.as_ref()
        })
        .into_iter()
        .map(|(name, route)| {
            let own = Own {
                labels: &route.labels,
                annotations: &route.annotations,
            };
            let everything = [Map::new()];
            let rules = match route.rules.as_slice() {
                [] => &everything[..],
                rules => rules,
            };
            let mut spec = spec_of(&route.parent_refs, &route.hostnames);
            spec["rules"] = complete(parent, rules, route.port.as_deref(), "grpcRoute")?.into();
            object(parent, "GRPCRoute", (name, own), &spec)
        })
        .collect()
}

/// Prefixes of paths; all if there are none.
fn http_matches(paths: &[String]) -> Vec<Value> {
    let everything = ["/".to_owned()];
    let paths = if paths.is_empty() {
        &everything[..]
    } else {
        paths
    };
    paths
        .iter()
        .map(|path| json!({ "path": { "type": "PathPrefix", "value": path } }))
        .collect()
}

/// The rules; those that lead nowhere lead to the workload.
fn complete(
    parent: &Parent<'_>,
    rules: &[Map<String, Value>],
    port: Option<&str>,
    route: &'static str,
) -> Result<Vec<Value>, ChildrenError> {
    rules
        .iter()
        .map(|rule| {
            let mut rule = rule.clone();
            if !rule.contains_key("backendRefs") && !redirects(&rule) {
                let backend = backend(parent, port, route)?;
                rule.insert("backendRefs".to_owned(), json!([backend]));
            }
            Ok(Value::Object(rule))
        })
        .collect()
}

/// Whether a rule answers by itself.
fn redirects(rule: &Map<String, Value>) -> bool {
    let filters = rule.get("filters").and_then(Value::as_array);
    let mut filters = filters.into_iter().flatten();
    filters.any(|filter| filter["type"] == "RequestRedirect")
}

/// With the defaults of the definition, which the API server would add and GitOps tools take for drift.
fn spec_of(parents: &[ParentReference], hostnames: &[String]) -> Value {
    let parents: Vec<_> = parents
        .iter()
        .map(|gateway| {
            let mut parent = json!(gateway);
            parent["group"] = json!("gateway.networking.k8s.io");
            parent["kind"] = json!("Gateway");
            parent
        })
        .collect();
    let mut spec = json!({ "parentRefs": parents });
    if !hostnames.is_empty() {
        spec["hostnames"] = json!(hostnames);
    }
    spec
}

fn backend(
    parent: &Parent<'_>,
    port: Option<&str>,
    route: &'static str,
) -> Result<Value, ChildrenError> {
    Ok(json!({
        "group": "",
        "kind": "Service",
        "name": parent.service_name(),
        "port": parent.routed_port(port, route)?,
        "weight": 1,
    }))
}

fn object(
    parent: &Parent<'_>,
    kind: &str,
    (name, own): (String, Own<'_>),
    spec: &Value,
) -> Result<DynamicObject, ChildrenError> {
    serde_json::from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": parent.metadata_with(name, own),
        "spec": spec,
    }))
    .map_err(ChildrenError::Serialize)
}
