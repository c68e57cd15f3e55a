//! Quantities as the API server understands and prints them: `k8s.io/apimachinery/pkg/api/resource`.
//!
//! The server parses what it gets and prints it in a normal form: `1000m` as `1`, `1.5Gi` as `1536Mi`. It keeps a text as
//! it was written where a quick look says that it is normal already, and that look lets a few others pass (`1.500`,
//! `+1`): here, too, as the aim is what the server prints.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The finest part that a quantity can have, as a power of ten.
const NANO: i32 = -9;
/// The finest part of an amount of a resource, as a power of ten.
pub(crate) const MILLI: i32 = -3;
/// As many digits always fit the server's integers: it is exact with them in the shortest way.
const MANY_DIGITS: i64 = 18;
/// No quantity that means something is longer, nor has a larger exponent.
const MAX_LENGTH: usize = 256;
const MAX_EXPONENT: i32 = 1000;

const DECIMAL_SUFFIXES: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
/// Each stands for 1024 of what the one before stands for.
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// What is no quantity, or none that the API server can print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuantity {
    /// It is not written like one.
    #[error("expected a number with a suffix like m, Mi or M, or without")]
    Syntax,
    /// Kubernetes' suffixes end before it.
    #[error("expected less than 1000E")]
    TooLarge,
}

/// How a quantity was written, and is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `k`, `M`, `G`.
    Decimal,
    /// `e3`.
    Exponent,
    /// `Ki`, `Mi`, `Gi`.
    Binary,
}

/// The number that a quantity stands for. [`Display`](fmt::Display) writes it as the API server does.
#[derive(Debug, Clone)]
pub struct Amount {
    is_negative: bool,
    /// Decimal digits, the most significant first; none if it is zero.
    digits: Vec<u8>,
    /// The power of ten that the digits are multiplied with.
    exponent: i32,
    format: Format,
    as_written: Option<String>,
}

/// A text in its parts, as the server's scanner cuts it.
struct Parts<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, BadQuantity> {
        let digits = |text: &str| {
            text.bytes()
                .position(|byte| !byte.is_ascii_digit())
                .unwrap_or(text.len())
        };
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let rest = unsigned.trim_start_matches('0');
        let (whole, rest) = rest.split_at(digits(rest));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let exponent = letters.strip_prefix(['+', '-']).unwrap_or(letters);
        if digits(exponent) != exponent.len() {
            return Err(BadQuantity::Syntax);
        }
        Ok(Self {
            is_negative: text.starts_with('-'),
            whole: if whole.is_empty() { "0" } else { whole },
            fraction,
            suffix,
        })
    }
}

/// The format of a suffix, and the power of ten or two.
fn interpret(suffix: &str) -> Result<(Format, i32), BadQuantity> {
    let decimal = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix);
    if let Some((_, exponent)) = decimal {
        return Ok((Format::Decimal, *exponent));
    }
    if let Some(index) = BINARY_SUFFIXES.iter().position(|name| *name == suffix) {
        let exponent = i32::try_from(index).unwrap_or_default() * 10;
        return Ok((Format::Binary, exponent));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(BadQuantity::Syntax)?;
    let exponent: i64 = exponent.parse().map_err(|_| BadQuantity::Syntax)?;
    match i32::try_from(exponent) {
        Ok(exponent) if exponent.abs() <= MAX_EXPONENT => Ok((Format::Exponent, exponent)),
        _ => Err(BadQuantity::TooLarge),
    }
}

impl FromStr for Amount {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_LENGTH {
            return Err(BadQuantity::Syntax);
        }
        let parts = Parts::of(text)?;
        let (format, power) = interpret(parts.suffix)?;
        let written = format!("{}{}", parts.whole, parts.fraction);
        let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
        let places = i32::try_from(parts.fraction.len()).map_err(|_| BadQuantity::Syntax)?;
        let mut amount = Self {
            is_negative: parts.is_negative,
            digits: written
                .trim_start_matches('0')
                .bytes()
                .map(|byte| byte - b'0')
                .collect(),
            exponent: if format == Format::Binary { 0 } else { power } - places,
            format,
            as_written: None,
        };
        let is_short = match format {
            // A power of two has about three digits for each ten.
            Format::Binary => {
                parts.fraction.is_empty()
                    && 14 - length(parts.whole) - i64::from(power) * 3 / 10 >= 0
            }
            Format::Decimal | Format::Exponent => {
                MANY_DIGITS >= length(&written) && amount.exponent >= NANO
            }
        };
        if is_short {
            let is_normal = match format {
                Format::Binary => !amount.last_digits().is_multiple_of(8),
                Format::Decimal | Format::Exponent => {
                    amount.exponent % 3 == 0
                        && !written.ends_with("000")
                        && !written.starts_with('0')
                }
            };
            amount.as_written = is_normal.then(|| text.to_owned());
        }
        if format == Format::Binary {
            amount.double(power);
        }
        if !is_short {
            amount.round_up(NANO);
            if format == Format::Binary {
                amount.cap();
            }
        }
        amount.can_be_printed()?;
        Ok(amount)
    }
}

impl Amount {
    /// Rounds away from zero to a multiple of a power of ten.
    pub fn round_up(&mut self, exponent: i32) {
        let Ok(dropped @ 1..) = usize::try_from(exponent - self.exponent) else {
            return;
        };
        let kept = self.digits.len().saturating_sub(dropped);
        let is_exact = self.digits[kept..].iter().all(|digit| *digit == 0);
        self.digits.truncate(kept);
        self.exponent = exponent;
        self.as_written = None;
        if !is_exact {
            self.add_one();
        }
    }

    /// The amount, if it is a whole number of 64 bits.
    pub fn whole(&self) -> Option<u64> {
        let (digits, exponent) = self.shortest();
        let scale = 10_u64.checked_pow(u32::try_from(exponent).ok()?)?;
        let of_digits =
            |value: u64, digit: &u8| value.checked_mul(10)?.checked_add((*digit).into());
        let value = digits.iter().try_fold(0, of_digits)?.checked_mul(scale)?;
        (!self.is_negative()).then_some(value)
    }

    /// Whether it has no fraction.
    pub fn is_whole(&self) -> bool {
        self.shortest().1 >= 0
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.digits.iter().all(|digit| *digit == 0)
    }

    /// Whether it is less than nothing.
    pub fn is_negative(&self) -> bool {
        self.is_negative && !self.is_zero()
    }

    fn add_one(&mut self) {
        for digit in self.digits.iter_mut().rev() {
            if *digit < 9 {
                *digit += 1;
                return;
            }
            *digit = 0;
        }
        self.digits.insert(0, 1);
    }

    /// Multiplies with a power of two.
    fn double(&mut self, times: i32) {
        for _ in 0..times {
            let mut carry = 0;
            for digit in self.digits.iter_mut().rev() {
                let doubled = *digit * 2 + carry;
                *digit = doubled % 10;
                carry = doubled / 10;
            }
            if carry > 0 {
                self.digits.insert(0, carry);
            }
        }
    }

    /// The server has at most 63 bits for quantities with a binary suffix.
    fn cap(&mut self) {
        let most = Self {
            is_negative: false,
            digits: i64::MAX.to_string().bytes().map(|b| b - b'0').collect(),
            exponent: 0,
            format: Format::Binary,
            as_written: None,
        };
        if self.magnitude(&most) == Ordering::Greater {
            (self.digits, self.exponent) = (most.digits, 0);
        }
        let one = Self {
            digits: vec![1],
            ..most
        };
        if self.magnitude(&one) == Ordering::Less {
            self.format = Format::Decimal;
        }
    }

    /// The number that the last three digits are.
    fn last_digits(&self) -> u32 {
        let last = &self.digits[self.digits.len().saturating_sub(3)..];
        last.iter()
            .fold(0, |sum, digit| sum * 10 + u32::from(*digit))
    }

    /// The digits without zeros at the end, and their power of ten.
    fn shortest(&self) -> (&[u8], i32) {
        let kept = self.digits.iter().rposition(|digit| *digit != 0);
        let kept = kept.map_or(0, |index| index + 1);
        let zeros = i32::try_from(self.digits.len() - kept).unwrap_or(i32::MAX);
        match kept {
            0 => (&[], 0),
            _ => (&self.digits[..kept], self.exponent.saturating_add(zeros)),
        }
    }

    /// Compares without the sign.
    fn magnitude(&self, other: &Self) -> Ordering {
        let (ours, our_power) = self.shortest();
        let (theirs, their_power) = other.shortest();
        let size = |digits: &[u8], power: i32| {
            let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
            (!digits.is_empty()).then_some(length.saturating_add(i64::from(power)))
        };
        size(ours, our_power)
            .cmp(&size(theirs, their_power))
            // Of the same size: the digits are compared from the front, and those that end first are less.
            .then_with(|| ours.cmp(theirs))
    }

    /// The number, if it is whole and has 64 bits.
    fn to_u64(&self) -> Option<u64> {
        let (digits, exponent) = self.shortest();
        let number = digits.iter().try_fold(0_u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(*digit))
        })?;
        number.checked_mul(10_u64.checked_pow(u32::try_from(exponent).ok()?)?)
    }

    /// The digits and the suffix for a power of two; none where another format is used.
    fn binary(&self) -> Option<(String, &'static str)> {
        let mut number = self.to_u64().filter(|number| *number >= 1024)?;
        let mut suffix = 0;
        while number.is_multiple_of(1024) {
            number /= 1024;
            suffix += 1;
        }
        Some((number.to_string(), BINARY_SUFFIXES.get(suffix)?))
    }

    /// The digits and a power of ten that is a multiple of three.
    fn decimal(&self) -> (String, i32) {
        let (digits, exponent) = self.shortest();
        let mut text: String = digits
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect();
        let excess = exponent.rem_euclid(3);
        (0..excess).for_each(|_| text.push('0'));
        (text, exponent - excess)
    }

    /// The server prints what has no suffix without one, that is, as another number.
    fn can_be_printed(&self) -> Result<(), BadQuantity> {
        let (_, exponent) = self.decimal();
        if self.format == Format::Decimal && self.as_written.is_none() && exponent > 18 {
            return Err(BadQuantity::TooLarge);
        }
        Ok(())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.as_written {
            return f.write_str(text);
        }
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.is_negative {
            f.write_str("-")?;
        }
        if self.format == Format::Binary
            && let Some((digits, suffix)) = self.binary()
        {
            return write!(f, "{digits}{suffix}");
        }
        let (digits, exponent) = self.decimal();
        f.write_str(&digits)?;
        if self.format == Format::Exponent {
            return match exponent {
                0 => Ok(()),
                exponent => write!(f, "e{exponent}"),
            };
        }
        let suffix = DECIMAL_SUFFIXES
            .iter()
            .find(|(_, power)| *power == exponent);
        f.write_str(suffix.map_or("", |(suffix, _)| suffix))
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(match (self.is_negative(), other.is_negative()) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        })
    }
}

#[cfg(test)]
mod tests;
