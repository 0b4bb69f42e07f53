//! Ed25519 (RFC 8032) over what a store vouches for: checkpoints and bundles.
//!
//! A signature is made over a purpose, a zero octet and the message, so that one made for a
//! checkpoint never stands for anything else. Nothing here is random: the same key signs the same
//! message the same way.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::hex;

/// The secret key of a store.
#[derive(Clone)]
pub struct Signer(SigningKey);

impl Signer {
    /// The key of 32 random octets.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key that others verify by.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub(super) fn sign(&self, purpose: &str, message: &[u8]) -> Signature {
        Signature(self.0.sign(&said(purpose, message)).to_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public())
    }
}

/// The public key of a store, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey(#[serde(with = "hex")] pub [u8; 32]);

impl PublicKey {
    /// Whether `signature` was made by the secret half of this key. Strict as in RFC 8032 section
    /// 8.4: no other encoding of a signature passes, and no key of small order.
    pub(super) fn has_signed(self, purpose: &str, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(&said(purpose, message), &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        hex::read(&text.to_ascii_lowercase()).map(Self).ok_or(PublicKeyError)
    }
}

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a public key of 64 hexadecimal digits, as `bajavoz proof --key` prints it")]
pub struct PublicKeyError;

/// A signature, as 128 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature(#[serde(with = "hex")] pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

fn said(purpose: &str, message: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), &[0], message].concat()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests index what they made themselves")]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_are_those_of_rfc_8032() {
        // Section 7.1, test 2: the message is the octet 72. Ours would have a purpose before it.
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let signer = Signer::new(&hex::read(seed).unwrap());
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(signer.public().to_string(), public);
        let raw = Signature(signer.0.sign(&[0x72]).to_bytes());
        let want = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                    085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(format!("{raw:?}"), want);
    }

    #[test]
    fn a_signature_stands_for_one_purpose_message_and_key() {
        let signer = Signer::new(&[7; 32]);
        let key = signer.public();
        let signature = signer.sign("a", b"message");
        assert!(key.has_signed("a", b"message", &signature));
        assert!(!key.has_signed("b", b"message", &signature), "another purpose");
        assert!(!key.has_signed("a", b"massage", &signature), "another message");
        assert!(!Signer::new(&[8; 32]).public().has_signed("a", b"message", &signature));
        for bit in 0..512 {
            let mut touched = signature;
            touched.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.has_signed("a", b"message", &touched), "bit {bit}");
        }
        for bit in 0..256 {
            let mut touched = key;
            touched.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!touched.has_signed("a", b"message", &signature), "bit {bit} of the key");
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_printed() {
        let key = Signer::new(&[7; 32]).public();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
        for text in ["", "ab", &key.to_string()[1..], &format!("+{}", &key.to_string()[1..])] {
            assert_eq!(text.parse::<PublicKey>(), Err(PublicKeyError), "{text}");
        }
    }
}
