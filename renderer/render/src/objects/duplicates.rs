//! Elements of lists that have the same key. Merging makes one of them, and the API server refuses both.

use serde_json::Value;

use super::place::{KEYS, key};
use crate::attribute_path::AttributePath;
use crate::problem::ProblemKind;
use crate::schema::Checker;

/// Looks for them in what the user wrote as `podTemplate`.
pub(super) fn check(checker: &mut Checker<'_>, path: &AttributePath, given: &Value) {
    match given {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = path.attribute(name);
                if let (Some((_, fields)), Value::Array(items)) =
                    (KEYS.iter().find(|(list, _)| list == name), value)
                {
                    of_list(checker, &path, fields, items);
                }
                check(checker, &path, value);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check(checker, &path.index(index), item);
            }
        }
        _ => {}
    }
}

fn of_list(checker: &mut Checker<'_>, path: &AttributePath, fields: &[&str], items: &[Value]) {
    let mut seen: Vec<Vec<&Value>> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let key = key(item, fields);
        if key.iter().any(|value| value.is_null()) {
            continue;
        }
        if let Some(first) = seen.iter().position(|other| *other == key) {
            let words: Vec<String> = fields
                .iter()
                .zip(&key)
                .map(|(field, value)| format!("{field} {value}"))
                .collect();
            let problem = format!(
                "two elements have {}: {first} and {index}",
                words.join(" and ")
            );
            let remedy = Some("make one element of the two".to_owned());
            checker.report(&path.index(index), ProblemKind::Refused { problem, remedy });
        }
        seen.push(key);
    }
}
