//! The tone detector against signals made from sines: the limits of Q.24 and ES 201 235-3, lines
//! that are noisy, companded and lossy, and sounds that are no keys.
//!
//! Levels are per tone in dBm0. Each row is tried with all sixteen keys, at random phases and
//! random alignment to the blocks; a failure prints what was missed.

use std::f64::consts::TAU;

use crate::dtmf::fusion;
use crate::dtmf::key::HeardKey;
use crate::dtmf::tone::Settings;
use crate::dtmf::tone::ToneDetector;
use crate::model::token::Seed;
use crate::model::token::TokenSource;

const LOW_HZ: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH_HZ: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYPAD: [char; 16] =
    ['1', '2', '3', 'A', '4', '5', '6', 'B', '7', '8', '9', 'C', '*', '0', '#', 'D'];

/// How a key sounds.
#[derive(Clone, Copy)]
struct Shape {
    ms: f64,
    low_dbm0: f64,
    high_dbm0: f64,
    low_off: f64,
    high_off: f64,
}

const PLAIN: Shape =
    Shape { ms: 50.0, low_dbm0: -10.0, high_dbm0: -10.0, low_off: 0.0, high_off: 0.0 };

/// How the line passes it on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Line {
    Linear,
    Ulaw,
    Alaw,
}

/// Audio under construction, full scale ±1.
struct Signal {
    samples: Vec<f64>,
    random: TokenSource,
}

impl Signal {
    fn new(seed: u64) -> Self {
        Self { samples: Vec::new(), random: TokenSource::new(Seed(seed, 24)) }
    }

    /// Uniform in 0..1.
    fn uniform(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / 4_294_967_296.0
    }

    fn silence(mut self, ms: f64) -> Self {
        let len = self.samples.len() + (ms * 8.0) as usize;
        self.samples.resize(len, 0.0);
        self
    }

    /// Silence of 40 to 60 ms, so that the next sound falls anywhere among the blocks.
    fn gap(mut self) -> Self {
        let ms = 40.0 + 20.0 * self.uniform();
        self.silence(ms)
    }

    fn sines(mut self, ms: f64, tones: &[(f64, f64)]) -> Self {
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

    fn key(self, key: usize, shape: Shape) -> Self {
        let low = LOW_HZ[key / 4] * (1.0 + shape.low_off);
        let high = HIGH_HZ[key % 4] * (1.0 + shape.high_off);
        self.sines(shape.ms, &[(low, shape.low_dbm0), (high, shape.high_dbm0)])
    }

    /// White noise over all that is there, of this total level.
    fn noise(mut self, dbm0: f64) -> Self {
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
    fn behind(mut self, tones: &[(f64, f64)]) -> Self {
        for (n, sample) in self.samples.iter_mut().enumerate() {
            for &(hz, dbm0) in tones {
                *sample += amplitude(dbm0) * (TAU * hz * n as f64 / 8000.0).sin();
            }
        }
        self
    }

    fn pcm(&self, line: Line) -> Vec<i16> {
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

/// The keys that a leg without events believes.
fn hear(samples: &[i16], frame: usize) -> Vec<HeardKey> {
    let mut detector = ToneDetector::new(Settings::default());
    let frames = samples.chunks(frame).enumerate();
    let keys = frames.filter_map(|(n, part)| detector.push_frame(part, (n * frame) as u32));
    let least = fusion::Settings::default().confidence_min;
    keys.filter(|key| key.evidence.confidence >= least).collect()
}

fn text(keys: &[HeardKey]) -> String {
    keys.iter().map(|key| key.digit.as_char()).collect()
}

/// How well the keys of one row were heard.
#[derive(Debug, Default, PartialEq, Eq)]
struct Score {
    pressed: usize,
    heard: usize,
    extra: usize,
}

/// Plays all keys in each of `rounds` rounds; `snr_db` is all of the pair to all of the noise.
fn play(shape: Shape, snr_db: Option<f64>, line: Line, rounds: u64) -> Score {
    let mut score = Score::default();
    for round in 0..rounds {
        let mut signal = Signal::new(round).silence(60.0).gap();
        for key in 0..16 {
            signal = signal.key(key, shape).gap();
        }
        if let Some(snr_db) = snr_db {
            signal = signal.noise(shape.dbm0() - snr_db);
        }
        score.add(&text(&hear(&signal.pcm(line), 160)));
    }
    score
}

impl Score {
    /// Finds the keys of the keypad in `got`, in their order.
    fn add(&mut self, got: &str) {
        let mut rest = got;
        for key in KEYPAD {
            self.pressed += 1;
            if let Some((before, after)) = rest.split_once(key) {
                self.extra += before.len();
                self.heard += 1;
                rest = after;
            }
        }
        self.extra += rest.len();
    }
}

impl Shape {
    /// Level of both tones together.
    fn dbm0(self) -> f64 {
        let power = |dbm0: f64| 10f64.powf(dbm0 / 10.0);
        10.0 * (power(self.low_dbm0) + power(self.high_dbm0)).log10()
    }

    fn levels(low_dbm0: f64, high_dbm0: f64) -> Self {
        Self { low_dbm0, high_dbm0, ..PLAIN }
    }

    fn off(low_percent: f64, high_percent: f64) -> Self {
        Self { low_off: low_percent / 100.0, high_off: high_percent / 100.0, ..PLAIN }
    }

    fn lasting(ms: f64) -> Self {
        Self { ms, ..PLAIN }
    }
}

#[test]
fn every_key_within_the_limits_is_heard_once() {
    #[rustfmt::skip]
    let cases = [
        ("plain",                                   PLAIN, None),
        ("Q.24 AT&T: 0 dBm0",                       Shape::levels(0.0, 0.0), None),
        ("Q.24 AT&T: -25 dBm0",                     Shape::levels(-25.0, -25.0), None),
        ("RFC 2833: -36 dBm0",                      Shape::levels(-36.0, -36.0), None),
        ("clipped by 6 dB",                         Shape::levels(3.0, 3.0), None),
        ("AT&T: low tone 8 dB stronger",            Shape::levels(-8.0, -16.0), None),
        ("AT&T: high tone 4 dB stronger",           Shape::levels(-12.0, -8.0), None),
        ("ETSI: high tone 6 dB stronger",           Shape::levels(-14.0, -8.0), None),
        ("AT&T: both 1.5 % high",                   Shape::off(1.5, 1.5), None),
        ("AT&T: both 1.5 % low",                    Shape::off(-1.5, -1.5), None),
        ("NTT: 1.8 % apart",                        Shape::off(-1.8, 1.8), None),
        ("NTT: 1.8 % together",                     Shape::off(1.8, -1.8), None),
        ("AT&T: 40 ms",                             Shape::lasting(40.0), None),
        ("36 ms",                                   Shape::lasting(36.0), None),
        ("36 ms at 15 dB S/N",                      Shape::lasting(36.0), Some(15.0)),
        ("a second",                                Shape::lasting(1000.0), Some(15.0)),
        ("15 dB S/N",                               PLAIN, Some(15.0)),
        ("8 dB S/N",                                PLAIN, Some(8.0)),
        ("an AT&T corner, low tone strong",         Shape { ms: 40.0, low_dbm0: -17.0, high_dbm0: -25.0, low_off: 0.015, high_off: -0.015 }, Some(15.0)),
        ("an AT&T corner, high tone strong",        Shape { ms: 40.0, low_dbm0: -25.0, high_dbm0: -21.0, low_off: -0.015, high_off: -0.015 }, Some(15.0)),
        ("an NTT corner, low tone strong",          Shape { ms: 40.0, low_dbm0: -19.0, high_dbm0: -24.0, low_off: 0.018, high_off: 0.018 }, Some(15.0)),
        ("an NTT corner, high tone strong",         Shape { ms: 40.0, low_dbm0: -24.0, high_dbm0: -19.0, low_off: -0.018, high_off: 0.018 }, Some(15.0)),
        ("an ETSI corner",                          Shape { ms: 40.0, low_dbm0: -23.0, high_dbm0: -17.0, low_off: 0.018, high_off: -0.018 }, Some(15.0)),
    ];
    for (name, shape, snr_db) in cases {
        for line in [Line::Linear, Line::Ulaw, Line::Alaw] {
            let score = play(shape, snr_db, line, 4);
            assert_eq!(score, Score { pressed: 64, heard: 64, extra: 0 }, "{name}, {line:?}");
        }
    }
}

#[test]
fn no_key_beyond_the_limits_is_heard() {
    #[rustfmt::skip]
    let cases = [
        ("AT&T: -55 dBm0",                          Shape::levels(-55.0, -55.0)),
        ("one tone at -55 dBm0",                    Shape::levels(-10.0, -55.0)),
        ("low tone 12 dB stronger",                 Shape::levels(-8.0, -20.0)),
        ("high tone 12 dB stronger",                Shape::levels(-20.0, -8.0)),
        ("only the low tone",                       Shape::levels(-8.0, -90.0)),
        ("only the high tone",                      Shape::levels(-90.0, -8.0)),
        ("AT&T: low tone 3.5 % high",               Shape::off(3.5, 0.0)),
        ("AT&T: high tone 3.5 % low",               Shape::off(0.0, -3.5)),
        ("NTT: low tone 3.0 % low",                 Shape::off(-3.0, 0.0)),
        ("NTT: high tone 3.0 % high",               Shape::off(0.0, 3.0)),
        ("half way to the next keys",               Shape::off(5.0, 5.0)),
        ("AT&T: 23 ms",                             Shape::lasting(23.0)),
        ("ETSI: 20 ms",                             Shape::lasting(20.0)),
        ("10 ms",                                   Shape::lasting(10.0)),
    ];
    for (name, shape) in cases {
        for line in [Line::Linear, Line::Ulaw, Line::Alaw] {
            let score = play(shape, None, line, 4);
            assert_eq!(score, Score { pressed: 64, heard: 0, extra: 0 }, "{name}, {line:?}");
        }
    }
}

#[test]
fn a_pause_separates_and_an_interruption_does_not() {
    for (gap_ms, want) in
        [(4.0, 1), (8.0, 1), (10.0, 1), (12.0, 1), (21.0, 2), (30.0, 2), (40.0, 2)]
    {
        for key in 0..16 {
            for offset in 0..8 {
                let signal = Signal::new(key)
                    .silence(50.0 + f64::from(offset) / 2.0)
                    .key(key as usize, Shape::lasting(60.0))
                    .silence(gap_ms)
                    .key(key as usize, Shape::lasting(60.0))
                    .silence(60.0)
                    .noise(-45.0);
                let got = text(&hear(&signal.pcm(Line::Ulaw), 160));
                assert_eq!(got.len(), want, "{gap_ms} ms within key {key}: {got}");
            }
        }
    }
}

#[test]
fn evidence_tells_when_and_how_loud() {
    for key in 0..16 {
        let shape = Shape { low_dbm0: -12.0, high_dbm0: -9.0, ..PLAIN };
        let signal = Signal::new(key).silence(100.0).key(key as usize, shape).silence(60.0);
        let keys = hear(&signal.pcm(Line::Alaw), 160);
        let evidence = keys.first().unwrap().evidence;
        let began_ms = f64::from(evidence.rtp_timestamp.unwrap()) / 8.0;
        assert!((began_ms - 100.0).abs() <= 3.0, "began at {began_ms}");
        assert!((30..=36).contains(&evidence.duration_ms.unwrap()), "{evidence:?}");
        assert_eq!((evidence.low_dbm0, evidence.high_dbm0), (Some(-12), Some(-9)));
        assert!(evidence.confidence >= 90, "{evidence:?}");
    }
}

#[test]
fn how_long_a_key_lasted_is_known_when_it_is_over() {
    for key in 0..16 {
        for ms in [40.0, 60.0, 80.0, 125.0, 1_000.0] {
            let shape = Shape::lasting(ms);
            let signal = Signal::new(key).gap().key(key as usize, shape).silence(60.0).noise(-40.0);
            let samples = signal.pcm(Line::Ulaw);
            let mut detector = ToneDetector::new(Settings::default());
            let frames = samples.chunks(160).zip((0..).step_by(160));
            let heard = frames.filter_map(|(frame, at)| detector.push_frame(frame, at));
            let heard: Vec<_> = heard.collect();
            let began = heard.first().unwrap().evidence.rtp_timestamp.unwrap();
            let lasted = f64::from(detector.lasted_ms(began).unwrap());
            assert!((lasted - ms).abs() <= 4.5, "key {key} of {ms} ms lasted {lasted}");
            assert_eq!(detector.lasted_ms(began.wrapping_add(1)), None);
        }
    }
}

#[test]
fn frames_of_any_length_hear_the_same() {
    let mut signal = Signal::new(1).silence(60.0);
    for key in 0..16 {
        signal = signal.key(key, PLAIN).gap();
    }
    let samples = signal.noise(-30.0).pcm(Line::Ulaw);
    let want = hear(&samples, 160);
    assert_eq!(want.len(), 16);
    for frame in [1, 7, 32, 37, 80, 159, 240, 320, 480] {
        assert_eq!(hear(&samples, frame), want, "frames of {frame}");
    }
}

/// Frames of 20 ms are lost and said to be lost. A key is then never doubled, and missed only
/// when the loss took most of it.
#[test]
fn a_loss_neither_doubles_nor_ends_a_key() {
    let (mut pressed, mut heard) = (0, 0);
    for seed in 0..40 {
        let mut signal = Signal::new(seed).silence(60.0);
        for key in 0..16 {
            signal = signal.key(key, Shape::lasting(100.0)).silence(100.0).gap();
        }
        let samples = signal.noise(-40.0).pcm(Line::Ulaw);
        let mut random = TokenSource::new(Seed(seed, 5));
        let mut detector = ToneDetector::new(Settings::default());
        let mut got = String::new();
        for (n, frame) in samples.chunks(160).enumerate() {
            let is_lost = random.next_u32() % 100 < 5;
            let timestamp = n as u32 * 160;
            let key = if is_lost {
                detector.push_lost(frame.len(), timestamp)
            } else {
                detector.push_frame(frame, timestamp)
            };
            got.extend(key.map(|key| key.digit.as_char()));
        }
        let mut score = Score::default();
        score.add(&got);
        assert_eq!(score.extra, 0, "seed {seed}: {got}");
        pressed += score.pressed;
        heard += score.heard;
    }
    assert_eq!((pressed, heard), (640, 640));
}

#[test]
fn a_loss_within_a_key_is_bridged_and_a_long_one_is_not() {
    for (lost_ms, want) in [(20, "5"), (40, "5"), (60, "5"), (100, "5"), (400, "55")] {
        let tone = Signal::new(3).key(5, Shape::lasting(200.0)).pcm(Line::Ulaw);
        let mut detector = ToneDetector::new(Settings::default());
        let mut got = String::new();
        let mut take = |key: Option<HeardKey>| got.extend(key.map(|key| key.digit.as_char()));
        tone.chunks(160).for_each(|frame| take(detector.push_frame(frame, 0)));
        take(detector.push_lost(lost_ms * 8, 0));
        tone.chunks(160).for_each(|frame| take(detector.push_frame(frame, 0)));
        assert_eq!(got, want, "{lost_ms} ms lost");
    }
}

#[test]
fn call_progress_tones_are_no_keys_and_hide_none() {
    #[rustfmt::skip]
    let tones: [(&str, &[(f64, f64)]); 10] = [
        ("US dial tone",                &[(350.0, -13.0), (440.0, -13.0)]),
        ("European dial tone",          &[(425.0, -10.0)]),
        ("US ringing tone",             &[(440.0, -19.0), (480.0, -19.0)]),
        ("US busy tone",                &[(480.0, -24.0), (620.0, -24.0)]),
        ("special information tone 1",  &[(950.0, -15.0)]),
        ("special information tone 2",  &[(1400.0, -15.0)]),
        ("answer tone",                 &[(2100.0, -12.0)]),
        ("fax calling tone",            &[(1100.0, -12.0)]),
        ("voice-mail beep",             &[(1000.0, -10.0)]),
        ("old zip tone and hum",        &[(480.0, -10.0), (50.0, -20.0)]),
    ];
    for (name, tones) in tones {
        let mut alone = Signal::new(7);
        for _ in 0..5 {
            alone = alone.silence(200.0).sines(1000.0, tones);
        }
        assert_eq!(text(&hear(&alone.pcm(Line::Ulaw), 160)), "", "{name}");
    }
    for (name, tones) in &tones[..2] {
        let mut signal = Signal::new(9).silence(60.0);
        for key in 0..16 {
            signal = signal.key(key, PLAIN).gap();
        }
        // Dial tone 9 dB under each tone of the key, which is where common receivers still hear it.
        let behind: Vec<_> = tones.iter().map(|&(hz, _)| (hz, -19.0)).collect();
        let got = text(&hear(&signal.behind(&behind).pcm(Line::Ulaw), 160));
        assert_eq!(got, String::from_iter(KEYPAD), "{name} behind the keys");
    }
}

/// Ten minutes of sounds made like voices, music and noise.
#[test]
fn what_is_no_key_is_never_taken_for_one() {
    for seed in 0..60 {
        let mut random = TokenSource::new(Seed(seed, 66));
        let mut signal = Signal::new(seed);
        while signal.samples.len() < 80_000 {
            signal = match random.next_u32() % 4 {
                0 | 1 => voiced(signal),
                2 => chord(signal),
                _ => {
                    let dbm0 = -35.0 + 30.0 * signal.uniform();
                    let burst =
                        Signal::new(u64::from(random.next_u32())).silence(300.0).noise(dbm0);
                    signal.samples.extend(burst.samples);
                    signal
                }
            };
        }
        let got = hear(&signal.pcm(Line::Ulaw), 160);
        assert_eq!(got, [], "seed {seed}");
    }
}

/// A vowel: a gliding pitch with a tremor of 2 %, whose harmonics fall by 12 dB an octave under three formants, as a
/// larynx and lips give them.
fn voiced(mut signal: Signal) -> Signal {
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
fn chord(mut signal: Signal) -> Signal {
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
