//! Types and values in sentences.

use niphas_api::QUANTITY_PATTERN;
use serde_json::Value;

use crate::problem::ProblemKind;

pub(super) fn is_int_or_string(schema: &Value) -> bool {
    schema["x-kubernetes-int-or-string"] == true
}

pub(super) fn has_type(schema: &Value, value: &Value) -> bool {
    if is_int_or_string(schema) {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    }
}

pub(super) fn expected(schema: &Value) -> String {
    if is_int_or_string(schema) {
        return "an integer or a string".to_owned();
    }
    match schema["type"].as_str() {
        Some("object") => "a set",
        Some("array") => "a list",
        Some("string") => "a string",
        Some("integer") => "an integer",
        Some("number") => "a number",
        Some("boolean") => "a Boolean",
        _ => "a value",
    }
    .to_owned()
}

pub(super) fn wrong_type(schema: &Value, expected: String, value: &Value) -> ProblemKind {
    let takes_string = is_int_or_string(schema) || schema["type"] == "string";
    let takes_integer = schema["type"] == "integer";
    let hint = match value {
        Value::Number(_) | Value::Bool(_) if takes_string => {
            Some(format!("write it as a string: \"{value}\""))
        }
        Value::String(text) if takes_integer && text.parse::<i64>().is_ok() => {
            Some(format!("write it without quotes: {text}"))
        }
        Value::String(_) if schema["type"] == "array" => {
            Some(format!("write it as a list: [ {} ]", quote(value)))
        }
        _ => None,
    };
    ProblemKind::WrongType {
        expected,
        found: describe(value),
        hint,
    }
}

/// The texts that a pattern stands for.
pub(super) fn expected_text(pattern: &str) -> String {
    match pattern {
        QUANTITY_PATTERN => "a quantity like 500m or 64Mi",
        "^/" => "an absolute path",
        "^0?[0-7]{3}$" => "three octal digits, like \"0444\"",
        "^([0-9]|[1-9][0-9]|100)%$" | "^[0-9]+%$" => "a percentage like 25%",
        "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" | "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" => {
            "lower-case letters, digits and '-', the latter not at its ends"
        }
        "^[a-z]([-a-z0-9]*[a-z0-9])?$" => {
            "lower-case letters, digits and '-', beginning with a letter"
        }
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" => {
            "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
        }
        "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" => {
            "a name of DNS in lower case, like shop.example.org or *.example.org"
        }
        "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$" => {
            "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"
        }
        "^([0-9]{1,5}(h|m|s|ms)){1,4}$" => "a duration like 10s or 1m30s",
        pattern => return format!("a text that matches {pattern}"),
    }
    .to_owned()
}

/// A value in a sentence, shortened.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => format!("the Boolean {value}"),
        Value::Number(number) if number.is_f64() => format!("the float {value}"),
        Value::Number(_) => format!("the integer {value}"),
        Value::String(_) => format!("the string {}", quote(value)),
        Value::Array(items) if items.is_empty() => "an empty list".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(fields) if fields.is_empty() => "an empty set".to_owned(),
        Value::Object(_) => "a set".to_owned(),
    }
}

fn quote(value: &Value) -> String {
    const SHOWN: usize = 100;
    match value.as_str() {
        Some(text) if text.chars().count() > SHOWN => {
            let start: String = text.chars().take(SHOWN).collect();
            format!("{start:?}…")
        }
        Some(text) => format!("{text:?}"),
        None => value.to_string(),
    }
}
