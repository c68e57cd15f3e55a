//! Containers.

use std::collections::BTreeSet;

use niphas_api::MAIN_CONTAINER;
use serde_json::Value;

use super::grammar::{LABEL, PORT_NAME, is_environment_name};
use super::place::Place;
use super::{downward, resources, volumes};
use crate::schema::Checker;
use crate::suggestion::nearest;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const HANDLERS: [&str; 5] = ["exec", "grpc", "httpGet", "sleep", "tcpSocket"];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const VALUES: [&str; 4] = [
    "configMapKeyRef",
    "fieldRef",
    "resourceFieldRef",
    "secretKeyRef",
];
/// What IDs of users and groups can be.
pub(super) const LARGEST_ID: i64 = (1 << 31) - 1;
/// How long a pod has to end if it says nothing.
const GRACE_SECONDS: i64 = 30;

/// Checks all containers of a pod. `attributes` are the workload's, of which niphas makes its containers.
pub(super) fn check(
    checker: &mut Checker<'_>,
    pod: &Place<'_>,
    attributes: &Place<'_>,
    volumes: &BTreeSet<&str>,
) {
    let mut names = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        for container in pod.items(list) {
            let name = container.text("name").unwrap_or_default();
            if !names.insert(name) {
                let problem = format!("two containers are named {name:?}");
                container.report(checker, problem, "give one of the two another name");
            }
            let is_init = list == "initContainers";
            let further = attributes.field(list).present(name);
            let own = match name {
                MAIN_CONTAINER => Some(attributes),
                _ => further.as_ref(),
            };
            one(checker, &container, own, pod, volumes);
            lifecycle(checker, &container, pod, is_init);
            probes(checker, &container, own);
            security(checker, &container, pod);
        }
    }
    host_ports(checker, pod);
}

fn one(
    checker: &mut Checker<'_>,
    container: &Place<'_>,
    attributes: Option<&Place<'_>>,
    pod: &Place<'_>,
    volumes: &BTreeSet<&str>,
) {
    let name = container.text("name").unwrap_or_default();
    container.form(checker, "name", LABEL);
    if container.text("image").unwrap_or_default().is_empty() {
        let problem = format!("the container {name:?} has no image");
        let remedy = match nearest(name, [MAIN_CONTAINER]) {
            Some(main) => format!("did you mean '{main}', the container of the program?"),
            None => format!("name its image; the container of the program is '{MAIN_CONTAINER}'"),
        };
        container.report(checker, problem, &remedy);
    }
    ports(checker, container);
    for variable in container.items("env") {
        let name = variable.text("name").unwrap_or_default();
        let own = attributes.map(|own| own.field("env").field(name));
        variable_has_one_value(checker, &place_of(variable, own));
    }
    for source in container.items("envFrom") {
        if source.present("configMapRef").is_some() == source.present("secretRef").is_some() {
            let problem = "variables come from either configMapRef or secretRef".to_owned();
            source.report(checker, problem, "write one of the two");
        }
    }
    if let Some(resources) = container.present("resources") {
        let own = attributes.map(|own| own.field("resources"));
        resources::check(checker, &place_of(resources, own));
        resources::claims(checker, &container.field("resources"), pod);
    }
    volumes::check_mounts(checker, container, attributes, volumes);
    volumes::check_devices(checker, container, pod);
}

/// A place, or that of the attribute that it comes from.
pub(super) fn place_of<'a>(place: Place<'a>, own: Option<Place<'a>>) -> Place<'a> {
    match own {
        Some(own) => place.or(&own),
        None => place,
    }
}

fn ports(checker: &mut Checker<'_>, container: &Place<'_>) {
    let mut names = BTreeSet::new();
    for port in container.items("ports") {
        port.form(checker, "name", PORT_NAME);
        port.between(checker, "containerPort", 1, 65535);
        port.between(checker, "hostPort", 0, 65535);
        port.one_of(checker, "protocol", &PROTOCOLS);
        if let Some(name) = port.text("name")
            && !names.insert(name)
        {
            let problem = format!("two ports are named {name:?}");
            port.report(checker, problem, "give one of the two another name");
        }
    }
}

fn variable_has_one_value(checker: &mut Checker<'_>, variable: &Place<'_>) {
    let name = variable.text("name").unwrap_or_default();
    if name.is_empty() || !is_environment_name(name) {
        let problem = format!("{name:?} cannot be the name of a variable");
        variable.report(checker, problem, "write printable ASCII without '='");
    }
    let Some(from) = variable.present("valueFrom") else {
        return;
    };
    if variable
        .text("value")
        .is_some_and(|value| !value.is_empty())
    {
        let problem = format!("the variable {name:?} has both value and valueFrom");
        let remedy = "write one of the two; env and podTemplate are merged";
        return variable.report(checker, problem, remedy);
    }
    let sources: Vec<&str> = given(&from, &VALUES);
    if sources.len() != 1 {
        let found = if sources.is_empty() {
            "nowhere".to_owned()
        } else {
            sources.join(" and ")
        };
        let problem = format!("the value of {name:?} comes from {found}");
        from.report(
            checker,
            problem,
            &format!("write one of {}", VALUES.join(", ")),
        );
    }
    downward::variable(checker, &from);
    for source in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = from.present(source)
            && reference.field("name").is_given()
            && reference.text("name") == Some("")
        {
            let problem = format!("{source} of {name:?} names no object");
            reference.report(checker, problem, "write its name");
        }
    }
}

/// Which of these fields are there.
fn given<'n>(place: &Place<'_>, names: &[&'n str]) -> Vec<&'n str> {
    let is_given = |name: &&&str| !place.value[**name].is_null();
    names.iter().filter(is_given).copied().collect()
}

/// What runs in the container beside its program.
fn lifecycle(checker: &mut Checker<'_>, container: &Place<'_>, pod: &Place<'_>, is_init: bool) {
    let name = container.text("name").unwrap_or_default();
    let restarts = container.text("restartPolicy") == Some("Always");
    for field in PROBES.iter().chain(&["lifecycle"]) {
        if let Some(place) = container.present(field).filter(|_| is_init && !restarts) {
            let problem = format!("the init container {name:?} ends before a {field} could count");
            place.report(
                checker,
                problem,
                "take it away, or write restartPolicy = \"Always\"",
            );
        }
    }
    if !is_init && container.present("restartPolicy").is_some() {
        let problem =
            format!("the container {name:?} has a restartPolicy, which is for initContainers");
        let remedy = "move the container there, or take the restartPolicy away";
        container
            .field("restartPolicy")
            .report(checker, problem, remedy);
    }
    let grace = pod
        .integer("terminationGracePeriodSeconds")
        .unwrap_or(GRACE_SECONDS);
    let lifecycle = container.field("lifecycle");
    for field in ["postStart", "preStop"] {
        if let Some(handler) = lifecycle.present(field) {
            one_handler(checker, &handler, field);
            let sleep = handler.field("sleep");
            if let Some(seconds) = sleep.integer("seconds")
                && !(1..=grace).contains(&seconds)
            {
                let problem =
                    format!("{field} sleeps for {seconds} seconds, and the pod has {grace} to end");
                let remedy = format!(
                    "write 1 to {grace} seconds, or a longer terminationGracePeriodSeconds"
                );
                sleep.report(checker, problem, &remedy);
            }
        }
    }
}

fn probes(checker: &mut Checker<'_>, container: &Place<'_>, attributes: Option<&Place<'_>>) {
    for field in PROBES {
        let Some(probe) = container.present(field) else {
            continue;
        };
        let name = field.trim_end_matches("Probe");
        let own = attributes.map(|own| own.field("probes").field(name));
        let probe = place_of(probe, own);
        one_handler(checker, &probe, field);
        for number in [
            "failureThreshold",
            "initialDelaySeconds",
            "periodSeconds",
            "timeoutSeconds",
        ] {
            probe.between(checker, number, 0, i64::from(i32::MAX));
        }
        let most = if field == "readinessProbe" {
            i64::from(i32::MAX)
        } else {
            1
        };
        probe.between(checker, "successThreshold", 0, most);
        probe.between(checker, "terminationGracePeriodSeconds", 1, i64::MAX);
        if field == "readinessProbe"
            && let Some(grace) = probe.present("terminationGracePeriodSeconds")
        {
            let problem = "a readinessProbe ends no container".to_owned();
            grace.report(
                checker,
                problem,
                "take its terminationGracePeriodSeconds away",
            );
        }
    }
}

fn one_handler(checker: &mut Checker<'_>, handler: &Place<'_>, field: &str) {
    let handlers = given(handler, &HANDLERS);
    let problem = match handlers.as_slice() {
        ["exec"] if handler.value["exec"]["command"].is_null() => {
            let problem = format!("{field} runs no command");
            return handler.report(checker, problem, "write exec.command");
        }
        [_] => return,
        [] => format!("{field} does nothing"),
        several => format!("{field} does {} at once", several.join(" and ")),
    };
    let remedy = "write one of exec, grpc, httpGet and tcpSocket; what niphas makes of the workload's own attributes is merged with it";
    handler.report(checker, problem, remedy);
}

fn security(checker: &mut Checker<'_>, container: &Place<'_>, pod: &Place<'_>) {
    let name = container.text("name").unwrap_or_default();
    let context = container.field("securityContext");
    for id in ["runAsUser", "runAsGroup"] {
        context.between(checker, id, 0, LARGEST_ID);
    }
    super::pod::profiles(checker, &context);
    if context.text("procMount") == Some("Unmasked") && pod.value["hostUsers"] != false {
        let problem = "procMount is Unmasked, and the pod shares the users of its node".to_owned();
        let remedy = "write podTemplate.spec.hostUsers = false, too";
        context.field("procMount").report(checker, problem, remedy);
    }
    let capabilities = context.value["capabilities"]["add"].as_array();
    let admin = capabilities.is_some_and(|add| add.iter().any(|name| name == "CAP_SYS_ADMIN"));
    if context.value["allowPrivilegeEscalation"] == false
        && (context.is_true("privileged") || admin)
    {
        let what = if admin {
            "gets CAP_SYS_ADMIN"
        } else {
            "is privileged"
        };
        let problem =
            format!("the container {name:?} {what}, and allowPrivilegeEscalation is false");
        let remedy = "write securityContext.allowPrivilegeEscalation = true, too";
        context.report(checker, problem, remedy);
    }
    // The container's own value counts before the pod's.
    let pods = pod.field("securityContext");
    let either = |field: &str| match &context.value[field] {
        Value::Null => pods.value[field].clone(),
        own => own.clone(),
    };
    if either("runAsUser") == 0 && either("runAsNonRoot") == true {
        let problem = format!("the container {name:?} runs as root, and runAsNonRoot is true");
        let remedy = "write securityContext.runAsNonRoot = false, too, or another runAsUser";
        let place = if context.value["runAsUser"].is_null() {
            &pods
        } else {
            &context
        };
        place.field("runAsUser").report(checker, problem, remedy);
    }
}

/// Of one node's ports each can be had once.
fn host_ports(checker: &mut Checker<'_>, pod: &Place<'_>) {
    let mut taken = BTreeSet::new();
    for container in pod.items("containers") {
        for port in container.items("ports") {
            let number = match port.integer("hostPort") {
                Some(number) if number != 0 => number,
                _ if pod.is_true("hostNetwork") => {
                    port.integer("containerPort").unwrap_or_default()
                }
                _ => continue,
            };
            if pod.is_true("hostNetwork") && port.integer("containerPort") != Some(number) {
                let problem = format!("with hostNetwork, hostPort {number} is the containerPort");
                port.report(checker, problem, "write the same number for both");
            }
            let protocol = port.text("protocol").unwrap_or("TCP");
            if !taken.insert((number, protocol, port.text("hostIP").unwrap_or_default())) {
                let problem = format!("two ports want the node's port {number}");
                port.report(checker, problem, "give one of the two another hostPort");
            }
        }
    }
}
