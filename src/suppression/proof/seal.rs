//! Personal fields under a key per number: XChaCha20-Poly1305, found by a keyed hash.

use std::fmt;

use chacha20poly1305::KeyInit;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, Payload};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::model::Number;

use super::Hash;
use super::Reader;
use super::RecordError;
use super::fields::Field;
use super::write_bytes;

pub(super) const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 24;

/// Why sealed fields cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The values are not those that the chain committed to.
    #[error("the personal fields are not those that the record committed to")]
    Commitment,
    /// No key: it was destroyed, or none was given.
    #[error("the key of the personal fields is gone")]
    KeyMissing,
    /// The key is wrong or the sealed bytes were touched.
    #[error("the sealed fields do not open under their key")]
    Unopened,
}

/// Fresh random bytes for one record: a nonce, and a salt for each personal field.
pub struct Entropy([u8; Self::LEN]);

impl Entropy {
    /// How many random bytes a record takes.
    pub const LEN: usize = NONCE_LEN + Field::COUNT * SALT_LEN;

    /// From bytes of the operating system's generator; never the same twice.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    fn nonce(&self) -> [u8; NONCE_LEN] {
        *self.0.first_chunk().expect("the nonce is the first part of the entropy")
    }

    pub(super) fn salt(&self, field: Field) -> [u8; SALT_LEN] {
        let salts = self.0.iter().skip(NONCE_LEN + (field as usize - 1) * SALT_LEN);
        let mut salt = [0; SALT_LEN];
        salt.iter_mut().zip(salts).for_each(|(to, from)| *to = *from);
        salt
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// The name of a number's key: a keyed hash, so that the table of keys names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyTag(pub [u8; 16]);

/// The secret under which numbers become [`KeyTag`]s; one for a store, for ever.
#[derive(Clone, Copy)]
pub struct TagKey(pub [u8; 32]);

impl TagKey {
    /// The tag of `number`: HMAC-SHA-256, RFC 2104, cut to 128 bits.
    pub fn tag(&self, number: Number) -> KeyTag {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(&number.digits().to_be_bytes());
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        KeyTag(*whole.first_chunk().expect("32 octets begin with 16"))
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey(..)")
    }
}

/// The key of one number, with the place where the store keeps it.
#[derive(Clone, Copy)]
pub struct NumberKey {
    /// The number's name in the table of keys.
    pub tag: KeyTag,
    /// The slot of the key file.
    pub slot: u32,
    /// The number as the store keeps it, where that is hashed: it stands in the record's plain part.
    pub keyed: Option<Number>,
    /// The key itself.
    pub key: [u8; 32],
}

impl fmt::Debug for NumberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NumberKey").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// One personal field in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) field: Field,
    pub(super) salt: [u8; SALT_LEN],
    pub(super) value: Vec<u8>,
}

impl Opened {
    /// SHA-256 of salt, field name, a zero octet and value.
    pub(super) fn commitment(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(self.salt);
        hasher.update(self.field.name());
        hasher.update([0]);
        hasher.update(&self.value);
        Hash(hasher.finalize().into())
    }
}

/// Personal fields as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) tag: KeyTag,
    pub(super) slot: u32,
    nonce: [u8; NONCE_LEN],
    ciphertext: Box<[u8]>,
}

impl Sealed {
    /// Seals `fields`; `hash` binds them to their record.
    pub(super) fn seal(
        fields: &[Opened],
        key: &NumberKey,
        entropy: &Entropy,
        hash: Hash,
    ) -> Result<Self, SealError> {
        let mut clear = Vec::with_capacity(256);
        for field in fields {
            clear.push(field.field as u8);
            clear.extend_from_slice(&field.salt);
            write_bytes(&field.value, &mut clear);
        }
        let nonce = entropy.nonce();
        let associated = associated(hash, key.tag, key.slot);
        let ciphertext = XChaCha20Poly1305::new(&key.key.into())
            .encrypt(&nonce.into(), Payload { msg: &clear, aad: &associated })
            .map_err(|_error| SealError::Unopened)?;
        Ok(Self { tag: key.tag, slot: key.slot, nonce, ciphertext: ciphertext.into() })
    }

    pub(super) fn open(&self, key: &[u8; 32], hash: Hash) -> Result<Vec<Opened>, RecordError> {
        let associated = associated(hash, self.tag, self.slot);
        let clear = XChaCha20Poly1305::new(key.into())
            .decrypt(&self.nonce.into(), Payload { msg: &self.ciphertext, aad: &associated })
            .map_err(|_error| SealError::Unopened)?;
        let mut reader = Reader(&clear);
        let mut fields = Vec::new();
        while !reader.0.is_empty() {
            let field = Field::from_code(reader.u8("sealed fields")?)
                .ok_or(RecordError::Malformed { part: "sealed fields" })?;
            let salt = reader.array("sealed fields")?;
            fields.push(Opened { field, salt, value: reader.bytes("sealed fields")?.to_vec() });
        }
        Ok(fields)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tag.0);
        out.extend_from_slice(&self.slot.to_be_bytes());
        out.extend_from_slice(&self.nonce);
        write_bytes(&self.ciphertext, out);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            tag: KeyTag(reader.array("sealed fields")?),
            slot: reader.u32("sealed fields")?,
            nonce: reader.array("sealed fields")?,
            ciphertext: reader.bytes("sealed fields")?.into(),
        })
    }
}

/// What the seal covers besides the fields: the record they belong to and where the key is.
fn associated(hash: Hash, tag: KeyTag, slot: u32) -> Vec<u8> {
    [&hash.0[..], &tag.0[..], &slot.to_be_bytes()[..]].concat()
}
