//! Dates and times.

use std::fmt::Write as _;

use super::cursor::{Cursor, Region, Result, TomlError};

const DATE_HINTS: &[&str] = &[
    "valid  : 1979-05-27T07:32:00-07:00, 1979-05-27 07:32:00.999999Z",
    "invalid: 1979-05-27T7:32:00-7:00, 1979-05-27 7:32-00:30",
];
const TIME_HINTS: &[&str] = &[
    "valid  : 1979-05-27T07:32:00, 1979-05-27 07:32:00.999999",
    "invalid: 1979-05-27T7:32:00, 1979-05-27 17:32",
];

impl Cursor<'_> {
    /// A date, a time, or both, if one is next.
    pub(super) fn time(&mut self) -> Result<Option<String>> {
        let start = self.place;
        if self.shaped(b"00:00:00") {
            return self.clock().map(Some);
        }
        if !self.shaped(b"0000-") {
            return Ok(None);
        }
        if !self.shaped(b"0000-00-00") {
            self.place += 5;
            self.skip_while(|byte| byte.is_ascii_digit());
            let error = self.error("bad datetime: invalid format", "here");
            return Err(error.hints(DATE_HINTS));
        }
        let mut out = self.date()?;
        let blank = self.peek() == Some(b' ');
        let digit_follows = self
            .text
            .get(self.place + 1)
            .is_some_and(u8::is_ascii_digit);
        let clock_follows = matches!(self.peek(), Some(b'T' | b't')) || (blank && digit_follows);
        if !clock_follows {
            return Ok(Some(out));
        }
        self.place += 1;
        out.push('T');
        out.push_str(&self.clock()?);
        self.offset(&mut out, start)?;
        Ok(Some(out))
    }

    /// The next bytes are like these, with any digits for zeros.
    fn shaped(&self, shape: &[u8]) -> bool {
        let bytes = self.text.get(self.place..self.place + shape.len());
        bytes.is_some_and(|bytes| {
            bytes.iter().zip(shape).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                like => byte == like,
            })
        })
    }

    /// The number in `len` digits from `offset` on.
    fn digits_at(&self, offset: usize, len: usize) -> u32 {
        let digits = self.text.iter().skip(self.place + offset).take(len);
        digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
    }

    fn date(&mut self) -> Result<String> {
        let (year, month, day) = (
            self.digits_at(0, 4),
            self.digits_at(5, 2),
            self.digits_at(8, 2),
        );
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        if day == 0 || day > days {
            return Err(self.error(
                "toml::parse_local_date: invalid date.",
                "month must be 01-12, day must be any of 01-28,29,30,31 depending on the month/year.",
            ));
        }
        self.place += 10;
        Ok(format!("{year:04}-{month:02}-{day:02}"))
    }

    fn clock(&mut self) -> Result<String> {
        if !self.shaped(b"00:00:00") {
            return Err(self.bad_clock());
        }
        let (hour, minute, second) = (
            self.digits_at(0, 2),
            self.digits_at(3, 2),
            self.digits_at(6, 2),
        );
        if hour > 23 || minute > 59 {
            let what = "hour must be 00-23, minute must be 00-59.";
            return Err(self.error("toml::parse_local_time: invalid time.", what));
        }
        if second > 60 {
            let what = "second must be 00-60.";
            return Err(self.error("toml::parse_local_time: invalid time.", what));
        }
        self.place += 8;
        let mut out = format!("{hour:02}:{minute:02}:{second:02}");
        if self.peek() == Some(b'.')
            && self
                .text
                .get(self.place + 1)
                .is_some_and(u8::is_ascii_digit)
        {
            self.place += 1;
            let start = self.place;
            self.skip_while(|byte| byte.is_ascii_digit());
            push_fraction(&mut out, &self.text[start..self.place]);
        }
        Ok(out)
    }

    /// Where a time of day stops being one.
    fn bad_clock(&mut self) -> Box<TomlError> {
        let shape = b"00:00:00";
        let good = (0..shape.len())
            .take_while(|&len| self.shaped(&shape[..=len]))
            .count();
        self.place += good;
        let what = if shape[good.min(7)] == b'0' {
            "expected digit [0-9]"
        } else {
            "expected :"
        };
        self.error("bad time: must be HH:MM:SS.subsec", what)
            .hints(TIME_HINTS)
    }

    fn offset(&mut self, out: &mut String, start: usize) -> Result<()> {
        if self.take(b"Z") || self.take(b"z") {
            out.push('Z');
            return Ok(());
        }
        let Some(sign @ (b'+' | b'-')) = self.peek() else {
            return Ok(());
        };
        self.place += 1;
        if !self.shaped(b"00:00") {
            self.place -= 1;
            let error = self.error("bad offset: must be [+-]HH:MM or Z", "expected digit [0-9]");
            return Err(error.hints(DATE_HINTS));
        }
        let (hour, minute) = (self.digits_at(0, 2), self.digits_at(3, 2));
        self.place += 5;
        if hour > 24 || minute > 60 {
            let region = Region {
                start,
                len: self.place - start,
            };
            return Err(TomlError::new(
                "toml::parse_offset_datetime: too large offset: |hour| <= 24, |minute| <= 60",
                region,
                "here",
            ));
        }
        if (hour, minute) == (0, 0) {
            out.push('Z');
        } else {
            out.push(char::from(sign));
            let _ = write!(out, "{hour:02}:{minute:02}");
        }
        Ok(())
    }
}

/// A fraction of a second in three, six or nine digits; none if it is nothing.
fn push_fraction(out: &mut String, digits: &[u8]) {
    let nanoseconds = (0..9).fold(0_u32, |number, index| {
        let digit = digits.get(index).map_or(0, |digit| digit - b'0');
        number * 10 + u32::from(digit)
    });
    let shown = format!("{nanoseconds:09}");
    let len = match nanoseconds {
        0 => return,
        _ if nanoseconds % 1_000 != 0 => 9,
        _ if nanoseconds % 1_000_000 != 0 => 6,
        _ => 3,
    };
    out.push('.');
    out.push_str(&shown[..len]);
}
