//! Wall time as a number, and the bridge from the monotonic clock to it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMicros(pub i64);

impl UnixMicros {
    /// ISO 8601 in UTC to the microsecond, as exports and reports show it:
    /// `2026-11-21T20:30:16.000123Z`.
    pub fn iso8601(self) -> String {
        const DAY_MICROS: i64 = 86_400_000_000;
        let (year, month, day) = civil(self.0.div_euclid(DAY_MICROS));
        let micros = self.0.rem_euclid(DAY_MICROS);
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
    }
}

impl UnixMicros {
    /// The time that [`Self::iso8601`] printed; `None` for any other text.
    pub fn from_iso8601(text: &str) -> Option<Self> {
        const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
        let is_digit = |at: &u8| at.is_ascii_digit();
        let fits =
            |(at, shape): (&u8, &u8)| if *shape == b'0' { is_digit(at) } else { at == shape };
        if text.len() != SHAPE.len() || !text.bytes().zip(SHAPE).all(|(at, it)| fits((&at, it))) {
            return None;
        }
        let figure = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
        let (year, month, day) = (figure(0, 4)?, figure(5, 7)?, figure(8, 10)?);
        let (hour, minute, second) = (figure(11, 13)?, figure(14, 16)?, figure(17, 19)?);
        let seconds = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
        let at = Self(seconds * 1_000_000 + figure(20, 26)?);
        // A 30 February prints as another day.
        (at.iso8601() == text).then_some(at)
    }
}

/// The days from 1970-01-01 to that day: the reverse of [`civil`].
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * 146_097 + day_of_era - 719_468
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01.
///
/// Counts in 400-year eras of years that begin in March, so that a leap day ends its year.
const fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH_DAYS: i64 = 719_468;
    let shifted = days + EPOCH_DAYS;
    let era = shifted.div_euclid(ERA_DAYS);
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 31,30,31,30,31 days in a cycle of 153.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// One reading of both clocks, from which the wall time of any instant follows.
///
/// Machines count in [`Instant`]; records want wall time. The driver takes a new anchor now and
/// then, so that a stepped wall clock is followed while no timer jumps.
#[derive(Clone, Copy, Debug)]
pub struct WallAnchor {
    /// The monotonic reading.
    pub at: Instant,
    /// The wall reading of the same moment.
    pub wall: UnixMicros,
}

impl WallAnchor {
    /// The wall time of `instant`, before or after the anchor.
    pub fn wall_at(&self, instant: Instant) -> UnixMicros {
        let micros = match instant.checked_duration_since(self.at) {
            Some(later) => i64::try_from(later.as_micros()).unwrap_or(i64::MAX),
            None => -i64::try_from((self.at - instant).as_micros()).unwrap_or(i64::MAX),
        };
        UnixMicros(self.wall.0.saturating_add(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times_print_as_iso_8601() {
        // Expected values from `date -u -d @SECONDS`.
        let cases = [
            ("the epoch", 0, "1970-01-01T00:00:00.000000Z"),
            ("a microsecond before it", -1, "1969-12-31T23:59:59.999999Z"),
            ("a leap day", 1_709_164_800_000_001, "2024-02-29T00:00:00.000001Z"),
            ("the day after it", 1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z"),
            ("March", 1_709_251_200_000_000, "2024-03-01T00:00:00.000000Z"),
            ("a century that leaps", 951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            ("a century that does not", 4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            ("today", 1_795_293_016_000_123, "2026-11-21T20:30:16.000123Z"),
        ];
        for (name, micros, want) in cases {
            assert_eq!(UnixMicros(micros).iso8601(), want, "{name}");
        }
    }
}
