//! Audio made from sines: keys as they sound, lines as they pass them on, and what is no key.

use std::f64::consts::TAU;

use crate::model::token::Seed;
use crate::model::token::TokenSource;

const LOW_HZ: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH_HZ: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
pub(super) const KEYPAD: [char; 16] =
    ['1', '2', '3', 'A', '4', '5', '6', 'B', '7', '8', '9', 'C', '*', '0', '#', 'D'];

/// How a key sounds.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) ms: f64,
    pub(super) low_dbm0: f64,
    pub(super) high_dbm0: f64,
    pub(super) low_off: f64,
    pub(super) high_off: f64,
}

pub(super) const PLAIN: Shape =
    Shape { ms: 50.0, low_dbm0: -10.0, high_dbm0: -10.0, low_off: 0.0, high_off: 0.0 };

/// How the line passes it on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Line {
    Linear,
    Ulaw,
    Alaw,
}

/// Audio under construction, full scale ±1.
pub(super) struct Signal {
    pub(super) samples: Vec<f64>,
    pub(super) random: TokenSource,
}

impl Signal {
    pub(super) fn new(seed: u64) -> Self {
        Self { samples: Vec::new(), random: TokenSource::new(Seed(seed, 24)) }
    }

    /// Uniform in 0..1.
    pub(super) fn uniform(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / 4_294_967_296.0
    }

    pub(super) fn silence(mut self, ms: f64) -> Self {
        let len = self.samples.len() + (ms * 8.0) as usize;
        self.samples.resize(len, 0.0);
        self
    }

    /// Silence of 40 to 60 ms, so that the next sound falls anywhere among the blocks.
    pub(super) fn gap(mut self) -> Self {
        let ms = 40.0 + 20.0 * self.uniform();
        self.silence(ms)
    }

    pub(super) fn sines(mut self, ms: f64, tones: &[(f64, f64)]) -> Self {
        let phased: Vec<_> =
            tones.iter().map(|&(hz, dbm0)| (hz, amplitude(dbm0), self.uniform() * TAU)).collect();
        for n in 0..(ms * 8.0).round() as usize {
            let at = |&(hz, level, phase): &(f64, f64, f64)| {
                level * (TAU * hz * n as f64 / 8000.0 + phase).sin()
            };
            self.samples.push(phased.iter().map(at).sum());
        }
        self
    }

    pub(super) fn key(self, key: usize, shape: Shape) -> Self {
        let low = LOW_HZ[key / 4] * (1.0 + shape.low_off);
        let high = HIGH_HZ[key % 4] * (1.0 + shape.high_off);
        self.sines(shape.ms, &[(low, shape.low_dbm0), (high, shape.high_dbm0)])
    }

    /// White noise over all that is there, of this total level.
    pub(super) fn noise(mut self, dbm0: f64) -> Self {
        let sigma = amplitude(dbm0) / 2f64.sqrt();
        for at in 0..self.samples.len() {
            // The sum of twelve uniform ones is near enough to a Gaussian of variance 1.
            let draws = [self.random.next_u64(), self.random.next_u64(), self.random.next_u64()];
            let uniform = draws.iter().flat_map(|draw| draw.to_be_bytes());
            let pairs = uniform.enumerate().map(|(n, byte)| {
                if n % 2 == 0 { f64::from(byte) * 256.0 } else { f64::from(byte) }
            });
            let gauss = pairs.sum::<f64>() / 65_536.0 - 6.0;
            self.samples[at] += sigma * gauss;
        }
        self
    }

    /// A tone over all that is there.
    pub(super) fn behind(mut self, tones: &[(f64, f64)]) -> Self {
        for (n, sample) in self.samples.iter_mut().enumerate() {
            for &(hz, dbm0) in tones {
                *sample += amplitude(dbm0) * (TAU * hz * n as f64 / 8000.0).sin();
            }
        }
        self
    }

    pub(super) fn pcm(&self, line: Line) -> Vec<i16> {
        let full = |sample: &f64| (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
        self.samples.iter().map(full).map(|sample| companded(sample, line)).collect()
    }
}

/// Amplitude of a sine of this level; ±1 is 3.17 dBm0.
fn amplitude(dbm0: f64) -> f64 {
    10f64.powf((dbm0 - 3.17) / 20.0)
}

/// The value of `sample` after G.711, by the intervals of its tables 1a and 2a.
fn companded(sample: i16, line: Line) -> i16 {
    let magnitude = i32::from(sample).abs();
    let decoded = match line {
        Line::Linear => return sample,
        Line::Ulaw => {
            let biased = magnitude.min(32_635) + 132;
            let exponent = 31 - biased.leading_zeros() as i32 - 7;
            let step = 1 << (exponent + 3);
            biased / step * step + step / 2 - 132
        }
        Line::Alaw => {
            let exponent = 31 - magnitude.clamp(256, 32_767).leading_zeros() as i32 - 7;
            let step = 1 << (3 + exponent);
            magnitude.min(32_767) / step * step + step / 2
        }
    };
    if sample < 0 { -decoded as i16 } else { decoded as i16 }
}

impl Shape {
    /// Level of both tones together.
    pub(super) fn dbm0(self) -> f64 {
        let power = |dbm0: f64| 10f64.powf(dbm0 / 10.0);
        10.0 * (power(self.low_dbm0) + power(self.high_dbm0)).log10()
    }

    pub(super) fn levels(low_dbm0: f64, high_dbm0: f64) -> Self {
        Self { low_dbm0, high_dbm0, ..PLAIN }
    }

    pub(super) fn off(low_percent: f64, high_percent: f64) -> Self {
        Self { low_off: low_percent / 100.0, high_off: high_percent / 100.0, ..PLAIN }
    }

    pub(super) fn lasting(ms: f64) -> Self {
        Self { ms, ..PLAIN }
    }
}

/// A vowel: a gliding pitch with a tremor of 2 %, whose harmonics fall by 12 dB an octave under three formants, as a
/// larynx and lips give them.
pub(super) fn voiced(mut signal: Signal) -> Signal {
    let (from, to) = (80.0 + 300.0 * signal.uniform(), 80.0 + 300.0 * signal.uniform());
    let formants = [
        300.0 + 600.0 * signal.uniform(),
        900.0 + 1500.0 * signal.uniform(),
        2500.0 + 700.0 * signal.uniform(),
    ];
    let len = (1600.0 + 3200.0 * signal.uniform()) as usize;
    let tremor_phase = TAU * signal.uniform();
    let (mut phase, mut peak) = (0.0, 0f64);
    let start = signal.samples.len();
    for n in 0..len {
        let tremor = 1.0 + 0.02 * (TAU * 5.0 * n as f64 / 8000.0 + tremor_phase).sin();
        let pitch = (from + (to - from) * n as f64 / len as f64) * tremor;
        phase += TAU * pitch / 8000.0;
        let envelope = (std::f64::consts::PI * n as f64 / len as f64).sin();
        let mut sample = 0.0;
        let mut harmonic = 1.0;
        while pitch * harmonic < 3600.0 {
            let hz = pitch * harmonic;
            // Resonance of a pole pair of 80 Hz width, 1 at 0 Hz; the lips add 6 dB an octave.
            let gain = |formant: f64| {
                let ratio = hz / formant;
                1.0 / ((1.0 - ratio * ratio).powi(2) + (80.0 * ratio / formant).powi(2)).sqrt()
            };
            let level = formants.map(gain).iter().product::<f64>() / harmonic;
            sample += level * (phase * harmonic).sin();
            harmonic += 1.0;
        }
        peak = peak.max((envelope * sample).abs());
        signal.samples.push(envelope * sample);
    }
    let loudness = (0.05 + 0.55 * signal.uniform()) / peak;
    signal.samples.iter_mut().skip(start).for_each(|sample| *sample *= loudness);
    signal
}

/// Three to five notes of the tempered scale with their overtones. (Two bare notes may well be a
/// key: F5 with F#6 is within 0.3 % of key 3.)
pub(super) fn chord(mut signal: Signal) -> Signal {
    let notes = 3 + (signal.uniform() * 3.0) as usize;
    let mut tones = Vec::new();
    for _ in 0..notes {
        let hz = 220.0 * 2f64.powf((signal.uniform() * 36.0).floor() / 12.0);
        let dbm0 = -22.0 + 8.0 * signal.uniform();
        let overtones = 2 + (signal.uniform() * 4.0) as u32;
        for overtone in 1..=overtones {
            let partial = hz * f64::from(overtone);
            if partial < 3600.0 {
                tones.push((partial, dbm0 - 6.0 * f64::from(overtone - 1)));
            }
        }
    }
    let ms = 150.0 + 400.0 * signal.uniform();
    signal.sines(ms, &tones)
}
