//! Times as people type them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::UnixMicros;

/// Reads `2026-11-22`, `2026-11-22T18:00` (both UTC) or `2026-11-22T18:00+01:00`.
///
/// # Errors
///
/// What was expected.
pub(super) fn parse_time(text: &str) -> Result<UnixMicros, String> {
    let at = text.parse::<Timestamp>().or_else(|_| {
        let civil: DateTime = text.parse()?;
        Ok::<_, jiff::Error>(civil.to_zoned(TimeZone::UTC)?.timestamp())
    });
    at.map(|at| UnixMicros(at.as_microsecond())).map_err(|_error| {
        "expected a date such as 2026-11-22, or a time such as 2026-11-22T18:00+01:00".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        // Expected values from `date -u -d TIME +%s`.
        let cases = [
            ("a date", "2026-11-22", Some(1_795_305_600)),
            ("a time", "2026-11-22T18:00", Some(1_795_370_400)),
            ("a time with a space", "2026-11-22 18:00:01", Some(1_795_370_401)),
            ("in UTC", "2026-11-22T18:00:00Z", Some(1_795_370_400)),
            ("with an offset", "2026-11-22T18:00+01:00", Some(1_795_366_800)),
            ("no such day", "2026-02-30", None),
            ("words", "yesterday", None),
            ("nothing", "", None),
        ];
        for (name, text, want) in cases {
            let got = parse_time(text).ok().map(|at| at.0 / 1_000_000);
            assert_eq!(got, want, "{name}");
        }
    }
}
