//! The timer queue: a wheel of 4096 slots of 10 ms, so that arming costs the same with ten calls
//! and with a hundred thousand.
//!
//! A busy shard holds three deadlines a call for 32 seconds after its end (timers H, J, L, M);
//! at 8,000 calls a second that is three quarters of a million. Nothing is cancelled: who is
//! woken compares the deadline with the one it waits for, and a key whose owner is gone finds
//! nobody. Deadlines are kept exactly; the slots only sort. A deadline beyond the wheel's 41
//! seconds waits in the last slot and is sorted in again when its time to move has come.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;
use std::time::Instant;

/// A wheel of deadlines, each with the key of who waits for it.
#[derive(Debug)]
pub(crate) struct TimerWheel<K> {
    /// The instant of tick 0: when the first deadline was asked for.
    origin: Option<Instant>,
    /// The earliest tick that may still hold an entry.
    cursor: u64,
    slots: Vec<Slot<K>>,
    /// One bit a slot: whether it holds an entry.
    occupied: [u64; SLOTS / 64],
    due: VecDeque<(Instant, K)>,
    scratch: Vec<(Instant, K)>,
}

#[derive(Clone, Debug)]
struct Slot<K> {
    /// When to look at this slot.
    wake: Option<Instant>,
    entries: Vec<(Instant, K)>,
}

const SLOTS: usize = 4096;
const TICK_MS: u64 = 10;

impl<K: Copy> TimerWheel<K> {
    /// A wheel without a deadline.
    pub(crate) fn new() -> Self {
        Self {
            origin: None,
            cursor: 0,
            slots: vec![Slot { wake: None, entries: Vec::new() }; SLOTS],
            occupied: [0; SLOTS / 64],
            due: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Asks at `now` to be woken at `deadline`.
    pub(crate) fn insert(&mut self, now: Instant, deadline: Instant, key: K) {
        let origin = *self.origin.get_or_insert(now);
        let last = self.cursor + SLOTS as u64 - 1;
        let wanted = tick_of(origin, deadline).max(self.cursor);
        let (tick, wake) = if wanted > last {
            (last, origin + Duration::from_millis(last * TICK_MS))
        } else {
            (wanted, deadline)
        };
        let place = (tick % SLOTS as u64) as usize;
        if let Some(slot) = self.slots.get_mut(place) {
            slot.wake = Some(slot.wake.map_or(wake, |earlier| earlier.min(wake)));
            slot.entries.push((deadline, key));
        }
        if let Some(word) = self.occupied.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    /// The next entry whose deadline has come, with that deadline.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, K)> {
        if self.due.is_empty() {
            self.advance(now);
        }
        self.due.pop_front()
    }

    /// When to call [`Self::pop_due`] next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if let Some((deadline, _)) = self.due.front() {
            return Some(*deadline);
        }
        let place = (self.next_occupied()? % SLOTS as u64) as usize;
        self.slots.get(place)?.wake
    }

    fn advance(&mut self, now: Instant) {
        let Some(origin) = self.origin else { return };
        let target = tick_of(origin, now);
        while let Some(tick) = self.next_occupied().filter(|&tick| tick <= target) {
            self.cursor = tick;
            self.empty_slot((tick % SLOTS as u64) as usize, now);
            if tick == target {
                break;
            }
        }
        self.cursor = self.cursor.max(target);
    }

    /// Moves what is due out of the slot and sorts the rest in anew.
    fn empty_slot(&mut self, place: usize, now: Instant) {
        let mut entries = mem::take(&mut self.scratch);
        if let Some(slot) = self.slots.get_mut(place) {
            mem::swap(&mut slot.entries, &mut entries);
            slot.wake = None;
        }
        if let Some(word) = self.occupied.get_mut(place / 64) {
            *word &= !(1 << (place % 64));
        }
        for (deadline, key) in entries.drain(..) {
            if deadline <= now {
                self.due.push_back((deadline, key));
            } else {
                self.insert(now, deadline, key);
            }
        }
        self.scratch = entries;
    }

    /// The first tick from the cursor on whose slot holds an entry.
    fn next_occupied(&self) -> Option<u64> {
        let start = (self.cursor % SLOTS as u64) as usize;
        let words = self.occupied.len();
        for step in 0..=words {
            let index = (start / 64 + step) % words;
            let mut word = self.occupied.get(index).copied().unwrap_or(0);
            if step == 0 {
                word &= u64::MAX << (start % 64);
            } else if step == words {
                word &= !(u64::MAX << (start % 64));
            }
            if word != 0 {
                let place = index * 64 + word.trailing_zeros() as usize;
                return Some(self.cursor + ((place + SLOTS - start) % SLOTS) as u64);
            }
        }
        None
    }
}

fn tick_of(origin: Instant, at: Instant) -> u64 {
    let since = at.saturating_duration_since(origin);
    since.as_secs() * (1_000 / TICK_MS) + u64::from(since.subsec_millis()) / TICK_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
    fn zero() -> Instant {
        Instant::now()
    }

    /// Runs the wheel by its own wishes and notes when each key came.
    fn play(delays_ms: &[u64]) -> Vec<u64> {
        let (start, mut wheel, mut fired) = (zero(), TimerWheel::new(), Vec::new());
        for &delay in delays_ms {
            wheel.insert(start, start + Duration::from_millis(delay), delay);
        }
        while let Some(at) = wheel.poll_timeout() {
            while let Some((deadline, delay)) = wheel.pop_due(at) {
                assert_eq!(deadline, start + Duration::from_millis(delay));
                assert!(deadline <= at);
                fired.push(at.duration_since(start).as_millis() as u64);
            }
        }
        fired
    }

    #[test]
    fn deadlines_fire_at_their_instant() {
        let cases: [(&str, &[u64]); 6] = [
            ("one", &[500]),
            ("two in one slot keep their order in time", &[503, 507]),
            ("across slots, given backwards", &[32_000, 500, 4_000, 10, 1]),
            ("the last slot and the first beyond", &[40_950, 40_960, 40_970]),
            ("far beyond the wheel, with a near one after it", &[180_000, 41_000, 7_200_000]),
            ("many at once", &[100; 40]),
        ];
        for (name, delays) in cases {
            let mut want = delays.to_vec();
            want.sort_unstable();
            assert_eq!(play(delays), want, "{name}");
        }
    }

    #[test]
    fn one_deadline_costs_what_another_does() {
        // All in one slot would make each look at it a look at all of them.
        let (start, mut wheel) = (zero(), TimerWheel::new());
        for delay in (1..=32).rev() {
            wheel.insert(start, start + Duration::from_secs(delay), delay);
        }
        assert!(wheel.slots.iter().all(|slot| slot.entries.len() <= 1));
    }

    #[test]
    fn a_late_driver_misses_nothing() {
        let (start, mut wheel) = (zero(), TimerWheel::new());
        for delay in 0..60_000_u64 {
            wheel.insert(start, start + Duration::from_millis(delay), delay);
        }
        let mut count = 0;
        while wheel.pop_due(start + Duration::from_secs(100)).is_some() {
            count += 1;
        }
        assert_eq!((count, wheel.poll_timeout()), (60_000, None));
        wheel.insert(start + Duration::from_secs(100), start, 1);
        assert_eq!(wheel.poll_timeout(), Some(start), "a deadline in the past is due at once");
    }
}
