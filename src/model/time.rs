//! Wall time as a number, and the bridge from the monotonic clock to it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMicros(pub i64);

/// One reading of both clocks, from which the wall time of any instant follows.
///
/// Machines count in [`Instant`]; records want wall time. The driver takes a new anchor now and
/// then, so that a stepped wall clock is followed while no timer jumps.
#[derive(Clone, Copy, Debug)]
pub struct WallAnchor {
    /// The monotonic reading.
    pub at: Instant,
    /// The wall reading of the same moment.
    pub wall: UnixMicros,
}

impl WallAnchor {
    /// The wall time of `instant`, before or after the anchor.
    pub fn wall_at(&self, instant: Instant) -> UnixMicros {
        let micros = match instant.checked_duration_since(self.at) {
            Some(later) => i64::try_from(later.as_micros()).unwrap_or(i64::MAX),
            None => -i64::try_from((self.at - instant).as_micros()).unwrap_or(i64::MAX),
        };
        UnixMicros(self.wall.0.saturating_add(micros))
    }
}
