use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress as Object, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};
use kube::core::DynamicObject;

use super::{ChildrenError, Own, Parent, object};
use crate::workload::{Ingress, IngressHost, IngressPath, PathType};

pub(super) fn ingresses(parent: &Parent<'_>) -> Result<Vec<DynamicObject>, ChildrenError> {
    let spec = parent.spec();
    parent
        .named(spec.ingress.as_ref(), &spec.ingresses, |ingress| {
            ingress.name.as_ref()
        })
        .into_iter()
        .map(|(name, ingress)| one(parent, name, ingress))
        .collect()
}

fn one(
    parent: &Parent<'_>,
    name: String,
    ingress: &Ingress,
) -> Result<DynamicObject, ChildrenError> {
    let mut rules = Vec::new();
    let mut tls = Vec::new();
    for (name, host) in &ingress.hosts {
        rules.push(IngressRule {
            host: Some(name.clone()),
            http: Some(HTTPIngressRuleValue {
                paths: paths(parent, ingress, host)?,
            }),
        });
        if let Some(secret) = &host.tls_secret_name {
            tls.push(IngressTLS {
                hosts: Some(vec![name.clone()]),
                secret_name: Some(secret.clone()),
            });
        }
    }
    let own = Own {
        labels: &ingress.labels,
        annotations: &ingress.annotations,
    };
    object(&Object {
        metadata: parent.metadata_with(name, own),
        spec: Some(IngressSpec {
            ingress_class_name: ingress.class_name.clone(),
            rules: Some(rules),
            tls: (!tls.is_empty()).then_some(tls),
            ..IngressSpec::default()
        }),
        ..Object::default()
    })
}

/// The paths of a host that go to the workload, then those that say where they go.
fn paths(
    parent: &Parent<'_>,
    ingress: &Ingress,
    host: &IngressHost,
) -> Result<Vec<HTTPIngressPath>, ChildrenError> {
    let path_type = |own: Option<PathType>| {
        match own.or(ingress.path_type).unwrap_or(PathType::Prefix) {
            PathType::Prefix => "Prefix",
            PathType::Exact => "Exact",
            PathType::ImplementationSpecific => "ImplementationSpecific",
        }
        .to_owned()
    };
    let everything = vec!["/".to_owned()];
    let own = match host.paths.as_slice() {
        [] if host.backends.is_empty() => &everything,
        _ => &host.paths,
    };
    let mut paths = Vec::new();
    for path in own {
        let port = by_number(parent.routed_port(ingress.port.as_deref(), "ingress")?);
        paths.push(HTTPIngressPath {
            backend: backend(parent.service_name(), port),
            path: Some(path.clone()),
            path_type: path_type(None),
        });
    }
    for (path, to) in &host.backends {
        paths.push(HTTPIngressPath {
            backend: of_path(parent, ingress, to)?,
            path: Some(path.clone()),
            path_type: path_type(to.path_type),
        });
    }
    Ok(paths)
}

fn of_path(
    parent: &Parent<'_>,
    ingress: &Ingress,
    to: &IngressPath,
) -> Result<IngressBackend, ChildrenError> {
    let port = match (to.port_number, &to.port, &to.service) {
        (Some(number), _, _) => by_number(number),
        (None, Some(name), Some(_)) => ServiceBackendPort {
            name: Some(name.clone()),
            ..ServiceBackendPort::default()
        },
        (None, port, _) => {
            let port = port.as_deref().or(ingress.port.as_deref());
            by_number(parent.routed_port(port, "ingress")?)
        }
    };
    let service = to.service.clone();
    Ok(backend(
        service.unwrap_or_else(|| parent.service_name()),
        port,
    ))
}

fn by_number(number: i32) -> ServiceBackendPort {
    ServiceBackendPort {
        number: Some(number),
        ..ServiceBackendPort::default()
    }
}

fn backend(service: String, port: ServiceBackendPort) -> IngressBackend {
    IngressBackend {
        service: Some(IngressServiceBackend {
            name: service,
            port: Some(port),
        }),
        ..IngressBackend::default()
    }
}
