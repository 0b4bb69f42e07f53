//! Unguessable tokens (tags, branches, SSRCs) from a seed, without a source of randomness.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::keyed::KeyedHash;

/// 128 secret bits that the driver draws from the operating system, or a test chooses.
#[derive(Clone, Copy)]
pub struct Seed(pub u64, pub u64);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// SipHash-2-4 of a counter under the seed: a stream that nobody without the seed can foretell,
/// and the same stream again for the same seed, so that a simulated call can be replayed.
#[derive(Clone, Debug)]
pub struct TokenSource {
    seed: Seed,
    counter: u64,
}

impl TokenSource {
    /// The stream of `seed`, from its beginning.
    pub const fn new(seed: Seed) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.seed.0, self.seed.1);
        hasher.write_u64(self.counter);
        self.counter += 1;
        hasher.finish()
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A key for tables that outsiders key.
    pub fn next_keyed_hash(&mut self) -> KeyedHash {
        KeyedHash::new(self.next_u64(), self.next_u64())
    }

    /// A seed for a machine of its own, so that its draws and ours do not disturb each other.
    pub fn next_seed(&mut self) -> Seed {
        Seed(self.next_u64(), self.next_u64())
    }
}
