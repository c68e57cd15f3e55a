//! The pod template: the program, its closure at `/nix`, safe defaults, and over it all what the user
//! wrote as `podTemplate`.

use std::collections::BTreeMap;

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::{
    CSIVolumeSource, Capabilities, Container, ContainerPort, EmptyDirVolumeSource, Lifecycle,
    PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, SecurityContext, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    ChildrenError, MAIN_CONTAINER, Parent, config_map, drain, environment, placement,
    service_account, storage, users_template,
};
use crate::volume::volume_attributes;
use crate::workload::{FurtherContainer, Port, Protocol, RestartPolicy, WorkloadKind};
use crate::{CSI_DRIVER, VIEW};

/// The user and group of pods that say nothing else; the base image names them.
const NON_ROOT: i64 = 65532;

pub(super) fn pod_template(
    parent: &Parent<'_>,
    base_image: &str,
) -> Result<PodTemplateSpec, ChildrenError> {
    let spec = parent.spec();
    let users = users_template::parse(&spec.pod_template)?;
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
    volumes.extend(storage::volumes(parent));
    let account = spec.service_account.as_ref();
    let is_batch = matches!(spec.kind, WorkloadKind::Job | WorkloadKind::CronJob);
    let pod = PodSpec {
        automount_service_account_token: Some(account.is_some_and(|account| account.mount_token)),
        containers: containers(parent, base_image, drain::before_the_end(parent, &users))?,
        enable_service_links: Some(false),
        init_containers: init_containers(parent, base_image)?,
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
        service_account_name: service_account::name(parent),
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
    template.merge_from(users);
    if let Some(pod) = &mut template.spec {
        set_pull_policies(pod, base_image);
        placement::require_systems(pod, &spec.closures)?;
        // The API server writes the new name's value into the old one.
        if let Some(old) = pod.service_account.take() {
            pod.service_account_name.get_or_insert(old);
        }
    }
    // Whatever the user's template says of labels, the selector must find the pods.
    let metadata = template.metadata.get_or_insert_default();
    metadata
        .labels
        .get_or_insert_default()
        .extend(parent.selector_labels());
    Ok(template)
}

/// The workload's own container, and those beside it.
fn containers(
    parent: &Parent<'_>,
    base_image: &str,
    lifecycle: Option<Lifecycle>,
) -> Result<Vec<Container>, ChildrenError> {
    let mut containers = vec![main_container(parent, base_image, lifecycle)?];
    for (name, container) in &parent.spec().containers {
        containers.push(further_container(parent, base_image, name, container)?);
    }
    Ok(containers)
}

fn init_containers(
    parent: &Parent<'_>,
    base_image: &str,
) -> Result<Option<Vec<Container>>, ChildrenError> {
    let mut ordered: Vec<_> = parent.spec().init_containers.iter().collect();
    ordered.sort_by_key(|(_, container)| container.order.unwrap_or_default());
    let made = ordered
        .into_iter()
        .map(|(name, container)| further_container(parent, base_image, name, container))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((!made.is_empty()).then_some(made))
}

fn further_container(
    parent: &Parent<'_>,
    base_image: &str,
    name: &str,
    container: &FurtherContainer,
) -> Result<Container, ChildrenError> {
    let env = environment::variables(&container.env)?;
    let probes = container.probes.clone().unwrap_or_default();
    Ok(Container {
        args: (!container.args.is_empty()).then(|| container.args.clone()),
        command: Some(container.command.clone()),
        env: (!env.is_empty()).then_some(env),
        liveness_probe: probes.liveness,
        name: name.to_owned(),
        ports: container_ports(&container.ports),
        readiness_probe: probes.readiness,
        resources: container.resources.clone(),
        restart_policy: container.restart_policy.map(|policy| match policy {
            RestartPolicy::Always => "Always".to_owned(),
        }),
        startup_probe: probes.startup,
        ..safe_container(parent, base_image)
    })
}

fn main_container(
    parent: &Parent<'_>,
    base_image: &str,
    lifecycle: Option<Lifecycle>,
) -> Result<Container, ChildrenError> {
    let spec = parent.spec();
    let env = environment::variables(&spec.env)?;
    let probes = spec.probes.clone().unwrap_or_default();
    Ok(Container {
        args: (!spec.args.is_empty()).then(|| spec.args.clone()),
        command: Some(spec.command.clone()),
        env: (!env.is_empty()).then_some(env),
        lifecycle,
        liveness_probe: probes.liveness,
        name: MAIN_CONTAINER.to_owned(),
        ports: container_ports(&spec.ports),
        readiness_probe: probes.readiness,
        resources: spec.resources.clone(),
        startup_probe: probes.startup,
        ..safe_container(parent, base_image)
    })
}

fn container_ports(ports: &BTreeMap<String, Port>) -> Option<Vec<ContainerPort>> {
    let ports: Vec<ContainerPort> = ports
        .iter()
        .map(|(name, port)| ContainerPort {
            container_port: port.port,
            name: Some(name.clone()),
            protocol: Some(protocol(port.protocol)),
            ..ContainerPort::default()
        })
        .collect();
    (!ports.is_empty()).then_some(ports)
}

/// What all containers of a pod have: the image, the mounts, and as few privileges as can be.
fn safe_container(parent: &Parent<'_>, base_image: &str) -> Container {
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
    mounts.extend(storage::mounts(parent));
    mounts.extend(config_map::mounts(parent));
    Container {
        image: Some(base_image.to_owned()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_devices: storage::devices(parent),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// Says for each container when its image is pulled, where the user has not.
///
/// The default base image is never pulled: an attempt can only fail, and kubelet lets later pods wait for it, as pulls are
/// serial, also once the driver has put the image back. With `Never` kubelet just looks again.
fn set_pull_policies(pod: &mut PodSpec, base_image: &str) {
    let init = pod.init_containers.iter_mut().flatten();
    for container in init.chain(&mut pod.containers) {
        let policy = if container.image.as_deref() == Some(super::BASE_IMAGE) {
            "Never"
        } else if container.name == MAIN_CONTAINER || container.image.as_deref() == Some(base_image)
        {
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
