//! How a store keeps numbers: as they are, or as keyed hashes that nobody reads back.
//!
//! Where they are hashed, a number stands nowhere but where a key of its own seals it
//! ([`super::proof`]); everything else knows [`NumberStorage::stored`] alone. That is one way: the
//! gate, the desk and the imports hash what they are given, and ask by that. So destroying the key
//! of a number leaves nothing to be read of it, and it is refused all the same.
//!
//! A hash under a key that is known can be tried for every number there is, within minutes. The
//! secret therefore stands outside the database, and whoever has both has the numbers.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::model::Number;
use crate::model::hex;

/// What is hashed is never taken for something else that is.
const NUMBER: &[u8] = b"bajavoz number\0";
const TEXT: &[u8] = b"bajavoz text\0";
const FINGERPRINT: &[u8] = b"bajavoz number key\0";

/// How a store keeps numbers; chosen when it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NumberStorage {
    /// As they are.
    #[default]
    Plain,
    /// As HMAC-SHA-256, RFC 2104, under a secret of the store, cut to 62 bits.
    Keyed(NumberSecret),
}

/// What a store says of how it keeps numbers; nobody can hash by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageMark {
    /// As they are.
    #[default]
    Plain,
    /// Under the secret of this fingerprint.
    Keyed([u8; 16]),
}

/// The secret under which a store's numbers are hashed. The nodes that share a database share it.
#[derive(Clone)]
pub struct NumberSecret {
    /// HMAC begun with the secret, so that a number costs two blocks of SHA-256 and not four.
    mac: Hmac<Sha256>,
    fingerprint: [u8; 16],
}

impl NumberSecret {
    /// Octets of a secret.
    pub const LEN: usize = 32;

    /// From octets of the operating system's generator.
    pub fn new(secret: &[u8; Self::LEN]) -> Self {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        let mut unmarked = Self { mac, fingerprint: [0; 16] };
        unmarked.fingerprint = unmarked.hash(FINGERPRINT, &[]);
        unmarked
    }

    fn hash<const N: usize>(&self, purpose: &[u8], what: &[u8]) -> [u8; N] {
        let mut mac = self.mac.clone();
        mac.update(purpose);
        mac.update(what);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        std::array::from_fn(|place| whole.get(place).copied().unwrap_or_default())
    }
}

impl fmt::Debug for NumberSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NumberSecret(..)")
    }
}

impl PartialEq for NumberSecret {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for NumberSecret {}

impl NumberStorage {
    /// The number as it is kept and asked for; one that is kept so already is itself. Some 0.3 µs
    /// where it is hashed.
    pub fn stored(&self, number: Number) -> Number {
        match self {
            Self::Keyed(secret) if !number.is_keyed() => {
                let hash = secret.hash(NUMBER, &number.digits().to_be_bytes());
                Number::keyed(u64::from_be_bytes(hash))
            }
            Self::Keyed(_) | Self::Plain => number,
        }
    }

    /// A text that may have a number in it, as it is kept: whoever has the text can look for it.
    pub fn stored_text(&self, text: &str) -> String {
        match self {
            Self::Keyed(secret) => {
                let hash: [u8; 16] = secret.hash(TEXT, text.as_bytes());
                format!("hmac:{}", hex(&hash))
            }
            Self::Plain => text.to_owned(),
        }
    }

    /// Whether numbers are hashed.
    pub const fn is_keyed(&self) -> bool {
        matches!(self, Self::Keyed(_))
    }

    /// What the store says of it.
    pub const fn mark(&self) -> StorageMark {
        match self {
            Self::Plain => StorageMark::Plain,
            Self::Keyed(secret) => StorageMark::Keyed(secret.fingerprint),
        }
    }
}

impl StorageMark {
    /// The mark that [`fmt::Display`] wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        let Some(digits) = text.strip_prefix("hmac ") else {
            return (text == "plain").then_some(Self::Plain);
        };
        let mut fingerprint = [0; 16];
        for (place, octet) in fingerprint.iter_mut().enumerate() {
            let two = digits.get(2 * place..2 * place + 2)?;
            *octet = u8::from_str_radix(two, 16).ok()?;
        }
        let mark = Self::Keyed(fingerprint);
        (mark.to_string() == text).then_some(mark)
    }
}

impl fmt::Display for StorageMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Keyed(fingerprint) => write!(f, "hmac {}", hex(fingerprint)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: u64) -> Number {
        Number::from_e164_digits(digits).expect("the test's numbers are E.164")
    }

    #[test]
    fn a_hash_is_that_of_hmac_and_of_this_secret_alone() {
        let secret = NumberSecret::new(&std::array::from_fn(|place| place as u8));
        let storage = NumberStorage::Keyed(secret);
        // printf 'bajavoz number\0\0\0\0\x08\x0e\x53\xfc\x40' |
        //     openssl dgst -sha256 -mac HMAC -macopt hexkey:000102..1f
        // says b1991920a879b040.., of which a keyed number has the lower 62 bits.
        let stored = storage.stored(number(34_600_123_456));
        assert_eq!(stored.reveal(), "hmac:71991920a879b040");
        assert_eq!(storage.stored(stored), stored, "hashed once");
        assert_ne!(storage.stored(number(34_600_123_457)), stored);
        let other = NumberStorage::Keyed(NumberSecret::new(&[7; 32]));
        assert_ne!(other.stored(number(34_600_123_456)), stored);
        assert_ne!(other, storage);
        assert_eq!(NumberStorage::Plain.stored(number(5)), number(5));
        let code = Number::short_code("ES", "1004").expect("it is one");
        assert!(storage.stored(code).is_keyed());
        assert!(!storage.stored_text("34600123456@pbx").contains("34600123456"));
        assert!(!format!("{storage:?}").contains("hmac"), "the secret is printed nowhere");
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let keyed = NumberStorage::Keyed(NumberSecret::new(&[7; 32])).mark();
        for mark in [StorageMark::Plain, keyed] {
            assert_eq!(StorageMark::from_text(&mark.to_string()), Some(mark));
        }
        for text in ["", "hmac", "hmac ", "hmac 00", "plain ", "Plain"] {
            assert_eq!(StorageMark::from_text(text), None, "{text}");
        }
        assert_eq!(StorageMark::from_text(&format!("{keyed}0")), None);
    }
}
