//! Messages of the CRD's rules, with what the value has that they are about: a rule knows no values.

use serde_json::Value;

use crate::attribute_path::{AttributePath, Element};
use crate::suggestion::nearest;

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
        return (format!("{message}: {number}"), None);
    }
    (message.to_owned(), None)
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
            (text.as_str(), hint),
            ("two ports have the same number and protocol: 80", None)
        );
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
