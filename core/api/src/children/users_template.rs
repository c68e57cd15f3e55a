//! What users add to the pod template.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value};

use super::ChildrenError;

/// The user's part of the template. Lists are merged as Kubernetes merges them: containers, volumes,
/// ports and variables by name.
pub(super) fn parse(template: &Map<String, Value>) -> Result<PodTemplateSpec, ChildrenError> {
    let mut given = Value::Object(template.clone());
    // The type wants the list, but the user need not add to it.
    if let Some(spec) = given.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("containers")
            .or_insert_with(|| Value::Array(Vec::new()));
    }
    let parsed: PodTemplateSpec =
        serde_path_to_error::deserialize(&given).map_err(|error| ChildrenError::PodTemplate {
            path: format!(".{}", error.path()),
            problem: error.inner().to_string(),
        })?;
    let known = serde_json::to_value(&parsed).map_err(ChildrenError::Serialize)?;
    match unknown_field(&given, &known) {
        Some(path) => Err(ChildrenError::PodTemplate {
            path,
            problem: "Kubernetes knows no such field of a PodTemplateSpec".to_owned(),
        }),
        None => Ok(parsed),
    }
}

/// The path of the first thing that was given and did not survive parsing.
fn unknown_field(given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(name, value)| {
            match known.get(name) {
                // That says nothing.
                None if value.is_null() => None,
                None => Some(format!(".{name}")),
                Some(known) => unknown_field(value, known).map(|path| format!(".{name}{path}")),
            }
        }),
        (Value::Array(given), Value::Array(known)) => {
            given
                .iter()
                .zip(known)
                .enumerate()
                .find_map(|(index, (given, known))| {
                    unknown_field(given, known).map(|path| format!("[{index}]{path}"))
                })
        }
        _ => None,
    }
}
