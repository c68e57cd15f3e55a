//! Objects of a workload that the operator does not make: those that outlive it, and those that give rights, which the operator
//! would need to have itself. The renderer commits them beside the workload.

use niphas_api::{NiphasWorkload, shared_claims};
use serde_json::{Map, Value, json};

use crate::attribute_path::AttributePath;
use crate::problem::ProblemKind;
use crate::schema::Checker;

/// Has Argo CD, Flux and Fleet leave the object in the cluster when it is gone from the repository.
const KEPT: [(&str, &str); 3] = [
    (
        "argocd.argoproj.io/sync-options",
        "Delete=false,Prune=false",
    ),
    ("helm.sh/resource-policy", "keep"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
];

/// Attributes of a workload that are none of `spec`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Companions {
    /// The namespace of the workload's objects.
    pub(crate) namespace: Option<String>,
    /// What its Role allows.
    pub(crate) rules: Option<Value>,
}

impl Companions {
    /// Takes them out of the attributes, and reports what cannot be.
    pub(crate) fn take(
        checker: &mut Checker<'_>,
        path: &AttributePath,
        spec: &mut Map<String, Value>,
        environment: Option<&str>,
    ) -> Self {
        let namespace = spec.remove("namespace");
        let namespace = namespace.and_then(|name| name.as_str().map(ToOwned::to_owned));
        let rules = spec.remove("role").map(|mut role| role["rules"].take());
        if rules.is_some() {
            let lacking = if !spec.contains_key("serviceAccount") {
                Some((
                    "a role is for a ServiceAccount, and the workload has none",
                    "write serviceAccount = { mountToken = true; }",
                ))
            } else if namespace.is_none() && environment.is_none() {
                Some((
                    "a role needs a namespace, and neither the workload nor the environment has one",
                    "write namespace",
                ))
            } else {
                None
            };
            if let Some((problem, remedy)) = lacking {
                let kind = ProblemKind::Refused {
                    problem: problem.to_owned(),
                    remedy: Some(remedy.to_owned()),
                };
                checker.report(&path.attribute("role"), kind);
            }
        }
        Self { namespace, rules }
    }

    /// The objects, for a workload with its name, namespace and spec.
    pub(crate) fn objects(&self, workload: &NiphasWorkload) -> Result<Vec<Value>, ProblemKind> {
        let claims =
            shared_claims(workload).map_err(|error| ProblemKind::Children(error.to_string()))?;
        let mut objects: Vec<Value> = claims.iter().map(|claim| json!(claim)).collect();
        for claim in &mut objects {
            for (key, value) in KEPT {
                let annotation = &mut claim["metadata"]["annotations"][key];
                if annotation.is_null() {
                    *annotation = json!(value);
                }
            }
        }
        if let Some(rules) = &self.rules {
            objects.extend(role(workload, rules));
        }
        Ok(objects)
    }
}

/// A Role, and what binds it to the workload's ServiceAccount.
fn role(workload: &NiphasWorkload, rules: &Value) -> [Value; 2] {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let name = workload.metadata.name.as_deref().unwrap_or_default();
    let namespace = &workload.metadata.namespace;
    let mut labels =
        json!({ "app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "niphas" });
    for (key, value) in &workload.spec.labels {
        labels[key] = json!(value);
    }
    let object = |kind: &str| {
        json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": kind,
            "metadata": { "name": name, "namespace": namespace, "labels": labels, "annotations": workload.spec.annotations },
        })
    };
    let account = workload.spec.service_account.as_ref();
    let account = account.and_then(|account| account.name.as_deref());
    let mut role = object("Role");
    role["rules"] = rules.clone();
    let mut binding = object("RoleBinding");
    binding["roleRef"] = json!({ "apiGroup": GROUP, "kind": "Role", "name": name });
    binding["subjects"] = json!([{
        "kind": "ServiceAccount",
        "name": account.unwrap_or(name),
        "namespace": namespace,
    }]);
    [role, binding]
}
