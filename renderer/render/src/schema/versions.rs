//! Versions of Kubernetes, and what each of them has.

use serde_json::{Value, json};

/// In a schema: the first minor version of Kubernetes that has it, if the oldest known one has not.
const SINCE: &str = "x-since";

/// In a schema: the last minor version of Kubernetes that has it, if the newest known one has not.
const UNTIL: &str = "x-until";

/// A version of Kubernetes whose types are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KubernetesVersion {
    minor: u64,
}

impl Default for KubernetesVersion {
    /// The oldest that is supported: what pods of workloads are made with.
    fn default() -> Self {
        Self { minor: 33 }
    }
}

impl KubernetesVersion {
    const OLDEST: u64 = 31;
    const NEWEST: u64 = 37;

    /// Reads the attribute `kubernetes` of an environment, whose types were checked.
    pub(crate) fn of_environment(kubernetes: &Value) -> Self {
        let text = kubernetes["version"].as_str().unwrap_or_default();
        let minor = text.strip_prefix("1.").and_then(|minor| minor.parse().ok());
        minor.map_or_else(Self::default, |minor| Self { minor })
    }

    /// Why this version does not have what a schema is of, and what can be done; `None` if it has.
    pub(crate) fn lacks(self, schema: &Value) -> Option<(String, String)> {
        let (since, until) = (schema[SINCE].as_u64(), schema[UNTIL].as_u64());
        let (which, other) = match (since, until) {
            (Some(since), _) if self.minor < since => ("first", since),
            (_, Some(until)) if self.minor > until => ("last", until),
            _ => return None,
        };
        Some((
            format!(
                "Kubernetes 1.{} has none: the {which} with it is 1.{other}",
                self.minor
            ),
            format!(
                "take it away, or write kubernetes.version = \"1.{other}\" if the cluster has that"
            ),
        ))
    }
}

/// The schema of the attribute `kubernetes` of an environment.
pub(crate) fn kubernetes_schema() -> Value {
    let versions = KubernetesVersion::OLDEST..=KubernetesVersion::NEWEST;
    let versions: Vec<String> = versions.map(|minor| format!("1.{minor}")).collect();
    json!({
        "type": "object",
        "properties": {
            "definitions": {},
            "version": { "type": "string", "enum": versions },
        },
    })
}
