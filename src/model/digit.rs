//! A key's value, and a short string of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value of a pressed key: one of the sixteen of ITU-T Q.23.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit(u8);

/// Characters by RFC 4733 event code, section 3.2, table 3: 0-9, `*`, `#`, A-D.
const CHARACTERS: [u8; 16] = *b"0123456789*#ABCD";

impl Digit {
    /// Every digit, in the order of the RFC 4733 event codes.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16).map(Self)
    }

    /// The digit of an RFC 4733 event code; `None` from 16 on, which are no keys.
    pub const fn from_event_code(code: u8) -> Option<Self> {
        if code < 16 { Some(Self(code)) } else { None }
    }

    /// The digit that `character` names; lower case a-d are read as A-D.
    pub fn from_char(character: char) -> Option<Self> {
        let upper = u8::try_from(character).ok()?.to_ascii_uppercase();
        CHARACTERS.iter().position(|&known| known == upper).map(|code| Self(code as u8))
    }

    /// The RFC 4733 event code, 0 to 15.
    pub const fn event_code(self) -> u8 {
        self.0
    }

    /// The character printed on the key: `0-9*#A-D`.
    pub const fn as_char(self) -> char {
        CHARACTERS[self.0 as usize] as char
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

impl Serialize for Digit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_char(self.as_char())
    }
}

impl<'de> Deserialize<'de> for Digit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = char::deserialize(deserializer)?;
        Self::from_char(found)
            .ok_or_else(|| serde::de::Error::custom(DigitsError::Character { found }))
    }
}

/// Up to [`Digits::LEN_MAX`] keys, stored in place: the typed keys of a call and the keys of a code.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digits {
    codes: [u8; Self::LEN_MAX],
    len: u8,
}

/// Why a text is not a string of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigitsError {
    /// No key at all.
    #[error("expected 1 to {max} keys, found none", max = Digits::LEN_MAX)]
    Empty,
    /// More keys than a code may have.
    #[error("expected 1 to {max} keys, found {found}", max = Digits::LEN_MAX)]
    Long {
        /// How many characters there were.
        found: usize,
    },
    /// A character that is on no telephone key.
    #[error("expected keys of 0-9 * # A-D, found `{found}`")]
    Character {
        /// The offending character.
        found: char,
    },
}

impl Digits {
    /// Most keys one string holds; the longest response code.
    pub const LEN_MAX: usize = 16;

    /// Appends a key; false, and nothing changes, when it is full.
    #[must_use]
    pub fn push(&mut self, digit: Digit) -> bool {
        let Some(slot) = self.codes.get_mut(usize::from(self.len)) else { return false };
        *slot = digit.event_code();
        self.len += 1;
        true
    }

    /// How many keys there are, 0 to 16.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The keys in the order in which they were pressed.
    pub fn iter(&self) -> impl Iterator<Item = Digit> + '_ {
        self.codes.iter().take(self.len()).map(|&code| Digit(code))
    }

    /// Whether `self` begins with all the keys of `prefix`.
    pub fn starts_with(&self, prefix: &Self) -> bool {
        prefix.len <= self.len && self.iter().zip(prefix.iter()).all(|(a, b)| a == b)
    }
}

impl FromStr for Digits {
    type Err = DigitsError;

    fn from_str(text: &str) -> Result<Self, DigitsError> {
        let mut digits = Self::default();
        for found in text.chars() {
            let digit = Digit::from_char(found).ok_or(DigitsError::Character { found })?;
            if !digits.push(digit) {
                return Err(DigitsError::Long { found: text.chars().count() });
            }
        }
        if digits.is_empty() { Err(DigitsError::Empty) } else { Ok(digits) }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|digit| write!(f, "{digit}"))
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_keys() {
        let cases = [
            ("every key there is", "0123456789*#ABCD", Ok("0123456789*#ABCD")),
            ("lower case letters", "abcd", Ok("ABCD")),
            ("no key", "", Err(DigitsError::Empty)),
            ("a seventeenth key", "00000000000000000", Err(DigitsError::Long { found: 17 })),
            ("a letter beyond D", "9E", Err(DigitsError::Character { found: 'E' })),
            ("a full-width nine", "９", Err(DigitsError::Character { found: '９' })),
        ];
        for (name, text, want) in cases {
            let got = text.parse::<Digits>().map(|digits| digits.to_string());
            assert_eq!(got, want.map(str::to_owned), "{name}: {text}");
        }
    }

    #[test]
    fn event_codes_are_those_of_rfc_4733() {
        for (code, character) in "0123456789*#ABCD".chars().enumerate() {
            let digit = Digit::from_event_code(code as u8).unwrap();
            assert_eq!((digit.as_char(), Digit::from_char(character)), (character, Some(digit)));
        }
        assert_eq!(Digit::from_event_code(16), None, "event 16 is flash, not a key");
    }
}
