//! Chance that can be had again.

use std::time::Duration;

/// SplitMix64: good enough to choose moments, and the same everywhere.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// What `seed` decides.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `below`.
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    }

    /// A time below `below`, in whole milliseconds.
    pub(crate) fn moment(&mut self, below: Duration) -> Duration {
        Duration::from_millis(self.roll(below.as_millis() as u64))
    }
}
