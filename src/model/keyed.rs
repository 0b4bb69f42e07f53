//! Hashing for tables that an outsider can key (Call-ID, branch, tag): SipHash-1-3 under a secret.

use std::collections::HashMap;
use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// A map whose keys come from the wire.
pub type KeyedMap<K, V> = HashMap<K, V, KeyedHash>;

/// The secret key of such tables; the driver draws it once a process.
#[derive(Clone, Copy)]
pub struct KeyedHash(u64, u64);

impl KeyedHash {
    /// A hasher under the 128-bit key `(k0, k1)`.
    pub const fn new(k0: u64, k1: u64) -> Self {
        Self(k0, k1)
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}
