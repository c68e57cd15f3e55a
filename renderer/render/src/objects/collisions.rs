//! Objects of one name that two workloads of an environment consist of, or one of them twice.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The names that are taken, with the workloads that have them.
#[derive(Default)]
pub(crate) struct Names<'a>(BTreeMap<(String, Object), &'a str>);

/// The kind of an object, and its name.
type Object = (&'static str, String);

/// Attributes that make an object, those that make several, and its kind.
const MAKE: [(&str, &str, &str); 4] = [
    ("service", "services", "Service"),
    ("ingress", "ingresses", "Ingress"),
    ("httpRoute", "httpRoutes", "HTTPRoute"),
    ("grpcRoute", "grpcRoutes", "GRPCRoute"),
];

impl<'a> Names<'a> {
    /// Takes the names of a workload's objects that can be those of another's. Every other object has the workload's own name,
    /// or an ending that no other kind of object has.
    ///
    /// Gives the objects that another workload has, and which.
    pub(crate) fn take(
        &mut self,
        namespace: &str,
        name: &'a str,
        spec: &Map<String, Value>,
    ) -> Vec<(String, &'a str)> {
        let mut conflicts = Vec::new();
        for object in objects(name, spec) {
            let (kind, called) = &object;
            let words = format!("{kind} {called:?}");
            match self.0.get(&(namespace.to_owned(), object.clone())) {
                Some(other) => conflicts.push((words, *other)),
                None => {
                    self.0.insert((namespace.to_owned(), object), name);
                }
            }
        }
        conflicts
    }
}

fn objects(workload: &str, spec: &Map<String, Value>) -> Vec<Object> {
    let mut objects = Vec::new();
    let name = |value: &Value, default: String| match value["name"].as_str() {
        Some(name) => name.to_owned(),
        None => default,
    };
    for (one, further, kind) in MAKE {
        if let Some(value) = spec.get(one) {
            objects.push((kind, name(value, workload.to_owned())));
        }
        for (key, value) in members(spec, further) {
            objects.push((kind, name(value, format!("{workload}-{key}"))));
        }
    }
    let is_stateful = spec.get("kind").is_some_and(|kind| kind == "StatefulSet");
    if is_stateful {
        objects.push(("Service", niphas_api::headless_service(workload)));
    } else {
        let claims = members(spec, "volumeClaims");
        let claims = claims.filter(|(_, claim)| claim["claimName"].is_null());
        objects
            .extend(claims.map(|(key, _)| ("PersistentVolumeClaim", format!("{workload}-{key}"))));
    }
    if let Some(account) = spec.get("serviceAccount")
        && account["create"] != false
    {
        objects.push(("ServiceAccount", name(account, workload.to_owned())));
    }
    objects
}

fn members<'v>(
    spec: &'v Map<String, Value>,
    set: &str,
) -> impl Iterator<Item = (&'v String, &'v Value)> {
    spec.get(set)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}
