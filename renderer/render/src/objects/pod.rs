//! Pods: what is beside their containers, volumes and nodes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::container::LARGEST_ID;
use super::grammar::{ADDRESS, LABEL, LABEL_VALUE, QUALIFIED_NAME, SEARCH_DOMAIN, SUBDOMAIN};
use super::place::Place;
use crate::schema::Checker;

/// The label that selects the pods of a workload.
const OWN_LABEL: &str = niphas_api::WORKLOAD_LABEL;
const DNS_POLICIES: [&str; 4] = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
/// Which sysctls are of a namespace of the kernel, and what makes it the node's.
const NAMESPACED: [(&str, &[&str]); 2] = [
    (
        "hostIPC",
        &["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."],
    ),
    ("hostNetwork", &["net."]),
];
const SUBDOMAINS: [&str; 4] = [
    "nodeName",
    "priorityClassName",
    "runtimeClassName",
    "serviceAccountName",
];

/// Checks the labels and annotations of the pods. `name` is the workload's.
pub(super) fn metadata(checker: &mut Checker<'_>, template: &Place<'_>, name: &str, given: &Value) {
    let metadata = template.field("metadata");
    for (map, checks_values) in [("labels", true), ("annotations", false)] {
        let entries = metadata.field(map);
        labels(checker, &entries, checks_values);
    }
    let wanted = &given["metadata"]["labels"][OWN_LABEL];
    if !wanted.is_null() && wanted != name {
        let problem =
            format!("the label {OWN_LABEL} is {name:?}: the workload finds its pods by it");
        let remedy = "write a label of another name";
        metadata
            .field("labels")
            .field(OWN_LABEL)
            .report(checker, problem, remedy);
    }
}

/// Keys, and maybe values, of a map of labels or annotations.
pub(super) fn labels(checker: &mut Checker<'_>, entries: &Place<'_>, checks_values: bool) {
    for (key, value) in entries.value.as_object().into_iter().flatten() {
        let place = entries.field(key);
        // Annotations may have capitals in their domains.
        let lower = key.to_lowercase();
        if !QUALIFIED_NAME.0(if checks_values { key } else { &lower }) {
            place.report(
                checker,
                format!("{key:?} cannot be a key"),
                QUALIFIED_NAME.1,
            );
        }
        if let Some(value) = value
            .as_str()
            .filter(|text| checks_values && !LABEL_VALUE.0(text))
        {
            place.report(
                checker,
                format!("{value:?} cannot be a label's value"),
                LABEL_VALUE.1,
            );
        }
    }
}

/// Checks the fields of the pod itself. `kind` is the workload's.
pub(super) fn spec(checker: &mut Checker<'_>, pod: &Place<'_>, kind: &str) {
    let is_batch = matches!(kind, "Job" | "CronJob");
    let policies: &[&str] = if is_batch {
        &["Never", "OnFailure"]
    } else {
        &["Always"]
    };
    pod.one_of(checker, "restartPolicy", policies);
    pod.one_of(checker, "dnsPolicy", &DNS_POLICIES);
    pod.one_of(
        checker,
        "preemptionPolicy",
        &["Never", "PreemptLowerPriority"],
    );
    pod.between(checker, "terminationGracePeriodSeconds", 0, i64::MAX);
    pod.between(checker, "activeDeadlineSeconds", 1, LARGEST_ID);
    for name in SUBDOMAINS {
        if pod.text(name) != Some("") {
            pod.form(checker, name, SUBDOMAIN);
        }
    }
    for name in ["hostname", "subdomain"] {
        if pod.text(name) != Some("") {
            pod.form(checker, name, LABEL);
        }
    }
    if let Some(containers) = pod.present("ephemeralContainers") {
        let problem = "ephemeralContainers are for pods that run".to_owned();
        containers.report(checker, problem, "write containers or initContainers");
    }
    if let Some(deadline) = pod.present("activeDeadlineSeconds").filter(|_| !is_batch) {
        let problem = format!("pods of a {kind} run on: they have no activeDeadlineSeconds");
        deadline.report(checker, problem, "take it away");
    }
    names(checker, pod);
    security(checker, pod);
}

fn names(checker: &mut Checker<'_>, pod: &Place<'_>) {
    for secret in pod.items("imagePullSecrets") {
        if secret.text("name").unwrap_or_default().is_empty() {
            let problem = "one of the imagePullSecrets has no name".to_owned();
            secret.report(checker, problem, "write the Secret's name");
        }
    }
    for alias in pod.items("hostAliases") {
        alias.form(checker, "ip", ADDRESS);
        for name in alias.value["hostnames"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !SUBDOMAIN.0(name) {
                let problem = format!("{name:?} cannot be the name of a host");
                alias
                    .field("hostnames")
                    .report(checker, problem, SUBDOMAIN.1);
            }
        }
    }
    let dns = pod.field("dnsConfig");
    let servers = dns.value["nameservers"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    for server in servers {
        let server = server.as_str().unwrap_or_default();
        if !ADDRESS.0(server) {
            let problem = format!("{server:?} cannot be the address of a nameserver");
            dns.field("nameservers").report(checker, problem, ADDRESS.1);
        }
    }
    for domain in dns.value["searches"].as_array().into_iter().flatten() {
        let domain = domain.as_str().unwrap_or_default();
        if !SEARCH_DOMAIN.0(domain) {
            let problem = format!("{domain:?} cannot be a search domain");
            dns.field("searches")
                .report(checker, problem, SEARCH_DOMAIN.1);
        }
    }
    if servers.len() > 3 {
        let problem = format!("there are {} nameservers", servers.len());
        dns.field("nameservers")
            .report(checker, problem, "write at most 3");
    }
    if pod.text("dnsPolicy") == Some("None") && servers.is_empty() {
        let problem = "with dnsPolicy None the pod has no nameserver".to_owned();
        pod.field("dnsPolicy")
            .report(checker, problem, "write dnsConfig.nameservers, too");
    }
}

fn security(checker: &mut Checker<'_>, pod: &Place<'_>) {
    let context = pod.field("securityContext");
    for id in ["fsGroup", "runAsGroup", "runAsUser"] {
        context.between(checker, id, 0, LARGEST_ID);
    }
    profiles(checker, &context);
    let groups = context.value["supplementalGroups"].as_array();
    let is_group = |group: &Value| {
        group
            .as_i64()
            .is_none_or(|id| (0..=LARGEST_ID).contains(&id))
    };
    if let Some(group) = groups.into_iter().flatten().find(|group| !is_group(group)) {
        let problem = format!("{group} cannot be the ID of a group");
        let remedy = format!("write 0 to {LARGEST_ID}");
        context
            .field("supplementalGroups")
            .report(checker, problem, &remedy);
    }
    sysctls(checker, pod, &context);
    if pod.value["hostUsers"] == false {
        for host in ["hostIPC", "hostNetwork", "hostPID"] {
            if pod.is_true(host) {
                let problem = format!("{host} is true and hostUsers is false");
                pod.field(host)
                    .report(checker, problem, "write one of the two");
            }
        }
    }
    if pod.is_true("shareProcessNamespace") && pod.is_true("hostPID") {
        let problem = "shareProcessNamespace and hostPID exclude each other".to_owned();
        pod.field("hostPID")
            .report(checker, problem, "write one of the two");
    }
}

fn sysctls(checker: &mut Checker<'_>, pod: &Place<'_>, context: &Place<'_>) {
    let mut names = BTreeSet::new();
    for sysctl in context.items("sysctls") {
        let name = sysctl.text("name").unwrap_or_default();
        if !names.insert(name) {
            let problem = format!("two sysctls are named {name:?}");
            sysctl.report(checker, problem, "make one of the two");
        }
        let dotted = name.replace('/', ".");
        let of_host = NAMESPACED
            .iter()
            .find(|(_, starts)| starts.iter().any(|start| dotted.starts_with(start)));
        if let Some((host, _)) = of_host.filter(|(host, _)| pod.is_true(host)) {
            let problem = format!("{name} would be the node's, for {host} is true");
            sysctl.report(checker, problem, "write one of the two");
        }
    }
}

/// Checks the profiles of a security context.
pub(super) fn profiles(checker: &mut Checker<'_>, context: &Place<'_>) {
    if let Some(options) = context.present("windowsOptions") {
        let problem = "windowsOptions are for Windows".to_owned();
        options.report(
            checker,
            problem,
            "take them away: programs of closures run on Linux",
        );
    }
    for name in ["seccompProfile", "appArmorProfile"] {
        let profile = context.field(name);
        let types = ["Localhost", "RuntimeDefault", "Unconfined"];
        profile.one_of(checker, "type", &types);
        let is_local = profile.text("type") == Some("Localhost");
        let file = profile
            .text("localhostProfile")
            .is_some_and(|file| !file.is_empty());
        if is_local && !file {
            let problem = format!("{name} of the type Localhost names no profile");
            profile.report(checker, problem, "write its localhostProfile");
        } else if file && !is_local {
            let problem = format!("{name} has a localhostProfile and another type");
            profile.report(checker, problem, "write type = \"Localhost\"");
        }
    }
}
