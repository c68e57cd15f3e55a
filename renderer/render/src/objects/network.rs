//! What may reach pods, and what they may reach.

use serde_json::Value;

use super::grammar::{Network, PORT_NAME};
use super::place::Place;
use super::scheduling::selector;
use crate::schema::Checker;
use crate::suggestion::nearest;

pub(super) fn check(checker: &mut Checker<'_>, policy: &Place<'_>) {
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in policy.items(rules) {
            for port in rule.items("ports") {
                port.one_of(checker, "protocol", &["SCTP", "TCP", "UDP"]);
                range(checker, &port);
            }
            for peer in rule.items(peers) {
                of_peer(checker, &peer);
            }
        }
    }
}

/// Ports that a Service names in these fields and no program has.
pub(super) fn service(
    checker: &mut Checker<'_>,
    service: &Place<'_>,
    attributes: &Value,
    fields: &[&str],
) {
    let of = |set: &Value| -> Vec<String> {
        let ports = set["ports"].as_object().into_iter().flatten();
        ports.map(|(name, _)| name.clone()).collect()
    };
    let mut known = of(attributes);
    for list in ["containers", "initContainers"] {
        let containers = attributes[list].as_object().into_iter().flatten();
        known.extend(containers.flat_map(|(_, container)| of(container)));
    }
    for field in fields {
        let place = service.field(field);
        let named: Vec<&str> = match place.value {
            Value::Object(ports) => ports.keys().map(String::as_str).collect(),
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for name in named
            .into_iter()
            .filter(|name| !known.iter().any(|port| port == name))
        {
            let problem = format!("no program of the workload has a port {name:?}");
            let remedy = match nearest(name, known.iter().map(String::as_str)) {
                Some(port) => format!("did you mean '{port}'?"),
                None => format!("write one of {}", known.join(", ")),
            };
            place.report(checker, problem, &remedy);
        }
    }
}

fn range(checker: &mut Checker<'_>, port: &Place<'_>) {
    port.between(checker, "port", 1, 65535);
    port.form(checker, "port", PORT_NAME);
    let Some(end) = port.integer("endPort") else {
        return;
    };
    match port.integer("port") {
        Some(first) if end < first => {
            let problem = format!("the ports from {first} to {end} are none");
            port.report(checker, problem, "write an endPort that is not below port");
        }
        Some(_) => port.between(checker, "endPort", 1, 65535),
        None => {
            let problem = "endPort is the last of a range, and port is no number".to_owned();
            port.report(checker, problem, "write the first one as port");
        }
    }
}

fn of_peer(checker: &mut Checker<'_>, peer: &Place<'_>) {
    selector(checker, &peer.field("podSelector"));
    selector(checker, &peer.field("namespaceSelector"));
    let selects =
        peer.present("podSelector").is_some() || peer.present("namespaceSelector").is_some();
    let block = peer.present("ipBlock");
    if block.is_some() == selects {
        let problem = "a peer is either an ipBlock or what its selectors find".to_owned();
        peer.report(
            checker,
            problem,
            "write ipBlock, or podSelector and namespaceSelector",
        );
    }
    let Some(block) = block else {
        return;
    };
    let network = network(checker, &block, &block.value["cidr"]);
    for except in block.value["except"].as_array().into_iter().flatten() {
        if let (Some(around), Some(inside)) = (network, self::network(checker, &block, except))
            && !inside.is_within(around)
        {
            let problem = format!("{except} is no part of {}", block.value["cidr"]);
            block.report(
                checker,
                problem,
                "write smaller networks of the block as except",
            );
        }
    }
}

/// The network that a text is, if it is one.
fn network(checker: &mut Checker<'_>, block: &Place<'_>, text: &Value) -> Option<Network> {
    let network = text.as_str().and_then(Network::parse);
    match network {
        None => {
            let remedy = "write an address and its length, like 10.0.0.0/8";
            block.report(checker, format!("{text} is no network"), remedy);
        }
        Some(network) if network.has_host_bits() => {
            let problem = format!("{text} is an address in a network");
            block.report(checker, problem, &format!("write {}", network.first()));
        }
        Some(_) => {}
    }
    network
}
