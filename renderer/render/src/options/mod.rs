//! The options of an environment and its workloads, as users look them up: made of the schema that workloads are checked
//! against.

mod head;
mod words;

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::schema::{object_schema, resolved, workload_schema};
use crate::suggestion::nearest;
use words::{nix, type_of};

/// Where the attributes of workloads are.
const WORKLOAD: [&str; 2] = ["workloads", "<name>"];

/// Examples by path below a workload.
const EXAMPLES: &str = include_str!("examples.json");

/// An option, with what users need to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvironmentOption {
    /// Its name, like `workloads.<name>.ports.<name>.port`; `*` stands for the elements of a list.
    pub path: String,
    /// What it may be, in words.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its default, as Nix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// An example of it, as Nix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// What it means; of Kubernetes' own fields in the words of Kubernetes.
    pub description: String,
    /// Whether a workload has to have it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    #[serde(skip)]
    segments: Vec<String>,
}

/// All options, in the order of their paths.
///
/// `each_type_once`: the fields of a type of Kubernetes stand where the type is first; else wherever it is.
pub fn options(each_type_once: bool) -> Vec<EnvironmentOption> {
    let schema = workload_schema(object_schema());
    let examples: Map<String, Value> =
        serde_json::from_str(EXAMPLES).expect("a test reads the file");
    let mut walk = Walk {
        examples,
        found: Vec::new(),
        seen: each_type_once.then(HashSet::new),
    };
    walk.fields(&WORKLOAD.map(ToOwned::to_owned), &schema);
    let mut all = head::options();
    all.extend(walk.found);
    all.sort_by(|a, b| a.segments.cmp(&b.segments));
    all
}

/// The option at a path, and all below it: of the environment, or below a workload. A path names what stands for any name by any
/// name: `env.LOG_LEVEL`.
pub fn below<'o>(options: &'o [EnvironmentOption], path: &str) -> Vec<&'o EnvironmentOption> {
    let wanted: Vec<&str> = segments(path);
    let is_below = |option: &&EnvironmentOption| {
        let inner = option
            .segments
            .strip_prefix(WORKLOAD.map(ToOwned::to_owned).as_slice());
        begins(&option.segments, &wanted) || inner.is_some_and(|inner| begins(inner, &wanted))
    };
    options.iter().filter(is_below).collect()
}

/// The path of an option that may have been meant.
pub fn meant(options: &[EnvironmentOption], path: &str) -> Option<String> {
    let paths = options.iter().map(|option| {
        let inner = option.path.strip_prefix("workloads.<name>.");
        inner.unwrap_or(&option.path)
    });
    nearest(path, paths)
}

impl EnvironmentOption {
    /// How many names lead to it.
    pub fn depth(&self) -> usize {
        self.segments.len()
    }
}

/// The names of a path; those in quotes may have dots in them.
fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let (mut start, mut in_quotes) = (0, false);
    for (index, character) in path.char_indices() {
        match character {
            '"' => in_quotes = !in_quotes,
            '.' if !in_quotes => {
                segments.push(&path[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    segments.push(&path[start..]);
    segments.retain(|segment| !segment.is_empty());
    segments
}

fn begins(segments: &[String], wanted: &[&str]) -> bool {
    let stands_for = |(segment, wanted): (&String, &&str)| {
        segment == wanted || segment == "*" || segment.contains('<')
    };
    segments.len() >= wanted.len() && segments.iter().zip(wanted).all(stands_for)
}

struct Walk {
    examples: Map<String, Value>,
    found: Vec<EnvironmentOption>,
    /// The types of Kubernetes that are not followed again.
    seen: Option<HashSet<String>>,
}

impl Walk {
    /// The options in a set.
    fn fields(&mut self, path: &[String], schema: &Value) {
        let properties = schema["properties"].as_object();
        for (name, field) in properties.into_iter().flatten() {
            let required = schema["required"].as_array();
            let required = required.is_some_and(|names| names.iter().any(|other| other == name));
            self.option(path, name, field, required);
        }
        if let Some(values) = schema.get("additionalProperties") {
            let name = match path.last().map(String::as_str) {
                Some("files" | "backends") => "\"<path>\"",
                Some("hosts") => "\"<host>\"",
                Some("annotations" | "labels" | "matchLabels" | "nodeSelector") => "\"<key>\"",
                Some("env") => "<NAME>",
                _ => "<name>",
            };
            // Plain values say nothing that their set does not.
            if resolved(values)["properties"].is_object() {
                self.option(path, name, values, false);
            }
        }
    }

    fn option(&mut self, path: &[String], name: &str, schema: &Value, required: bool) {
        let mut segments = path.to_vec();
        segments.push(name.to_owned());
        let full = segments.join(".");
        let inner = full.strip_prefix("workloads.<name>.").unwrap_or(&full);
        let known = resolved(schema);
        let text = |schema: &Value| schema["description"].as_str().map(ToOwned::to_owned);
        let own = head::description(inner).map(ToOwned::to_owned);
        let default = schema.get("default").or_else(|| known.get("default"));
        self.found.push(EnvironmentOption {
            kind: head::type_of(inner).map_or_else(|| type_of(schema), ToOwned::to_owned),
            default: head::default(inner)
                .map(ToOwned::to_owned)
                .or_else(|| default.map(nix)),
            example: self.examples.get(inner).map(nix),
            description: own
                .or_else(|| text(schema))
                .or_else(|| text(known))
                .unwrap_or_default(),
            required,
            path: full,
            segments: segments.clone(),
        });
        if let (Some(seen), Some(kind)) = (&mut self.seen, schema["$ref"].as_str())
            && !seen.insert(kind.to_owned())
        {
            return;
        }
        let items = resolved(&known["items"]);
        if items["properties"].is_object() {
            if let (Some(seen), Some(kind)) = (&mut self.seen, known["items"]["$ref"].as_str())
                && !seen.insert(kind.to_owned())
            {
                return;
            }
            segments.push("*".to_owned());
            self.fields(&segments, items);
        } else {
            self.fields(&segments, known);
        }
    }
}

#[cfg(test)]
mod reach;
#[cfg(test)]
mod tests;
