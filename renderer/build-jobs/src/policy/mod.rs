//! What the administrator gives builds: machines, resources, time. Pure.

mod pattern;
mod size;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Toleration;
use niphas_api::source::Duration;
use serde::{Deserialize, Serialize};

pub use pattern::{BadPattern, Pattern};
pub use size::{BadCpu, BadSize, Cpu, Size};

/// What builds get. In files: camel case, and what is left out is as [`Policy::default`] has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// What a build gets unless a rule says something else.
    pub resources: Resources,
    /// What some builds get. Of several that match the last counts, for each value by itself.
    pub rules: Vec<Rule>,
    /// The features that derivations may require of machines (`requiredSystemFeatures`), and the nodes that have them. A derivation that
    /// requires another is not built.
    pub features: BTreeMap<String, Feature>,
    /// Labels that all nodes for builds have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that builds tolerate.
    pub tolerations: Vec<Toleration>,
    /// The longest that one build may be silent. None: as long as it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_silent_time: Option<Duration>,
    /// The most that one build may write to its log.
    pub max_log_size: Size,
    /// How long a pod may wait for a node and its image.
    pub pending_timeout: Duration,
    /// How long a pod may take to end on a node that does not answer, before another one takes its place.
    pub lost_timeout: Duration,
    /// How often a pod is replaced whose machine broke. Evictions do not count.
    pub replacements: u32,
    /// How often a Job is made for a derivation: after the first, with more memory, or since machines broke.
    pub attempts: u32,
    /// The most memory that a build gets that ran out of it.
    pub max_memory: Size,
    /// How long Jobs of builds that went well are kept, to be looked at.
    pub keep_built: Duration,
    /// How long failures are remembered, and shown.
    pub keep_failures: Duration,
}

/// What a build gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// Processors. Builders get more of a node that has nothing else to do.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Size,
    /// Room for its files and its outputs.
    pub disk: Size,
    /// The longest that it may take.
    pub timeout: Duration,
}

/// What some builds get.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rule {
    /// For derivations whose names match one of these. None: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Pattern>,
    /// For derivations that require all of these features.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub features: BTreeSet<String>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Room for its files and its outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Size>,
    /// The longest that it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Where a feature is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Feature {
    /// Labels of the nodes that have it.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of such nodes.
    pub tolerations: Vec<Toleration>,
    /// What a device plugin offers that the build needs, and how many: `devices.kubevirt.io/kvm: 1`.
    pub devices: BTreeMap<String, u32>,
}

impl Default for Policy {
    fn default() -> Self {
        // What the sandbox has on any node.
        let anywhere = ["benchmark", "big-parallel", "ca-derivations", "nixos-test"];
        let mut features: BTreeMap<String, Feature> = anywhere
            .map(|name| (name.to_owned(), Feature::default()))
            .into();
        features.insert("kvm".to_owned(), Feature::labelled("kvm"));
        Self {
            resources: Resources::default(),
            rules: Vec::new(),
            features,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            max_silent_time: None,
            max_log_size: Size::from_bytes(256 << 20),
            pending_timeout: Duration::from_secs(15 * 60),
            lost_timeout: Duration::from_secs(5 * 60),
            replacements: 2,
            attempts: 3,
            max_memory: Size::gibibytes(64),
            keep_built: Duration::from_secs(10 * 60),
            keep_failures: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu: Cpu::from_millis(1000),
            memory: Size::gibibytes(2),
            disk: Size::gibibytes(10),
            timeout: Duration::from_secs(4 * 3600),
        }
    }
}

impl Feature {
    /// One of the nodes that say so of themselves, with the label `features.niphas.io/<name>`.
    pub fn labelled(name: &str) -> Self {
        Self {
            node_selector: [(format!("{FEATURE_LABEL}{name}"), "true".to_owned())].into(),
            ..Self::default()
        }
    }
}

/// What the labels of nodes begin with that say what a node has.
pub const FEATURE_LABEL: &str = "features.niphas.io/";

impl Policy {
    /// What a derivation gets: its name is without `.drv`.
    pub fn resources(&self, name: &str, features: &BTreeSet<String>) -> Resources {
        let mut resources = self.resources.clone();
        for rule in self.rules.iter().filter(|rule| rule.is_for(name, features)) {
            let Resources {
                cpu,
                memory,
                disk,
                timeout,
            } = &mut resources;
            *cpu = rule.cpu.unwrap_or(*cpu);
            *memory = rule.memory.unwrap_or(*memory);
            *disk = rule.disk.unwrap_or(*disk);
            *timeout = rule.timeout.unwrap_or(*timeout);
        }
        resources
    }
}

impl Rule {
    fn is_for(&self, name: &str, features: &BTreeSet<String>) -> bool {
        let names = &self.names;
        (names.is_empty() || names.iter().any(|pattern| pattern.matches(name)))
            && self.features.is_subset(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_rules_that_match_the_last_counts_for_each_value() {
        let policy: Policy = serde_json::from_value(serde_json::json!({
            "resources": { "memory": "1Gi" },
            "rules": [
                { "features": ["big-parallel"], "cpu": "8", "memory": "8Gi" },
                { "names": ["linux-*", "gcc-*"], "memory": "16Gi", "timeout": "10h" },
            ],
        }))
        .unwrap();
        let of = |name: &str, features: &[&str]| {
            let features = features.iter().map(|it| (*it).to_owned()).collect();
            let it = policy.resources(name, &features);
            (
                it.cpu.to_string(),
                it.memory.to_string(),
                it.timeout.to_string(),
            )
        };
        let all = |cpu: &str, memory: &str, timeout: &str| {
            (cpu.to_owned(), memory.to_owned(), timeout.to_owned())
        };
        assert_eq!(of("hello", &[]), all("1", "1Gi", "4h"));
        assert_eq!(of("hello", &["big-parallel", "kvm"]), all("8", "8Gi", "4h"));
        assert_eq!(of("gcc-14", &["big-parallel"]), all("8", "16Gi", "10h"));
        assert_eq!(of("gcc-14", &[]), all("1", "16Gi", "10h"));
    }

    #[test]
    fn what_a_file_says_wrongly_is_an_error() {
        for wrong in [
            r#"{ "rule": [] }"#,
            r#"{ "rules": [{ "name": ["x"] }] }"#,
            r#"{ "rules": [{ "memory": "much" }] }"#,
            r#"{ "resources": { "cpu": "0" } }"#,
        ] {
            assert!(serde_json::from_str::<Policy>(wrong).is_err(), "{wrong}");
        }
        let written = serde_json::to_string(&Policy::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<Policy>(&written).unwrap(),
            Policy::default()
        );
    }
}
