//! Messages of the CRD's rules, with what the value has that they are about: a rule knows no values.

use serde_json::Value;

use crate::attribute_path::{AttributePath, Element};
use crate::suggestion::nearest;

/// What can be written where a rule is not kept.
const REMEDIES: &[(&str, &str)] = &[
    (
        "a Deployment has no strategy OnDelete, and only a Deployment has Recreate",
        "write RollingUpdate",
    ),
    (
        "a ServiceAccount that is not created needs a name",
        "write serviceAccount.name",
    ),
    ("a grpcRoute needs a service", "write service = { }, too"),
    (
        "a headless Service has the type ClusterIP",
        "take the type away, or clusterIP",
    ),
    (
        "a probe needs one of exec, grpc, httpGet and tcpSocket",
        "write one of them, like httpGet = { path = \"/\"; port = \"http\"; }",
    ),
    (
        "a service needs ports, and there are none",
        "write them as ports.<name>, like ports.http = 8080",
    ),
    ("an httpRoute needs a service", "write service = { }, too"),
    ("an ingress needs a service", "write service = { }, too"),
    (
        "autoscaling is for the kinds Deployment and StatefulSet",
        TAKE_AWAY,
    ),
    (
        "autoscaling needs something to go by: cpu, memory or metrics",
        "write cpu = 80 for 80 percent of what the pods request",
    ),
    ("daemonSet is for the kind DaemonSet", TAKE_AWAY),
    ("deployment is for the kind Deployment", TAKE_AWAY),
    (
        "disruptionBudget is for the kinds Deployment and StatefulSet",
        TAKE_AWAY,
    ),
    (
        "expected either minAvailable or maxUnavailable",
        "write one of the two, like maxUnavailable = 1",
    ),
    (
        "expected either storage, or claimName for a claim that is there already",
        "write one of the two",
    ),
    ("expected either value or valueFrom", "write one of the two"),
    (
        "expected five fields (minute, hour, day, month, weekday), or one of @yearly, @monthly, @weekly, @daily, @hourly and @every",
        "write it like \"30 3 * * *\"",
    ),
    (
        "externalTrafficPolicy is for the types NodePort and LoadBalancer",
        "write type = \"LoadBalancer\", too, or take it away",
    ),
    (
        "fields of load balancers are for the type LoadBalancer",
        "write type = \"LoadBalancer\", too, or take them away",
    ),
    (
        "files cannot lie in /nix, where the closure is mounted, nor be /tmp, which is a folder",
        "put it into the package, or elsewhere",
    ),
    ("job is for the kinds Job and CronJob", TAKE_AWAY),
    (
        "maxSurge, maxUnavailable and partition are for the type RollingUpdate",
        "take them away, or write type = \"RollingUpdate\"",
    ),
    (
        "minReplicas is larger than maxReplicas",
        "write a larger maxReplicas",
    ),
    (
        "names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter",
        "write it like http or grpc-web",
    ),
    (
        "nodePorts are for the types NodePort and LoadBalancer",
        "write type = \"NodePort\", too, or take them away",
    ),
    ("partition is for the kind StatefulSet", TAKE_AWAY),
    (
        "paths of files are absolute, without ':' and without empty, '.' and '..' parts",
        "write it like \"/etc/app/config.toml\"",
    ),
    (
        "replicas are for the kinds Deployment and StatefulSet",
        TAKE_AWAY,
    ),
    ("statefulSet is for the kind StatefulSet", TAKE_AWAY),
    (
        "strategy is for the kinds Deployment, StatefulSet and DaemonSet",
        TAKE_AWAY,
    ),
    (
        "the completionMode Indexed needs completions",
        "write job.completions",
    ),
    (
        "the httpRoute must name one of the ports, as there are several",
        "write port = \"…\", the name of one",
    ),
    (
        "the ingress must name one of the ports, as there are several",
        "write port = \"…\", the name of one",
    ),
    (
        "the kind CronJob needs cronJob with a schedule, and no other kind has it",
        "write both kind = \"CronJob\" and cronJob.schedule, or neither",
    ),
    (
        "two ports have the same number and protocol",
        "give one of the two another number",
    ),
    (
        "two volume claims are mounted at the same path",
        "give one of the two another mountPath",
    ),
];

const TAKE_AWAY: &str = "take it away, or write another kind; null takes away what defaults say";

/// A rule's message about what is at `path`, and what can be written instead. `value` is what the rule was asked of.
pub(crate) fn in_words(
    message: &str,
    value: &Value,
    path: &AttributePath,
) -> (String, Option<String>) {
    if message.ends_with("names a port that is not among the ports") {
        let ports: Vec<&str> = names(&value["ports"]).collect();
        let named = named_ports(value, path);
        let unknown = named.iter().find(|name| !ports.contains(name));
        if let Some(unknown) = unknown {
            let message = message.replace("a port that", &format!("the port {unknown:?}, which"));
            let hint = match (nearest(unknown, ports.iter().copied()), ports.as_slice()) {
                (Some(name), _) => format!("did you mean '{name}'?"),
                (None, []) => "there are no ports: write them as ports.<name>".to_owned(),
                (None, ports) => format!("the ports are {}", ports.join(", ")),
            };
            return (message, Some(hint));
        }
    }
    if message == "two ports have the same number and protocol"
        && let Some(Element::Attribute(name)) = path.elements().last()
        && let Some(number) = value[name]["port"].as_u64()
    {
        return (format!("{message}: {number}"), remedy(message));
    }
    (message.to_owned(), remedy(message))
}

fn remedy(message: &str) -> Option<String> {
    let found = REMEDIES.iter().find(|(of, _)| *of == message);
    found.map(|(_, remedy)| (*remedy).to_owned())
}

fn names(set: &Value) -> impl Iterator<Item = &str> {
    set.as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
}

/// The ports that a service, or the probe at `path`, names.
fn named_ports<'v>(value: &'v Value, path: &AttributePath) -> Vec<&'v str> {
    match path.elements() {
        [.., Element::Attribute(probes), Element::Attribute(probe)] if probes == "probes" => {
            let probe = &value["probes"][probe];
            let ports = ["httpGet", "tcpSocket"].map(|kind| probe[kind]["port"].as_str());
            ports.into_iter().flatten().collect()
        }
        _ => names(&value["service"]["ports"]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PROBE: &str = "the probe names a port that is not among the ports";

    fn words(message: &str, value: &Value, path: &[&str]) -> (String, Option<String>) {
        in_words(message, value, &AttributePath::of(path))
    }

    #[test]
    fn a_probe_says_which_port_it_names() {
        let value = json!({
            "ports": { "http": { "port": 80 }, "metrics": { "port": 90 } },
            "probes": { "readiness": { "httpGet": { "port": "htp" } }, "liveness": { "tcpSocket": { "port": "grpc" } } },
        });
        assert_eq!(
            words(PROBE, &value, &["probes", "readiness"]),
            (
                "the probe names the port \"htp\", which is not among the ports".to_owned(),
                Some("did you mean 'http'?".to_owned())
            )
        );
        let (_, hint) = words(PROBE, &value, &["probes", "liveness"]);
        assert_eq!(hint.as_deref(), Some("the ports are http, metrics"));
    }

    #[test]
    fn a_service_says_which_port_it_names() {
        let value = json!({ "service": { "ports": { "http": 80 } } });
        let message = "the service names a port that is not among the ports";
        assert_eq!(
            words(message, &value, &["service", "ports"]),
            (
                "the service names the port \"http\", which is not among the ports".to_owned(),
                Some("there are no ports: write them as ports.<name>".to_owned())
            )
        );
    }

    #[test]
    fn two_ports_say_their_number() {
        let message = "two ports have the same number and protocol";
        let value = json!({ "a": { "port": 80 }, "b": { "port": 80 } });
        let (text, hint) = words(message, &value, &["ports", "b"]);
        assert_eq!(
            (text.as_str(), hint.as_deref()),
            (
                "two ports have the same number and protocol: 80",
                Some("give one of the two another number")
            )
        );
    }

    #[test]
    fn remedies_are_of_rules_that_there_are() {
        let schema = crate::schema::object_schema().to_string();
        for (message, _) in REMEDIES {
            let message = Value::from(*message).to_string();
            assert!(schema.contains(&message), "{message}");
        }
    }

    #[test]
    fn other_messages_stay() {
        let text = "a StatefulSet has no maxSurge";
        assert_eq!(
            words(text, &json!({}), &["strategy"]),
            (text.to_owned(), None)
        );
    }
}
