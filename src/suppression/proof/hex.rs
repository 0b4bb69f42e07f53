//! Octets as lower-case hexadecimal text, the one form of them in proofs.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes two digits for each octet.
pub(super) fn write(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

/// The octets of exactly `2 * N` lower-case digits.
pub(super) fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let is_plain = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 2 * N || !digits.iter().all(is_plain) {
        return None;
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(octets)
}

/// For serde's `serialize_with`.
pub(super) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    struct Digits<'a>(&'a [u8]);
    impl fmt::Display for Digits<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(self.0, f)
        }
    }
    serializer.collect_str(&Digits(octets))
}

/// For serde's `deserialize_with`.
pub(super) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(deserializer)?;
    read(&text).ok_or_else(|| D::Error::custom(format!("expected {} hexadecimal digits", 2 * N)))
}

/// Octets of any number, for serde's `with`.
pub(super) mod octets {
    use super::{Deserialize, Deserializer, Error, Serializer};

    /// Writes two digits for each octet.
    pub(in crate::suppression::proof) fn serialize<S: Serializer>(
        octets: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::serialize(octets, serializer)
    }

    /// Reads them again.
    pub(in crate::suppression::proof) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octet = |pair: &[u8]| super::read::<1>(std::str::from_utf8(pair).ok()?);
        let octets: Option<Vec<[u8; 1]>> = text.as_bytes().chunks(2).map(octet).collect();
        let octets = octets.ok_or_else(|| D::Error::custom("expected hexadecimal digits"))?;
        Ok(octets.concat())
    }
}
