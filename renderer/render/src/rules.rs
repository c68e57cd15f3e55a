//! The rules of the CRD that its types do not say: its CEL expressions, asked before anything is
//! committed, as the API server will ask them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Program, Value as CelValue};
use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::attribute_path::AttributePath;
use crate::problem::ProblemKind;
use crate::rule_words::in_words;
use crate::schema::Checker;

/// The rules of schemas, each compiled once.
pub(crate) struct Rules {
    env: Arc<Env>,
    compiled: RefCell<HashMap<String, Option<Rc<Program>>>>,
    lenient: Cell<bool>,
}

/// What a rule is asked of.
struct Asked<'v> {
    this: &'v (dyn Val + 'v),
    /// A variable beside `self`, and its value.
    key: Option<(&'v str, &'v str)>,
}

impl VariableResolver for Asked<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        match self.key {
            _ if variable == "self" => Some(CowVal::Borrowed(self.this)),
            Some((name, key)) if variable == name => Some(CowVal::owned(CelString::from(key))),
            _ => None,
        }
    }
}

/// The language that rules are written in. Its own `matches` would compile the same expression for every string.
fn language() -> Env {
    fn matches(
        this: &CelString<'_>,
        expression: &CelString<'_>,
    ) -> Result<CelBool, ExecutionError> {
        static KNOWN: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let expression = expression.inner();
        if !known.contains_key(expression) {
            let compiled = Regex::new(expression)
                .map_err(|error| ExecutionError::function_error("matches", error.to_string()))?;
            known.insert(expression.to_owned(), compiled);
        }
        Ok(CelBool::from(known[expression].is_match(this.inner())))
    }
    let mut env = Env::stdlib();
    cel::add_member_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>)
        .expect("the language has no other function of that name");
    env
}

/// A value as rules see it.
fn to_cel(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(flag) => Box::new(CelBool::from(*flag)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Box::new(CelInt::from(number)),
            None => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => {
            let items: Vec<Box<dyn Val + '_>> = items.iter().map(to_cel).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields: HashMap<CelMapKey<'_>, Box<dyn Val + '_>> = fields
                .map(|(name, field)| (CelMapKey::from(name.as_str()), to_cel(field)))
                .collect();
            Box::new(CelMap::from(fields))
        }
    }
}

impl Rules {
    pub(crate) fn new() -> Self {
        Self {
            env: Arc::new(language()),
            compiled: RefCell::default(),
            lenient: Cell::new(false),
        }
    }

    /// Checks attributes that passed [`Checker::check`] against the rules in `schema`.
    pub(crate) fn check(
        &self,
        checker: &mut Checker<'_>,
        path: &AttributePath,
        schema: &Value,
        attributes: &Value,
    ) {
        // A rule cannot be asked of what has a wrong type, and that was reported.
        self.lenient.set(!checker.problems.is_empty());
        let value = with_defaults(schema, attributes);
        self.walk(checker, path, schema, &value, to_cel(&value).as_ref());
    }

    fn compiled(&self, rule: &str) -> Option<Rc<Program>> {
        if let Some(known) = self.compiled.borrow().get(rule) {
            return known.clone();
        }
        let program = self.env.compile(rule).ok().map(Rc::new);
        let mut compiled = self.compiled.borrow_mut();
        compiled.insert(rule.to_owned(), program.clone());
        program
    }

    /// `value` and `asked` are the same, for us and for rules.
    fn walk(
        &self,
        checker: &mut Checker<'_>,
        path: &AttributePath,
        schema: &Value,
        value: &Value,
        asked: &dyn Val,
    ) {
        let rules = schema["x-kubernetes-validations"].as_array();
        for rule in rules.into_iter().flatten() {
            let text = |name: &str| rule[name].as_str().unwrap_or_default();
            // What may not change is for the API server to say: it knows how the object was.
            if !text("rule").contains("oldSelf") {
                let path = below(path, text("fieldPath"));
                self.ask(
                    checker,
                    &path,
                    (text("rule"), text("message")),
                    value,
                    asked,
                );
            }
        }
        match value {
            Value::Object(fields) => {
                let Some(asked) = asked.downcast_ref::<CelMap<'_>>() else {
                    return;
                };
                for (name, field) in fields {
                    let inner = schema["properties"].get(name);
                    if let Some(inner) = inner.or_else(|| schema.get("additionalProperties"))
                        && let Some(asked) = asked.inner().get(&CelMapKey::from(name.as_str()))
                    {
                        self.walk(checker, &path.attribute(name), inner, field, asked.as_ref());
                    }
                }
            }
            Value::Array(items) => {
                let Some(asked) = asked.downcast_ref::<CelList<'_>>() else {
                    return;
                };
                for (index, (item, asked)) in items.iter().zip(asked.inner()).enumerate() {
                    let path = path.index(index);
                    self.walk(checker, &path, &schema["items"], item, asked.as_ref());
                }
            }
            _ => {}
        }
    }

    fn ask(
        &self,
        checker: &mut Checker<'_>,
        path: &AttributePath,
        (rule, message): (&str, &str),
        value: &Value,
        this: &dyn Val,
    ) {
        let mut report = |path: &AttributePath| {
            let (rule, hint) = in_words(message, value, path);
            checker.report(path, ProblemKind::Rule { rule, hint });
        };
        match (of_every_key(rule), value) {
            // Then the problem has the key's place, and each key that breaks the rule is reported.
            (Some((variable, condition)), Value::Object(fields)) => {
                for name in fields.keys() {
                    let key = Some((variable, name.as_str()));
                    if self.is_broken(condition, &Asked { this, key }) {
                        report(&path.attribute(name));
                    }
                }
            }
            _ if self.is_broken(rule, &Asked { this, key: None }) => report(path),
            _ => {}
        }
    }

    fn is_broken(&self, rule: &str, asked: &Asked<'_>) -> bool {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(asked);
        let answer = self.compiled(rule).map(|rule| rule.execute(&context));
        match answer {
            Some(Ok(CelValue::Bool(holds))) => !holds,
            _ => !self.lenient.get(),
        }
    }
}

/// The path that a rule of something at `path` is about; the API server tells it, too.
fn below(path: &AttributePath, field_path: &str) -> AttributePath {
    field_path
        .split('.')
        .filter(|name| !name.is_empty())
        .fold(path.clone(), |path, name| path.attribute(name))
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
pub(crate) fn with_defaults(schema: &Value, value: &Value) -> Value {
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

    use serde_json::json;

    use super::*;
    use crate::schema::{object_schema, workload_schema};

    fn broken_rules(attributes: &Value) -> String {
        let locate = |_: &AttributePath| None;
        let mut checker = Checker::new(&locate);
        let path = AttributePath::default();
        Rules::new().check(
            &mut checker,
            &path,
            &workload_schema(object_schema()),
            attributes,
        );
        let problems: BTreeSet<String> = checker.problems.iter().map(ToString::to_string).collect();
        Vec::from_iter(problems).join("\n")
    }

    #[test]
    fn rules_of_every_key_tell_which_key() {
        insta::assert_snapshot!(broken_rules(&json!({
            "env": { "A=B": { "value": "x" }, "": { "value": "x" }, "C": {}, "D": { "value": "", "valueFrom": {} } },
            "files": { "etc/a": {}, "/": {}, "/a/../b": {}, "/a/": {}, "/nix/x": {} },
            "ports": {
                "Http": { "port": 1 }, "80": { "port": 2 }, "-a": { "port": 3 }, "a--b": { "port": 4 },
                "more-than-fifteen": { "port": 5 }, "x": { "port": 6 }, "y": { "port": 6 },
                "z": { "port": 6, "protocol": "UDP" },
            },
            "kind": "StatefulSet",
            "volumeClaims": { "tmp": { "mountPath": "/a", "storage": "1Gi" }, "b": { "mountPath": "/a", "storage": "1Gi" }, "c": { "mountPath": "/a/.." } },
        })), @r#"
        env."": names of environment variables are printable ASCII without '='
        env."A=B": names of environment variables are printable ASCII without '='
        env.C: expected either value or valueFrom
          hint: write one of the two
        env.D.valueFrom: expected one of configMapKeyRef, fieldRef, resourceFieldRef and secretKeyRef
        env.D: expected either value or valueFrom
          hint: write one of the two
        files."/": paths of files are absolute, without ':' and without empty, '.' and '..' parts
          hint: write it like "/etc/app/config.toml"
        files."/a/": paths of files are absolute, without ':' and without empty, '.' and '..' parts
          hint: write it like "/etc/app/config.toml"
        files."/a/../b": paths of files are absolute, without ':' and without empty, '.' and '..' parts
          hint: write it like "/etc/app/config.toml"
        files."/nix/x": files cannot lie in /nix, where the closure is mounted, nor be /tmp, which is a folder
          hint: put it into the package, or elsewhere
        files."etc/a": paths of files are absolute, without ':' and without empty, '.' and '..' parts
          hint: write it like "/etc/app/config.toml"
        ports."-a": names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
          hint: write it like http or grpc-web
        ports."80": names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
          hint: write it like http or grpc-web
        ports.Http: names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
          hint: write it like http or grpc-web
        ports.a--b: names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
          hint: write it like http or grpc-web
        ports.more-than-fifteen: names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter
          hint: write it like http or grpc-web
        ports.x: two ports have the same number and protocol: 6
          hint: give one of the two another number
        ports.y: two ports have the same number and protocol: 6
          hint: give one of the two another number
        volumeClaims.b: two volume claims are mounted at the same path
          hint: give one of the two another mountPath
        volumeClaims.c.mountPath: storage is mounted at an absolute path, and not in /nix: the closure is mounted there
        volumeClaims.c: expected either storage, or claimName for a claim that is there already
          hint: write one of the two
        volumeClaims.tmp: two volume claims are mounted at the same path
          hint: give one of the two another mountPath
        volumeClaims.tmp: volume claims cannot be named closure, files or tmp: niphas has volumes of these names
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
        })), @r#"
        autoscaling: autoscaling needs something to go by: cpu, memory or metrics
          hint: write cpu = 80 for 80 percent of what the pods request
        autoscaling: minReplicas is larger than maxReplicas
          hint: write a larger maxReplicas
        disruptionBudget: expected either minAvailable or maxUnavailable
          hint: write one of the two, like maxUnavailable = 1
        ingress.port: the ingress must name one of the ports, as there are several
          hint: write port = "…", the name of one
        job: job is for the kinds Job and CronJob
          hint: take it away, or write another kind; null takes away what defaults say
        service.ports: the service names the port "http", which is not among the ports
          hint: the ports are admin, web
        strategy.type: a Deployment has no strategy OnDelete, and only a Deployment has Recreate
          hint: write RollingUpdate
        strategy: maxSurge, maxUnavailable and partition are for the type RollingUpdate
          hint: take them away, or write type = "RollingUpdate"
        "#);
        insta::assert_snapshot!(broken_rules(&json!({
            "kind": "Job",
            "replicas": 2,
            "service": {},
            "httpRoute": { "parentRefs": [] },
            "job": { "ttlSecondsAfterFinished": 1 },
            "cronJob": { "schedule": "TZ=UTC * * * * *" },
            "volumeClaims": { "data": { "mountPath": "/nix/data", "storage": "1Gi" } },
        })), @r#"
        cronJob.schedule: the time zone of a schedule goes into timeZone
        cronJob: the kind CronJob needs cronJob with a schedule, and no other kind has it
          hint: write both kind = "CronJob" and cronJob.schedule, or neither
        job.ttlSecondsAfterFinished: ttlSecondsAfterFinished is for the kind CronJob: a Job that removed itself would run again
        replicas: replicas are for the kinds Deployment and StatefulSet
          hint: take it away, or write another kind; null takes away what defaults say
        service: a service needs ports, and there are none
          hint: write them as ports.<name>, like ports.http = 8080
        volumeClaims.data.mountPath: storage is mounted at an absolute path, and not in /nix: the closure is mounted there
        "#);
        insta::assert_snapshot!(broken_rules(&json!({
            "kind": "DaemonSet",
            "command": [""],
            "ports": { "http": { "port": 80 }, "admin": { "port": 81 } },
            "service": { "ports": { "http": 81 }, "annotations": { "/a": "" } },
            "ingress": { "port": "http", "hosts": { "A.example": {} } },
            "probes": {
                "liveness": { "httpGet": { "port": "web" }, "successThreshold": 2 },
                "readiness": { "httpGet": { "port": "http" }, "exec": {} },
                "startup": { "tcpSocket": { "port": 80 } },
            },
            "strategy": { "maxSurge": 1 },
        })), @r#"
        command: the first element is the program, and cannot be empty
        ingress.hosts."A.example": hosts are names of DNS, in lower case; the first part may be '*'
        probes.liveness.successThreshold: only a readiness probe can have another successThreshold than 1
        probes.liveness: the probe names the port "web", which is not among the ports
          hint: the ports are admin, http
        probes.readiness: a probe needs one of exec, grpc, httpGet and tcpSocket
          hint: write one of them, like httpGet = { path = "/"; port = "http"; }
        service.annotations."/a": keys of annotations are names of at most 63 letters, digits, '-', '_' and '.', with a domain and '/' before them or not
        service.ports: two ports have the same number on the service
        strategy.maxUnavailable: a DaemonSet with maxSurge needs maxUnavailable 0
        "#);
    }

    #[test]
    fn what_keeps_the_rules_passes() {
        let all = [
            json!({}),
            json!({
                "env": { "a.b-c": { "value": "x" }, "T": { "valueFrom": { "fieldRef": {} } } },
                "files": { "/etc/a.conf": {}, "/nixos/x": {}, "/..a/b": {} },
                "ports": { "http": { "port": 8080 }, "a-1": { "port": 8081 } },
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
        assert!(parse(&language(), &workload_schema(object_schema())) > 20);
    }
}
