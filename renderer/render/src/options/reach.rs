//! Every option reaches an object: what is made of a workload has the option's value, and another one with another value.

use std::collections::{BTreeMap, BTreeSet};

use niphas_api::{ClosureLine, ClosureLines};
use nix_formats::StoreDir;
use rayon::prelude::*;
use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::*;
use crate::attribute_path::AttributePath;
use crate::companions::Companions;
use crate::environment::{CheckedEnvironment, CheckedWorkload, WorkloadRoots};
use crate::output::{ClosureId, DeployFolder, Form};
use crate::schema::Checker;
use crate::store_paths::Mentions;
use crate::written_defaults;

const PACKAGE: &str = "/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";

/// Tests of options that are evaluated apart or by nixlib.
const NIXLIB: &str = include_str!("../../../../nixlib/tests/default.nix");
const MODULES: &str = include_str!("../../../../ci/modules.d/back.nix");
const OBJECTS: &str = include_str!("../../../../ci/first-use.d/objects.py");
const ROOTS: &str = include_str!("../../../../ci/first-use.d/roots.py");
const CONTAINERS: &str = include_str!("../../../../ci/first-use.d/containers.py");

/// Those options, each with its test and words of it.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("defaults", NIXLIB, "defaults ="),
    ("groups.<name>", MODULES, "groups.back"),
    ("groups.<name>.defaults", MODULES, "defaults ="),
    ("groups.<name>.workloads", MODULES, "workloads.db"),
    (
        "kubernetes.definitions",
        OBJECTS,
        "kubernetes.definitions =",
    ),
    ("kubernetes.version", OBJECTS, "kubernetes.version ="),
    ("manifests", OBJECTS, "manifests = [ ./manifests ]"),
    ("namespace", OBJECTS, "namespace: shop"),
    ("objects", OBJECTS, "ConfigMap.settings"),
    ("pkgsFor", NIXLIB, "pkgsFor"),
    ("systems", NIXLIB, "systems ="),
    ("workloads.<name>", NIXLIB, "workloads"),
    ("workloads.<name>.package", ROOTS, "package = pkgs.hello;"),
    ("workloads.<name>.roots", CONTAINERS, "site: /nix/store/"),
    // A rule refuses it.
    (
        "workloads.<name>.containers.<name>.order",
        CONTAINERS,
        "restartPolicy and order are for initContainers",
    ),
    (
        "workloads.<name>.containers.<name>.package",
        CONTAINERS,
        "/nix/roots/exporter/bin/hello",
    ),
    (
        "workloads.<name>.initContainers.<name>.package",
        CONTAINERS,
        "/nix/roots/migrate/bin/hello",
    ),
];

/// What options below a path need beside them, by the longest path.
fn beside(path: &str) -> Value {
    let both = json!({ "http": { "port": 8080 }, "grpc": { "port": 9090 } });
    let served = json!({ "ports": { "http": { "port": 8080 } }, "service": {} });
    if is_port_of_route(path) {
        return json!({ "ports": both, "service": {} });
    }
    let table = [
        (
            "containers.<name>.ports.<name>.appProtocol",
            json!({ "service": { "portNames": ["x1"] } }),
        ),
        ("cronJob", json!({ "kind": "CronJob" })),
        ("daemonSet", json!({ "kind": "DaemonSet" })),
        ("grpcRoute", served.clone()),
        ("grpcRoutes", served.clone()),
        ("httpRoute", served.clone()),
        ("httpRoutes", served.clone()),
        ("ingress", served.clone()),
        ("ingresses", served),
        (
            "initContainers.<name>.order",
            json!({ "initContainers": { "a1": { "command": ["a"] } } }),
        ),
        (
            "initContainers.<name>.ports.<name>.appProtocol",
            json!({ "service": { "portNames": ["x1"] } }),
        ),
        ("job", json!({ "kind": "Job" })),
        (
            "job.ttlSecondsAfterFinished",
            json!({ "kind": "CronJob", "cronJob": { "schedule": "30 3 * * *" } }),
        ),
        ("ports.<name>.appProtocol", json!({ "service": {} })),
        ("role", json!({ "serviceAccount": {} })),
        ("service", json!({ "ports": both })),
        ("services", json!({ "ports": both })),
        ("statefulSet", json!({ "kind": "StatefulSet" })),
        ("strategy.partition", json!({ "kind": "StatefulSet" })),
    ];
    let is_of = |of: &str| path == of || path.starts_with(&format!("{of}."));
    let longest = table
        .into_iter()
        .filter(|(of, _)| is_of(of))
        .max_by_key(|(of, _)| of.len());
    longest.map_or_else(|| json!({}), |(_, beside)| beside)
}

/// Two values of an option, where its type does not say which have an effect; and whether they are in an object as they are.
fn chosen(path: &str) -> Option<(Value, Value, bool)> {
    let (above, last) = path.rsplit_once('.').unwrap_or(("", path));
    Some(match last {
        "kind" if above.is_empty() => (json!("StatefulSet"), json!("DaemonSet"), false),
        "highAvailability" => (json!(true), json!(false), false),
        "create" if above == "serviceAccount" => (json!(true), json!(false), false),
        "order" if is_own(path, &["initContainers"]) => (json!(2), json!(-2), false),
        // By name, and the object has the number.
        "port" if is_port_of_route(path) => (json!("http"), json!("grpc"), false),
        // Octal there, and an integer here.
        "mode" if above.starts_with("files.") => (json!("0440"), json!("0400"), false),
        // What is kept available of two has a 1, too.
        "replicas" if above.is_empty() => (json!(3), json!(2), true),
        "portNames" => (json!(["http"]), json!(["grpc"]), true),
        _ => return None,
    })
}

/// Whether an option is one of these sets, or of the sets in these by name.
fn is_own(path: &str, of: &[&str]) -> bool {
    let above = path.rsplit_once('.').map_or("", |(above, _)| above);
    of.contains(&above.trim_end_matches(".<name>"))
}

fn is_port_of_route(path: &str) -> bool {
    let is_port = path
        .rsplit_once('.')
        .is_some_and(|(_, last)| last == "port");
    is_port && (path.ends_with(".backends.\"<path>\".port") || is_own(path, &ROUTES))
}

const ROUTES: [&str; 6] = [
    "grpcRoute",
    "grpcRoutes",
    "httpRoute",
    "httpRoutes",
    "ingress",
    "ingresses",
];

/// Texts, of which each pattern lets two pass.
const TEXTS: [&str; 24] = [
    "x1",
    "x2",
    "/x1",
    "/x2",
    "10%",
    "20%",
    "1Gi",
    "2Gi",
    "0440",
    "0400",
    "a.example",
    "b.example",
    "30 3 * * *",
    "30 4 * * *",
    "10s",
    "20s",
    "X1",
    "X2",
    "http://a",
    "http://b",
    "2026-01-01T00:00:00Z",
    "2026-02-01T00:00:00Z",
    "PreferSameNode",
    "PreferSameZone",
];

/// Two texts that fit a schema.
fn two_texts(schema: &Value) -> (Value, Value) {
    let pattern = schema["pattern"].as_str();
    let pattern = pattern.map(|pattern| Regex::new(pattern).unwrap());
    let is_time = schema["format"] == "date-time";
    let mut fitting = TEXTS.iter().filter(|text| match &pattern {
        Some(pattern) => pattern.is_match(text),
        None => !is_time || text.ends_with('Z'),
    });
    let mut next = || json!(fitting.next().expect("two texts fit"));
    (next(), next())
}

/// Two values that fit a schema, and differ. `name` is that of the option.
fn two_values(schema: &Value, name: &str) -> (Value, Value) {
    let schema = resolved(schema);
    if let Some(words) = schema["enum"].as_array() {
        let first = words.iter().rfind(|word| **word != schema["default"]);
        let first = first.expect("there are words").clone();
        let other = words.iter().find(|word| **word != first);
        return (first, other.cloned().unwrap_or(Value::Null));
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return (json!(3), json!(4));
    }
    match schema["type"].as_str() {
        Some("boolean") => (json!(true), json!(false)),
        Some("integer" | "number") => {
            let least = schema["minimum"].as_i64().unwrap_or(0).max(0);
            ((least + 1).into(), (least + 2).into())
        }
        Some("string") => two_texts(schema),
        Some("array") => {
            let (one, other) = two_values(&schema["items"], name);
            (json!([one]), json!([other]))
        }
        _ if schema["properties"].is_object() => {
            let fields = Value::Object(least(schema));
            (fields.clone(), fields)
        }
        _ => {
            let key = if matches!(name, "ports" | "nodePorts") {
                "http"
            } else {
                "x1"
            };
            let (one, other) = match schema.get("additionalProperties") {
                Some(values) => two_values(values, key),
                None => (json!("x1"), json!("x2")),
            };
            (json!({ key: one }), json!({ key: other }))
        }
    }
}

/// What a set has to have.
fn least(schema: &Value) -> Map<String, Value> {
    let schema = resolved(schema);
    let names = schema["required"].as_array().into_iter().flatten();
    names
        .filter_map(Value::as_str)
        .map(|name| {
            let field = &schema["properties"][name];
            let value = if resolved(field)["properties"].is_object() {
                Value::Object(least(field))
            } else {
                two_values(field, name).0
            };
            (name.to_owned(), value)
        })
        .collect()
}

/// Attributes in which the option at a path has this value; `null` is none.
fn with(schema: &Value, path: &[String], value: &Value) -> Value {
    let schema = resolved(schema);
    let Some((first, rest)) = path.split_first() else {
        return value.clone();
    };
    if first == "*" {
        return json!([with(&schema["items"], rest, value)]);
    }
    let mut fields = least(schema);
    let (key, inner) = match first.as_str() {
        "<NAME>" => ("X1", &schema["additionalProperties"]),
        "\"<path>\"" => ("/x1", &schema["additionalProperties"]),
        "\"<host>\"" => ("a.example", &schema["additionalProperties"]),
        name if name.contains('<') => ("x1", &schema["additionalProperties"]),
        name => (name, &schema["properties"][name]),
    };
    fields.insert(key.to_owned(), with(inner, rest, value));
    Value::Object(fields)
}

/// What is made of a workload, rules aside: a rule would refuse most of these.
fn objects(schema: &Value, attributes: &Value) -> Result<Vec<Value>, String> {
    let locate = |_: &AttributePath| None;
    let mut checker = Checker::new(&locate);
    let path = AttributePath::default();
    let mut spec = checker.check(&path, schema, attributes);
    written_defaults::routes(schema, &mut spec);
    let Value::Object(mut spec) = spec else {
        return Err("no set".to_owned());
    };
    spec.entry("command")
        .or_insert_with(|| json!(["/nix/root/bin/web"]));
    let companions = Companions::take(&mut checker, &path, &mut spec, Some("shop"));
    if let Some(problem) = checker.problems.first() {
        return Err(problem.to_string());
    }
    written_defaults::high_availability("web", &mut spec);
    let package = StoreDir::default().parse(PACKAGE).unwrap();
    let system: niphas_api::System = "x86_64-linux".parse().unwrap();
    let roots = WorkloadRoots {
        paths: vec![package.clone()],
        names: BTreeMap::new(),
    };
    let workload = CheckedWorkload {
        spec,
        companions,
        roots: BTreeMap::from([(system.clone(), roots)]),
        mentions: Mentions::default(),
        position: None,
    };
    let environment = CheckedEnvironment {
        name: "production".to_owned(),
        namespace: Some("shop".to_owned()),
        workloads: BTreeMap::from([("web".to_owned(), workload)]),
        objects: Vec::new(),
    };
    let line = ClosureLine {
        path: package,
        nar_hash: [0; 32].into(),
        nar_size: 0,
    };
    let id = ClosureId {
        workload: "web".to_owned(),
        system,
    };
    let closures = BTreeMap::from([(id, ClosureLines::new(vec![line]).unwrap())]);
    let folder: DeployFolder = "deploy".parse().unwrap();
    let form = Form::Expanded {
        base_image: "niphas".to_owned(),
    };
    let rendered = environment
        .render(&folder, &form, &closures)
        .map_err(|problems| problems.to_string())?;
    let files = rendered.files.iter().filter(|(path, _)| {
        path.rsplit_once('.')
            .is_some_and(|(_, last)| last == "yaml")
    });
    files
        .map(|(_, text)| serde_saphyr::from_slice(text).map_err(|error| error.to_string()))
        .collect()
}

/// The plain values in a value.
fn plain_values<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| plain_values(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| plain_values(field, found)),
        value => found.push(value),
    }
}

/// A plain value as text: quantities are written in either way.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// How often a plain value is in objects.
fn count(objects: &[Value], wanted: &Value) -> usize {
    let mut found = Vec::new();
    for object in objects {
        plain_values(object, &mut found);
    }
    let wanted = text(wanted);
    found
        .into_iter()
        .filter(|value| text(value) == wanted)
        .count()
}

/// Adds what a value has not.
fn add(value: &mut Value, more: &Value) {
    let (Value::Object(fields), Value::Object(more)) = (value, more) else {
        return;
    };
    for (name, inner) in more {
        match fields.get_mut(name) {
            Some(field) => add(field, inner),
            None => {
                fields.insert(name.clone(), inner.clone());
            }
        }
    }
}

/// Why the option at a path reaches no object; `None` if it does.
fn why_not(schema: &Value, inner: &str, path: &[String], field: &Value) -> Option<String> {
    let name = path.last().map_or("", String::as_str);
    let (one, other, as_it_is) = chosen(inner).unwrap_or_else(|| {
        let (one, other) = two_values(field, name);
        (one, other, true)
    });
    let made = |value: &Value| {
        let mut attributes = with(schema, path, value);
        add(&mut attributes, &beside(inner));
        objects(schema, &attributes).map_err(|error| format!("{attributes}: {error}"))
    };
    let (with_one, with_other) = match (made(&one), made(&other)) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(error), _) | (_, Err(error)) => return Some(error),
    };
    if with_one == with_other {
        return Some(format!("{one} and {other} make the same objects"));
    }
    let mut values = Vec::new();
    plain_values(&one, &mut values);
    let is_there = |value: &&Value| count(&with_one, value) > count(&with_other, value);
    // What is false is left out, and true is then there or not.
    (as_it_is && !values.iter().any(is_there)).then(|| format!("no object has {one}"))
}

#[test]
fn every_option_reaches_an_object() {
    let mut schema = workload_schema(object_schema());
    for list in ["containers", "initContainers"] {
        // That the program is the package's is read elsewhere.
        schema["properties"][list]["additionalProperties"]["required"] = json!(["command"]);
    }
    let all = options(true);
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(path, ..)| *path).collect();
    let asked: Vec<&EnvironmentOption> = all
        .iter()
        .filter(|option| !elsewhere.contains(option.path.as_str()))
        // Only the API server writes it.
        .filter(|option| !option.path.ends_with(".managedFields.*.fieldsV1"))
        .collect();
    let wrong: Vec<String> = asked
        .par_iter()
        .filter_map(|option| {
            let Some(inner) = option.path.strip_prefix("workloads.<name>.") else {
                return Some(format!("{}: it has no test", option.path));
            };
            let path = &option.segments[WORKLOAD.len()..];
            let field = field(&schema, path);
            // Of sets that have fields, those are asked.
            if has_fields(field) {
                return None;
            }
            why_not(&schema, inner, path, field).map(|why| format!("{inner}: {why}"))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "of {} options {} reach no object:\n{}",
        asked.len(),
        wrong.len(),
        wrong.join("\n")
    );
    assert!(asked.len() > 1000, "{}", asked.len());
}

/// Whether what is in a value are options of their own.
fn has_fields(schema: &Value) -> bool {
    let schema = resolved(schema);
    let inner = match schema["type"].as_str() {
        Some("array") => resolved(&schema["items"]),
        _ => match schema.get("additionalProperties") {
            Some(values) => resolved(values),
            None => schema,
        },
    };
    inner["properties"].is_object()
}

/// The schema of the option at a path.
fn field<'s>(schema: &'s Value, path: &[String]) -> &'s Value {
    path.iter().fold(schema, |schema, name| {
        let schema = resolved(schema);
        match name.as_str() {
            "*" => &schema["items"],
            name => schema["properties"]
                .get(name)
                .unwrap_or(&schema["additionalProperties"]),
        }
    })
}

#[test]
fn what_is_tested_elsewhere_is() {
    let all = options(true);
    for (path, test, words) in ELSEWHERE {
        assert!(all.iter().any(|option| option.path == *path), "{path}");
        assert!(test.contains(words), "{path}: its test has no {words:?}");
    }
}
