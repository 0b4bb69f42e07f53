//! The filter bank of the tone detector: eight windowed filters over 20 ms, every 4 ms.
//!
//! One block is a matrix product, 160 samples by 16 outputs, so that it vectorises as it stands:
//! for each of the eight DTMF frequencies the real and the imaginary part under a Hann window.
//! The window keeps the two tones out of each other's filter (their distance is over 5 bins, where
//! a Hann window is 50 dB down) and makes the phase of a filter turn evenly from block to block,
//! so that the tone's true frequency can be read from it; the width of one filter (75 Hz) cannot
//! tell 1.5 % of 697 Hz from 3.5 %.

#![deny(clippy::indexing_slicing)]

use std::f64::consts::PI;

/// Samples per second that the filters are made for.
pub(super) const RATE_HZ: u32 = 8000;

/// Samples in one block, 20 ms.
pub(super) const BLOCK: usize = 160;

/// Samples from one block to the next, 4 ms.
pub(super) const HOP: usize = 32;

/// The frequencies of ITU-T Q.23: the low group, then the high group.
pub(super) const FREQUENCIES_HZ: [f32; 8] =
    [697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0];

/// By sample: eight cosines, then eight negative sines, each times the window.
static KERNEL: [[f32; 16]; BLOCK] = kernel();

/// By sample: the window.
pub(super) static WINDOW: [f32; BLOCK] = window();

/// By frequency: how far its phase turns in one hop, turned back (cosine, negative sine).
static TURN_BACK: [(f32, f32); 8] = turn_back();

/// The sum over [`WINDOW`].
pub(super) const WINDOW_SUM: f32 = BLOCK as f32 / 2.0;

/// The sum over the squares of [`WINDOW`].
pub(super) const WINDOW_POWER: f32 = BLOCK as f32 * 3.0 / 8.0;

/// What the filters gave for one block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spectrum {
    re: [f32; 8],
    im: [f32; 8],
}

/// One complex number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Phasor {
    pub(super) re: f32,
    pub(super) im: f32,
}

impl Spectrum {
    /// Filters one block. Cost: 2,560 multiplications and additions.
    pub(super) fn of(samples: &[f32; BLOCK]) -> Self {
        let mut sums = [0.0f32; 16];
        for (sample, row) in samples.iter().zip(&KERNEL) {
            for (sum, factor) in sums.iter_mut().zip(row) {
                *sum += sample * factor;
            }
        }
        let mut spectrum = Self::default();
        let (re, im) = sums.split_at(8);
        spectrum.re.copy_from_slice(re);
        spectrum.im.copy_from_slice(im);
        spectrum
    }

    /// The square of the magnitude at each frequency.
    pub(super) fn powers(&self) -> [f32; 8] {
        std::array::from_fn(|at| {
            let Phasor { re, im } = self.at(at);
            re * re + im * im
        })
    }

    /// How the tone near frequency `at` turned since `before`, one hop earlier, beyond what its
    /// nominal frequency turns: the angle is the deviation, the magnitude the power.
    pub(super) fn turn_since(&self, before: &Self, at: usize) -> Phasor {
        let (now, then) = (self.at(at), before.at(at));
        let re = now.re * then.re + now.im * then.im;
        let im = now.im * then.re - now.re * then.im;
        let (cos, sin) = TURN_BACK.get(at).copied().unwrap_or((1.0, 0.0));
        Phasor { re: re * cos - im * sin, im: re * sin + im * cos }
    }

    fn at(&self, at: usize) -> Phasor {
        let part = |parts: &[f32; 8]| parts.get(at).copied().unwrap_or(0.0);
        Phasor { re: part(&self.re), im: part(&self.im) }
    }
}

impl Phasor {
    pub(super) fn add(&mut self, other: Self) {
        self.re += other.re;
        self.im += other.im;
    }

    pub(super) fn magnitude(self) -> f32 {
        self.re.hypot(self.im)
    }

    /// The deviation in hertz that a turn per hop stands for, within ±125.
    pub(super) fn deviation_hz(self) -> f32 {
        self.im.atan2(self.re) * RATE_HZ as f32 / (HOP as f32 * std::f32::consts::TAU)
    }
}

/// The energy of one block under the window, summed in eight lanes so that it vectorises.
pub(super) fn energy(samples: &[f32; BLOCK]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (samples, window) in samples.chunks_exact(8).zip(WINDOW.chunks_exact(8)) {
        for ((lane, sample), factor) in lanes.iter_mut().zip(samples).zip(window) {
            let windowed = sample * factor;
            *lane += windowed * windowed;
        }
    }
    lanes.iter().sum()
}

/// What is left of a tone's magnitude in a filter that it misses by `deviation_hz` (the window's
/// transform), 1 at zero and falling to one half at one bin, 50 Hz.
pub(super) fn droop(deviation_hz: f32) -> f32 {
    let bins = deviation_hz * BLOCK as f32 / RATE_HZ as f32;
    let square = bins * bins;
    if square < 1e-4 {
        return 1.0;
    }
    if (square - 1.0).abs() < 1e-3 {
        return 0.5;
    }
    let angle = std::f32::consts::PI * bins;
    angle.sin() / (angle * (1.0 - square))
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where a miss stops the build")]
const fn kernel() -> [[f32; 16]; BLOCK] {
    let window = window();
    let mut rows = [[0.0; 16]; BLOCK];
    let mut n = 0;
    while n < BLOCK {
        let mut at = 0;
        while at < 8 {
            let angle = 2.0 * PI * FREQUENCIES_HZ[at] as f64 * n as f64 / RATE_HZ as f64;
            rows[n][at] = (cos(angle) * window[n] as f64) as f32;
            rows[n][at + 8] = (-sin(angle) * window[n] as f64) as f32;
            at += 1;
        }
        n += 1;
    }
    rows
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where a miss stops the build")]
const fn window() -> [f32; BLOCK] {
    let mut window = [0.0; BLOCK];
    let mut n = 0;
    while n < BLOCK {
        window[n] = (0.5 - 0.5 * cos(2.0 * PI * (n as f64 + 0.5) / BLOCK as f64)) as f32;
        n += 1;
    }
    window
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where a miss stops the build")]
const fn turn_back() -> [(f32, f32); 8] {
    let mut turns = [(0.0, 0.0); 8];
    let mut at = 0;
    while at < 8 {
        let angle = 2.0 * PI * FREQUENCIES_HZ[at] as f64 * HOP as f64 / RATE_HZ as f64;
        turns[at] = (cos(angle) as f32, -sin(angle) as f32);
        at += 1;
    }
    turns
}

/// The cosine, at compile time.
const fn cos(angle: f64) -> f64 {
    sin(angle + PI / 2.0)
}

/// The sine, at compile time: the angle brought to ±π/2, then its power series.
const fn sin(angle: f64) -> f64 {
    let turns = (angle / PI + if angle < 0.0 { -0.5 } else { 0.5 }) as i64;
    let x = angle - turns as f64 * PI;
    let mut term = x;
    let mut sum = x;
    let mut n = 1.0;
    while n < 12.0 {
        term *= -x * x / ((2.0 * n) * (2.0 * n + 1.0));
        sum += term;
        n += 1.0;
    }
    if turns % 2 == 0 { sum } else { -sum }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may stop at a miss")]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_tables_are_those_of_the_library() {
        for step in -2000..2000 {
            let angle = f64::from(step) * 0.137;
            assert!((sin(angle) - angle.sin()).abs() < 1e-12, "sin {angle}");
            assert!((cos(angle) - angle.cos()).abs() < 1e-12, "cos {angle}");
        }
        let sum: f32 = WINDOW.iter().sum();
        let power: f32 = WINDOW.iter().map(|w| w * w).sum();
        assert!((sum - WINDOW_SUM).abs() < 1e-3 && (power - WINDOW_POWER).abs() < 1e-3);
    }

    #[test]
    fn a_tone_is_measured_in_level_and_frequency() {
        for (at, nominal) in FREQUENCIES_HZ.iter().enumerate() {
            for off in [-0.03, -0.015, 0.0, 0.018, 0.025] {
                let hz = f64::from(*nominal) * (1.0 + off);
                let tone = |n: usize| (2.0 * PI * hz * n as f64 / 8000.0 + 0.7).sin() as f32;
                let block = |from: usize| std::array::from_fn(|n| tone(from + n));
                let (before, now) = (Spectrum::of(&block(0)), Spectrum::of(&block(HOP)));
                let deviation = now.turn_since(&before, at).deviation_hz();
                let want = f64::from(*nominal) * off;
                assert!((f64::from(deviation) - want).abs() < 0.5, "{hz} Hz: {deviation}");
                let level = now.powers()[at].sqrt() * 2.0 / WINDOW_SUM / droop(deviation);
                assert!((level - 1.0).abs() < 0.01, "{hz} Hz: level {level}");
            }
        }
    }
}
