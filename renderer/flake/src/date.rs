//! Points in time, in UTC.

use std::fmt;

/// A point in time, split up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
}

impl Date {
    /// From seconds since 1970.
    pub fn from_unix(seconds: u64) -> Self {
        // Years begin in March, so that the leap day is a year's last; 400 of them repeat.
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            second_of_day: seconds % 86_400,
        }
    }

    /// `YYYYMMDDhhmmss`, as in `lastModifiedDate`.
    pub(crate) fn compact(self) -> String {
        let Self {
            year,
            month,
            day,
            second_of_day,
        } = self;
        let (hour, minute, second) = (
            second_of_day / 3_600,
            second_of_day / 60 % 60,
            second_of_day % 60,
        );
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }

    /// `YYYY-MM-DD hh:mm:ss`
    pub fn with_time(self) -> String {
        let second = self.second_of_day;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{self} {hour:02}:{minute:02}:{second:02}")
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(Date::from_unix(0).compact(), "19700101000000");
        assert_eq!(Date::from_unix(951_782_399).compact(), "20000228235959");
        assert_eq!(Date::from_unix(951_868_800).to_string(), "2000-03-01");
        assert_eq!(Date::from_unix(1_686_503_798).compact(), "20230611171638");
        assert_eq!(
            Date::from_unix(1_686_503_798).with_time(),
            "2023-06-11 17:16:38"
        );
        assert_eq!(Date::from_unix(4_107_542_400).to_string(), "2100-03-01");
    }
}
