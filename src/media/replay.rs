//! Which packets of a stream were seen already: the replay window over RTP sequence numbers.

use std::fmt;

use webrtc_util::replay_detector::ReplayDetector;
use webrtc_util::replay_detector::WrappedSlidingWindowDetector;

use super::rtp::SequenceNumber;

/// Packets that may be overtaken and still count: 2.56 s of 20 ms frames. Our choice: longer than
/// any jitter that a call survives; RFC 3711 section 3.3.2 asks for 64 at least.
pub const WINDOW_PACKETS: i16 = 128;

/// Furthest jump ahead that is the same stream going on: a minute (RFC 3550 appendix A.1,
/// `MAX_DROPOUT`).
pub const DROPOUT_MAX: i16 = 3000;

/// Where a packet stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// New: within the window or ahead of it, and never seen.
    Fresh,
    /// Seen before.
    Duplicate,
    /// Behind the window, or further ahead than [`DROPOUT_MAX`]: not this stream going on.
    Elsewhere,
}

/// The replay window of one stream.
///
/// Its memory is taken once, at call setup: a new stream is mapped behind what the window has
/// seen, in place of a new window.
pub struct ReplayWindow {
    detector: WrappedSlidingWindowDetector,
    /// What is added to a sequence number before the detector sees it.
    shift: u16,
    highest: SequenceNumber,
}

impl ReplayWindow {
    /// A window for a stream that begins with `first`, which counts as seen.
    pub fn new(first: SequenceNumber) -> Self {
        let mut window = Self {
            detector: WrappedSlidingWindowDetector::new(
                usize::from(WINDOW_PACKETS.unsigned_abs()),
                u64::from(u16::MAX),
            ),
            shift: 0,
            highest: first,
        };
        window.detector.check(u64::from(first.0));
        window.detector.accept();
        window
    }

    /// Forgets the stream and begins another with `first`, which counts as seen.
    pub fn restart(&mut self, first: SequenceNumber) {
        // So far ahead that nothing of the old stream is left in the window.
        let clear = self.highest.0.wrapping_add(self.shift).wrapping_add_signed(WINDOW_PACKETS + 1);
        self.shift = clear.wrapping_sub(first.0);
        self.highest = first;
        self.detector.check(u64::from(clear));
        self.detector.accept();
    }

    /// Places a packet, and remembers it if it is fresh.
    pub fn place(&mut self, sequence: SequenceNumber) -> Place {
        let ahead = sequence.since(self.highest);
        if ahead <= -WINDOW_PACKETS || ahead > DROPOUT_MAX {
            return Place::Elsewhere;
        }
        if !self.detector.check(u64::from(sequence.0.wrapping_add(self.shift))) {
            return Place::Duplicate;
        }
        self.detector.accept();
        if ahead > 0 {
            self.highest = sequence;
        }
        Place::Fresh
    }
}

impl fmt::Debug for ReplayWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayWindow").field("highest", &self.highest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_placed() {
        use Place::{Duplicate, Elsewhere, Fresh};
        // The stream begins at 65 530; steps are counted from there, so that the wrap is crossed.
        let cases: [(&str, &[(i16, Place)]); 6] = [
            ("in order over the wrap", &[(1, Fresh), (5, Fresh), (6, Fresh), (7, Fresh)]),
            ("the first again", &[(0, Duplicate)]),
            ("overtaken, then doubled", &[(3, Fresh), (1, Fresh), (1, Duplicate), (2, Fresh)]),
            ("the edge of the window", &[(200, Fresh), (73, Fresh), (72, Elsewhere)]),
            ("the longest dropout", &[(3000, Fresh), (6001, Elsewhere), (6000, Fresh)]),
            ("overtaken by the first packet", &[(-1, Fresh), (-127, Fresh), (-128, Elsewhere)]),
        ];
        for (name, steps) in cases {
            let first = SequenceNumber(65_530);
            let mut window = ReplayWindow::new(first);
            for &(step, want) in steps {
                assert_eq!(window.place(first.plus(step)), want, "{name}: {step}");
            }
        }
    }

    #[test]
    fn a_restart_forgets_the_old_stream_wherever_the_new_one_begins() {
        for first in [0, 1, 99, 100, 101, 227, 228, 229, 230, 0x7FFF, 0x8000, 0xFFFF] {
            let mut window = ReplayWindow::new(SequenceNumber(0));
            for sequence in 1..=100 {
                assert_eq!(window.place(SequenceNumber(sequence)), Place::Fresh);
            }
            let first = SequenceNumber(first);
            window.restart(first);
            assert_eq!(window.place(first), Place::Duplicate, "{first:?}");
            for step in 1..=300 {
                assert_eq!(window.place(first.plus(step)), Place::Fresh, "{first:?} + {step}");
                assert_eq!(window.place(first.plus(step)), Place::Duplicate, "{first:?} + {step}");
            }
            assert_eq!(window.place(first.plus(172)), Place::Elsewhere, "{first:?}: 128 behind");
        }
    }

    #[test]
    fn three_turns_of_the_counter_are_one_stream() {
        let mut window = ReplayWindow::new(SequenceNumber(0));
        for step in 1..200_000_u32 {
            let sequence = SequenceNumber((step % 65_536) as u16);
            assert_eq!(window.place(sequence), Place::Fresh, "{step}");
        }
    }
}
