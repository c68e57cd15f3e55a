use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service as Object, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::DynamicObject;

use super::{ChildrenError, Own, Parent, object, pod};
use crate::workload::{
    IpFamily, IpFamilyPolicy, NiphasWorkloadSpec, Port, Service, ServiceType, SessionAffinity,
    TrafficPolicy, WorkloadKind,
};

/// The Services, and for a StatefulSet the headless one that gives its pods their names.
pub(super) fn services(parent: &Parent<'_>) -> Result<Vec<DynamicObject>, ChildrenError> {
    let spec = parent.spec();
    let mut services = Vec::new();
    for (name, service) in parent.named(spec.service.as_ref(), &spec.services, |service| {
        service.name.as_ref()
    }) {
        services.push(one(parent, name, service)?);
    }
    if spec.kind == WorkloadKind::StatefulSet {
        let ports: Vec<ServicePort> = spec
            .ports
            .iter()
            .chain(given_ports(spec))
            .map(|(name, port)| service_port(name, port))
            .collect();
        services.push(object(&Object {
            metadata: parent.metadata_of(headless_service(&parent.name())),
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".to_owned()),
                ports: (!ports.is_empty()).then_some(ports),
                publish_not_ready_addresses: Some(true),
                selector: Some(parent.selector_labels()),
                ..ServiceSpec::default()
            }),
            ..Object::default()
        })?);
    }
    Ok(services)
}

/// The name of the Service that governs the StatefulSet of a workload.
pub fn headless_service(workload: &str) -> String {
    format!("{workload}-pods")
}

fn one(
    parent: &Parent<'_>,
    name: String,
    service: &Service,
) -> Result<DynamicObject, ChildrenError> {
    let ports = ports(parent.spec(), &name, service)?;
    let own = Own {
        labels: &service.labels,
        annotations: &service.annotations,
    };
    let list = |items: &[String]| (!items.is_empty()).then(|| items.to_vec());
    let families: Vec<String> = service.ip_families.iter().copied().map(family).collect();
    object(&Object {
        metadata: parent.metadata_with(name, own),
        spec: Some(ServiceSpec {
            allocate_load_balancer_node_ports: service.allocate_load_balancer_node_ports,
            cluster_ip: service.cluster_ip.map(|_| "None".to_owned()),
            external_traffic_policy: service.external_traffic_policy.map(policy),
            internal_traffic_policy: service.internal_traffic_policy.map(policy),
            ip_families: list(&families),
            ip_family_policy: service.ip_family_policy.map(family_policy),
            load_balancer_class: service.load_balancer_class.clone(),
            load_balancer_source_ranges: list(&service.load_balancer_source_ranges),
            ports: Some(ports),
            publish_not_ready_addresses: service.publish_not_ready_addresses.then_some(true),
            selector: Some(parent.selector_labels()),
            session_affinity: service.session_affinity.map(affinity),
            session_affinity_config: service.session_affinity_config.clone(),
            traffic_distribution: service.traffic_distribution.clone(),
            type_: Some(type_name(service.service_type)),
            ..ServiceSpec::default()
        }),
        ..Object::default()
    })
}

/// Those of the workload's own program, and those of others that the Service names.
fn ports(
    spec: &NiphasWorkloadSpec,
    name: &str,
    service: &Service,
) -> Result<Vec<ServicePort>, ChildrenError> {
    let others: BTreeMap<&String, &Port> = others(spec).collect();
    let find = |name: &String| {
        let other = others
            .get_key_value(name)
            .map(|(name, port)| (*name, *port));
        spec.ports.get_key_value(name).or(other)
    };
    let named = service
        .ports
        .keys()
        .chain(&service.port_names)
        .chain(service.node_ports.keys());
    for port in named {
        if find(port).is_none() {
            return Err(ChildrenError::UnknownPort {
                service: name.to_owned(),
                port: port.clone(),
            });
        }
    }
    let chosen: BTreeMap<&String, &Port> = if service.port_names.is_empty() {
        let given = service.ports.keys().filter_map(find);
        spec.ports.iter().chain(given).collect()
    } else {
        service.port_names.iter().filter_map(find).collect()
    };
    Ok(chosen
        .into_iter()
        .map(|(name, port)| ServicePort {
            node_port: service.node_ports.get(name).copied(),
            port: service.ports.get(name).copied().unwrap_or(port.port),
            ..service_port(name, port)
        })
        .collect())
}

fn service_port(name: &str, port: &Port) -> ServicePort {
    ServicePort {
        app_protocol: port.app_protocol.clone(),
        name: Some(name.to_owned()),
        port: port.port,
        protocol: Some(pod::protocol(port.protocol)),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}

/// The ports of the programs beside the workload's own.
fn others(spec: &NiphasWorkloadSpec) -> impl Iterator<Item = (&String, &Port)> {
    let others = spec.containers.values();
    let others = others.chain(spec.init_containers.values());
    others.flat_map(|other| &other.ports)
}

/// Those of them that the Service gives a number.
fn given_ports(spec: &NiphasWorkloadSpec) -> impl Iterator<Item = (&String, &Port)> {
    let given = spec.service.as_ref().map(|service| &service.ports);
    others(spec).filter(move |(name, _)| {
        !spec.ports.contains_key(*name) && given.is_some_and(|given| given.contains_key(*name))
    })
}

fn type_name(service_type: ServiceType) -> String {
    match service_type {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
    .to_owned()
}

fn policy(policy: TrafficPolicy) -> String {
    match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    }
    .to_owned()
}

fn affinity(affinity: SessionAffinity) -> String {
    match affinity {
        SessionAffinity::ClientIP => "ClientIP",
        SessionAffinity::None => "None",
    }
    .to_owned()
}

fn family(family: IpFamily) -> String {
    match family {
        IpFamily::IPv4 => "IPv4",
        IpFamily::IPv6 => "IPv6",
    }
    .to_owned()
}

fn family_policy(policy: IpFamilyPolicy) -> String {
    match policy {
        IpFamilyPolicy::SingleStack => "SingleStack",
        IpFamilyPolicy::PreferDualStack => "PreferDualStack",
        IpFamilyPolicy::RequireDualStack => "RequireDualStack",
    }
    .to_owned()
}
