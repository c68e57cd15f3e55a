//! What may reach pods, and what they may reach.

use super::grammar::is_network;
use super::place::Place;
use super::scheduling::selector;
use crate::schema::Checker;

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

fn range(checker: &mut Checker<'_>, port: &Place<'_>) {
    port.between(checker, "port", 1, 65535);
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
    let cidrs = block.value["except"].as_array().into_iter().flatten();
    for cidr in cidrs.chain([&block.value["cidr"]]) {
        let cidr = cidr.as_str().unwrap_or_default();
        if !is_network(cidr) {
            let problem = format!("{cidr:?} is no network");
            block.report(
                checker,
                problem,
                "write an address and its length, like 10.0.0.0/8",
            );
        }
    }
}
