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

/// A telephone number: in E.164 form, 1 to 15 digits, the country code first, without the plus; or
/// a short code, which means something in one region only and never equals a number of another; or
/// a keyed number, which stands for either of them where nobody is to read which.
///
/// `Display` and `Debug` print it redacted, since most places that print are logs; who must see
/// it whole says so with [`Number::reveal`]. As serde it is the `+` form, `ES:1004` for a short
/// code, or `hmac:` and 16 hexadecimal digits for a keyed number, for records and exports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

/// Where short codes begin: beyond every E.164 number. Behind it each region has a block of
/// [`REGION_CODES`], and in that the digits stand behind a one, which keeps their zeros.
const SHORT_CODES: u64 = 10_u64.pow(Number::DIGITS_MAX);

/// Places of a region: a one and six digits are below it.
const REGION_CODES: u64 = 2 * 10_u64.pow(Number::SHORT_DIGITS_MAX as u32);

/// Regions that two letters can name.
const REGIONS: u64 = 26 * 26;

/// Where keyed numbers begin: beyond every short code, and within the 63 bits of a column.
const KEYED: u64 = 1 << Number::KEYED_BITS;

/// What the text of a keyed number begins with.
const KEYED_TEXT: &str = "hmac:";

impl Number {
    /// Most digits a number has, ITU-T E.164 section 6.
    pub const DIGITS_MAX: u32 = 15;

    /// Most digits of a short code.
    pub const SHORT_DIGITS_MAX: usize = special::SHORT_DIGITS_MAX;

    /// Beyond the key of every number that tells itself; see [`Self::digits`]. Below 2^50, so that
    /// registries pack it.
    pub const KEYS_END: u64 = SHORT_CODES + REGIONS * REGION_CODES;

    /// Bits of a keyed number. Two of 250 million have the same with a chance of 0.7 %, and a number
    /// beside them all has that of one of them with a chance of 1 in 18 thousand million.
    pub const KEYED_BITS: u32 = 62;

    /// The keyed number of the lower 62 bits of `hash`.
    pub const fn keyed(hash: u64) -> Self {
        Self(KEYED | (hash & (KEYED - 1)))
    }

    /// The number whose E.164 digits, read as one decimal, are `digits`; `None` for zero and for
    /// more than 15 digits. No digit is lost this way: country codes begin with 1 to 9, so the
    /// zeros of a national part always stand behind another digit. Whether the number is
    /// assigned is not looked at; [`NumberReader`] does that.
    pub const fn from_e164_digits(digits: u64) -> Option<Self> {
        if digits == 0 || digits >= SHORT_CODES {
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
        decimal(digits).and_then(Self::from_e164_digits)
    }

    /// The short code `digits`, 1 to 6 of them, of the region `region`, ISO 3166-1 alpha-2 in
    /// capitals. Whether somebody answers there is not looked at.
    pub fn short_code(region: &str, digits: &str) -> Option<Self> {
        let [first, second] = region.as_bytes() else { return None };
        if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() {
            return None;
        }
        let place = u64::from(first - b'A') * 26 + u64::from(second - b'A');
        if !(1..=Self::SHORT_DIGITS_MAX).contains(&digits.len()) {
            return None;
        }
        let marked = 10_u64.pow(digits.len() as u32) + decimal(digits.as_bytes())?;
        Some(Self(SHORT_CODES + place * REGION_CODES + marked))
    }

    /// The number of a record or an export: `+34600123456`, `ES:1004`, or `hmac:5f0c7ad2c9be3141`.
    pub fn from_record(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix(KEYED_TEXT) {
            return from_hex(digits);
        }
        match text.split_once(':') {
            Some((region, digits)) => Self::short_code(region, digits),
            None => Self::from_e164(text),
        }
    }

    /// The number of a table's or column's [`Self::digits`].
    pub fn from_key(key: u64) -> Option<Self> {
        if key < SHORT_CODES {
            return Self::from_e164_digits(key);
        }
        if key >= KEYED {
            return (key >> Self::KEYED_BITS == 1).then_some(Self(key));
        }
        let (place, marked) = Self::place_and_marked(key)?;
        let len = marked.checked_ilog10().filter(|len| *len > 0)?;
        let is_code = len as usize <= Self::SHORT_DIGITS_MAX && marked / 10_u64.pow(len) == 1;
        (place < REGIONS && is_code).then_some(Self(key))
    }

    /// The region's place and the digits behind a one, of the key of a short code.
    const fn place_and_marked(key: u64) -> Option<(u64, u64)> {
        match key.checked_sub(SHORT_CODES) {
            Some(code) => Some((code / REGION_CODES, code % REGION_CODES)),
            None => None,
        }
    }

    /// Whether it is a short code.
    pub const fn is_short_code(self) -> bool {
        self.0 >= SHORT_CODES && !self.is_keyed()
    }

    /// Whether it stands for a number that it does not tell.
    pub const fn is_keyed(self) -> bool {
        self.0 >= KEYED
    }

    /// The key of tables, columns and segments: the digits of an E.164 number as one decimal, below
    /// 10^15; a value beyond it for a short code, below [`Self::KEYS_END`]; and for a keyed number one
    /// from 2^62 on, below 2^63.
    pub const fn digits(self) -> u64 {
        self.0
    }

    /// The number as `+` and digits, `ES:1004` or `hmac:5f0c7ad2c9be3141`, for records, exports
    /// and, where it is `+` and digits, SIP; never for a log.
    pub fn reveal(self) -> String {
        if self.is_keyed() {
            return format!("{KEYED_TEXT}{:016x}", self.0);
        }
        let Some((place, marked)) = Self::place_and_marked(self.0) else {
            return format!("+{}", self.0);
        };
        let letter = |place: u64| char::from(b'A' + (place % 26) as u8);
        let marked = marked.to_string();
        let digits = marked.get(1..).unwrap_or_default();
        format!("{}{}:{digits}", letter(place / 26), letter(place))
    }
}

/// ASCII digits as one decimal.
fn decimal(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    Some(value)
}

/// The keyed number of 16 lower-case hexadecimal digits, which is how we write one.
fn from_hex(digits: &str) -> Option<Number> {
    let is_hex = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
    let is_ours = digits.len() == 16 && digits.bytes().all(is_hex);
    let key = u64::from_str_radix(digits, 16).ok().filter(|_key| is_ours)?;
    Number::from_key(key).filter(|number| number.is_keyed())
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_keyed() {
            return write!(f, "{KEYED_TEXT}…{:02x}", self.0 & 0xff);
        }
        if self.is_short_code() {
            return write!(f, "short code …{}", self.0 % 10);
        }
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
        if self.is_short_code() || self.is_keyed() {
            return serializer.serialize_str(&self.reveal());
        }
        serializer.collect_str(&format_args!("+{}", self.0))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The text stays out of the error: it may be a number, and errors are logged.
        Self::from_record(&text).ok_or_else(|| {
            serde::de::Error::custom(
                "expected + and 1 to 15 digits, ES:1004, or hmac: and 16 digits",
            )
        })
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

    #[test]
    fn a_keyed_number_is_none_that_can_be_dialled() {
        for (hash, text) in [
            (0, "hmac:4000000000000000"),
            (u64::MAX, "hmac:7fffffffffffffff"),
            (0xdead_beef_0000_0001, "hmac:5eadbeef00000001"),
        ] {
            let number = Number::keyed(hash);
            assert_eq!(number.reveal(), text);
            assert_eq!(Number::from_record(text), Some(number));
            assert_eq!(Number::from_key(number.digits()), Some(number));
            assert!(number.is_keyed() && !number.is_short_code());
            assert!(number.digits() < 1 << 63, "a column's whole number holds it");
            let json = serde_json::to_string(&number).unwrap();
            assert_eq!(serde_json::from_str::<Number>(&json).unwrap(), number);
            assert!(!format!("{number} {number:?}").contains(&text[6..18]), "redacted");
            assert_eq!(Number::from_e164(text), None);
        }
        for text in [
            "hmac:",
            "hmac:4",
            "hmac:3fffffffffffffff",
            "hmac:8000000000000000",
            "hmac:5EADBEEF00000001",
            "hmac:+5eadbeef0000000",
            "hmac:5eadbeef000000012",
            "HMAC:5eadbeef00000001",
        ] {
            assert_eq!(Number::from_record(text), None, "{text}");
        }
        assert_eq!(Number::from_key(1 << 63), None);
        assert_eq!(Number::from_key(u64::MAX), None);
    }

    #[test]
    fn short_codes_are_of_one_region_and_no_number_of_another() {
        let code = |region, digits| Number::short_code(region, digits);
        let spanish = code("ES", "1004").unwrap();
        let all = [("ES", "1004"), ("MX", "1004"), ("ES", "01004"), ("ES", "10040"), ("ES", "004")];
        let mut keys: Vec<u64> = all
            .iter()
            .filter_map(|(region, digits)| code(region, digits))
            .map(Number::digits)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all.len(), "each is another");
        for (region, digits) in [("AA", "0"), ("ZZ", "999999"), ("ES", "061"), ("US", "911")] {
            let number = code(region, digits).unwrap();
            assert_eq!(number.reveal(), format!("{region}:{digits}"));
            assert_eq!(Number::from_record(&number.reveal()), Some(number));
            assert_eq!(Number::from_key(number.digits()), Some(number));
            assert!(number.digits() < Number::KEYS_END);
            assert!(number.is_short_code() && Number::from_e164_digits(number.digits()).is_none());
            let json = serde_json::to_string(&number).unwrap();
            assert_eq!(serde_json::from_str::<Number>(&json).unwrap(), number);
        }
        assert!(!format!("{spanish} {spanish:?}").contains("1004"), "redacted");
        for (region, digits) in [
            ("es", "1004"),
            ("E", "1004"),
            ("ESP", "1"),
            ("ES", ""),
            ("ES", "1234567"),
            ("ES", "1a"),
        ] {
            assert_eq!(code(region, digits), None, "{region}:{digits}");
        }
        let nobody = [
            0,
            SHORT_CODES,
            SHORT_CODES + 1,
            SHORT_CODES + 2004,
            SHORT_CODES + REGION_CODES,
            Number::KEYS_END,
            Number::KEYS_END + 14,
            u64::MAX,
        ];
        for key in nobody {
            assert_eq!(Number::from_key(key), None, "{key}");
        }
        assert_eq!(
            Number::from_key(34_600_123_456).map(Number::reveal).as_deref(),
            Some("+34600123456")
        );
    }
}
