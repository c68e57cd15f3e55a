//! Amounts of memory, storage and CPU time.

use niphas_api::{Amount, BadQuantity};

use super::grammar::QUALIFIED_NAME;
use super::place::Place;
use crate::schema::Checker;
use crate::suggestion::nearest;

/// What every node has.
const STANDARD: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
const HUGE_PAGES: &str = "hugepages-";

/// Less memory or storage than this is a unit that was forgotten.
const SMALL: &str = "64Ki";

pub(super) fn check(checker: &mut Checker<'_>, resources: &Place<'_>) {
    for list in ["requests", "limits"] {
        let amounts = resources.field(list);
        for (name, _) in amounts.value.as_object().into_iter().flatten() {
            let place = amounts.field(name);
            let text = place.written();
            if !is_resource(name) {
                let remedy = match nearest(name, STANDARD) {
                    Some(nearest) => format!("did you mean '{nearest}'?"),
                    None => {
                        "write cpu, memory, or what a device plugin offers, like example.org/gpu"
                            .to_owned()
                    }
                };
                place.report(
                    checker,
                    format!("{name:?} is no resource of containers"),
                    &remedy,
                );
            }
            if let Some(size) = name.strip_prefix(HUGE_PAGES) {
                whole_pages(checker, &place, size, &text);
            }
            match text.parse::<Amount>() {
                // The schema refuses it.
                Err(BadQuantity::Syntax) => {}
                Err(why) => place.report(checker, format!("{name} is {text}: {why}"), ""),
                Ok(amount) if amount.is_negative() => {
                    place.report(checker, format!("{name} is {text}"), "write 0 or more");
                }
                Ok(amount) if is_in_bytes(name) => of_bytes(checker, &place, name, &amount),
                Ok(amount) if name != "cpu" && !amount.is_whole() => {
                    let problem = format!("{text} of {name} is a part of one");
                    place.report(checker, problem, "write a whole number");
                }
                Ok(_) => {}
            }
        }
    }
    huge_pages_have_company(checker, resources);
    compare(checker, resources);
}

/// What a container can have: of a node, or of a device plugin, whose names have a domain.
fn is_resource(name: &str) -> bool {
    let is_of_plugin = || name.contains('/') && QUALIFIED_NAME.0(name);
    STANDARD.contains(&name) || name.starts_with(HUGE_PAGES) || is_of_plugin()
}

/// Of huge pages there are whole ones.
fn whole_pages(checker: &mut Checker<'_>, place: &Place<'_>, size: &str, text: &str) {
    let whole = |text: &str| text.parse::<Amount>().ok()?.whole();
    let (Some(page), Some(amount)) = (whole(size), whole(text)) else {
        return;
    };
    if amount.checked_rem(page) != Some(0) {
        let problem = format!("{text} is not a whole number of pages of {size}");
        place.report(checker, problem, &format!("write a multiple of {size}"));
    }
}

/// Kubernetes gives huge pages only to what asks for processors or memory, too.
fn huge_pages_have_company(checker: &mut Checker<'_>, resources: &Place<'_>) {
    let lists = ["requests", "limits"].map(|list| resources.field(list));
    let is_asked = |wanted: &dyn Fn(&str) -> bool| {
        let names = lists.iter().filter_map(|list| list.value.as_object());
        names.flatten().any(|(name, _)| wanted(name))
    };
    let has_pages = is_asked(&|name| name.starts_with(HUGE_PAGES));
    if has_pages && !is_asked(&|name| matches!(name, "cpu" | "memory")) {
        let problem = "huge pages are asked for, and neither cpu nor memory".to_owned();
        resources.report(checker, problem, "write limits.memory, too");
    }
}

/// Devices that a container uses are claimed by its pod, each once.
pub(super) fn claims(checker: &mut Checker<'_>, resources: &Place<'_>, pod: &Place<'_>) {
    let claimed = pod.items("resourceClaims");
    let claimed: Vec<&str> = claimed
        .iter()
        .filter_map(|claim| claim.text("name"))
        .collect();
    let mut used: Vec<(&str, Option<&str>)> = Vec::new();
    for claim in resources.items("claims") {
        let name = claim.text("name").unwrap_or_default();
        let request = claim.text("request").filter(|request| !request.is_empty());
        if !claimed.contains(&name) {
            let remedy = match nearest(name, claimed.iter().copied()) {
                Some(nearest) => format!("did you mean '{nearest}'?"),
                None => "add it to podTemplate.spec.resourceClaims".to_owned(),
            };
            claim.report(
                checker,
                format!("no resource claim is named {name:?}"),
                &remedy,
            );
        }
        let is_same = |&(other, of): &(&str, Option<&str>)| {
            other == name && (of == request || of.is_none() || request.is_none())
        };
        if used.iter().any(is_same) {
            let problem = format!("the resource claim {name:?} is used twice");
            claim.report(checker, problem, "make one element of the two");
        }
        used.push((name, request));
    }
}

/// Those whose unit is a byte.
fn is_in_bytes(name: &str) -> bool {
    matches!(name, "memory" | "storage" | "ephemeral-storage") || name.starts_with(HUGE_PAGES)
}

/// Says so of an amount that means bytes by accident.
pub(super) fn of_bytes(checker: &mut Checker<'_>, place: &Place<'_>, name: &str, amount: &Amount) {
    let text = place.written();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    if !amount.is_whole() {
        let problem = format!("{text} of {name} is less than whole bytes");
        let remedy = if text.ends_with('m') {
            format!("'m' is a thousandth: write {digits}Mi or {digits}M")
        } else {
            "write whole bytes".to_owned()
        };
        return place.report(checker, problem, &remedy);
    }
    let small: Option<Amount> = SMALL.parse().ok();
    if !amount.is_zero() && small.is_some_and(|small| *amount < small) {
        let problem = format!("{name} is {text}, which is counted in bytes");
        place.report(checker, problem, &format!("write a unit, like {digits}Mi"));
    }
}

/// A pod gets no more than its limits; of what cannot be shared it asks for just that.
fn compare(checker: &mut Checker<'_>, resources: &Place<'_>) {
    let requests = resources.field("requests");
    let limits = resources.field("limits");
    for (name, _) in requests.value.as_object().into_iter().flatten() {
        let place = requests.field(name);
        let can_be_shared = !name.contains('/') && !name.starts_with(HUGE_PAGES);
        let requested = place.written();
        let Some(limit) = limits.present(name).map(|limit| limit.written()) else {
            if !can_be_shared {
                let problem = format!("{name} is requested without a limit");
                place.report(
                    checker,
                    problem,
                    &format!("write limits.{name:?} = {requested:?}, too"),
                );
            }
            continue;
        };
        let (Ok(least), Ok(most)) = (requested.parse::<Amount>(), limit.parse::<Amount>()) else {
            continue;
        };
        if least > most {
            let problem =
                format!("the request for {name}, {requested}, is above its limit, {limit}");
            let remedy =
                format!("write a request of at most {limit}, or a limit of at least {requested}");
            place.report(checker, problem, &remedy);
        } else if least != most && !can_be_shared {
            let problem = format!("the request for {name}, {requested}, is not its limit, {limit}");
            place.report(checker, problem, "write the same amount for both");
        }
    }
}
