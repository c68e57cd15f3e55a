//! Types and values for readers.

use serde_json::Value;

use crate::schema::{QUANTITY_PATTERN, SHORT_FORM, resolved};

/// What a value may be.
pub(super) fn type_of(schema: &Value) -> String {
    let schema = resolved(schema);
    let short = match &schema[SHORT_FORM] {
        Value::String(field) => Some(type_of(&schema["properties"][field])),
        Value::Array(_) => Some("string".to_owned()),
        _ => None,
    };
    let own = long_type(schema);
    match short {
        Some(short) => format!("{short}, or {own}"),
        None => own,
    }
}

fn long_type(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return match words.as_slice() {
            [word] => format!("\"{word}\""),
            words => format!("one of {}", words.join(", ")),
        };
    }
    if schema["pattern"] == QUANTITY_PATTERN {
        return "quantity".to_owned();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return "integer or string".to_owned();
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", several(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("set of {}", several(&schema["additionalProperties"]))
        }
        Some("object") => "set".to_owned(),
        Some("integer") => match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
            (Some(least), Some(most)) => format!("integer, {least} to {most}"),
            (Some(least), None) => format!("integer, {least} or more"),
            _ => "integer".to_owned(),
        },
        Some(other) => other.to_owned(),
        None => "anything".to_owned(),
    }
}

/// The same of the elements of a list or set.
fn several(schema: &Value) -> String {
    let one = type_of(schema);
    match one.as_str() {
        "set" => "sets".to_owned(),
        "string" => "strings".to_owned(),
        "quantity" => "quantities".to_owned(),
        "integer or string" => "integers or strings".to_owned(),
        other => match other.strip_prefix("integer, ") {
            Some(range) => format!("integers, {range}"),
            None => one,
        },
    }
}

/// A value as Nix writes it, on one line.
pub(super) fn nix(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}").replace("${", "\\${"),
        Value::Array(items) if items.is_empty() => "[ ]".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(nix).collect();
            format!("[ {} ]", items.join(" "))
        }
        Value::Object(fields) if fields.is_empty() => "{ }".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, field)| format!("{} = {};", attribute(name), nix(field)))
                .collect();
            format!("{{ {} }}", fields.join(" "))
        }
        value => value.to_string(),
    }
}

fn attribute(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let begins = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    if name.as_bytes().first().is_some_and(begins) && name.bytes().all(is_plain) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}
