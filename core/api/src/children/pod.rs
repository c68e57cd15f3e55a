//! The pod template: the program, its closure at `/nix`, safe defaults, and over it all what the user
//! wrote as `podTemplate`.

use std::collections::BTreeMap;

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::{
    CSIVolumeSource, Capabilities, Container, ContainerPort, EmptyDirVolumeSource, Lifecycle,
    LifecycleHandler, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile,
    SecurityContext, SleepAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};

use super::{ChildrenError, MAIN_CONTAINER, Parent, config_map, environment, placement};
use crate::volume::volume_attributes;
use crate::workload::{Protocol, WorkloadKind};
use crate::{CSI_DRIVER, VIEW};

/// The user and group of pods that say nothing else; the base image names them.
const NON_ROOT: i64 = 65532;

/// How long a pod that serves goes on after it was told to end, in seconds: until every node has
/// stopped sending it requests.
const DRAIN_SECONDS: i64 = 5;

pub(super) fn pod_template(
    parent: &Parent<'_>,
    base_image: &str,
) -> Result<PodTemplateSpec, ChildrenError> {
    let spec = parent.spec();
    let closure = Volume {
        name: "closure".to_owned(),
        csi: Some(CSIVolumeSource {
            driver: CSI_DRIVER.to_owned(),
            read_only: Some(true),
            volume_attributes: Some(volume_attributes(&spec.closures)?),
            ..CSIVolumeSource::default()
        }),
        ..Volume::default()
    };
    let scratch = Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let mut volumes = vec![closure, scratch];
    volumes.extend(config_map::volume(parent));
    let account = spec.service_account.as_ref();
    let is_batch = matches!(spec.kind, WorkloadKind::Job | WorkloadKind::CronJob);
    let pod = PodSpec {
        affinity: Some(placement::affinity(&spec.closures)?),
        automount_service_account_token: Some(account.is_some_and(|account| account.mount_token)),
        containers: vec![container(parent, base_image)?],
        enable_service_links: Some(false),
        restart_policy: is_batch.then(|| "Never".to_owned()),
        security_context: Some(PodSecurityContext {
            // Volumes that hold data have to be writable for the program.
            fs_group: (!spec.volume_claims.is_empty()).then_some(NON_ROOT),
            run_as_group: Some(NON_ROOT),
            run_as_non_root: Some(true),
            run_as_user: Some(NON_ROOT),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        service_account_name: account.map(|_| parent.name()),
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    let annotations: BTreeMap<String, String> =
        config_map::hash_annotation(parent).into_iter().collect();
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: super::non_empty(&annotations),
            labels: Some(parent.labels()),
            ..ObjectMeta::default()
        }),
        spec: Some(pod),
    };
    template.merge_from(users_template(&spec.pod_template)?);
    if let Some(pod) = &mut template.spec {
        set_pull_policies(pod);
    }
    // Whatever the user's template says of labels, the selector must find the pods.
    let metadata = template.metadata.get_or_insert_default();
    metadata
        .labels
        .get_or_insert_default()
        .extend(parent.selector_labels());
    Ok(template)
}

fn container(parent: &Parent<'_>, base_image: &str) -> Result<Container, ChildrenError> {
    let spec = parent.spec();
    let mount = |name: &str, path: &str, read_only: Option<bool>| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..VolumeMount::default()
    };
    let mut mounts = vec![mount("closure", VIEW, Some(true))];
    if !spec
        .volume_claims
        .values()
        .any(|claim| claim.mount_path == "/tmp")
    {
        mounts.push(mount("tmp", "/tmp", None));
    }
    mounts.extend(
        spec.volume_claims
            .iter()
            .map(|(name, claim)| mount(name, &claim.mount_path, None)),
    );
    mounts.extend(config_map::mounts(parent));
    let ports: Vec<ContainerPort> = spec
        .ports
        .iter()
        .map(|(name, port)| ContainerPort {
            container_port: port.port,
            name: Some(name.clone()),
            protocol: Some(protocol(port.protocol)),
            ..ContainerPort::default()
        })
        .collect();
    let env = environment::variables(&spec.env)?;
    let probes = spec.probes.clone().unwrap_or_default();
    let drain = Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction {
                seconds: DRAIN_SECONDS,
            }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    };
    Ok(Container {
        args: (!spec.args.is_empty()).then(|| spec.args.clone()),
        command: Some(spec.command.clone()),
        env: (!env.is_empty()).then_some(env),
        image: Some(base_image.to_owned()),
        lifecycle: spec.service.as_ref().map(|_| drain),
        liveness_probe: probes.liveness,
        name: MAIN_CONTAINER.to_owned(),
        ports: (!ports.is_empty()).then_some(ports),
        readiness_probe: probes.readiness,
        resources: spec.resources.clone(),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        startup_probe: probes.startup,
        volume_mounts: Some(mounts),
        ..Container::default()
    })
}

/// Says for each container when its image is pulled, where the user has not.
///
/// The default base image is never pulled: an attempt can only fail, and kubelet lets later pods wait for it, as pulls are
/// serial, also once the driver has put the image back. With `Never` kubelet just looks again.
fn set_pull_policies(pod: &mut PodSpec) {
    let init = pod.init_containers.iter_mut().flatten();
    for container in init.chain(&mut pod.containers) {
        let policy = if container.image.as_deref() == Some(super::BASE_IMAGE) {
            "Never"
        } else if container.name == MAIN_CONTAINER {
            "IfNotPresent"
        } else {
            continue;
        };
        container
            .image_pull_policy
            .get_or_insert_with(|| policy.to_owned());
    }
}

/// Kubernetes' word for a protocol.
pub(super) fn protocol(protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
    .to_owned()
}

/// The user's part of the template. Lists are merged as Kubernetes merges them: containers, volumes,
/// ports and variables by name.
fn users_template(template: &Map<String, Value>) -> Result<PodTemplateSpec, ChildrenError> {
    let mut given = Value::Object(template.clone());
    // The type wants the list, but the user need not add to it.
    if let Some(spec) = given.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("containers")
            .or_insert_with(|| Value::Array(Vec::new()));
    }
    let parsed: PodTemplateSpec =
        serde_path_to_error::deserialize(&given).map_err(|error| ChildrenError::PodTemplate {
            path: format!(".{}", error.path()),
            problem: error.inner().to_string(),
        })?;
    let known = serde_json::to_value(&parsed).map_err(ChildrenError::Serialize)?;
    match unknown_field(&given, &known) {
        Some(path) => Err(ChildrenError::PodTemplate {
            path,
            problem: "Kubernetes knows no such field of a PodTemplateSpec".to_owned(),
        }),
        None => Ok(parsed),
    }
}

/// The path of the first thing that was given and did not survive parsing.
fn unknown_field(given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(name, value)| {
            // Empty and absent are the same to Kubernetes.
            let is_empty = value.is_null()
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty);
            match known.get(name) {
                None if is_empty => None,
                None => Some(format!(".{name}")),
                Some(known) => unknown_field(value, known).map(|path| format!(".{name}{path}")),
            }
        }),
        (Value::Array(given), Value::Array(known)) => {
            given
                .iter()
                .zip(known)
                .enumerate()
                .find_map(|(index, (given, known))| {
                    unknown_field(given, known).map(|path| format!("[{index}]{path}"))
                })
        }
        _ => None,
    }
}
