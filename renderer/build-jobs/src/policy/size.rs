//! Amounts of memory, disk and processor time, as Kubernetes writes them.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use niphas_api::{Amount, BadQuantity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes: `512Mi`, `4Gi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// A text that is no [`Size`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSize {
    /// It is no quantity.
    #[error("'{text}' is no number of bytes")]
    Quantity {
        /// The text.
        text: String,
        /// Why.
        source: BadQuantity,
    },
    /// It is no whole number that any machine has.
    #[error("'{0}' is no number of bytes: expected a whole number below 2^63")]
    Number(String),
}

const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Size {
    /// As many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// 2^30 bytes, as often.
    pub const fn gibibytes(count: u32) -> Self {
        Self((count as u64) << 30)
    }

    /// The bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Twice as much.
    #[must_use]
    pub const fn doubled(self) -> Self {
        Self(self.0.saturating_mul(2))
    }

    /// As Kubernetes' objects hold it.
    pub fn quantity(self) -> Quantity {
        Quantity(self.to_string())
    }
}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let shown = || nix_formats::shortened(text, 64).into_owned();
        let amount: Amount = text.parse().map_err(|source| BadSize::Quantity {
            text: shown(),
            source,
        })?;
        let bytes = amount.whole().filter(|bytes| i64::try_from(*bytes).is_ok());
        bytes.map(Self).ok_or_else(|| BadSize::Number(shown()))
    }
}

/// In the API server's normal form.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut count, mut unit) = (self.0, 0);
        while count > 0 && count.is_multiple_of(1024) && unit + 1 < UNITS.len() {
            count /= 1024;
            unit += 1;
        }
        write!(f, "{count}{}", UNITS[unit])
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Processors, in thousandths: `4`, `500m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(u32);

/// A text that is no [`Cpu`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no number of processors: expected one like '4' or '500m', at least '1m'")]
pub struct BadCpu(String);

impl Cpu {
    /// Thousandths of a processor.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// How many processors a builder may count on: rounded up.
    pub const fn cores(self) -> u32 {
        self.0.div_ceil(1000)
    }

    /// As Kubernetes' objects hold it.
    pub fn quantity(self) -> Quantity {
        Quantity(self.to_string())
    }
}

impl FromStr for Cpu {
    type Err = BadCpu;

    fn from_str(text: &str) -> Result<Self, BadCpu> {
        let millis = match text.strip_suffix('m') {
            Some(millis) => digits(millis),
            None => digits(text).and_then(|cores| cores.checked_mul(1000)),
        };
        let millis = millis.filter(|millis| *millis > 0);
        millis
            .map(Self)
            .ok_or_else(|| BadCpu(nix_formats::shortened(text, 64).into_owned()))
    }
}

fn digits(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl Serialize for Cpu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cpu {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_kubernetes_does_and_written_in_its_normal_form() {
        for (text, bytes, written) in [
            ("4Gi", 4 << 30, "4Gi"),
            ("1536Mi", 1536 << 20, "1536Mi"),
            ("1.5Gi", 1536 << 20, "1536Mi"),
            ("4G", 4_000_000_000, "3906250Ki"),
            ("1000", 1000, "1000"),
            ("0", 0, "0"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(
                (size.bytes(), size.to_string()),
                (bytes, written.to_owned())
            );
        }
        for wrong in ["", "4GB", "-1", "0.5", "1e30"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn processors_are_whole_thousandths() {
        for (text, cores, written) in [
            ("4", 4, "4"),
            ("500m", 1, "500m"),
            ("2500m", 3, "2500m"),
            ("2000m", 2, "2"),
        ] {
            let cpu: Cpu = text.parse().unwrap();
            assert_eq!((cpu.cores(), cpu.to_string()), (cores, written.to_owned()));
        }
        for wrong in [
            "",
            "0",
            "0m",
            "1.5",
            "-1",
            "+1",
            "m",
            "9999999999",
            "4294968",
        ] {
            assert!(wrong.parse::<Cpu>().is_err(), "{wrong}");
        }
    }
}
