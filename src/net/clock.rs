//! The two clocks, and the tick of the media threads.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::UnixMicros;
use crate::model::time::WallAnchor;
use crate::net::sys;

/// Shortest period of a [`Tick`]; a shorter one would spin. Our choice: a fifth of the shortest
/// tick that was measured to be of use.
pub const TICK_MIN: Duration = Duration::from_micros(100);

/// The monotonic clock, which every machine of the pure rooms counts in.
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock; a time before 1970 reads as 1970.
pub fn unix_now() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Readings of both clocks for one anchor; the closest pair counts.
const ANCHOR_READINGS: usize = 4;

/// Both clocks at one moment, from which the wall time of any instant follows.
///
/// A thread can be put aside between two readings: of several, those that took least time count.
pub fn wall_anchor() -> WallAnchor {
    let read = || {
        let (before, wall) = (now(), unix_now());
        let between = before.elapsed();
        (between, WallAnchor { at: before + between / 2, wall })
    };
    let mut best = read();
    for _ in 1..ANCHOR_READINGS {
        let next = read();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// A steady beat: sleeps until the next multiple of its period, whatever the work between took.
///
/// The beats are absolute moments of the monotonic clock, so that neither the time of the work nor
/// a late wake-up shifts the ones to come. Beats that passed meanwhile are skipped and reported.
#[derive(Debug)]
pub struct Tick {
    period_ns: u64,
    next_ns: u64,
}

/// A moment at which a [`Tick`] woke its thread.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// When the thread woke.
    pub now: Instant,
    /// How many beats have passed since the wake-up before, this one included: at least those
    /// that were waited for.
    pub passed: u64,
    /// How many of them had passed before the thread came to wait, or while it slept too long.
    pub missed: u64,
}

impl Tick {
    /// A tick of `period`, the first one period from now; less than [`TICK_MIN`] counts as that.
    pub fn new(period: Duration) -> Self {
        let period_ns = u64::try_from(period.max(TICK_MIN).as_nanos()).unwrap_or(u64::MAX / 2);
        Self { period_ns, next_ns: sys::monotonic_ns().saturating_add(period_ns) }
    }

    /// How long a beat is.
    pub const fn period(&self) -> Duration {
        Duration::from_nanos(self.period_ns)
    }

    /// Blocks the thread until the `beats`-th beat from now, or the next for 0; returns at once
    /// when that has passed already.
    pub fn wait(&mut self, beats: u64) -> Beat {
        let wanted = beats.max(1);
        let until_ns = self.next_ns.saturating_add((wanted - 1).saturating_mul(self.period_ns));
        sys::sleep_until_ns(until_ns);
        let missed = sys::monotonic_ns().saturating_sub(until_ns) / self.period_ns;
        self.next_ns = until_ns.saturating_add((missed + 1).saturating_mul(self.period_ns));
        Beat { now: now(), passed: wanted + missed, missed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_keeps_its_beat_through_work() {
        let started = now();
        let mut tick = Tick::new(Duration::from_millis(2));
        let mut beats = 0;
        for wanted in [1, 3, 0, 2, 1, 1, 5] {
            let beat = tick.wait(wanted);
            assert_eq!(beat.passed, wanted.max(1) + beat.missed);
            beats += beat.passed;
        }
        // The waits end no earlier than the beats they stand for.
        assert!(started.elapsed() >= Duration::from_millis(2 * (beats - 1)));
        assert!(beats >= 14, "{beats}");
    }

    #[test]
    fn beats_that_passed_are_counted() {
        let mut tick = Tick::new(Duration::from_millis(1));
        std::thread::sleep(Duration::from_millis(12));
        assert!(tick.wait(1).missed >= 10);
    }

    #[test]
    fn the_wall_clock_is_of_this_century() {
        let anchor = wall_anchor();
        assert!(anchor.wall.0 > 1_700_000_000_000_000, "{anchor:?}");
    }
}
