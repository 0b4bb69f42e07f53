//! A run: good blocks of one pair of tones that belong together, judged as a whole.
//!
//! What makes a block good, and what ends a run, is `tone`'s.

#![deny(clippy::indexing_slicing)]

use crate::dtmf::bank::BLOCK;
use crate::dtmf::bank::FREQUENCIES_HZ;
use crate::dtmf::bank::Phasor;
use crate::dtmf::bank::RATE_HZ;
use crate::dtmf::key::Evidence;
use crate::dtmf::key::HeardKey;
use crate::dtmf::key::Method;
use crate::dtmf::tone::Limits;
use crate::model::Digit;

/// The keys of the low and the high group's crossings, low group first (Q.23).
const KEYPAD: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

/// Good blocks that make a run worth judging; see the module's documentation.
pub(super) const GOOD_MIN: usize = 5;

/// Amplitude, relative to the key's, under which its tone counts as gone: -10 dB.
const GONE_BELOW: f32 = 0.316;

/// Level of a full-scale sine: 3.17 dBm0 under the u-law of ITU-T G.711 (A-law: 0.03 less).
pub(super) const FULL_SCALE_DBM0: f32 = 3.17;

/// One tone of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tone {
    pub(super) at: usize,
    /// Square of its amplitude, made whole for its deviation.
    pub(super) power: f32,
    pub(super) turn: Phasor,
}

/// A good block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Good {
    /// Timestamp of the sample behind it.
    pub(super) end: u32,
    pub(super) low: Tone,
    pub(super) high: Tone,
    /// The pair's part in the energy, 0 to about 1.
    pub(super) purity: f32,
}

/// From when to when a key was heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Timestamp of its beginning, as its evidence has it.
    pub(super) began: u32,
    /// Timestamp behind its last good block.
    pub(super) last_end: u32,
}

impl Span {
    /// Between the beginning and the end of the tone.
    ///
    /// A block is good when the tone fills 72 % of it, and blocks come every 20 % of their length:
    /// on average the first good one is filled to 82 %, 10 more than `began` takes it to be, and
    /// the last one too, so that the tone ended 18 % before its end.
    pub(super) fn ms(&self) -> u16 {
        let both_ends = BLOCK as u32 * (18 - 10) / 100;
        let len = self.last_end.wrapping_sub(self.began).saturating_sub(both_ends);
        u16::try_from(len / (RATE_HZ / 1000)).unwrap_or(u16::MAX)
    }
}

/// Good blocks of one digit that belong together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The newest ones, by which it is judged; the oldest first once there are enough.
    newest: [Good; GOOD_MIN],
    pub(super) good: usize,
    /// Other blocks since the last good one.
    pub(super) missed: u32,
    /// Of these, the last in a row that hear the tones no more.
    pub(super) quiet: u32,
    pub(super) is_key: bool,
    pub(super) was_refused: bool,
}

impl Run {
    /// A run of one block.
    pub(super) const fn new(good: Good) -> Self {
        Self {
            newest: [good; GOOD_MIN],
            good: 1,
            missed: 0,
            quiet: 0,
            is_key: false,
            was_refused: false,
        }
    }

    /// One more block of it.
    pub(super) fn add(&mut self, good: Good) {
        self.missed = 0;
        self.quiet = 0;
        self.good += 1;
        // What a key was judged by stays: the evidence, and the level that its end is told by.
        if !self.is_key {
            self.newest.rotate_left(1);
            if let Some(last) = self.newest.last_mut() {
                *last = good;
            }
        }
    }

    /// How sure a key it is by its newest blocks, 0 to 100; `None` when it is none.
    pub(super) fn judge(&self, limits: &Limits) -> Option<u8> {
        let low = doubt(self.newest.map(|good| good.low), limits)?;
        let high = doubt(self.newest.map(|good| good.high), limits)?;
        let purity = self.newest.iter().map(|good| good.purity).sum::<f32>() / GOOD_MIN as f32;
        let rest = ((1.0 - purity) / (1.0 - limits.purity_min)).clamp(0.0, 1.0);
        Some((100.0 - 40.0 * rest - 40.0 * low.max(high)) as u8)
    }

    /// The key it is.
    pub(super) fn heard(&self, confidence: u8) -> Option<HeardKey> {
        let [.., last] = &self.newest;
        let began = self.began();
        let duration_ms = last.end.wrapping_sub(began) / (RATE_HZ / 1000);
        Some(HeardKey {
            digit: self.digit()?,
            method: Method::Tone,
            evidence: Evidence {
                rtp_timestamp: Some(began),
                duration_ms: Some(u16::try_from(duration_ms).unwrap_or(u16::MAX)),
                low_dbm0: Some(level_dbm0(last.low.power)),
                high_dbm0: Some(level_dbm0(last.high.power)),
                confidence,
                ..Evidence::default()
            },
        })
    }

    /// Timestamp of its beginning, by the oldest block that is kept: no longer true once a key is
    /// held, and then still what it was judged by.
    pub(super) fn began(&self) -> u32 {
        let [first, ..] = &self.newest;
        // The first good block is filled to 72 %.
        first.end.wrapping_sub(BLOCK as u32 * 72 / 100)
    }

    /// Whether the block is of the same pair.
    pub(super) fn is_of(&self, good: &Good) -> bool {
        let [first, ..] = &self.newest;
        (first.low.at, first.high.at) == (good.low.at, good.high.at)
    }

    /// Whether either tone is no longer heard.
    pub(super) fn is_gone(&self, powers: &[f32; 8]) -> bool {
        let [.., last] = &self.newest;
        [last.low, last.high].iter().any(|tone| {
            let power = powers.get(tone.at).copied().unwrap_or(0.0);
            power < tone.power * GONE_BELOW * GONE_BELOW
        })
    }

    /// The digit of its pair.
    pub(super) fn digit(&self) -> Option<Digit> {
        let [first, ..] = &self.newest;
        let code = KEYPAD.get(first.low.at)?.get(first.high.at.checked_sub(4)?)?;
        Digit::from_event_code(*code)
    }
}

/// How much stronger a tone's strongest judged block may be than its weakest: 1.5 times, 4 dB.
const UNSTEADY_MAX: f32 = 1.5;

/// How much of a tone's turns may cancel out through the run.
const UNEVEN_MAX: f32 = 0.1;

/// How little this is one steady tone on its frequency, 0 to 1; `None` when it is none.
fn doubt(tones: [Tone; GOOD_MIN], limits: &Limits) -> Option<f32> {
    let [first, ..] = &tones;
    let nominal_hz = FREQUENCIES_HZ.get(first.at).copied()?;
    let (mut turn, mut turned) = (Phasor::default(), 0.0);
    let (mut least, mut most) = (f32::INFINITY, 0.0f32);
    for tone in &tones {
        turn.add(tone.turn);
        turned += tone.turn.magnitude();
        least = least.min(tone.power);
        most = most.max(tone.power);
    }
    let off = turn.deviation_hz().abs() / (nominal_hz * limits.deviation_max);
    let unsteady = (most / least - 1.0) / UNSTEADY_MAX;
    let uneven = (1.0 - turn.magnitude() / turned) / UNEVEN_MAX;
    let worst = off.max(unsteady).max(uneven);
    (worst <= 1.0).then_some(worst * worst)
}

fn level_dbm0(power: f32) -> i8 {
    let part = power / (32_768.0 * 32_768.0);
    (10.0 * part.log10() + FULL_SCALE_DBM0).round() as i8
}
