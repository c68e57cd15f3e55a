//! The rules of the CRD that its types do not say: its CEL expressions, checked before anything is
//! committed. Each message is the CRD's own.

use serde_json::{Map, Value};

use crate::attribute_path::AttributePath;
use crate::problem::ProblemKind;
use crate::schema::Checker;
use crate::suggestion::nearest;

const ENV_NAME: &str = "names of environment variables are printable ASCII without '='";
const ENV_VALUE: &str = "want either value or valueFrom";
const FILE_PATH: &str = "paths of files are absolute, without empty, '.' and '..' parts";
const FILE_IN_VIEW: &str = "files cannot lie in /nix: the closure is mounted there";
const PORT_NAME: &str = "names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter";
const SERVICE_NEEDS_PORTS: &str = "a service needs ports, and there are none";
const SERVICE_PORT: &str = "the service names a port that is not among the ports";

/// Checks attributes that passed [`Checker::check`].
pub(crate) fn check(checker: &mut Checker<'_>, path: &AttributePath, attributes: &Value) {
    let set = |name: &str| attributes[name].as_object().into_iter().flat_map(Map::iter);
    let mut report = |path: &AttributePath, rule, suggestion| {
        checker.report(path, ProblemKind::Rule { rule, suggestion });
    };
    for (name, variable) in set("env") {
        let path = path.attribute("env").attribute(name);
        if name.is_empty() || !name.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'=') {
            report(&path, ENV_NAME, None);
        }
        // What had a wrong type is `null` here, and was reported.
        if variable.is_object()
            && variable.get("value").is_some() == variable.get("valueFrom").is_some()
        {
            report(&path, ENV_VALUE, None);
        }
    }
    for name in set("files").map(|(name, _)| name) {
        let path = path.attribute("files").attribute(name);
        let mut parts = name.split('/');
        let absolute = parts.next() == Some("");
        if !absolute || name == "/" || parts.any(|part| matches!(part, "" | "." | "..")) {
            report(&path, FILE_PATH, None);
        } else if name.starts_with("/nix/") {
            report(&path, FILE_IN_VIEW, None);
        }
    }
    for name in set("ports").map(|(name, _)| name) {
        let dashes_between = name.split('-').all(|part| !part.is_empty());
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(dashes_between
            && name.len() <= 15
            && name.bytes().all(allowed)
            && name.bytes().any(|b| b.is_ascii_lowercase()))
        {
            report(&path.attribute("ports").attribute(name), PORT_NAME, None);
        }
    }
    if attributes["service"].is_object() {
        let path = path.attribute("service");
        if set("ports").next().is_none() {
            report(&path, SERVICE_NEEDS_PORTS, None);
        }
        for name in attributes["service"]["ports"]
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
        {
            if attributes["ports"].get(name).is_none() {
                let nearest = nearest(name, set("ports").map(|(name, _)| name.as_str()));
                report(
                    &path.attribute("ports").attribute(name),
                    SERVICE_PORT,
                    nearest,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::schema::workload_schema;

    fn broken_rules(attributes: &Value) -> BTreeSet<String> {
        let locate = |_: &AttributePath| None;
        let mut checker = Checker {
            locate: &locate,
            problems: Vec::new(),
        };
        check(&mut checker, &AttributePath::default(), attributes);
        checker.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_rule_of_the_crd_is_checked_here() {
        fn messages(schema: &Value, found: &mut BTreeSet<String>) {
            if let Some(rules) = schema["x-kubernetes-validations"].as_array() {
                found.extend(
                    rules
                        .iter()
                        .map(|rule| rule["message"].as_str().unwrap().to_owned()),
                );
            }
            match schema {
                Value::Object(fields) => fields.values().for_each(|field| messages(field, found)),
                Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
                _ => {}
            }
        }
        let mut in_crd = BTreeSet::new();
        messages(&workload_schema(), &mut in_crd);
        let here: BTreeSet<String> = [
            ENV_NAME,
            ENV_VALUE,
            FILE_PATH,
            FILE_IN_VIEW,
            PORT_NAME,
            SERVICE_NEEDS_PORTS,
            SERVICE_PORT,
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(in_crd, here);
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let broken = broken_rules(&json!({
            "env": { "A=B": { "value": "x" }, "": { "value": "x" }, "C": {}, "D": { "value": "", "valueFrom": {} } },
            "files": { "etc/a": {}, "/": {}, "/a/../b": {}, "/a/": {}, "/nix/x": {} },
            "ports": { "Http": {}, "80": {}, "-a": {}, "a--b": {}, "more-than-fifteen": {} },
            "service": { "ports": { "http": 80 } },
        }));
        insta::assert_snapshot!(broken.into_iter().collect::<Vec<_>>().join("\n"), @r#"
        env."": names of environment variables are printable ASCII without '='
        env."A=B": names of environment variables are printable ASCII without '='
        env.C: want either value or valueFrom
        env.D: want either value or valueFrom
        files."/": paths of files are absolute, without empty, '.' and '..' parts
        files."/a/": paths of files are absolute, without empty, '.' and '..' parts
        files."/a/../b": paths of files are absolute, without empty, '.' and '..' parts
        files."/nix/x": files cannot lie in /nix: the closure is mounted there
        files."etc/a": paths of files are absolute, without empty, '.' and '..' parts
        ports."-a": names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
        ports."80": names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
        ports.Http: names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
        ports.a--b: names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
        ports.more-than-fifteen: names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
        service.ports.http: the service names a port that is not among the ports
          hint: did you mean 'Http'?
        "#);
        let broken = broken_rules(&json!({ "service": {} }));
        insta::assert_snapshot!(broken.into_iter().collect::<Vec<_>>().join("\n"), @"service: a service needs ports, and there are none");
    }

    #[test]
    fn what_keeps_the_rules_passes() {
        let broken = broken_rules(&json!({
            "env": { "a.b-c": { "value": "x" }, "T": { "valueFrom": {} } },
            "files": { "/etc/a.conf": {}, "/nixos/x": {}, "/..a/b": {} },
            "ports": { "http": {}, "a-1": {} },
            "service": { "ports": { "http": 80 } },
        }));
        assert_eq!(broken, BTreeSet::new());
    }
}
