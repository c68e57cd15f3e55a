//! A workload as plain Kubernetes objects.

mod autoscaler;
mod batch;
mod config_map;
mod controller;
mod disruption_budget;
mod drain;
mod environment;
mod ingress;
mod network_policy;
mod normal_form;
mod placement;
mod pod;
mod routes;
mod service;
mod service_account;
mod storage;
mod users_template;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::Resource;
use kube::core::DynamicObject;
use serde::Serialize;

use crate::volume::VolumeAttributesError;
use crate::workload::{NiphasWorkload, NiphasWorkloadSpec, WorkloadKind};

pub use placement::{UnknownSystem, architecture};
pub use service::headless_service;
pub use storage::shared_claims;

/// The image that pods name when no other is configured. The CSI driver puts it into the node's
/// containerd under this name, and pods never pull it.
///
/// The domain `invalid` never resolves (RFC 2606), so no registry can serve the name. The digest is that
/// of the image index that the driver makes; a test of the driver compares them.
pub const BASE_IMAGE: &str = "niphas.invalid/niphas-base@sha256:68730b34e65de70aa987e9c6fd3e0ed98093c4d64325c85ab7e8e0ffc4d00d45";

/// The label that the pods of a workload are selected by; its value is the workload's name.
pub const WORKLOAD_LABEL: &str = "niphas.io/workload";

/// The container of a workload's pods that runs the program.
pub const MAIN_CONTAINER: &str = "main";

/// Why a workload has no children.
#[derive(Debug, thiserror::Error)]
pub enum ChildrenError {
    /// Its closures cannot be declared to the CSI driver.
    #[error(transparent)]
    VolumeAttributes(#[from] VolumeAttributesError),
    /// No node can run one of its closures.
    #[error(transparent)]
    UnknownSystem(#[from] UnknownSystem),
    /// Environment variables that need each other first.
    #[error("the environment variables {0} refer to each other in a circle")]
    CircularEnvironment(String),
    /// `podTemplate` is no `PodTemplateSpec`.
    #[error("podTemplate{path}: {problem}")]
    PodTemplate {
        /// Where in the template, beginning with a dot.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A ConfigMap holds at most 1 MiB.
    #[error("the files have {0} bytes together; a ConfigMap holds 1048576")]
    FilesTooLarge(usize),
    /// A route that needs a port and does not say which.
    #[error("{0}: name one of the ports")]
    NoPort(&'static str),
    /// A Service that names a port which no program of the workload has.
    #[error(
        "the Service {service:?} names the port {port:?}, which no program of the workload has"
    )]
    UnknownPort {
        /// The Service's name.
        service: String,
        /// The port's name.
        port: String,
    },
    /// An object that is none; the types forbid it.
    #[error("a child cannot be written down")]
    Serialize(#[source] serde_json::Error),
}

/// The objects that a workload consists of, in the order to apply them: what pods need first.
///
/// Pure: the same workload and image give the same objects. They are owned by the workload when it
/// has a UID, that is when it comes from a cluster.
pub fn children(
    workload: &NiphasWorkload,
    base_image: &str,
) -> Result<Vec<DynamicObject>, ChildrenError> {
    let parent = Parent { workload };
    let mut objects = Vec::new();
    objects.extend(service_account::service_account(&parent)?);
    objects.extend(config_map::config_map(&parent)?);
    objects.extend(service::services(&parent)?);
    let template = pod::pod_template(&parent, base_image)?;
    objects.push(match parent.spec().kind {
        WorkloadKind::Deployment => controller::deployment(&parent, template)?,
        WorkloadKind::StatefulSet => controller::stateful_set(&parent, template)?,
        WorkloadKind::DaemonSet => controller::daemon_set(&parent, template)?,
        WorkloadKind::Job => batch::job(&parent, template)?,
        WorkloadKind::CronJob => batch::cron_job(&parent, template)?,
    });
    objects.extend(autoscaler::autoscaler(&parent)?);
    objects.extend(disruption_budget::disruption_budget(&parent)?);
    objects.extend(network_policy::network_policy(&parent)?);
    objects.extend(ingress::ingresses(&parent)?);
    objects.extend(routes::http_routes(&parent)?);
    objects.extend(routes::grpc_routes(&parent)?);
    Ok(objects)
}

/// The workload that objects are made for.
struct Parent<'a> {
    workload: &'a NiphasWorkload,
}

impl Parent<'_> {
    fn spec(&self) -> &NiphasWorkloadSpec {
        &self.workload.spec
    }

    fn name(&self) -> String {
        self.workload.metadata.name.clone().unwrap_or_default()
    }

    /// The labels that select the pods. They never change: selectors are immutable.
    fn selector_labels(&self) -> BTreeMap<String, String> {
        [(WORKLOAD_LABEL.to_owned(), self.name())].into()
    }

    fn selector(&self) -> LabelSelector {
        LabelSelector {
            match_labels: Some(self.selector_labels()),
            ..LabelSelector::default()
        }
    }

    /// The labels of all objects and pods; the selector's are always among them.
    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<String, String> = [
            ("app.kubernetes.io/name".to_owned(), self.name()),
            (
                "app.kubernetes.io/managed-by".to_owned(),
                "niphas".to_owned(),
            ),
        ]
        .into();
        labels.extend(self.spec().labels.clone());
        labels.extend(self.selector_labels());
        labels
    }

    /// The metadata of a child with the workload's own name.
    fn metadata(&self) -> ObjectMeta {
        self.metadata_of(self.name())
    }

    fn metadata_of(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: self.workload.metadata.namespace.clone(),
            annotations: non_empty(&self.spec().annotations),
            labels: Some(self.labels()),
            owner_references: self
                .workload
                .controller_owner_ref(&())
                .map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// The metadata of a child with labels and annotations of its own.
    fn metadata_with(&self, name: String, own: Own<'_>) -> ObjectMeta {
        let mut metadata = self.metadata_of(name);
        let labels = own.labels.clone().into_iter();
        let labels = labels.filter(|(key, _)| key != WORKLOAD_LABEL);
        metadata.labels.get_or_insert_default().extend(labels);
        if !own.annotations.is_empty() {
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.extend(own.annotations.clone());
        }
        metadata
    }

    /// The name of the Service that routes lead to.
    fn service_name(&self) -> String {
        let service = self.spec().service.as_ref();
        let named = service.and_then(|service| service.name.clone());
        named.unwrap_or_else(|| self.name())
    }

    /// The objects of a kind that a workload has one or several of, with their names.
    fn named<'o, T>(
        &self,
        one: Option<&'o T>,
        further: &'o BTreeMap<String, T>,
        name_of: impl Fn(&'o T) -> Option<&'o String>,
    ) -> Vec<(String, &'o T)> {
        let one = one.map(|object| (self.name(), object));
        let further = further
            .iter()
            .map(|(name, object)| (format!("{}-{name}", self.name()), object));
        one.into_iter()
            .chain(further)
            .map(|(name, object)| (name_of(object).cloned().unwrap_or(name), object))
            .collect()
    }

    /// The Service's number of the port that a route goes to.
    fn routed_port(&self, named: Option<&str>, route: &'static str) -> Result<i32, ChildrenError> {
        let ports = &self.spec().ports;
        let (name, port) = match named {
            Some(name) => ports.get_key_value(name),
            None if ports.len() == 1 => ports.first_key_value(),
            None => None,
        }
        .ok_or(ChildrenError::NoPort(route))?;
        let numbers = self.spec().service.as_ref().map(|service| &service.ports);
        let number = numbers.and_then(|numbers| numbers.get(name));
        Ok(number.copied().unwrap_or(port.port))
    }
}

/// The labels and annotations that are one child's alone.
#[derive(Clone, Copy)]
struct Own<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
}

/// A map, or nothing if it is empty: what Kubernetes leaves out.
fn non_empty(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

/// An object of one of Kubernetes' own kinds.
fn object(child: &impl Serialize) -> Result<DynamicObject, ChildrenError> {
    let mut object = serde_json::to_value(child).map_err(ChildrenError::Serialize)?;
    normal_form::normalize(&mut object);
    serde_json::from_value(object).map_err(ChildrenError::Serialize)
}
