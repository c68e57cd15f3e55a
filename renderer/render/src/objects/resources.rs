//! Amounts of memory, storage and CPU time.

use niphas_api::{Amount, BadQuantity};

use super::place::Place;
use crate::schema::Checker;

/// Less memory or storage than this is a unit that was forgotten.
const SMALL: &str = "64Ki";

pub(super) fn check(checker: &mut Checker<'_>, resources: &Place<'_>) {
    for list in ["requests", "limits"] {
        let amounts = resources.field(list);
        for (name, _) in amounts.value.as_object().into_iter().flatten() {
            let place = amounts.field(name);
            let text = place.written();
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
    compare(checker, resources);
}

/// Those whose unit is a byte.
fn is_in_bytes(name: &str) -> bool {
    matches!(name, "memory" | "storage" | "ephemeral-storage") || name.starts_with("hugepages-")
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
        let can_be_shared = !name.contains('/') && !name.starts_with("hugepages-");
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
