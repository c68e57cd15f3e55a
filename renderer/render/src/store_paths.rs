//! Store paths in the strings of a workload.

use std::collections::BTreeMap;

use niphas_api::{ClosureLines, System, VIEW_ROOT, VIEW_ROOTS, ViewName};
use nix_formats::{StoreDir, StorePath};
use serde_json::{Map, Value};

use crate::attribute_path::AttributePath;
use crate::places::as_written;
use crate::problem::{Problem, ProblemKind};

/// Writes the package's own store path as `/nix/root`, and those of roots with names as `/nix/roots/<name>`, which they are in
/// a pod on every system.
pub(crate) fn replace_roots(
    value: &mut Value,
    package: &StorePath,
    names: &BTreeMap<ViewName, StorePath>,
) {
    let store = StoreDir::default();
    replace(value, &store.print(package), VIEW_ROOT);
    for (name, path) in names {
        replace(value, &store.print(path), &format!("{VIEW_ROOTS}/{name}"));
    }
}

fn replace(value: &mut Value, path: &str, link: &str) {
    match value {
        Value::String(text) if text.contains(path) => *text = text.replace(path, link),
        Value::Array(items) => {
            for item in items {
                replace(item, path, link);
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                replace(field, path, link);
            }
        }
        _ => {}
    }
}

/// Whether a text names a path in the store.
pub(crate) fn names_store_path(text: &str) -> bool {
    text.contains(&format!("{}/", StoreDir::default()))
}

/// Store paths in the texts of a workload, with their places.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mentions(Vec<Mention>);

#[derive(Debug, Clone, PartialEq)]
struct Mention {
    /// The text from the hash on.
    text: String,
    path: AttributePath,
    position: Option<String>,
}

/// The digits of a hash in a store path's name.
const HASH_LENGTH: usize = 32;
/// The longest name of a store path, hash and dash included.
const NAME_LENGTH: usize = 211 + HASH_LENGTH + 1;

impl Mentions {
    /// Finds those in the fields of a workload.
    pub(crate) fn find(
        &mut self,
        path: &AttributePath,
        fields: &Map<String, Value>,
        locate: &dyn Fn(&AttributePath) -> Option<String>,
    ) {
        for (name, field) in fields {
            self.find_in(&path.attribute(name), field, locate);
        }
    }

    fn find_in(
        &mut self,
        path: &AttributePath,
        value: &Value,
        locate: &dyn Fn(&AttributePath) -> Option<String>,
    ) {
        match value {
            Value::String(text) => {
                let store = format!("{}/", StoreDir::default());
                for (start, _) in text.match_indices(&store) {
                    let rest = &text[start + store.len()..];
                    let end = rest.find(|c: char| !is_in_names(c)).unwrap_or(rest.len());
                    let name = &rest[..end.min(NAME_LENGTH)];
                    if is_base_name(name) {
                        self.0.push(Mention {
                            text: name.to_owned(),
                            path: as_written(path),
                            position: locate(path),
                        });
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.find_in(&path.index(index), item, locate);
                }
            }
            Value::Object(fields) => self.find(path, fields, locate),
            _ => {}
        }
    }

    /// Those that a closure does not have: Nix did not know that the text refers to them.
    pub(crate) fn outside<'a>(
        &'a self,
        system: &'a System,
        closure: &ClosureLines,
    ) -> Vec<Problem> {
        let is_outside = |mention: &&Mention| {
            // The text may go on after the name with what names can have.
            !closure
                .as_slice()
                .iter()
                .any(|line| mention.text.starts_with(line.path.base_name()))
        };
        let problem = |mention: &Mention| Problem {
            path: mention.path.clone(),
            position: mention.position.clone(),
            kind: ProblemKind::OutsideClosure {
                path: format!("{}/{}", StoreDir::default(), mention.text),
                system: system.clone(),
            },
        };
        self.0.iter().filter(is_outside).map(problem).collect()
    }
}

fn is_in_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+-._?=".contains(c)
}

/// Whether a text begins with a hash and a dash.
fn is_base_name(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    text.len() > HASH_LENGTH + 1
        && text.as_bytes()[HASH_LENGTH] == b'-'
        && text.bytes().take(HASH_LENGTH).all(is_digit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn roots_become_links_of_the_view_wherever_they_are_named() {
        let base_name = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
        let other = "/nix/store/9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-data";
        let certificates = "1n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-cacert";
        let path = format!("/nix/store/{base_name}");
        let mut value = json!({
            "command": [format!("{path}/bin/web"), format!("--path={path}:{path}/x")],
            "env": { "DATA": other, "SSL_CERT_FILE": format!("/nix/store/{certificates}/ca.crt") },
        });
        let names = [(
            "cacert".parse().unwrap(),
            StorePath::from_base_name(certificates).unwrap(),
        )];
        let package = StorePath::from_base_name(base_name).unwrap();
        replace_roots(&mut value, &package, &names.into());
        let expected = json!({
            "command": ["/nix/root/bin/web", "--path=/nix/root:/nix/root/x"],
            "env": { "DATA": other, "SSL_CERT_FILE": "/nix/roots/cacert/ca.crt" },
        });
        assert_eq!(value, expected);
    }
}
