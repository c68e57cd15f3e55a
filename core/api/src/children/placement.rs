//! On which nodes a workload can run.

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
};

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

/// Nodes of the systems that there are closures for, and no others.
pub(super) fn affinity(closures: &[Closure]) -> Result<Affinity, UnknownSystem> {
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
    let term = NodeSelectorTerm {
        match_expressions: Some(vec![
            one_of("kubernetes.io/os", vec!["linux".to_owned()]),
            one_of("kubernetes.io/arch", architectures),
        ]),
        ..NodeSelectorTerm::default()
    };
    Ok(Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![term],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    })
}
