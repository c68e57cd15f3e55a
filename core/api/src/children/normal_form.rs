//! Objects as the API server gives them back: what it would rewrite or leave out is written in its form, so that a
//! comparison of an object with the cluster's finds no difference.
//!
//! Of what is not given, the server fills in much; that is no difference, as nothing was said of it. But a zero, an empty
//! text, list or map is to most fields the same as nothing, and a quantity has many spellings.

use serde_json::{Map, Value};

use crate::quantity::{Amount, MILLI};

/// Maps whose keys are not the API's.
const MAPS: [&str; 8] = [
    "annotations",
    "data",
    "labels",
    "matchLabels",
    "nodeSelector",
    "userAnnotations",
    "volumeAttributes",
    "options",
];
/// Quantities of resources by name: the server rounds them up to thousandths.
const RESOURCES: [&str; 3] = ["limits", "overhead", "requests"];
const QUANTITIES: [&str; 4] = ["averageValue", "divisor", "sizeLimit", "tolerance"];

/// Fields in which zero, `false` and the empty text are the same as nothing; those of the types of Kubernetes that are no
/// pointers and can be left out.
const NOTHING_WHEN_ZERO: [&str; 55] = [
    "apiVersion",
    "audience",
    "chapAuthDiscovery",
    "chapAuthSession",
    "containerName",
    "directory",
    "dnsPolicy",
    "effect",
    "failureThreshold",
    "fsType",
    "host",
    "hostIP",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPort",
    "hostname",
    "imagePullPolicy",
    "initialDelaySeconds",
    "iscsiInterface",
    "keyring",
    "level",
    "medium",
    "minReadySeconds",
    "nodeName",
    "partition",
    "periodSeconds",
    "pool",
    "prefix",
    "priorityClassName",
    "protectionDomain",
    "protocol",
    "pullPolicy",
    "readOnly",
    "reference",
    "request",
    "revision",
    "role",
    "schedulerName",
    "scheme",
    "secretFile",
    "serviceAccountName",
    "sslEnabled",
    "stdin",
    "stdinOnce",
    "storageMode",
    "storagePool",
    "subPath",
    "subPathExpr",
    "subdomain",
    "successThreshold",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "timeoutSeconds",
    "tty",
];
/// The same in objects in these fields only; elsewhere the name is another field's.
const NOTHING_WHEN_ZERO_IN: [(&str, &str); 14] = [
    ("cephfs", "path"),
    ("cephfs", "user"),
    ("containers", "workingDir"),
    ("env", "value"),
    ("httpGet", "path"),
    ("initContainers", "workingDir"),
    ("ports", "name"),
    ("quobyte", "group"),
    ("quobyte", "user"),
    ("seLinuxOptions", "type"),
    ("seLinuxOptions", "user"),
    ("tolerations", "key"),
    ("tolerations", "operator"),
    ("tolerations", "value"),
];
/// Pointers, against [`NOTHING_WHEN_ZERO`].
const KEPT_IN: [(&str, &str); 4] = [
    ("azureDisk", "fsType"),
    ("azureDisk", "readOnly"),
    ("csi", "fsType"),
    ("csi", "readOnly"),
];

/// Brings an object of Kubernetes' own kinds into the form.
pub(super) fn normalize(object: &mut Value) {
    if let Value::Object(fields) = object {
        fields_of("", fields);
    }
}

/// The fields of an object that stands, maybe in a list, in the field `within`.
fn fields_of(within: &str, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| {
        field(within, name, value);
        !is_nothing(within, name, value)
    });
}

fn field(within: &str, name: &str, value: &mut Value) {
    let is_quantity = QUANTITIES.contains(&name) || (within, name) == ("target", "value");
    match value {
        Value::Object(resources) if RESOURCES.contains(&name) => {
            resources
                .values_mut()
                .for_each(|value| quantity(value, true));
        }
        value if is_quantity => quantity(value, false),
        Value::Object(_) if MAPS.contains(&name) => {}
        Value::Object(fields) => fields_of(name, fields),
        Value::Array(items) => {
            for item in items {
                if let Value::Object(fields) = item {
                    fields_of(name, fields);
                }
            }
        }
        _ => {}
    }
}

fn quantity(value: &mut Value, is_resource: bool) {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    // What is none is refused elsewhere.
    if let Ok(mut amount) = text.parse::<Amount>() {
        if is_resource {
            amount.round_up(MILLI);
        }
        *value = amount.to_string().into();
    }
}

fn is_nothing(within: &str, name: &str, value: &Value) -> bool {
    let is_zero = match value {
        Value::Null => return true,
        Value::Array(items) => return items.is_empty(),
        Value::Object(fields) => {
            return fields.is_empty() && (MAPS.contains(&name) || RESOURCES.contains(&name));
        }
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
    };
    let field = (within, name);
    is_zero
        && !KEPT_IN.contains(&field)
        && (NOTHING_WHEN_ZERO.contains(&name) || NOTHING_WHEN_ZERO_IN.contains(&field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normal(mut object: Value) -> Value {
        normalize(&mut object);
        object
    }

    #[test]
    fn quantities_are_written_as_the_server_prints_them() {
        let object = json!({
            "resources": {
                "limits": { "cpu": "1000m", "memory": "1024Mi", "example.org/gpu": 1 },
                "requests": { "cpu": "0.1001", "memory": "1.5Gi" },
            },
            "volumes": [{ "emptyDir": { "sizeLimit": "2048Ki" } }],
            "env": [{ "valueFrom": { "resourceFieldRef": { "divisor": "1000u" } } }],
            "metrics": [{ "pods": { "target": { "averageValue": "1500u", "value": "1000" } } }],
            "overhead": { "cpu": "250u" },
        });
        let expected = json!({
            "resources": {
                "limits": { "cpu": "1", "memory": "1Gi", "example.org/gpu": "1" },
                "requests": { "cpu": "101m", "memory": "1536Mi" },
            },
            "volumes": [{ "emptyDir": { "sizeLimit": "2Mi" } }],
            "env": [{ "valueFrom": { "resourceFieldRef": { "divisor": "1m" } } }],
            "metrics": [{ "pods": { "target": { "averageValue": "1500u", "value": "1k" } } }],
            "overhead": { "cpu": "1m" },
        });
        assert_eq!(normal(object), expected);
    }

    #[test]
    fn what_is_the_same_as_nothing_is_left_out() {
        let object = json!({
            "metadata": { "annotations": {}, "name": "web" },
            "hostNetwork": false,
            "nodeSelector": {},
            "tolerations": [],
            "livenessProbe": { "timeoutSeconds": 0, "initialDelaySeconds": 0, "httpGet": { "path": "", "port": 80 } },
            "env": [{ "name": "A", "value": "" }],
            "volumeMounts": [{ "name": "a", "readOnly": false, "subPath": "" }],
            "resources": { "limits": {} },
            "affinity": null,
        });
        let expected = json!({
            "metadata": { "name": "web" },
            "livenessProbe": { "httpGet": { "port": 80 } },
            "env": [{ "name": "A" }],
            "volumeMounts": [{ "name": "a" }],
            "resources": {},
        });
        assert_eq!(normal(object), expected);
    }

    #[test]
    fn what_says_something_is_kept() {
        let object = json!({
            "replicas": 0,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": { "disk": "", "hostNetwork": "" },
            "selector": { "matchLabels": { "tty": "" } },
            "emptyDir": {},
            "securityContext": { "runAsUser": 0, "privileged": false },
            "csi": { "readOnly": false, "volumeAttributes": { "value": "" } },
            "options": [{ "name": "ndots", "value": "" }],
            "ingress": [{}],
        });
        assert_eq!(normal(object.clone()), object);
    }
}
