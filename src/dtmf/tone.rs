//! In-band tones: the keys in 8 kHz audio, by the frequency pairs of ITU-T Q.23 and the receiver
//! limits of ITU-T Q.24 (AT&T, NTT) and ETSI ES 201 235-3.
//!
//! Every 4 ms a block of 20 ms is measured (`bank`): of the strongest tone in each group its
//! level and, from the turn of its phase since the block before, its true frequency. With both
//! known, what the pair contributes to the block's energy is known exactly, so one threshold on
//! what is left over (speech, noise, a third tone) does not also have to allow for tones that are
//! off their frequency. A block is *good* when that rest is small and frequency, level and twist
//! are within their limits. The window makes time: a block is good when a tone fills at least 72 %
//! of it, so that a tone of D ms gives (D - 8.8) / 4 good blocks, up to one more, wherever it
//! starts: at most 4 of a tone of 23 ms, at least 6 of one of 36 ms.
//!
//! ```text
//! state   | good block of the digit    | good block of another | other block
//! none    | run of 1                   | -                     | -
//! run     | one more; the 5th: judged, | run of 1 of the other | the 4th in a row: none
//!         | key or judged again        |                       |
//! key     | key (held)                 | run of 1 of the other | 4 in a row with a tone 10 dB
//!         |                            |                       | down, or 25 in a row: none
//! ```
//!
//! So a pause from 20 ms on separates two presses and an interruption to 12 ms does not. A lost
//! frame is fed as silence and said to be lost: blocks are then measured over what was received,
//! and one that received too little changes nothing, so that a loss neither ends nor doubles a
//! key. A run is judged as a whole: mean frequencies within 2.5 %, levels steady, phases even;
//! voices have pairs of harmonics on two DTMF frequencies, but not that steadily.

#![deny(clippy::indexing_slicing)]

use crate::dtmf::bank::BLOCK;
use crate::dtmf::bank::FREQUENCIES_HZ;
use crate::dtmf::bank::HOP;
use crate::dtmf::bank::Spectrum;
use crate::dtmf::bank::WINDOW;
use crate::dtmf::bank::WINDOW_POWER;
use crate::dtmf::bank::WINDOW_SUM;
use crate::dtmf::bank::droop;
use crate::dtmf::bank::energy;
use crate::dtmf::key::HeardKey;
use crate::dtmf::run::FULL_SCALE_DBM0;
use crate::dtmf::run::GOOD_MIN;
use crate::dtmf::run::Good;
use crate::dtmf::run::Run;
use crate::dtmf::run::Span;
use crate::dtmf::run::Tone;
use crate::model::Digit;

/// What a pair of tones must be to be a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Least level of each tone. -38 dBm0: under the -25 of AT&T and -24 of NTT, and under the
    /// -36 to which RFC 2833 section 3.10 wants keys accepted.
    pub level_min_dbm0: f32,
    /// Most by which the low tone may be the stronger one. Q.24 AT&T: 8 dB; and 1 for measuring.
    pub twist_forward_max_db: f32,
    /// Most by which the high tone may be the stronger one. AT&T: 4 dB, ETSI: 6; and 1 likewise.
    pub twist_reverse_max_db: f32,
    /// Most by which a tone may miss its frequency, in percent: between the 1.8 that NTT wants
    /// accepted and the 3.0 that it wants refused.
    pub deviation_max_percent: f32,
    /// Least part of the energy that the pair must have, 0 to 1.
    pub purity_min: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level_min_dbm0: -38.0,
            twist_forward_max_db: 9.0,
            twist_reverse_max_db: 7.0,
            deviation_max_percent: 2.5,
            purity_min: 0.8,
        }
    }
}

/// What the detector did, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Keys reported.
    pub keys: u64,
    /// Runs of good blocks, long enough, that were judged to be no key at least once.
    pub refused: u64,
}

/// Good blocks that a run needs which is judged with less confidence than [`SURE`]: harmonics of
/// a voice seldom stay for 36 ms, a key does.
const GOOD_UNSURE_MIN: usize = 7;

/// Confidence of a key that every Q.24 limit is kept by, at 15 dB of noise.
const SURE: u8 = 70;

/// Other blocks in a row that end a run which is no key yet: an 8 ms burst of noise is ridden out.
const MISSED_MAX: u32 = 3;

/// Blocks in a row without the key's tones that release it: a pause of 16 to 20 ms.
const QUIET_MAX: u32 = 4;

/// Blocks in a row that are not good, though the tones' filters hear something: speech has begun.
const HELD_MISSED_MAX: u32 = 25;

/// Blocks in a row that received too little to be measured: a loss of 120 ms. What comes after
/// it is another press.
const UNKNOWN_MAX: u32 = 30;

/// Least part of the window that must have been received for a block to be measured, and to be good.
const RECEIVED_MIN: f32 = 0.25;
const RECEIVED_GOOD_MIN: f32 = 0.5;

/// One block's frequency may be off by this much more than the run's mean.
const BLOCK_SLACK: f32 = 1.3;

/// Hears the keys in one direction's audio.
#[derive(Clone, Debug)]
pub struct ToneDetector {
    limits: Limits,
    /// The last block; its newest hop is filled up to `filled`.
    samples: [f32; BLOCK],
    is_lost: [bool; BLOCK],
    /// How many of `is_lost` are.
    lost: usize,
    filled: usize,
    before: Spectrum,
    run: Option<Run>,
    newest: Option<Span>,
    unknown: u32,
    counters: Counters,
}

/// [`Settings`] in the units of the filters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of an amplitude's square.
    power_min: f32,
    forward_max: f32,
    reverse_max: f32,
    pub(super) deviation_max: f32,
    pub(super) purity_min: f32,
}

impl ToneDetector {
    /// A detector that has heard silence.
    pub fn new(settings: Settings) -> Self {
        let full_scale_db = settings.level_min_dbm0 - FULL_SCALE_DBM0;
        Self {
            limits: Limits {
                power_min: decibels(full_scale_db) * 32_768.0 * 32_768.0,
                forward_max: decibels(settings.twist_forward_max_db),
                reverse_max: decibels(settings.twist_reverse_max_db),
                deviation_max: settings.deviation_max_percent / 100.0,
                purity_min: settings.purity_min,
            },
            samples: [0.0; BLOCK],
            is_lost: [false; BLOCK],
            lost: 0,
            filled: 0,
            before: Spectrum::default(),
            run: None,
            newest: None,
            unknown: 0,
            counters: Counters::default(),
        }
    }

    /// Feeds one frame and gives the key on the frame in which it becomes certain.
    ///
    /// - `samples`: linear PCM at 8000 Hz, mono, full scale ±32 768, in playout order; any number,
    ///   but at most 60 ms at once, since at most one key is reported per call.
    /// - `timestamp`: RTP timestamp of the first sample, in ticks of 1/8000 s; the key's is
    ///   reckoned from it.
    ///
    /// A held key is reported once, 31 to 35 ms after its start. Tones from 36 ms on are heard,
    /// tones to 24 ms are not. Cost: 5 products of 160 by 16 per 20 ms, less in silence; no
    /// allocation, no lock.
    pub fn push_frame(&mut self, samples: &[i16], timestamp: u32) -> Option<HeardKey> {
        self.feed(Some(samples), samples.len(), timestamp)
    }

    /// Feeds a frame of `samples_len` samples that never came, in its place.
    pub fn push_lost(&mut self, samples_len: usize, timestamp: u32) -> Option<HeardKey> {
        // Past the longest loss that a key survives, more of it changes nothing.
        let samples_len = samples_len.min((UNKNOWN_MAX as usize + 1) * HOP + BLOCK);
        self.feed(None, samples_len, timestamp)
    }

    /// The key whose tones are still there.
    pub fn held(&self) -> Option<Digit> {
        self.run.as_ref().filter(|run| run.is_key && run.quiet == 0).and_then(Run::digit)
    }

    /// How long the newest key has lasted, in milliseconds, if it is the one whose evidence tells
    /// this beginning: so far while it is held, in all once it is over. Off by up to 4 ms, and by
    /// more only where noise hides its ends.
    pub fn lasted_ms(&self, began: u32) -> Option<u16> {
        self.newest.filter(|span| span.began == began).map(|span| span.ms())
    }

    /// What the detector did so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes in `len` samples, hop by hop; `None` for samples that never came.
    fn feed(&mut self, samples: Option<&[i16]>, len: usize, timestamp: u32) -> Option<HeardKey> {
        let (mut key, mut done) = (None, 0);
        while done < len {
            let take = (HOP - self.filled).min(len - done);
            let from = BLOCK - HOP + self.filled;
            let slots = self.samples.iter_mut().skip(from).take(take);
            match samples {
                Some(samples) => {
                    let part = samples.iter().skip(done);
                    slots.zip(part).for_each(|(slot, &sample)| *slot = f32::from(sample));
                }
                None => {
                    slots.for_each(|slot| *slot = 0.0);
                    self.lost += take;
                }
            }
            if self.lost > 0 {
                let lost = self.is_lost.iter_mut().skip(from).take(take);
                lost.for_each(|lost| *lost = samples.is_none());
            }
            self.filled += take;
            done += take;
            if self.filled == HOP {
                let found = self.handle_block(timestamp.wrapping_add(done as u32));
                key = key.or(found);
                self.shift();
            }
        }
        key
    }

    /// Makes room for the next hop.
    fn shift(&mut self) {
        self.filled = 0;
        self.samples.copy_within(HOP.., 0);
        if self.lost > 0 {
            self.is_lost.copy_within(HOP.., 0);
            self.lost = self.is_lost.iter().take(BLOCK - HOP).filter(|&&lost| lost).count();
        }
    }

    /// Measures the block that ends before the sample of timestamp `end`.
    fn handle_block(&mut self, end: u32) -> Option<HeardKey> {
        let (received, received_power) = self.received();
        let before = self.before;
        if received < RECEIVED_MIN {
            self.before = Spectrum::default();
            self.unknown += 1;
            if self.unknown > UNKNOWN_MAX {
                self.run = None;
            }
            return None;
        }
        self.unknown = 0;
        let energy = energy(&self.samples);
        let amplitude = 2.0 / (WINDOW_SUM * received);
        let spectrum = if energy * 2.0 < self.limits.power_min * received_power {
            Spectrum::default()
        } else {
            Spectrum::of(&self.samples)
        };
        self.before = spectrum;
        let powers = spectrum.powers().map(|power| power * amplitude * amplitude);
        let whole = energy * 2.0 / received_power;
        match self.limits.good(&spectrum, &before, &powers, whole, end) {
            Some(good) if received >= RECEIVED_GOOD_MIN => self.handle_good(good),
            _ => {
                self.handle_other(&powers);
                None
            }
        }
    }

    /// The parts of the window's sum (0 to 1) and power that were received.
    fn received(&self) -> (f32, f32) {
        if self.lost == 0 {
            return (1.0, WINDOW_POWER);
        }
        let here = || self.is_lost.iter().zip(&WINDOW).filter(|(lost, _)| !**lost);
        let sum: f32 = here().map(|(_, w)| w).sum();
        let power: f32 = here().map(|(_, w)| w * w).sum();
        (sum / WINDOW_SUM, power.max(f32::MIN_POSITIVE))
    }

    fn handle_good(&mut self, good: Good) -> Option<HeardKey> {
        let run = match &mut self.run {
            Some(run) if run.is_of(&good) => {
                run.add(good);
                run
            }
            other => other.insert(Run::new(good)),
        };
        if run.is_key
            && let Some(span) = &mut self.newest
        {
            span.last_end = good.end;
        }
        if run.is_key || run.good < GOOD_MIN {
            return None;
        }
        let Some(confidence) = run.judge(&self.limits) else {
            self.counters.refused += u64::from(!run.was_refused);
            run.was_refused = true;
            return None;
        };
        if confidence < SURE && run.good < GOOD_UNSURE_MIN {
            return None;
        }
        run.is_key = true;
        self.counters.keys += 1;
        self.newest = Some(Span { began: run.began(), last_end: good.end });
        run.heard(confidence)
    }

    fn handle_other(&mut self, powers: &[f32; 8]) {
        let Some(run) = &mut self.run else { return };
        run.missed += 1;
        run.quiet = if run.is_gone(powers) { run.quiet + 1 } else { 0 };
        let is_over = if run.is_key {
            run.quiet >= QUIET_MAX || run.missed >= HELD_MISSED_MAX
        } else {
            run.missed > MISSED_MAX
        };
        if is_over {
            self.run = None;
        }
    }
}

impl Limits {
    /// The strongest pair, if the block is good. `whole` is the block's power in the scale of
    /// `powers`: a single tone of amplitude a has a squared in both.
    fn good(
        &self,
        now: &Spectrum,
        before: &Spectrum,
        powers: &[f32; 8],
        whole: f32,
        end: u32,
    ) -> Option<Good> {
        let (lows, highs) = powers.split_at(4);
        let (low, high) = (strongest(lows), 4 + strongest(highs));
        let raw = |at: usize| powers.get(at).copied().unwrap_or(0.0);
        // Cheap, and true of every good block: a deviation takes at most 6 dB of each tone.
        if raw(low) + raw(high) < whole * self.purity_min / 4.0 {
            return None;
        }
        let low = self.tone(now, before, low, raw(low))?;
        let high = self.tone(now, before, high, raw(high))?;
        let purity = (low.power + high.power) / whole;
        let is_twisted =
            low.power > high.power * self.forward_max || high.power > low.power * self.reverse_max;
        (purity >= self.purity_min && !is_twisted).then_some(Good { end, low, high, purity })
    }

    fn tone(&self, now: &Spectrum, before: &Spectrum, at: usize, raw: f32) -> Option<Tone> {
        let turn = now.turn_since(before, at);
        let deviation_hz = turn.deviation_hz();
        let nominal_hz = FREQUENCIES_HZ.get(at).copied()?;
        if deviation_hz.abs() > nominal_hz * self.deviation_max * BLOCK_SLACK {
            return None;
        }
        let droop = droop(deviation_hz);
        let power = raw / (droop * droop);
        (power >= self.power_min).then_some(Tone { at, power, turn })
    }
}

fn strongest(powers: &[f32]) -> usize {
    powers
        .iter()
        .enumerate()
        .fold(
            (0, 0.0),
            |best: (usize, f32), (at, &power)| {
                if power > best.1 { (at, power) } else { best }
            },
        )
        .0
}

fn decibels(level_db: f32) -> f32 {
    10.0f32.powf(level_db / 10.0)
}
