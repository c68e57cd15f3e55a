//! Checks a workload's attributes against the schema of the CRD's `spec`.
//!
//! Users write short forms (`ports.http = 8080`) for some of what the CRD spells out; they are
//! expanded on the way. `null` means that an attribute is not set.

use std::collections::HashMap;

use niphas_api::QUANTITY_PATTERN;
use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::attribute_path::AttributePath;
use crate::problem::{Problem, ProblemKind};
use crate::suggestion::nearest;

/// In the schema of [`workload_schema`]: the one field that a value stands for that is no set.
const SHORT_FORM: &str = "x-short-form";

/// Deeper values are not from a human's hand; recursion stays far from the end of the stack.
const MAX_DEPTH: usize = 64;

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
    }
    // `command` has a default that the schema cannot say: it depends on the package.
    schema["required"] = json!([]);
    schema
}

/// Where positions come from, and where problems go.
pub(crate) struct Checker<'a> {
    /// The position of an attribute or of the nearest one around it.
    pub(crate) locate: &'a dyn Fn(&AttributePath) -> Option<String>,
    /// What was found so far.
    pub(crate) problems: Vec<Problem>,
    /// The patterns that were needed so far.
    patterns: HashMap<String, Option<Regex>>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(locate: &'a dyn Fn(&AttributePath) -> Option<String>) -> Self {
        Self {
            locate,
            problems: Vec::new(),
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
        if path.elements().len() > MAX_DEPTH {
            self.report(path, ProblemKind::TooDeep(MAX_DEPTH));
            return Value::Null;
        }
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
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            fields
                .iter()
                .for_each(|(name, field)| self.check_depth(&path.attribute(name), field));
            return fields.clone();
        }
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
                let known = || properties.into_iter().flat_map(Map::keys);
                let suggestion = nearest(name, known().map(String::as_str));
                let known = known().cloned().collect();
                self.report(&path, ProblemKind::UnknownAttribute { suggestion, known });
                continue;
            };
            if !field.is_null() {
                checked.insert(name.clone(), self.check(&path, inner, field));
            }
        }
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if fields.get(name).is_none_or(Value::is_null) {
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
            let expected = match pattern {
                QUANTITY_PATTERN => "a quantity like 500m or 64Mi".to_owned(),
                pattern => format!("a text that matches {pattern}"),
            };
            self.report_bad_value(path, &json!(text), expected, None);
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

    fn check_depth(&mut self, path: &AttributePath, value: &Value) {
        if path.elements().len() > MAX_DEPTH {
            return self.report(path, ProblemKind::TooDeep(MAX_DEPTH));
        }
        match value {
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, field)| self.check_depth(&path.attribute(name), field)),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| self.check_depth(&path.index(index), item)),
            _ => {}
        }
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

fn is_int_or_string(schema: &Value) -> bool {
    schema["x-kubernetes-int-or-string"] == true
}

fn has_type(schema: &Value, value: &Value) -> bool {
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

fn expected(schema: &Value) -> String {
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

fn wrong_type(schema: &Value, expected: String, value: &Value) -> ProblemKind {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(attributes: &Value) -> String {
        let locate = |_: &AttributePath| None;
        let mut checker = Checker::new(&locate);
        checker.check(
            &AttributePath::default(),
            &workload_schema(object_schema()),
            attributes,
        );
        let lines: Vec<_> = checker.problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    fn expanded(attributes: &Value) -> Value {
        let locate = |_: &AttributePath| None;
        let mut checker = Checker::new(&locate);
        let checked = checker.check(
            &AttributePath::default(),
            &workload_schema(object_schema()),
            attributes,
        );
        assert_eq!(checker.problems, []);
        checked
    }

    #[test]
    fn short_forms_are_expanded_and_nulls_dropped() {
        let attributes = json!({
            "command": "/nix/root/bin/web",
            "env": { "A": "1", "B": { "value": "2" }, "C": null },
            "files": { "/etc/a": "text", "/etc/b": { "text": "b", "mode": "0400" } },
            "ports": { "http": 80, "dns": { "port": 53, "protocol": "UDP" } },
            "resources": null,
            "podTemplate": { "spec": { "hostname": null } },
        });
        let expected = json!({
            "command": ["/nix/root/bin/web"],
            "env": { "A": { "value": "1" }, "B": { "value": "2" } },
            "files": { "/etc/a": { "text": "text" }, "/etc/b": { "text": "b", "mode": "0400" } },
            "ports": { "http": { "port": 80 }, "dns": { "port": 53, "protocol": "UDP" } },
            "podTemplate": { "spec": { "hostname": null } },
        });
        assert_eq!(expanded(&attributes), expected);
    }

    #[test]
    fn wrong_types_say_what_is_wanted_and_how_to_write_it() {
        insta::assert_snapshot!(problems(&json!({
            "args": "--verbose",
            "command": 1,
            "env": { "PORT": 8080, "ON": true, "SET": [] },
            "files": { "/a": 1.5 },
            "podTemplate": "x",
            "ports": { "http": "8080", "https": {} },
            "probes": { "liveness": { "httpGet": { "port": 1.5 }, "periodSeconds": "a" } },
            "replicas": "3",
            "resources": { "limits": { "cpu": 0.5, "memory": [ ] } },
            "service": true,
        })), @r#"
        args: expected a list, found the string "--verbose"
          hint: write it as a list: [ "--verbose" ]
        command: expected a string or a list, found the integer 1
        env.ON: expected a string or a set, found the Boolean true
          hint: write it as a string: "true"
        env.PORT: expected a string or a set, found the integer 8080
          hint: write it as a string: "8080"
        env.SET: expected a string or a set, found an empty list
        files."/a": expected a string or a set, found the float 1.5
          hint: write it as a string: "1.5"
        podTemplate: expected a set, found the string "x"
        ports.http: expected an integer or a set, found the string "8080"
          hint: write it without quotes: 8080
        ports.https: attribute 'port' is missing
        probes.liveness.httpGet.port: expected an integer or a string, found the float 1.5
          hint: write it as a string: "1.5"
        probes.liveness.periodSeconds: expected an integer, found the string "a"
        replicas: expected an integer, found the string "3"
          hint: write it without quotes: 3
        resources.limits.cpu: expected an integer or a string, found the float 0.5
          hint: write it as a string: "0.5"
        resources.limits.memory: expected an integer or a string, found an empty list
        service: expected a set, found the Boolean true
        "#);
    }

    #[test]
    fn unknown_attributes_name_the_nearest_or_all_known_ones() {
        insta::assert_snapshot!(problems(&json!({
            "replica": 1,
            "image": "nginx",
            "closures": [],
            "probes": { "rediness": {}, "liveness": { "httpGet": { "pth": "/", "port": 80 } } },
            "env": { "A": { "valu": "x" } },
            "service": { "kind": "x" },
        })), @r"
        closures: unknown attribute
          hint: known here: args, autoscaling, command, cronJob, disruptionBudget, env, files, httpRoute, ingress, job, kind, networkPolicy, package, podTemplate, ports, probes, replicas, resources, service, serviceAccount, strategy, volumeClaims
        env.A.valu: unknown attribute
          hint: did you mean 'value'?
        image: unknown attribute
          hint: known here: args, autoscaling, command, cronJob, disruptionBudget, env, files, httpRoute, ingress, job, kind, networkPolicy, package, podTemplate, ports, probes, replicas, resources, service, serviceAccount, strategy, volumeClaims
        probes.liveness.httpGet.pth: unknown attribute
          hint: did you mean 'path'?
        probes.rediness: unknown attribute
          hint: did you mean 'readiness'?
        replica: unknown attribute
          hint: did you mean 'replicas'?
        service.kind: unknown attribute
          hint: known here: annotations, ports, type
        ");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        insta::assert_snapshot!(problems(&json!({
            "command": [],
            "replicas": -1,
            "ports": { "a": 0, "b": 65536, "c": { "port": 1, "protocol": "tcp" } },
            "files": { "/a": { "text": "", "mode": "rw" } },
            "service": { "type": "Loadbalancer", "ports": { "http": 70000 } },
            "probes": { "startup": { "failureThreshold": 3_000_000_000_u64 } },
            "resources": { "limits": { "cpu": "half", "memory": "64Mi", "other": "1.5e3" } },
        })), @r#"
        command: nothing in it: expected at least 1
        files."/a".mode: the string "rw": expected a text that matches ^0?[0-7]{3}$
        ports.a: the integer 0: expected 1 to 65535
        ports.b: the integer 65536: expected 1 to 65535
        ports.c.protocol: the string "tcp": expected one of TCP, UDP, SCTP
          hint: did you mean 'TCP'?
        probes.startup.failureThreshold: the integer 3000000000: expected an integer of 32 bits
        replicas: the integer -1: expected 0 or more
        resources.limits.cpu: the string "half": expected a quantity like 500m or 64Mi
        service.ports.http: the integer 70000: expected 1 to 65535
        service.type: the string "Loadbalancer": expected one of ClusterIP, NodePort, LoadBalancer
          hint: did you mean 'LoadBalancer'?
        "#);
    }

    #[test]
    fn endless_nesting_is_refused() {
        let mut value = json!({});
        for _ in 0..80 {
            value = json!({ "a": value });
        }
        let message = problems(&json!({ "podTemplate": value }));
        assert!(message.ends_with(": nested more than 64 deep"), "{message}");
    }

    #[test]
    fn every_pattern_of_the_schema_compiles() {
        fn visit(schema: &Value) {
            if let Some(pattern) = schema["pattern"].as_str() {
                Regex::new(pattern).unwrap();
            }
            match schema {
                Value::Object(fields) => fields.values().for_each(visit),
                Value::Array(items) => items.iter().for_each(visit),
                _ => {}
            }
        }
        visit(&workload_schema(object_schema()));
    }
}
