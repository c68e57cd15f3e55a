//! How requests come to a workload: hosts, paths and gateways.

use serde_json::Value;

use super::grammar::ADDRESS;
use super::place::Place;
use crate::schema::Checker;

/// What an Ingress has in none of its paths, and at the end of none: servers and proxies do not agree on what it means.
const PARTS: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const ENDS: [&str; 2] = ["/..", "/."];
/// The longest path of an HTTPRoute, in bytes.
const LONGEST: usize = 1024;

pub(super) fn ingress(checker: &mut Checker<'_>, ingress: &Place<'_>) {
    let hosts = ingress.field("hosts");
    for (host, _) in hosts.value.as_object().into_iter().flatten() {
        let place = hosts.field(host);
        if ADDRESS.0(host) {
            let problem = format!("{host} is an address, and an Ingress is for names");
            place.report(checker, problem, "write a name of DNS");
        }
        let backends = place.field("backends");
        let further = backends.value.as_object().into_iter().flatten();
        let further = further.map(|(path, _)| (path.as_str(), backends.field(path)));
        for (path, place) in texts(&place, "paths").into_iter().chain(further) {
            if !path.starts_with('/') {
                let problem = format!("the path {path:?} does not begin with '/'");
                place.report(checker, problem, "write a path from the host's root");
            }
            let part = PARTS.iter().find(|part| path.contains(**part));
            let end = ENDS.iter().find(|end| path.ends_with(**end));
            if let Some(part) = part.or(end) {
                let problem = format!("the path {path:?} has {part:?} in it");
                place.report(checker, problem, "write the path without it");
            }
        }
    }
}

pub(super) fn http_route(checker: &mut Checker<'_>, route: &Place<'_>) {
    for (path, place) in texts(route, "paths") {
        if let Some(c) = path.chars().find(|c| !is_of_path(*c)) {
            let problem = format!("the path {path:?} has {c:?} in it");
            place.report(checker, problem, "write it as %XX, in hexadecimal");
        }
        if path.len() > LONGEST {
            let problem = format!("the path has {} bytes", path.len());
            place.report(checker, problem, &format!("write at most {LONGEST}"));
        }
    }
    parents(checker, route);
}

/// Parents that are the same, which the API server refuses.
pub(super) fn parents(checker: &mut Checker<'_>, route: &Place<'_>) {
    let parents = route.items("parentRefs");
    for (number, parent) in parents.iter().enumerate() {
        let gateway = |parent: &Place<'_>| {
            let field = |name| parent.text(name).map(str::to_owned);
            (field("name"), field("namespace"))
        };
        let section = parent.text("sectionName");
        let of_same = parents[..number]
            .iter()
            .filter(|other| gateway(other) == gateway(parent));
        for other in of_same {
            let other = other.text("sectionName");
            if section.is_none() || other.is_none() || section == other {
                let name = parent.text("name").unwrap_or_default();
                let problem = format!("two parentRefs are for the Gateway {name:?}");
                let remedy = "make one of the two, or write another sectionName in each";
                parent.report(checker, problem, remedy);
            }
        }
    }
}

/// What paths of URLs are written in.
fn is_of_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-/._~!$&'()*+,;=:@%".contains(c)
}

/// The texts of a list, with the place of the list.
fn texts<'a>(place: &Place<'a>, list: &str) -> Vec<(&'a str, Place<'a>)> {
    let list = place.field(list);
    let texts = list.value.as_array().into_iter().flatten();
    texts
        .filter_map(Value::as_str)
        .map(|text| (text, list.clone()))
        .collect()
}
