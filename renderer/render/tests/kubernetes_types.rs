//! The types that pod templates and whole objects are checked against are those of the API that objects are made of.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use niphas_api::k8s_openapi::Resource;
use niphas_api::k8s_openapi::api::core::v1::PodTemplateSpec;
use niphas_api::{QUANTITY_PATTERN, k8s_openapi as k8s};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// `io.k8s.api.core.v1.Container` is unique by its last part.
fn short(name: &str) -> String {
    name.rsplit(['.', '/']).next().unwrap_or(name).to_owned()
}

/// What a description begins with.
fn first_sentence(description: &str) -> String {
    let paragraph = description.split("\n\n").next().unwrap_or_default();
    let words = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.split_once(". ") {
        // Not at the end of an abbreviation.
        Some((first, _)) if !first.ends_with("e.g") && !first.ends_with("i.e") => {
            format!("{first}.")
        }
        _ => words,
    }
}

/// With descriptions of a sentence, and short names of types.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("$schema");
            if let Some(Value::String(description)) = fields.get_mut("description") {
                *description = first_sentence(description);
            }
            if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                *reference = short(reference);
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// `io.k8s.api.core.v1.Container` less what all have.
fn within(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_prefix("io.k8s.").unwrap_or(name).to_owned()
}

/// Without what is for readers only. `is_fields`: these are the fields of a type, which may have such names.
fn bare(schema: &mut Value, is_fields: bool) {
    match schema {
        Value::Object(fields) => {
            if !is_fields {
                fields.remove("$schema");
                fields.remove("description");
                if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                    *reference = within(reference);
                }
            }
            for (name, value) in fields {
                bare(value, !is_fields && name == "properties");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| bare(item, false)),
        _ => {}
    }
}

fn kind<T: JsonSchema + Resource>(generator: &mut SchemaGenerator) -> (String, Value) {
    let schema = generator.subschema_for::<T>().to_value();
    (format!("{} {}", T::API_VERSION, T::KIND), schema)
}

/// Whole objects: kinds, and the types that they are made of.
fn objects() -> [Map<String, Value>; 2] {
    use k8s::api::{
        admissionregistration, apps, autoscaling, batch, coordination, core, discovery, networking,
        node, policy, rbac, scheduling, storage,
    };
    use k8s::apiextensions_apiserver::pkg::apis::apiextensions;
    use k8s::kube_aggregator::pkg::apis::apiregistration;

    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let all = [
        kind::<admissionregistration::v1::MutatingWebhookConfiguration>,
        kind::<admissionregistration::v1::ValidatingAdmissionPolicy>,
        kind::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>,
        kind::<admissionregistration::v1::ValidatingWebhookConfiguration>,
        kind::<apiextensions::v1::CustomResourceDefinition>,
        kind::<apiregistration::v1::APIService>,
        kind::<apps::v1::DaemonSet>,
        kind::<apps::v1::Deployment>,
        kind::<apps::v1::ReplicaSet>,
        kind::<apps::v1::StatefulSet>,
        kind::<autoscaling::v1::HorizontalPodAutoscaler>,
        kind::<autoscaling::v2::HorizontalPodAutoscaler>,
        kind::<batch::v1::CronJob>,
        kind::<batch::v1::Job>,
        kind::<coordination::v1::Lease>,
        kind::<core::v1::ConfigMap>,
        kind::<core::v1::Endpoints>,
        kind::<core::v1::LimitRange>,
        kind::<core::v1::Namespace>,
        kind::<core::v1::PersistentVolume>,
        kind::<core::v1::PersistentVolumeClaim>,
        kind::<core::v1::Pod>,
        kind::<core::v1::PodTemplate>,
        kind::<core::v1::ResourceQuota>,
        kind::<core::v1::Secret>,
        kind::<core::v1::Service>,
        kind::<core::v1::ServiceAccount>,
        kind::<discovery::v1::EndpointSlice>,
        kind::<networking::v1::Ingress>,
        kind::<networking::v1::IngressClass>,
        kind::<networking::v1::NetworkPolicy>,
        kind::<node::v1::RuntimeClass>,
        kind::<policy::v1::PodDisruptionBudget>,
        kind::<rbac::v1::ClusterRole>,
        kind::<rbac::v1::ClusterRoleBinding>,
        kind::<rbac::v1::Role>,
        kind::<rbac::v1::RoleBinding>,
        kind::<scheduling::v1::PriorityClass>,
        kind::<storage::v1::CSIDriver>,
        kind::<storage::v1::StorageClass>,
    ];
    let mut kinds: Map<String, Value> = all.iter().map(|kind| kind(&mut generator)).collect();
    let definitions = generator.take_definitions(true);
    let mut types: Map<String, Value> = definitions
        .into_iter()
        .map(|(name, schema)| (within(&name), schema))
        .collect();
    for schema in kinds.values_mut().chain(types.values_mut()) {
        bare(schema, false);
    }
    for (name, schema) in &mut types {
        // Values of any form: what says so here is only that they are no numbers, or a choice.
        let is_any = name.rsplit('.').next() == Some("JSON") || schema.get("oneOf").is_some();
        if is_any {
            *schema = json!({});
        } else if schema["type"] == "object" && schema.get("properties").is_none() {
            schema["x-kubernetes-preserve-unknown-fields"] = true.into();
        }
    }
    types["apimachinery.pkg.api.resource.Quantity"]["pattern"] = json!(QUANTITY_PATTERN);
    add_versions(&mut kinds, &mut types);
    [kinds, types]
}

/// What other versions of Kubernetes have: `ci/lib/kubernetes_versions.py` makes it out of their types.
static VERSIONS: &str = include_str!("kubernetes_versions.json");

/// The schema with the versions that have it, as `renderer/render/src/schema/versions.rs` reads them.
fn with_span(mut schema: Value, span: &Value) -> Value {
    for (name, keyword) in [("since", "x-since"), ("until", "x-until")] {
        if !span[name].is_null() {
            schema[keyword] = span[name].clone();
        }
    }
    schema
}

/// A schema of the file, all in it with its versions.
fn spanned(mut schema: Value) -> Value {
    if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for field in fields.values_mut() {
            *field = spanned(field.take());
        }
    }
    let span = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("since");
        fields.remove("until");
    }
    with_span(schema, &span)
}

fn add_versions(kinds: &mut Map<String, Value>, types: &mut Map<String, Value>) {
    let mut versions: Value = serde_json::from_str(VERSIONS).unwrap();
    let mut part = |name: &str| match versions[name].take() {
        Value::Object(part) => part,
        other => panic!("{name} is {other}"),
    };
    for (name, schema) in part("kinds") {
        kinds.insert(name, spanned(schema));
    }
    for (name, schema) in part("types") {
        types.entry(name).or_insert_with(|| spanned(schema));
    }
    for (name, fields) in part("changed") {
        for (field, span) in fields.as_object().unwrap() {
            let properties = types[&name]["properties"].as_object_mut().unwrap();
            let known = properties.remove(field);
            let schema = known.unwrap_or_else(|| spanned(span.clone()));
            properties.insert(field.clone(), with_span(schema, span));
        }
    }
}

fn types() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut all = Map::new();
    let template = PodTemplateSpec::json_schema(&mut generator).to_value();
    all.insert("PodTemplateSpec".to_owned(), template);
    for (name, schema) in generator.take_definitions(true) {
        let before = all.insert(short(&name), schema);
        assert_eq!(before, None, "two types are named like {name}");
    }
    all.values_mut().for_each(tidy);
    all["Quantity"]["pattern"] = json!(QUANTITY_PATTERN);
    // Pods are made with the types of one version, so what later ones have is none of them.
    let versions: Value = serde_json::from_str(VERSIONS).unwrap();
    for (name, fields) in versions["changed"].as_object().unwrap() {
        let Some(known) = all.get_mut(&short(name)) else {
            continue;
        };
        for (field, span) in fields.as_object().unwrap() {
            if let Some(schema) = known["properties"].get_mut(field) {
                *schema = with_span(schema.take(), span);
            }
        }
    }
    // What users write is merged over a template that has these.
    all["PodSpec"].as_object_mut().unwrap().remove("required");
    all
}

fn lines(types: Map<String, Value>) -> String {
    let lines: Vec<String> = types
        .into_iter()
        .map(|(name, schema)| format!("{}:{schema}", json!(name)))
        .collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

fn assert_is(file: &str, made: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/schema")
        .join(file);
    if std::fs::read_to_string(&file).unwrap_or_default() != made {
        let new = file.with_extension("json.new");
        std::fs::write(&new, made).unwrap();
        panic!(
            "the types are others now: look at {} and put it in the place of the old",
            new.display()
        );
    }
}

#[test]
fn types_of_pod_templates_are_those_of_the_api() {
    assert_is("kubernetes.json", &format!("{}\n", lines(types())));
}

#[test]
fn types_of_objects_are_those_of_the_api() {
    let [kinds, types] = objects().map(lines);
    assert_is(
        "objects.json",
        &format!("{{\"kinds\":{kinds},\n\"types\":{types}}}\n"),
    );
}
