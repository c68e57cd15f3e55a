use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::DynamicObject;

use super::{ChildrenError, Parent, non_empty, object, pod};
use crate::workload::{NiphasWorkloadSpec, Port, ServiceType, WorkloadKind};

/// The Service, and for a StatefulSet the headless one that gives its pods their names.
pub(super) fn services(parent: &Parent<'_>) -> Result<Vec<DynamicObject>, ChildrenError> {
    let spec = parent.spec();
    let mut services = Vec::new();
    if let Some(service) = &spec.service {
        let mut metadata = parent.metadata();
        metadata.annotations = non_empty(&service.annotations);
        let service_type = match service.service_type {
            ServiceType::ClusterIP => "ClusterIP",
            ServiceType::NodePort => "NodePort",
            ServiceType::LoadBalancer => "LoadBalancer",
        };
        services.push(object(&Service {
            metadata,
            spec: Some(ServiceSpec {
                ports: Some(ports(spec, |name, port| port_number(spec, name, port))),
                selector: Some(parent.selector_labels()),
                type_: Some(service_type.to_owned()),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        })?);
    }
    if spec.kind == WorkloadKind::StatefulSet {
        let ports = ports(spec, |_, port| port.port);
        services.push(object(&Service {
            metadata: parent.metadata_of(headless_service(&parent.name())),
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".to_owned()),
                ports: (!ports.is_empty()).then_some(ports),
                publish_not_ready_addresses: Some(true),
                selector: Some(parent.selector_labels()),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        })?);
    }
    Ok(services)
}

/// The name of the Service that governs the StatefulSet of a workload.
pub fn headless_service(workload: &str) -> String {
    format!("{workload}-pods")
}

/// The number of a port on the Service.
pub(super) fn port_number(spec: &NiphasWorkloadSpec, name: &str, port: &Port) -> i32 {
    let numbers = spec.service.as_ref().map(|service| &service.ports);
    let number = numbers.and_then(|numbers| numbers.get(name));
    number.copied().unwrap_or(port.port)
}

/// Those of the workload's own program, and those of others that the Service gives a number.
fn ports(spec: &NiphasWorkloadSpec, number: impl Fn(&str, &Port) -> i32) -> Vec<ServicePort> {
    let given = spec.service.as_ref().map(|service| &service.ports);
    let others = spec
        .containers
        .values()
        .chain(spec.init_containers.values());
    let others = others.flat_map(|other| &other.ports).filter(|(name, _)| {
        !spec.ports.contains_key(*name) && given.is_some_and(|given| given.contains_key(*name))
    });
    spec.ports
        .iter()
        .chain(others)
        .map(|(name, port)| ServicePort {
            name: Some(name.clone()),
            port: number(name, port),
            protocol: Some(pod::protocol(port.protocol)),
            target_port: Some(IntOrString::String(name.clone())),
            ..ServicePort::default()
        })
        .collect()
}
