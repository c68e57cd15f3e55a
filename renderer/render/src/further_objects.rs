//! Objects of an environment that are no workloads: written in Nix (`objects`), or read from YAML (`manifests`).

use std::collections::BTreeSet;

use niphas_api::ENVIRONMENT_ANNOTATION;
use serde_json::{Map, Value, json};

use crate::attribute_path::AttributePath;
use crate::kinds;
use crate::problem::{Problem, ProblemKind};
use crate::schema::{Checker, describe, of_kind};
use crate::store_paths::names_store_path;
use crate::suggestion::nearest;

/// The folder of an environment that they are in.
pub(crate) const FOLDER: &str = "objects";

/// What all files of an environment may hold together is bounded by the evaluator; this bounds what one of them expands to.
const MOST_NODES: usize = 500_000;
const MOST_DOCUMENTS: usize = 1_000;

/// Has Argo CD take an object whose kind it learns from the same commit.
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
const SKIP_DRY_RUN: &str = "SkipDryRunOnMissingResource=true";

/// With this among its options, Argo CD applies an object without having it checked; nor is it checked here. A cluster may have fields that
/// the types here do not have yet.
const UNCHECKED: &str = "Validate=false";

/// An object that is no workload.
#[derive(Debug, Clone, PartialEq)]
pub struct FurtherObject {
    /// The object.
    pub(crate) object: Value,
    /// Its file's text, where that must not change: what is encrypted has a checksum.
    pub(crate) verbatim: Option<String>,
    /// The name of its file.
    pub(crate) file: String,
}

/// Where an object is written.
struct Origin {
    path: AttributePath,
    /// The manifest that it is in.
    file: Option<String>,
}

/// What an environment has of its own for all of its objects.
#[derive(Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) environment: &'a str,
    pub(crate) namespace: Option<&'a str>,
}

/// Reads the further objects of an environment, and reports all that is wrong with them.
pub(crate) fn read(
    checker: &mut Checker<'_>,
    environment: &Value,
    common: Common<'_>,
) -> Vec<FurtherObject> {
    let mut written = Vec::new();
    of_nix(checker, &environment["objects"], &mut written);
    of_files(
        checker,
        "manifests",
        &environment["manifests"],
        &mut written,
    );
    let mut defined = defined_kinds(&written, true);
    defined.extend(defined_elsewhere(checker, &environment["kubernetes"]));
    let mut names = BTreeSet::new();
    let mut objects = Vec::new();
    for (origin, object, verbatim) in written {
        let found = checker.problems.len();
        let object = match &verbatim {
            Some(_) => object,
            None => completed(object, common, &defined),
        };
        check(checker, &origin, &object, verbatim.is_some(), &defined);
        if checker.problems.len() > found {
            continue;
        }
        let file = file_name(&object, common.namespace);
        if !names.insert(file.clone()) {
            let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            let problem = format!("there are two objects {kind} {name:?}");
            refuse(
                checker,
                &origin,
                problem,
                "give one of the two another name",
            );
            continue;
        }
        objects.push(FurtherObject {
            object,
            verbatim,
            file,
        });
    }
    objects
}

type Written = (Origin, Value, Option<String>);

/// `objects`: a list, or a set by kind and name.
fn of_nix(checker: &mut Checker<'_>, value: &Value, written: &mut Vec<Written>) {
    let top = AttributePath::of(&["objects"]);
    let mut add = |path: AttributePath, object: Value| {
        let origin = Origin { path, file: None };
        written.push((origin, without_null(object), None));
    };
    match value {
        Value::Null => {}
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                add(top.index(index), item.clone());
            }
        }
        Value::Object(kinds) => {
            for (kind, of_kind) in kinds {
                let path = top.attribute(kind);
                let Some(of_kind) = of_kind.as_object() else {
                    wrong_type(checker, &path, "a set of objects by name", of_kind);
                    continue;
                };
                for (name, object) in of_kind.iter().filter(|(_, object)| !object.is_null()) {
                    let path = path.attribute(name);
                    match object.as_object() {
                        Some(fields) => add(path, of_kind_and_name(kind, name, fields.clone())),
                        None => wrong_type(checker, &path, "a set", object),
                    }
                }
            }
        }
        other => wrong_type(
            checker,
            &top,
            "a list of objects, or a set by kind and name",
            other,
        ),
    }
}

/// An object that stands in a set under its kind and name.
fn of_kind_and_name(kind: &str, name: &str, mut fields: Map<String, Value>) -> Value {
    fields.entry("kind").or_insert_with(|| kind.into());
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.entry("name").or_insert_with(|| name.into());
    }
    Value::Object(fields)
}

/// `kubernetes.definitions`: definitions of kinds that the cluster has, in YAML files among other objects.
fn defined_elsewhere(checker: &mut Checker<'_>, kubernetes: &Value) -> Vec<Defined> {
    let mut written = Vec::new();
    let found = checker.problems.len();
    let files = &kubernetes["definitions"];
    of_files(checker, "kubernetes.definitions", files, &mut written);
    let defined = defined_kinds(&written, false);
    let is_given = files.as_array().is_some_and(|files| !files.is_empty());
    if is_given && defined.is_empty() && checker.problems.len() == found {
        let origin = Origin {
            path: AttributePath::of(&["kubernetes", "definitions"]),
            file: files[0]["file"].as_str().map(ToOwned::to_owned),
        };
        let problem = "there is no CustomResourceDefinition in these files".to_owned();
        refuse(checker, &origin, problem, "name the files that have them");
    }
    defined
}

/// `manifests`: YAML files with their names.
fn of_files(checker: &mut Checker<'_>, attribute: &str, value: &Value, written: &mut Vec<Written>) {
    let attribute: Vec<&str> = attribute.split('.').collect();
    for manifest in value.as_array().into_iter().flatten() {
        let (file, text) = (text(&manifest["file"]), text(&manifest["text"]));
        let origin = || Origin {
            path: AttributePath::of(&attribute),
            file: Some(file.to_owned()),
        };
        let origin_of = |object: &Value| match (&object["kind"], &object["metadata"]["name"]) {
            (Value::String(kind), Value::String(name)) => Origin {
                path: AttributePath::of(&[kind, name]),
                file: Some(file.to_owned()),
            },
            _ => origin(),
        };
        let options = serde_saphyr::options! {
            // As Kubernetes reads `defaultMode: 0644`.
            legacy_octal_numbers: true,
            budget: serde_saphyr::budget! {
                max_documents: MOST_DOCUMENTS,
                max_nodes: MOST_NODES,
            },
        };
        let documents: Vec<Value> = match serde_saphyr::from_multiple_with_options(text, options) {
            Ok(documents) => documents,
            Err(error) => {
                let error = error.to_string();
                let error = error.lines().next().unwrap_or_default();
                let problem = format!("{file:?} cannot be read as YAML: {error}");
                refuse(checker, &origin(), problem, "");
                continue;
            }
        };
        let is_encrypted = documents.iter().any(|document| !document["sops"].is_null());
        if is_encrypted && documents.len() > 1 {
            let problem = format!("{file:?} has an encrypted object among others");
            let remedy = "put each object that SOPS encrypted into a file of its own, which is committed as it is";
            refuse(checker, &origin(), problem, remedy);
            continue;
        }
        for document in documents {
            match document {
                Value::Null => {}
                list if list["kind"] == "List" && list["items"].is_array() => {
                    for item in list["items"].as_array().into_iter().flatten() {
                        written.push((origin_of(item), item.clone(), None));
                    }
                }
                object => {
                    let verbatim = is_encrypted.then(|| text.to_owned());
                    written.push((origin_of(&object), object, verbatim));
                }
            }
        }
    }
}

/// A kind that a CustomResourceDefinition has.
struct Defined {
    kind: String,
    /// Whether the definition is the environment's own: objects of the kind wait for it.
    is_own: bool,
    has_namespace: bool,
    /// The schemas of its objects, by `apiVersion`.
    schemas: Vec<(String, Value)>,
}

fn defined_kinds(written: &[Written], is_own: bool) -> Vec<Defined> {
    let definitions = written
        .iter()
        .map(|(_, object, _)| object)
        .filter(|object| object["kind"] == "CustomResourceDefinition");
    definitions
        .map(|definition| {
            let spec = &definition["spec"];
            let versions = spec["versions"].as_array().into_iter().flatten();
            let schemas = versions.map(|version| {
                let api_version = format!("{}/{}", text(&spec["group"]), text(&version["name"]));
                let schema = &version["schema"]["openAPIV3Schema"];
                (api_version, of_objects(schema.clone()))
            });
            Defined {
                kind: text(&spec["names"]["kind"]).to_owned(),
                is_own,
                has_namespace: spec["scope"] != "Cluster",
                schemas: schemas.collect(),
            }
        })
        .collect()
}

/// The schema of whole objects, of which a definition need not name what all objects have.
fn of_objects(mut schema: Value) -> Value {
    if !schema.is_object() {
        schema = json!({});
    }
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
        schema["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    schema["properties"]["apiVersion"] = json!({ "type": "string" });
    schema["properties"]["kind"] = json!({ "type": "string" });
    schema["properties"]["metadata"] = json!({ "$ref": "ObjectMeta" });
    schema
}

/// An object with what need not be written: the version of kinds that Kubernetes has itself, and what the environment has.
fn completed(mut object: Value, common: Common<'_>, defined: &[Defined]) -> Value {
    let kind = text(&object["kind"]).to_owned();
    let defined = defined.iter().find(|defined| defined.kind == kind);
    let Some(fields) = object.as_object_mut() else {
        return object;
    };
    if !fields.contains_key("apiVersion")
        && let Some(version) = kinds::version(&kind)
    {
        fields.insert("apiVersion".to_owned(), version.into());
    }
    let has_namespace = match defined {
        Some(defined) => defined.has_namespace,
        None => !kinds::has_no_namespace(&kind),
    };
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else {
        return object;
    };
    if let Some(namespace) = common.namespace.filter(|_| has_namespace) {
        metadata
            .entry("namespace")
            .or_insert_with(|| namespace.into());
    }
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(ENVIRONMENT_ANNOTATION.to_owned(), common.environment.into());
        if defined.is_some_and(|defined| defined.is_own) {
            annotations
                .entry(SYNC_OPTIONS)
                .or_insert_with(|| SKIP_DRY_RUN.into());
        }
    }
    object
}

fn check(
    checker: &mut Checker<'_>,
    origin: &Origin,
    object: &Value,
    is_encrypted: bool,
    defined: &[Defined],
) {
    let Some(fields) = object.as_object() else {
        let problem = format!(
            "expected an object of Kubernetes, found {}",
            describe(object)
        );
        return refuse(checker, origin, problem, "");
    };
    for name in ["apiVersion", "kind", "metadata"] {
        if fields.get(name).is_none_or(Value::is_null) {
            let near = nearest(name, fields.keys().map(String::as_str));
            let remedy = match near {
                Some(near) => format!("did you mean {name} where it says {near}?"),
                None => format!("write {name}"),
            };
            return refuse(
                checker,
                origin,
                format!("the object has no {name}"),
                &remedy,
            );
        }
    }
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    if !is_kind(kind) {
        let problem = format!("{} is no kind of objects", describe(&object["kind"]));
        return refuse(checker, origin, problem, "write it like ConfigMap");
    }
    if !is_name(name) {
        let found = describe(&object["metadata"]["name"]);
        let problem = format!("an object {kind} cannot have the name {found}");
        let remedy = "write lower-case letters, digits, '-' and '.' as metadata.name";
        return refuse(checker, origin, problem, remedy);
    }
    if is_encrypted {
        return;
    }
    if kind == "Secret" && object["apiVersion"] == "v1" {
        let is_there = |field: &str| !object[field].as_object().is_none_or(Map::is_empty);
        if is_there("data") || is_there("stringData") {
            let problem = format!("the Secret {name:?} would be committed in clear text");
            let remedy = "encrypt it with SOPS and name the file in manifests, or write a SealedSecret or an ExternalSecret";
            return refuse(checker, origin, problem, remedy);
        }
    }
    if let Some(path) = store_path(object) {
        let problem = format!("{kind} {name:?} names the store path {path}");
        let remedy = "only workloads have closures: nothing would fetch it";
        return refuse(checker, origin, problem, remedy);
    }
    types(checker, origin, object, defined);
}

/// Checks an object against the schema of its kind, if it is one of Kubernetes' or of a definition in the environment; its metadata
/// in any case.
fn types(checker: &mut Checker<'_>, origin: &Origin, object: &Value, defined: &[Defined]) {
    let options = text(&object["metadata"]["annotations"][SYNC_OPTIONS]);
    if options.split(',').any(|option| option.trim() == UNCHECKED) {
        return;
    }
    let found = checker.problems.len();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let of_definition = || {
        let defined = defined.iter().filter(|defined| defined.kind == kind);
        let mut schemas = defined.flat_map(|defined| &defined.schemas);
        schemas.find_map(|(name, schema)| (name == version).then_some(schema))
    };
    if let Some(schema) = of_kind(version, kind).or_else(of_definition) {
        if let Some((problem, remedy)) = checker.kubernetes.lacks(schema) {
            return refuse(checker, origin, format!("{kind}: {problem}"), &remedy);
        }
        checker.check(&origin.path, schema, object);
    } else {
        let path = origin.path.attribute("metadata");
        let schema = json!({ "$ref": "ObjectMeta" });
        checker.check(&path, &schema, &object["metadata"]);
    }
    // Places in files are not known to Nix.
    if let Some(file) = &origin.file {
        for problem in &mut checker.problems[found..] {
            problem.position = Some(file.clone());
        }
    }
}

fn refuse(checker: &mut Checker<'_>, origin: &Origin, problem: String, remedy: &str) {
    let remedy = (!remedy.is_empty()).then(|| remedy.to_owned());
    let position = match &origin.file {
        Some(file) => Some(file.clone()),
        None => (checker.locate)(&origin.path),
    };
    checker.problems.push(Problem {
        path: origin.path.clone(),
        position,
        kind: ProblemKind::Refused { problem, remedy },
    });
}

fn wrong_type(checker: &mut Checker<'_>, path: &AttributePath, expected: &str, value: &Value) {
    let (expected, found) = (expected.to_owned(), describe(value));
    let kind = ProblemKind::WrongType {
        expected,
        found,
        hint: None,
    };
    checker.report(path, kind);
}

/// `null` in Nix is an attribute that is not set; elements of lists stay.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, field)| !field.is_null())
                .map(|(name, field)| (name, without_null(field)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_null).collect()),
        other => other,
    }
}

/// The name of an object's file; that of a namespace is in it where it is not the environment's.
fn file_name(object: &Value, namespace: Option<&str>) -> String {
    let metadata = &object["metadata"];
    let (kind, name) = (text(&object["kind"]), text(&metadata["name"]));
    let name = name.replace(':', "_");
    match metadata["namespace"].as_str() {
        Some(other) if Some(other) != namespace => format!("{kind}-{other}-{name}.yaml"),
        _ => format!("{kind}-{name}.yaml"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_kind(kind: &str) -> bool {
    kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.len() <= 63
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether an object can have this name. Some kinds allow `:` and capitals; all names are file names as well.
fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(is_inner)
        && !name.starts_with(['.', '-'])
        && !name.ends_with(['.', '-'])
}

/// A text in a value that names a path in the store.
fn store_path(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if names_store_path(text) => {
            let start = text.find("/nix/store/")?;
            let path = text[start..].split(|c: char| c.is_whitespace() || "\"':,".contains(c));
            path.into_iter().next().map(ToOwned::to_owned)
        }
        Value::Array(items) => items.iter().find_map(store_path),
        Value::Object(fields) => fields.values().find_map(store_path),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
