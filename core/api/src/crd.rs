//! The definitions of our resources for the API server.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::source::NiphasSource;
use crate::workload::NiphasWorkload;

/// The `CustomResourceDefinition` of [`NiphasWorkload`]: what `niphas crd` prints.
pub fn crd() -> CustomResourceDefinition {
    definition(NiphasWorkload::crd())
}

/// The `CustomResourceDefinition` of [`NiphasSource`].
pub fn source_crd() -> CustomResourceDefinition {
    definition(NiphasSource::crd())
}

fn definition(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let schema = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            tidy(schema);
            say_that_it_was_not_seen(schema);
        }
    }
    crd
}

/// What Kubernetes takes for a quantity, as its own code generator writes it into schemas.
pub const QUANTITY_PATTERN: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// Without a status, kstatus takes an object for one that is ready: so Flux, and Helm, would not wait for the operator.
fn say_that_it_was_not_seen(schema: &mut JSONSchemaProps) {
    let properties = schema.properties.as_mut();
    if let Some(status) = properties.and_then(|properties| properties.get_mut("status")) {
        status.default = Some(JSON(json!({ "observedGeneration": -1 })));
    }
}

/// Makes a derived schema what one would write by hand.
fn tidy(schema: &mut JSONSchemaProps) {
    // `Option` means that a field may be missing. `null` has no meaning in this API.
    schema.nullable = None;
    // Rust's own number formats say nothing that `minimum` does not, and the API server warns of them.
    if schema
        .format
        .as_ref()
        .is_some_and(|format| format.starts_with("uint"))
    {
        schema.format = Some("int64".to_owned());
    }
    if let Some(description) = &mut schema.description {
        if description.starts_with("Quantity is ") {
            schema.pattern = Some(QUANTITY_PATTERN.to_owned());
        }
        let first = description.split("\n\n").next().unwrap_or_default();
        *description = first.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        tidy(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}
