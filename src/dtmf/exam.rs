//! The tone detector against signals made from sines: the limits of Q.24 and ES 201 235-3, lines
//! that are noisy, companded and lossy, and sounds that are no keys.
//!
//! Levels are per tone in dBm0. Each row is tried with all sixteen keys, at random phases and
//! random alignment to the blocks; a failure prints what was missed.

use crate::dtmf::fusion;
use crate::dtmf::key::HeardKey;
use crate::dtmf::tone::Settings;
use crate::dtmf::tone::ToneDetector;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use signal::KEYPAD;
use signal::Line;
use signal::PLAIN;
use signal::Shape;
use signal::Signal;
use signal::chord;
use signal::voiced;

mod signal;

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
