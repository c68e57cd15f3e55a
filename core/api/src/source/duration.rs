//! Lengths of time, as Kubernetes' and Flux' objects write them.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in whole seconds: `90s`, `5m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u32);

/// A text that is no [`Duration`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a length of time: expected hours, minutes and seconds, like '1h30m'")]
pub struct BadDuration(String);

const UNITS: [(char, u32); 3] = [('h', 3600), ('m', 60), ('s', 1)];

impl Duration {
    /// A length of time in seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds)
    }

    /// As the standard library has it.
    pub fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0.into())
    }
}

impl FromStr for Duration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        let bad = || BadDuration(text.chars().take(64).collect());
        let (mut rest, mut total) = (text, 0_u32);
        for (unit, seconds) in UNITS {
            let Some((digits, after)) = rest.split_once(unit) else {
                continue;
            };
            let number: u32 = digits.parse().map_err(|_| bad())?;
            let add = number.checked_mul(seconds);
            total = add.and_then(|add| total.checked_add(add)).ok_or_else(bad)?;
            rest = after;
        }
        if text.is_empty() || !rest.is_empty() || text.contains('+') {
            return Err(bad());
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, seconds) in UNITS {
            if rest >= seconds {
                write!(f, "{}{unit}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 16,
            "pattern": "^([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn lengths_of_time_are_read_and_written() {
        let written = [
            ("0s", "0s", 0),
            ("90s", "1m30s", 90),
            ("1h30m", "1h30m", 5400),
            ("60m", "1h", 3600),
            ("1h1s", "1h1s", 3601),
        ];
        for (text, normal, seconds) in written {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration, Duration::from_secs(seconds), "{text}");
            assert_eq!(duration.to_string(), normal);
        }
        let wrong = [
            "",
            "5",
            "s",
            "m5",
            "5s1m",
            "1m1m",
            "-1s",
            "+1s",
            "1.5h",
            "1d",
            "5m ",
            "99999999999s",
            "4294967295h",
        ];
        for text in wrong {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
