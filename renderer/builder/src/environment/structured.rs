//! Structured attributes as the builder gets them: a file of JSON, and one for Bash.

use nix_formats::derivation::hash_placeholder;

use super::graph::Graph;
use super::{Build, EnvironmentError};
use crate::json::{Json, Object, write_object};
use crate::options;

/// The attributes with the outputs (as placeholders) and the closures that the derivation asks for.
pub(super) fn attributes(build: &Build<'_>, text: &str) -> Result<Object, EnvironmentError> {
    let mut attributes = options::structured(text)?;
    let outputs = build.derivation.outputs.keys();
    let outputs = outputs.map(|name| (name.clone(), Json::String(hash_placeholder(name))));
    attributes.insert("outputs".to_owned(), Json::Object(outputs.collect()));
    for (name, roots) in &build.options.export_references_graph {
        let graph = Graph::of(build, roots)?.json(build.store_dir);
        attributes.insert(name.clone(), graph);
    }
    Ok(attributes)
}

/// `.attrs.json`
pub(super) fn json(attributes: &Object) -> Vec<u8> {
    let mut out = Vec::new();
    write_object(&mut out, attributes);
    out
}

/// `.attrs.sh`: what Bash can hold, under names that it can have.
pub(super) fn shell(attributes: &Object) -> Vec<u8> {
    let mut out = String::new();
    for (name, value) in attributes {
        if !is_variable_name(name) {
            continue;
        }
        if let Some(value) = simple(value) {
            out.extend(["declare ", name, "=", &value, "\n"]);
        } else if let Some((flag, values)) = several(value) {
            out.extend(["declare -", flag, " ", name, "=(", &values, ")\n"]);
        }
    }
    out.into_bytes()
}

/// An array or a map of simple values, and the flag with which Bash declares it.
fn several(value: &Json) -> Option<(&'static str, String)> {
    let mut out = String::new();
    let flag = match value {
        Json::Array(items) => {
            for item in items {
                out.push_str(&simple(item)?);
                out.push(' ');
            }
            "a"
        }
        Json::Object(members) => {
            for (key, value) in members {
                out.extend(["[", &quoted(key), "]=", &simple(value)?, " "]);
            }
            "A"
        }
        _ => return None,
    };
    Some((flag, out))
}

/// A value that is one word. Numbers with a fraction are none; others are cut to 32 bits, as Nix does.
fn simple(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some("''".to_owned()),
        Json::Boolean(value) => Some(if *value { "1" } else { "" }.to_owned()),
        Json::Unsigned(number) => Some((*number as i32).to_string()),
        Json::Negative(number) => Some((*number as i32).to_string()),
        Json::Float(number) => whole(*number).map(|number| number.to_string()),
        Json::String(text) => Some(quoted(text)),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// A float without a fraction, where "without" is decided in single precision. One that no 32 bits hold is the least number.
#[expect(clippy::float_cmp, reason = "so does Nix")]
fn whole(number: f64) -> Option<i32> {
    let single = number as f32;
    if single.ceil() != single {
        return None;
    }
    let in_range = number > f64::from(i32::MIN) - 1.0 && number < f64::from(i32::MAX) + 1.0;
    Some(if in_range { number as i32 } else { i32::MIN })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn is_variable_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(letter)
        && name
            .bytes()
            .all(|byte| letter(byte) || byte.is_ascii_digit())
}
