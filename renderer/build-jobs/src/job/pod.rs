//! The pod of a build: isolated as Nix isolates builds, and never privileged.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, Capabilities, ConfigMapProjection, Container, EmptyDirVolumeSource, KeyToPath,
    PodSecurityContext, PodSpec, PodTemplateSpec, ProjectedVolumeSource, ResourceRequirements,
    SeccompProfile, SecurityContext, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use niphas_api::{CSI_DRIVER, VIEW};

use super::placement::Placement;
use super::{Settings, seconds};
use crate::agent::Arguments;
use crate::policy::{Resources, Size};

/// The name of the pod's one container.
pub const CONTAINER: &str = "build";

/// The command of the image's program that is the agent.
pub const AGENT: &str = "agent";

/// The folder in which the agent builds, and keeps outputs until they are delivered.
pub const WORK_FOLDER: &str = "/work";

/// The token by which the service knows the pod.
pub const TOKEN_FILE: &str = "/var/run/secrets/niphas/token";

/// The certificates by which the service is verified.
pub const CA_FILE: &str = "/var/run/secrets/niphas/ca.crt";

const SECRETS: &str = "/var/run/secrets/niphas";

/// Not root: the kernel lets no process of a user namespace map its root again.
const USER: i64 = 1000;

/// How long a token is good for. kubelet writes a new one in time.
const TOKEN_SECONDS: i64 = 3600;

/// Seconds that an agent has to deliver outputs, besides the time of the build.
const DELIVERY: i64 = 30 * 60;

/// Seconds that an agent has to end its builder and to say so.
const GRACE: i64 = 30;

/// Memory of the agent itself, beside that of the build.
const AGENT_MEMORY: Size = Size::from_bytes(128 << 20);

/// The memory of a build whose container has this much.
pub(crate) fn build_memory(container: Size) -> Size {
    Size::from_bytes(container.bytes().saturating_sub(AGENT_MEMORY.bytes()))
}

/// What a pod is made of.
pub(super) struct Parts<'a> {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) placement: Placement,
    pub(super) volume: Option<BTreeMap<String, String>>,
    pub(super) resources: &'a Resources,
    pub(super) settings: &'a Settings,
}

/// Seconds after which a pod ends whatever happens.
pub(super) fn deadline(resources: &Resources) -> i64 {
    seconds(resources.timeout).saturating_add(DELIVERY)
}

pub(super) fn template(parts: &Parts<'_>) -> PodTemplateSpec {
    let settings = parts.settings;
    let volumes = [
        parts.volume.clone().map(inputs),
        Some(work(parts.resources)),
        Some(secrets(settings)),
    ];
    let tolerations = parts.placement.tolerations.clone();
    let pod = PodSpec {
        active_deadline_seconds: Some(deadline(parts.resources)),
        automount_service_account_token: Some(false),
        containers: vec![container(parts)],
        enable_service_links: Some(false),
        host_users: Some(false),
        node_selector: Some(parts.placement.node_selector.clone()),
        priority_class_name: settings.priority_class.clone(),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(PodSecurityContext {
            fs_group: Some(USER),
            run_as_group: Some(USER),
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "Localhost".to_owned(),
                localhost_profile: Some(settings.seccomp_profile.clone()),
            }),
            ..PodSecurityContext::default()
        }),
        service_account_name: Some(settings.service_account.clone()),
        termination_grace_period_seconds: Some(GRACE),
        tolerations: (!tolerations.is_empty()).then_some(tolerations),
        volumes: Some(volumes.into_iter().flatten().collect()),
        ..PodSpec::default()
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(parts.labels.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(pod),
    }
}

fn container(parts: &Parts<'_>) -> Container {
    let settings = parts.settings;
    let mount = |name: &str, path: &str, is_read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: is_read_only.then_some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount("work", WORK_FOLDER, false),
        mount("niphas", SECRETS, true),
    ];
    if parts.volume.is_some() {
        mounts.insert(0, mount("inputs", VIEW, true));
    }
    let mut args = vec![AGENT.to_owned()];
    args.extend(
        Arguments {
            name: parts.name.clone(),
            service: settings.service.clone(),
            is_verified_by_ca_file: settings.ca_config_map.is_some(),
            shell: settings.shell.clone().map(Into::into),
        }
        .to_args(),
    );
    Container {
        args: Some(args),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        name: CONTAINER.to_owned(),
        resources: Some(resources(parts)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            // The sandbox has a process list of its own, which the kernel mounts only where nothing of the outer one is hidden.
            proc_mount: Some("Unmasked".to_owned()),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        // The end of the log is the service's; what the agent says of its end is short.
        termination_message_policy: Some("File".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn resources(parts: &Parts<'_>) -> ResourceRequirements {
    let Resources {
        cpu, memory, disk, ..
    } = parts.resources;
    let memory = Size::from_bytes(memory.bytes().saturating_add(AGENT_MEMORY.bytes()));
    let devices = parts.placement.devices.iter();
    let devices: BTreeMap<String, Quantity> = devices
        .map(|(name, count)| (name.clone(), Quantity(count.to_string())))
        .collect();
    let mut limits = devices.clone();
    limits.insert("memory".to_owned(), memory.quantity());
    let mut requests = devices;
    requests.insert("cpu".to_owned(), cpu.quantity());
    requests.insert("memory".to_owned(), memory.quantity());
    // Else the node is chosen without regard to its disk, and the pod evicted when it is full.
    requests.insert("ephemeral-storage".to_owned(), disk.quantity());
    ResourceRequirements {
        limits: Some(limits),
        requests: Some(requests),
        ..ResourceRequirements::default()
    }
}

fn inputs(attributes: BTreeMap<String, String>) -> Volume {
    Volume {
        name: "inputs".to_owned(),
        csi: Some(CSIVolumeSource {
            driver: CSI_DRIVER.to_owned(),
            read_only: Some(true),
            volume_attributes: Some(attributes),
            ..CSIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn work(resources: &Resources) -> Volume {
    Volume {
        name: "work".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(resources.disk.quantity()),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The token, and the certificates to verify by whom it is taken.
fn secrets(settings: &Settings) -> Volume {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            audience: Some(settings.audience.clone()),
            expiration_seconds: Some(TOKEN_SECONDS),
            path: file_name(TOKEN_FILE),
        }),
        ..VolumeProjection::default()
    };
    let certificates = settings.ca_config_map.clone().map(|name| VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name,
            items: Some(vec![KeyToPath {
                key: "ca.crt".to_owned(),
                path: file_name(CA_FILE),
                ..KeyToPath::default()
            }]),
            ..ConfigMapProjection::default()
        }),
        ..VolumeProjection::default()
    });
    Volume {
        name: "niphas".to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some([Some(token), certificates].into_iter().flatten().collect()),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
