//! Rules that belong to one type of Kubernetes, wherever a pod template has a value of it.

use super::grammar::{
    ABSOLUTE_PATH, DESCENDING_PATH, DRIVER, ENVIRONMENT_PREFIX, Form, HEADER, ISCSI_NAME, LABEL,
    PORT_NAME, QUALIFIED_NAME, SUBDOMAIN, SYSCTL,
};
use super::place::Place;
use crate::schema::{Checker, fields_of};

/// What must be true of a field.
enum Rule {
    /// It is there, and not empty.
    Required,
    OneOf(&'static [&'static str]),
    /// A text has this form. An empty one is as none.
    Form(Form),
    Between(i64, i64),
    /// It names a port by its number or its name.
    Port,
}
use Rule::{Between, OneOf, Port, Required};

const NARROW: Rule = Rule::Form(LABEL);
const NAME: Rule = Rule::Form(SUBDOMAIN);
const QUALIFIED: Rule = Rule::Form(QUALIFIED_NAME);
const DESCENDING: Rule = Rule::Form(DESCENDING_PATH);
const PULL_POLICIES: Rule = OneOf(&["Always", "IfNotPresent", "Never"]);
const MODE: Rule = Between(0, 0o777);
const LUN: Rule = Between(0, 255);
const HOST_PATHS: Rule = OneOf(&[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
]);

/// A type, a field of it, and a rule, sorted by type: those of `ValidatePodTemplateSpec` in pkg/apis/core/validation.
const RULES: &[(&str, &str, Rule)] = &[
    ("AWSElasticBlockStoreVolumeSource", "volumeID", Required),
    (
        "AzureDiskVolumeSource",
        "cachingMode",
        OneOf(&["None", "ReadOnly", "ReadWrite"]),
    ),
    ("AzureDiskVolumeSource", "diskName", Required),
    ("AzureDiskVolumeSource", "diskURI", Required),
    (
        "AzureDiskVolumeSource",
        "kind",
        OneOf(&["Dedicated", "Managed", "Shared"]),
    ),
    ("AzureFileVolumeSource", "secretName", Required),
    ("AzureFileVolumeSource", "shareName", Required),
    ("CSIVolumeSource", "driver", Required),
    ("CSIVolumeSource", "driver", Rule::Form(DRIVER)),
    ("CephFSVolumeSource", "monitors", Required),
    ("CinderVolumeSource", "volumeID", Required),
    ("ClusterTrustBundleProjection", "path", Required),
    ("ClusterTrustBundleProjection", "path", DESCENDING),
    ("ConfigMapKeySelector", "key", Required),
    ("ConfigMapVolumeSource", "defaultMode", MODE),
    ("ConfigMapVolumeSource", "name", Required),
    ("Container", "imagePullPolicy", PULL_POLICIES),
    (
        "Container",
        "terminationMessagePolicy",
        OneOf(&["File", "FallbackToLogsOnError"]),
    ),
    (
        "ContainerResizePolicy",
        "resourceName",
        OneOf(&["cpu", "memory"]),
    ),
    (
        "ContainerResizePolicy",
        "restartPolicy",
        OneOf(&["NotRequired", "RestartContainer"]),
    ),
    ("DownwardAPIVolumeFile", "mode", MODE),
    ("DownwardAPIVolumeFile", "path", Required),
    ("DownwardAPIVolumeFile", "path", DESCENDING),
    ("DownwardAPIVolumeSource", "defaultMode", MODE),
    ("EnvFromSource", "prefix", Rule::Form(ENVIRONMENT_PREFIX)),
    ("EphemeralVolumeSource", "volumeClaimTemplate", Required),
    ("FCVolumeSource", "lun", LUN),
    ("FlexVolumeSource", "driver", Required),
    ("GCEPersistentDiskVolumeSource", "pdName", Required),
    ("GRPCAction", "port", Between(1, 65535)),
    ("GitRepoVolumeSource", "repository", Required),
    ("GlusterfsVolumeSource", "endpoints", Required),
    ("GlusterfsVolumeSource", "path", Required),
    ("HTTPGetAction", "port", Port),
    ("HTTPGetAction", "scheme", OneOf(&["HTTP", "HTTPS"])),
    ("HTTPHeader", "name", Rule::Form(HEADER)),
    ("HostPathVolumeSource", "path", Required),
    ("HostPathVolumeSource", "type", HOST_PATHS),
    ("ISCSIVolumeSource", "iqn", Required),
    ("ISCSIVolumeSource", "iqn", Rule::Form(ISCSI_NAME)),
    ("ISCSIVolumeSource", "lun", LUN),
    ("ISCSIVolumeSource", "targetPortal", Required),
    ("ImageVolumeSource", "pullPolicy", PULL_POLICIES),
    ("KeyToPath", "key", Required),
    ("KeyToPath", "mode", MODE),
    ("KeyToPath", "path", Required),
    ("KeyToPath", "path", DESCENDING),
    ("NFSVolumeSource", "path", Required),
    ("NFSVolumeSource", "path", Rule::Form(ABSOLUTE_PATH)),
    ("NFSVolumeSource", "server", Required),
    ("PersistentVolumeClaimSpec", "accessModes", Required),
    ("PersistentVolumeClaimVolumeSource", "claimName", Required),
    ("PhotonPersistentDiskVolumeSource", "pdID", Required),
    ("PodDNSConfigOption", "name", Required),
    // Programs of closures run on Linux alone.
    ("PodOS", "name", OneOf(&["linux"])),
    ("PodReadinessGate", "conditionType", QUALIFIED),
    ("PodResourceClaim", "name", NARROW),
    ("PodResourceClaim", "resourceClaimName", NAME),
    ("PodResourceClaim", "resourceClaimTemplateName", NAME),
    ("PodSchedulingGate", "name", QUALIFIED),
    (
        "PodSecurityContext",
        "fsGroupChangePolicy",
        OneOf(&["Always", "OnRootMismatch"]),
    ),
    (
        "PodSecurityContext",
        "seLinuxChangePolicy",
        OneOf(&["MountOption", "Recursive"]),
    ),
    (
        "PodSecurityContext",
        "supplementalGroupsPolicy",
        OneOf(&["Merge", "Strict"]),
    ),
    ("PortworxVolumeSource", "volumeID", Required),
    ("ProjectedVolumeSource", "defaultMode", MODE),
    ("QuobyteVolumeSource", "registry", Required),
    ("QuobyteVolumeSource", "volume", Required),
    ("RBDVolumeSource", "image", Required),
    ("RBDVolumeSource", "monitors", Required),
    ("ScaleIOVolumeSource", "gateway", Required),
    ("ScaleIOVolumeSource", "system", Required),
    ("SeccompProfile", "localhostProfile", DESCENDING),
    ("SecretKeySelector", "key", Required),
    ("SecretVolumeSource", "defaultMode", MODE),
    ("SecretVolumeSource", "secretName", Required),
    (
        "SecurityContext",
        "procMount",
        OneOf(&["Default", "Unmasked"]),
    ),
    // Until 32 bits are full.
    (
        "ServiceAccountTokenProjection",
        "expirationSeconds",
        Between(600, 1 << 32),
    ),
    ("ServiceAccountTokenProjection", "path", Required),
    ("ServiceAccountTokenProjection", "path", DESCENDING),
    ("StorageOSVolumeSource", "volumeName", Required),
    ("Sysctl", "name", Rule::Form(SYSCTL)),
    ("TCPSocketAction", "port", Port),
    (
        "VolumeMount",
        "recursiveReadOnly",
        OneOf(&["Disabled", "Enabled", "IfPossible"]),
    ),
    ("VsphereVirtualDiskVolumeSource", "volumePath", Required),
];

/// Fields of which a value has exactly one.
const ALTERNATIVES: &[(&str, [&str; 2])] = &[
    ("ClusterTrustBundleProjection", ["name", "signerName"]),
    ("DownwardAPIVolumeFile", ["fieldRef", "resourceFieldRef"]),
    ("FCVolumeSource", ["targetWWNs", "wwids"]),
    ("FlockerVolumeSource", ["datasetName", "datasetUUID"]),
    (
        "PodResourceClaim",
        ["resourceClaimName", "resourceClaimTemplateName"],
    ),
];

/// Checks a value of a type, and all in it. `what` is the field that it is.
pub(super) fn check(checker: &mut Checker<'_>, place: &Place<'_>, what: &str, kind: &str) {
    let first = RULES.partition_point(|(of, _, _)| *of < kind);
    for (_, field, rule) in RULES[first..].iter().take_while(|(of, _, _)| *of == kind) {
        keeps(checker, place, what, field, rule);
    }
    for (_, fields) in ALTERNATIVES.iter().filter(|(of, _)| *of == kind) {
        let [one, other] = fields.map(|field| !is_empty(place, field));
        if one == other {
            let [first, second] = fields;
            let problem = if one {
                format!("{what} has both {first} and {second}")
            } else {
                format!("{what} has neither {first} nor {second}")
            };
            place.report(checker, problem, "write one of the two");
        }
    }
    for (field, schema) in fields_of(kind).into_iter().flatten() {
        let Some(inner) = place.present(field) else {
            continue;
        };
        if let Some(kind) = schema["$ref"].as_str() {
            check(checker, &inner, field, kind);
        } else if let Some(kind) = schema["items"]["$ref"].as_str() {
            for item in place.items(field) {
                check(checker, &item, &format!("one of {field}"), kind);
            }
        }
    }
}

fn keeps(checker: &mut Checker<'_>, place: &Place<'_>, what: &str, field: &str, rule: &Rule) {
    match rule {
        Required if is_empty(place, field) => {
            let problem = format!("{what} has no {field}");
            let remedy = if what.contains(' ') {
                format!("write its {field}")
            } else {
                format!("write {what}.{field}")
            };
            place.report(checker, problem, &remedy);
        }
        Required => {}
        OneOf(allowed) => place.one_of(checker, field, allowed),
        Rule::Form(form) => {
            if place.text(field) != Some("") {
                place.form(checker, field, *form);
            }
        }
        Between(least, most) => place.between(checker, field, *least, *most),
        Port => {
            place.between(checker, field, 1, 65535);
            place.form(checker, field, PORT_NAME);
        }
    }
}

fn is_empty(place: &Place<'_>, field: &str) -> bool {
    let value = &place.value[field];
    value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_and_name_fields_that_there_are() {
        assert!(RULES.is_sorted_by_key(|(kind, _, _)| *kind));
        let rules = RULES.iter().map(|(kind, field, _)| (*kind, *field));
        let alternatives = ALTERNATIVES
            .iter()
            .flat_map(|(kind, fields)| fields.map(|field| (*kind, field)));
        for (kind, field) in rules.chain(alternatives) {
            let fields = fields_of(kind);
            assert!(
                fields.is_some_and(|fields| fields.contains_key(field)),
                "{kind}.{field}"
            );
        }
    }
}
