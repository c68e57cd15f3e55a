//! Checks a workload's attributes against the schema of the CRD's `spec`.
//!
//! The pod template is checked against Kubernetes' own types. Users write short forms (`ports.http = 8080`) for some of what the CRD spells out; they are
//! expanded on the way. `null` means that an attribute is not set.

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use niphas_api::QUANTITY_PATTERN;
use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::attribute_path::AttributePath;
use crate::problem::{Problem, ProblemKind};
use crate::suggestion::nearest;

mod versions;
mod words;

pub(crate) use versions::{KubernetesVersion, kubernetes_schema};
pub(crate) use words::describe;
use words::{expected, expected_text, has_type, wrong_type};

/// In the schema of [`workload_schema`]: the one field that a value stands for that is no set.
pub(crate) const SHORT_FORM: &str = "x-short-form";

/// The types of Kubernetes that a pod template is made of, by name; a test makes them out of the API's types.
static KUBERNETES: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("schema/kubernetes.json");
    serde_json::from_str(text).expect("a test reads the file")
});

/// Kubernetes' own kinds by `<apiVersion> <kind>`, and the types that they are made of; a test makes them out of the API's types.
static OBJECTS: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("schema/objects.json");
    serde_json::from_str(text).expect("a test reads the file")
});

/// The rules of routes of the Gateway API, by kind; `ci/lib/gateway_types.py` makes them out of its definitions.
static GATEWAY: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("schema/gateway.json");
    serde_json::from_str(text).expect("a test reads the file")
});

/// The fields of one of those types, with their schemas; none of a type that is no set.
pub(crate) fn fields_of(kind: &str) -> Option<&'static Map<String, Value>> {
    KUBERNETES[kind]["properties"].as_object()
}

/// The schema of a kind that Kubernetes has itself.
pub(crate) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Value> {
    OBJECTS["kinds"].get(format!("{api_version} {kind}"))
}

/// The schema that a schema names.
pub(crate) fn resolved(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        // Of whole objects: there are several of one short name.
        Some(name) if name.contains('.') => &OBJECTS["types"][name],
        Some(name) => &KUBERNETES[name],
        None => schema,
    }
}

/// Whether a set may have an attribute that its schema does not name.
fn is_open(schema: &Value, name: &str) -> bool {
    let is_any = ["type", "properties", "additionalProperties"]
        .iter()
        .all(|keyword| schema[keyword].is_null());
    is_any
        || schema["x-kubernetes-preserve-unknown-fields"] == true
        || schema["x-kubernetes-embedded-resource"] == true
            && ["apiVersion", "kind", "metadata"].contains(&name)
}

/// The schema of whole objects.
pub(crate) fn object_schema() -> Value {
    let text = include_str!(concat!(env!("OUT_DIR"), "/schema.json"));
    serde_json::from_str(text).expect("the build script writes JSON")
}

/// The schema of what users write as a workload, less `package`; out of that of whole objects.
pub(crate) fn workload_schema(mut object: Value) -> Value {
    let mut schema = object["properties"]["spec"].take();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove("closures");
        // The evaluation hands it on apart; but it is a name that users may have meant.
        properties.insert("package".to_owned(), json!({}));
        for (name, field) in [("env", "value"), ("files", "text"), ("ports", "port")] {
            properties[name]["additionalProperties"][SHORT_FORM] = json!(field);
        }
        properties["command"][SHORT_FORM] = json!([]);
        // Handed on apart, as the package is.
        properties.insert("roots".to_owned(), json!({}));
        for list in ["containers", "initContainers"] {
            let container = &mut properties[list]["additionalProperties"];
            for (name, field) in [("env", "value"), ("ports", "port")] {
                container["properties"][name]["additionalProperties"][SHORT_FORM] = json!(field);
            }
            container["properties"]["command"][SHORT_FORM] = json!([]);
            container["properties"]["package"] = json!({});
            container["required"] = json!([]);
        }
        routes(properties);
        of_the_renderer(properties);
        // In the definition it is any object, which would be too large otherwise.
        properties.insert(
            "podTemplate".to_owned(),
            json!({ "$ref": "PodTemplateSpec" }),
        );
    }
    // `command` has a default that the schema cannot say: it depends on the package.
    schema["required"] = json!([]);
    schema
}

/// Gives the rules of routes their types; in the definition they are any objects.
fn routes(properties: &mut Map<String, Value>) {
    for (one, further, kind) in [
        ("httpRoute", "httpRoutes", "HTTPRoute"),
        ("grpcRoute", "grpcRoutes", "GRPCRoute"),
    ] {
        properties[one]["properties"]["rules"] = GATEWAY[kind].clone();
        properties[further]["additionalProperties"]["properties"]["rules"] = GATEWAY[kind].clone();
    }
}

/// Adds the attributes that the renderer itself reads: the operator has no part in them.
fn of_the_renderer(properties: &mut Map<String, Value>) {
    let texts = |description: &str| json!({ "type": "array", "items": { "type": "string" }, "description": description });
    let rule = json!({
        "type": "object",
        "required": ["verbs"],
        "properties": {
            "apiGroups": texts("The API groups of the resources; \"\" for the core."),
            "resourceNames": texts("The names of objects; all if left out."),
            "resources": texts("Resources, such as configmaps."),
            "verbs": texts("What may be done, such as get, list and watch."),
        },
    });
    for (name, schema) in [
        (
            "namespace",
            json!({
                "type": "string",
                "maxLength": 63,
                "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
                "description": "The namespace of the workload's objects; the environment's if left out.",
            }),
        ),
        (
            "role",
            json!({
                "type": "object",
                "required": ["rules"],
                "properties": {
                    "rules": {
                        "type": "array",
                        "items": rule,
                        "description": "What it allows: Kubernetes' PolicyRules.",
                    },
                },
                "description": "A Role in the namespace, bound to the workload's ServiceAccount.",
            }),
        ),
        (
            "highAvailability",
            json!({
                "type": "boolean",
                "description": "Whether the pods are spread, kept by a disruption budget and soon replaced when their node fails; true if left out.",
            }),
        ),
    ] {
        properties.insert(name.to_owned(), schema);
    }
}

/// Where positions come from, and where problems go.
pub(crate) struct Checker<'a> {
    /// The position of an attribute or of the nearest one around it.
    pub(crate) locate: &'a dyn Fn(&AttributePath) -> Option<String>,
    /// What was found so far.
    pub(crate) problems: Vec<Problem>,
    /// The version of Kubernetes whose types count.
    pub(crate) kubernetes: KubernetesVersion,
    /// The patterns that were needed so far.
    patterns: HashMap<String, Option<Regex>>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(locate: &'a dyn Fn(&AttributePath) -> Option<String>) -> Self {
        Self {
            locate,
            problems: Vec::new(),
            kubernetes: KubernetesVersion::default(),
            patterns: HashMap::new(),
        }
    }

    pub(crate) fn report(&mut self, path: &AttributePath, kind: ProblemKind) {
        let position = (self.locate)(path);
        self.problems.push(Problem {
            path: path.clone(),
            position,
            kind,
        });
    }

    fn matches(&mut self, pattern: &str, text: &str) -> bool {
        if !self.patterns.contains_key(pattern) {
            // A pattern of the CRD's is valid: a test compiles them all.
            let made = Regex::new(pattern).ok();
            self.patterns.insert(pattern.to_owned(), made);
        }
        let made = self.patterns[pattern].as_ref();
        made.is_none_or(|pattern| pattern.is_match(text))
    }

    /// Checks a value; returns it with its short forms expanded and without `null`.
    pub(crate) fn check(&mut self, path: &AttributePath, schema: &Value, value: &Value) -> Value {
        // No deeper than the value is.
        let schema = resolved(schema);
        match &schema[SHORT_FORM] {
            Value::String(field) if !value.is_object() => {
                let inner = &schema["properties"][field];
                if !has_type(inner, value) {
                    let expected = format!("{} or a set", expected(inner));
                    self.report(path, wrong_type(inner, expected, value));
                    return Value::Null;
                }
                let checked = self.check(path, inner, value);
                return json!({ field: checked });
            }
            Value::Array(_) if value.is_string() => return json!([value]),
            _ => {}
        }
        if !has_type(schema, value) {
            let mut wanted = expected(schema);
            if schema[SHORT_FORM].is_array() {
                wanted = format!("a string or {wanted}");
            }
            self.report(path, wrong_type(schema, wanted, value));
            return Value::Null;
        }
        match value {
            Value::Object(fields) => Value::Object(self.check_set(path, schema, fields)),
            Value::Array(items) => {
                self.check_length(
                    path,
                    schema,
                    items.len(),
                    ["minItems", "maxItems"],
                    "elements",
                );
                let check = |(index, item)| self.check(&path.index(index), &schema["items"], item);
                Value::Array(items.iter().enumerate().map(check).collect())
            }
            Value::String(text) => {
                self.check_string(path, schema, text);
                value.clone()
            }
            Value::Number(number) => {
                let bound = |name: &str| schema[name].as_f64();
                let float = number.as_f64().unwrap_or(f64::NAN);
                let (min, max) = (bound("minimum"), bound("maximum"));
                if min.is_some_and(|min| float < min) || max.is_some_and(|max| float > max) {
                    let expected = match (min, max) {
                        (Some(min), Some(max)) => format!("{min} to {max}"),
                        (Some(min), None) => format!("{min} or more"),
                        (_, max) => format!("{} or less", max.unwrap_or_default()),
                    };
                    self.report_bad_value(path, value, expected, None);
                } else if schema["format"] == "int32"
                    && number
                        .as_i64()
                        .is_some_and(|number| i32::try_from(number).is_err())
                {
                    self.report_bad_value(path, value, "an integer of 32 bits".into(), None);
                }
                value.clone()
            }
            Value::Bool(_) | Value::Null => value.clone(),
        }
    }

    fn check_set(
        &mut self,
        path: &AttributePath,
        schema: &Value,
        fields: &Map<String, Value>,
    ) -> Map<String, Value> {
        self.check_length(
            path,
            schema,
            fields.len(),
            ["minProperties", "maxProperties"],
            "attributes",
        );
        let properties = schema["properties"].as_object();
        let mut checked = Map::new();
        for (name, field) in fields {
            let path = path.attribute(name);
            let inner = properties.and_then(|properties| properties.get(name));
            let Some(inner) = inner.or_else(|| schema.get("additionalProperties")) else {
                if is_open(schema, name) {
                    checked.insert(name.clone(), field.clone());
                    continue;
                }
                let known = || properties.into_iter().flat_map(Map::keys);
                let suggestion = nearest(name, known().map(String::as_str));
                let known = known().cloned().collect();
                self.report(&path, ProblemKind::UnknownAttribute { suggestion, known });
                continue;
            };
            if let Some((problem, remedy)) =
                self.kubernetes.lacks(inner).filter(|_| !field.is_null())
            {
                let remedy = Some(remedy);
                self.report(&path, ProblemKind::Refused { problem, remedy });
            } else if !field.is_null() {
                checked.insert(name.clone(), self.check(&path, inner, field));
            }
        }
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            // The API server sets defaults before it looks for what is missing.
            let has_default = !schema["properties"][name]["default"].is_null();
            if fields.get(name).is_none_or(Value::is_null) && !has_default {
                self.report(
                    path,
                    ProblemKind::MissingAttribute {
                        name: name.to_owned(),
                    },
                );
            }
        }
        checked
    }

    fn check_string(&mut self, path: &AttributePath, schema: &Value, text: &str) {
        if let Some(allowed) = schema["enum"].as_array() {
            let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            if !allowed.contains(&text) {
                let suggestion = nearest(text, allowed.iter().copied());
                let expected = format!("one of {}", allowed.join(", "));
                self.report_bad_value(path, &json!(text), expected, suggestion);
            }
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !self.matches(pattern, text)
        {
            self.report_bad_value(path, &json!(text), expected_text(pattern), None);
        }
    }

    fn check_length(
        &mut self,
        path: &AttributePath,
        schema: &Value,
        length: usize,
        [min, max]: [&str; 2],
        what: &str,
    ) {
        let bound = |name: &str| schema[name].as_u64();
        let length = length as u64;
        let found = if length == 0 {
            "nothing in it".into()
        } else {
            format!("{length} {what}")
        };
        let expected = match (bound(min), bound(max)) {
            (Some(min), _) if length < min => format!("at least {min}"),
            (_, Some(max)) if length > max => format!("at most {max}"),
            _ => return,
        };
        self.report(
            path,
            ProblemKind::BadValue {
                expected,
                found,
                suggestion: None,
            },
        );
    }

    fn report_bad_value(
        &mut self,
        path: &AttributePath,
        value: &Value,
        expected: String,
        suggestion: Option<String>,
    ) {
        let found = describe(value);
        self.report(
            path,
            ProblemKind::BadValue {
                expected,
                found,
                suggestion,
            },
        );
    }
}

#[cfg(test)]
mod tests;
