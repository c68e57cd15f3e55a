//! On which nodes a workload can run.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use crate::workload::{Closure, System};

/// A system that no Kubernetes node has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no node can run the closure for {0}: Kubernetes knows no such architecture of Linux")]
pub struct UnknownSystem(pub System);

/// Go's name of a Linux system's architecture, which nodes carry as the label `kubernetes.io/arch`.
pub fn architecture(system: &System) -> Option<&'static str> {
    Some(match system.as_str().strip_suffix("-linux")? {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i686" => "386",
        "armv6l" | "armv7l" => "arm",
        "riscv64" => "riscv64",
        "powerpc64le" => "ppc64le",
        "s390x" => "s390x",
        "loongarch64" => "loong64",
        _ => return None,
    })
}

/// Only nodes of the systems that there are closures for, whatever else the pod asks of nodes.
pub(super) fn require_systems(
    pod: &mut PodSpec,
    closures: &[Closure],
) -> Result<(), UnknownSystem> {
    let own = systems(closures)?;
    let terms = &mut pod
        .affinity
        .get_or_insert_default()
        .node_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_default()
        .node_selector_terms;
    if terms.is_empty() {
        terms.push(NodeSelectorTerm::default());
    }
    // A node has to meet one of the terms: so each of them asks for a system.
    for term in terms {
        term.match_expressions
            .get_or_insert_default()
            .extend(own.clone());
    }
    Ok(())
}

fn systems(closures: &[Closure]) -> Result<Vec<NodeSelectorRequirement>, UnknownSystem> {
    let mut architectures = Vec::new();
    for closure in closures {
        let architecture =
            architecture(&closure.system).ok_or_else(|| UnknownSystem(closure.system.clone()))?;
        architectures.push(architecture.to_owned());
    }
    architectures.sort();
    architectures.dedup();
    let one_of = |key: &str, values: Vec<String>| NodeSelectorRequirement {
        key: key.to_owned(),
        operator: "In".to_owned(),
        values: Some(values),
    };
    Ok(vec![
        one_of("kubernetes.io/os", vec!["linux".to_owned()]),
        one_of("kubernetes.io/arch", architectures),
    ])
}
