//! The types that pod templates are checked against are those of the API that objects are made of.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use niphas_api::QUANTITY_PATTERN;
use niphas_api::k8s_openapi::api::core::v1::PodTemplateSpec;
use schemars::JsonSchema as _;
use schemars::generate::SchemaSettings;
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
    // What users write is merged over a template that has these.
    all["PodSpec"].as_object_mut().unwrap().remove("required");
    all
}

#[test]
fn types_of_pod_templates_are_those_of_the_api() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema/kubernetes.json");
    let mut lines: Vec<String> = Vec::new();
    for (name, schema) in types() {
        lines.push(format!("{}:{schema}", json!(name)));
    }
    let made = format!("{{\n{}\n}}\n", lines.join(",\n"));
    if std::fs::read_to_string(&file).unwrap_or_default() != made {
        let new = file.with_extension("json.new");
        std::fs::write(&new, &made).unwrap();
        panic!(
            "the types are others now: look at {} and put it in the place of the old",
            new.display()
        );
    }
}
