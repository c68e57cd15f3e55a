//! The rules of the CRD that its types do not say: its CEL expressions, asked before anything is
//! committed, as the API server will ask them.

use std::sync::Arc;

use cel::{Context, Env, Value as CelValue};
use serde_json::{Map, Value, json};

use crate::attribute_path::AttributePath;
use crate::problem::ProblemKind;
use crate::schema::Checker;

/// Checks attributes that passed [`Checker::check`] against the rules in `schema`.
pub(crate) fn check(
    checker: &mut Checker<'_>,
    path: &AttributePath,
    schema: &Value,
    attributes: &Value,
) {
    let rules = Rules {
        env: Arc::new(Env::stdlib()),
        // A rule cannot be asked of what has a wrong type, and that was reported.
        lenient: !checker.problems.is_empty(),
    };
    rules.walk(checker, path, schema, &with_defaults(schema, attributes));
}

struct Rules {
    env: Arc<Env>,
    lenient: bool,
}

impl Rules {
    fn walk(&self, checker: &mut Checker<'_>, path: &AttributePath, schema: &Value, value: &Value) {
        let rules = schema["x-kubernetes-validations"].as_array();
        for rule in rules.into_iter().flatten() {
            let text = |name: &str| rule[name].as_str().unwrap_or_default();
            // What may not change is for the API server to say: it knows how the object was.
            if !text("rule").contains("oldSelf") {
                self.ask(checker, path, text("rule"), text("message"), value);
            }
        }
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    let inner = schema["properties"].get(name);
                    if let Some(inner) = inner.or_else(|| schema.get("additionalProperties")) {
                        self.walk(checker, &path.attribute(name), inner, field);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(checker, &path.index(index), &schema["items"], item);
                }
            }
            _ => {}
        }
    }

    fn ask(
        &self,
        checker: &mut Checker<'_>,
        path: &AttributePath,
        rule: &str,
        message: &str,
        value: &Value,
    ) {
        let mut report = |path: &AttributePath| {
            let rule = message.to_owned();
            checker.report(path, ProblemKind::Rule { rule });
        };
        match (of_every_key(rule), value) {
            // Then the problem has the key's place, and each key that breaks the rule is told.
            (Some((variable, condition)), Value::Object(fields)) => {
                for name in fields.keys() {
                    if self.is_broken(condition, variable, &json!(name)) {
                        report(&path.attribute(name));
                    }
                }
            }
            _ if self.is_broken(rule, "self", value) => report(path),
            _ => {}
        }
    }

    fn is_broken(&self, rule: &str, variable: &str, value: &Value) -> bool {
        let mut context = Context::with_env(Arc::clone(&self.env));
        let Ok(value) = cel::to_value(value) else {
            return false;
        };
        context.add_variable_from_value(variable, value);
        let answer = self.env.compile(rule).map(|rule| rule.execute(&context));
        match answer {
            Ok(Ok(CelValue::Bool(holds))) => !holds,
            _ => !self.lenient,
        }
    }
}

/// The variable and the condition of a rule `self.all(variable, condition)`.
fn of_every_key(rule: &str) -> Option<(&str, &str)> {
    let (variable, condition) = rule
        .strip_prefix("self.all(")?
        .strip_suffix(')')?
        .split_once(", ")?;
    // The last parenthesis must be the one that closes `all`.
    let mut depth = 0_usize;
    for byte in condition.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    Some((variable, condition))
}

/// The value with the schema's defaults, as the API server fills them in.
fn with_defaults(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut filled: Map<String, Value> = fields
                .iter()
                .map(|(name, field)| {
                    let inner = schema["properties"].get(name);
                    let inner = inner.or_else(|| schema.get("additionalProperties"));
                    (
                        name.clone(),
                        with_defaults(inner.unwrap_or(&Value::Null), field),
                    )
                })
                .collect();
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                if let (Some(default), None) = (inner.get("default"), filled.get(name)) {
                    filled.insert(name.clone(), default.clone());
                }
            }
            Value::Object(filled)
        }
        Value::Array(items) => items
            .iter()
            .map(|item| with_defaults(&schema["items"], item))
            .collect(),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::schema::workload_schema;

    fn broken_rules(attributes: &Value) -> String {
        let locate = |_: &AttributePath| None;
        let mut checker = Checker {
            locate: &locate,
            problems: Vec::new(),
        };
        let path = AttributePath::default();
        check(&mut checker, &path, &workload_schema(), attributes);
        let problems: BTreeSet<String> = checker.problems.iter().map(ToString::to_string).collect();
        Vec::from_iter(problems).join("\n")
    }

    #[test]
    fn rules_of_every_key_tell_which_key() {
        insta::assert_snapshot!(broken_rules(&json!({
            "env": { "A=B": { "value": "x" }, "": { "value": "x" }, "C": {}, "D": { "value": "", "valueFrom": {} } },
            "files": { "etc/a": {}, "/": {}, "/a/../b": {}, "/a/": {}, "/nix/x": {} },
            "ports": { "Http": {}, "80": {}, "-a": {}, "a--b": {}, "more-than-fifteen": {} },
        })), @r#"
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
        "#);
    }

    #[test]
    fn rules_between_fields_are_asked_of_the_whole() {
        insta::assert_snapshot!(broken_rules(&json!({
            "service": { "ports": { "http": 80 } },
            "ports": { "web": { "port": 80 }, "admin": { "port": 81 } },
            "ingress": { "hosts": { "a": {} } },
            "job": {},
            "autoscaling": { "minReplicas": 3, "maxReplicas": 2 },
            "disruptionBudget": {},
            "strategy": { "type": "OnDelete", "maxSurge": 1 },
        })), @r"
        a Deployment has no strategy OnDelete, and only a Deployment has Recreate
        autoscaling: autoscaling needs something to go by: cpu, memory or metrics
        autoscaling: minReplicas is larger than maxReplicas
        disruptionBudget: want either minAvailable or maxUnavailable
        job is for the kinds Job and CronJob
        strategy: maxSurge and maxUnavailable are for the type RollingUpdate
        the ingress must name one of the ports, as there are several
        the service names a port that is not among the ports
        ");
        insta::assert_snapshot!(broken_rules(&json!({
            "kind": "Job",
            "replicas": 2,
            "service": {},
            "httpRoute": { "parentRefs": [] },
            "job": { "ttlSecondsAfterFinished": 1 },
            "cronJob": { "schedule": "TZ=UTC * * * * *" },
            "volumeClaims": { "data": { "mountPath": "/nix/data", "storage": "1Gi" } },
        })), @r"
        a service needs ports, and there are none
        cronJob.schedule: the time zone of a schedule goes into timeZone
        replicas are for the kinds Deployment and StatefulSet
        the kind CronJob needs cronJob with a schedule, and no other kind has it
        ttlSecondsAfterFinished is for the kind CronJob: a Job that removed itself would run again
        volumeClaims are for the kind StatefulSet
        volumeClaims.data.mountPath: storage is mounted at an absolute path, and not in /nix: the closure is mounted there
        ");
    }

    #[test]
    fn what_keeps_the_rules_passes() {
        let all = [
            json!({}),
            json!({
                "env": { "a.b-c": { "value": "x" }, "T": { "valueFrom": {} } },
                "files": { "/etc/a.conf": {}, "/nixos/x": {}, "/..a/b": {} },
                "ports": { "http": {}, "a-1": {} },
                "service": { "ports": { "http": 80 } },
                "ingress": { "port": "http", "hosts": { "a": {} } },
                "strategy": { "type": "Recreate" },
            }),
            json!({
                "kind": "StatefulSet",
                "replicas": 3,
                "volumeClaims": { "data": { "mountPath": "/var/lib/db", "storage": "1Gi" } },
            }),
            json!({ "kind": "CronJob", "cronJob": { "schedule": "0 3 * * *" } }),
        ];
        for attributes in all {
            assert_eq!(broken_rules(&attributes), "", "{attributes}");
        }
    }

    #[test]
    fn every_rule_can_be_parsed() {
        fn parse(env: &Env, schema: &Value) -> usize {
            let rules = schema["x-kubernetes-validations"].as_array();
            let rules = rules.into_iter().flatten();
            let count = rules
                .inspect(|rule| {
                    env.compile(rule["rule"].as_str().unwrap()).unwrap();
                })
                .count();
            let inner: usize = match schema {
                Value::Object(fields) => fields.values().map(|field| parse(env, field)).sum(),
                Value::Array(items) => items.iter().map(|item| parse(env, item)).sum(),
                _ => 0,
            };
            count + inner
        }
        assert!(parse(&Env::stdlib(), &workload_schema()) > 20);
    }
}
