//! HTTP from outside of the cluster: Ingress, HTTPRoute.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};
use kube::core::DynamicObject;
use serde_json::json;

use super::{ChildrenError, Parent, non_empty, object};

pub(super) fn ingress(parent: &Parent<'_>) -> Result<Option<DynamicObject>, ChildrenError> {
    let Some(ingress) = &parent.spec().ingress else {
        return Ok(None);
    };
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: parent.name(),
            port: Some(ServiceBackendPort {
                number: Some(parent.routed_port(ingress.port.as_deref(), "ingress")?),
                ..ServiceBackendPort::default()
            }),
        }),
        ..IngressBackend::default()
    };
    let path = |path: &String| HTTPIngressPath {
        backend: backend.clone(),
        path: Some(path.clone()),
        path_type: "Prefix".to_owned(),
    };
    let mut rules = Vec::new();
    let mut tls = Vec::new();
    for (name, host) in &ingress.hosts {
        rules.push(IngressRule {
            host: Some(name.clone()),
            http: Some(HTTPIngressRuleValue {
                paths: host.paths.iter().map(path).collect(),
            }),
        });
        if let Some(secret) = &host.tls_secret_name {
            tls.push(IngressTLS {
                hosts: Some(vec![name.clone()]),
                secret_name: Some(secret.clone()),
            });
        }
    }
    let mut metadata = parent.metadata();
    metadata.annotations = non_empty(&ingress.annotations);
    object(&Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: ingress.class_name.clone(),
            rules: Some(rules),
            tls: (!tls.is_empty()).then_some(tls),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    })
    .map(Some)
}

/// An object of `gateway.networking.k8s.io/v1`.
pub(super) fn http_route(parent: &Parent<'_>) -> Result<Option<DynamicObject>, ChildrenError> {
    let Some(route) = &parent.spec().http_route else {
        return Ok(None);
    };
    let port = parent.routed_port(route.port.as_deref(), "httpRoute")?;
    let matches: Vec<_> = route
        .paths
        .iter()
        .map(|path| json!({ "path": { "type": "PathPrefix", "value": path } }))
        .collect();
    // With the defaults of the definition, which the API server would add and GitOps tools take for drift.
    let parents: Vec<_> = route
        .parent_refs
        .iter()
        .map(|gateway| {
            let mut parent = json!(gateway);
            parent["group"] = json!("gateway.networking.k8s.io");
            parent["kind"] = json!("Gateway");
            parent
        })
        .collect();
    let backend = json!({
        "group": "",
        "kind": "Service",
        "name": parent.name(),
        "port": port,
        "weight": 1,
    });
    let mut spec = json!({
        "parentRefs": parents,
        "rules": [{ "matches": matches, "backendRefs": [backend] }],
    });
    if !route.hostnames.is_empty() {
        spec["hostnames"] = json!(route.hostnames);
    }
    let mut metadata = parent.metadata();
    metadata.annotations = non_empty(&route.annotations);
    serde_json::from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": spec,
    }))
    .map(Some)
    .map_err(ChildrenError::Serialize)
}
