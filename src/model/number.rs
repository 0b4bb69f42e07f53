//! Telephone numbers in E.164 form, and how a dialled text becomes one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod automaton;
mod bulk;
#[cfg(test)]
mod exam;
mod pattern;
mod plan;
mod reader;
mod special;

pub use bulk::BulkReader;
pub use reader::{Dialled, NumberError, NumberReader};

/// A telephone number in E.164 form: 1 to 15 digits, the country code first, without the plus.
///
/// `Display` and `Debug` print it redacted, since most places that print are logs; who must see
/// it whole says so with [`Number::reveal`]. As serde it is the `+` form, for records and exports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

impl Number {
    /// Most digits a number has, ITU-T E.164 section 6.
    pub const DIGITS_MAX: u32 = 15;

    /// The number whose E.164 digits, read as one decimal, are `digits`; `None` for zero and for
    /// more than 15 digits. No digit is lost this way: country codes begin with 1 to 9, so the
    /// zeros of a national part always stand behind another digit. Whether the number is
    /// assigned is not looked at; [`NumberReader`] does that.
    pub const fn from_e164_digits(digits: u64) -> Option<Self> {
        if digits == 0 || digits >= 10_u64.pow(Self::DIGITS_MAX) {
            return None;
        }
        Some(Self(digits))
    }

    /// The E.164 form `+34600123456` exactly: a plus and 1 to 15 digits, the first not zero.
    /// Nothing else is read, since records hold nothing else.
    pub fn from_e164(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?.as_bytes();
        if digits.is_empty() || digits.len() > Self::DIGITS_MAX as usize || digits[0] == b'0' {
            return None;
        }
        let mut value = 0;
        for &byte in digits {
            if !byte.is_ascii_digit() {
                return None;
            }
            value = value * 10 + u64::from(byte - b'0');
        }
        Self::from_e164_digits(value)
    }

    /// The digits as one decimal, below 10^15: the key of tables and columns.
    pub const fn digits(self) -> u64 {
        self.0
    }

    /// The number as `+` and digits, for records, exports and SIP; never for a log.
    pub fn reveal(self) -> String {
        format!("+{}", self.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+…{:02}", self.0 % 100)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("+{}", self.0))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The text stays out of the error: it may be a number, and errors are logged.
        Self::from_e164(&text)
            .ok_or_else(|| serde::de::Error::custom("expected + and 1 to 15 digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_e164_form_is_read_exactly() {
        let cases = [
            ("a Spanish mobile", "+34600123456", Some(34_600_123_456)),
            ("an Italian number keeps its zero", "+390612345678", Some(390_612_345_678)),
            ("fifteen digits", "+999999999999999", Some(999_999_999_999_999)),
            ("sixteen digits", "+1000000000000000", None),
            ("no plus", "34600123456", None),
            ("a plus alone", "+", None),
            ("a leading zero", "+0600123456", None),
            ("a separator", "+34 600123456", None),
            ("nothing", "", None),
        ];
        for (name, text, want) in cases {
            assert_eq!(Number::from_e164(text).map(Number::digits), want, "{name}");
        }
    }

    #[test]
    fn prints_redacted_and_serialises_whole() {
        let number = Number::from_e164_digits(34_600_123_456).unwrap();
        assert_eq!(format!("{number} {number:?}"), "+…56 +…56");
        let json = serde_json::to_string(&number).unwrap();
        assert_eq!(json, "\"+34600123456\"");
        assert_eq!(serde_json::from_str::<Number>(&json).unwrap(), number);
        let error = serde_json::from_str::<Number>("\"+34600x\"").unwrap_err().to_string();
        assert!(!error.contains("34600"), "no number in an error: {error}");
    }
}
