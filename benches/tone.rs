//! What does a leg's ear cost for 20 ms: of silence, of a voice, of a key, and for one event packet?
//!
//! Each line feeds the same detector for as long; the first line, silence, is the ground that the
//! others are held against. The allocation count is exact; times are the best of several rounds
//! and depend on the machine. Run it by `cargo bench --bench tone`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[expect(dead_code, reason = "`tests/bounded.rs` asks for the rest")]
mod counting;

use std::f64::consts::TAU;
use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use bajavoz::dtmf::EventDetector;
use bajavoz::dtmf::Fusion;
use bajavoz::dtmf::Method;
use bajavoz::dtmf::ToneDetector;
use bajavoz::dtmf::event;
use bajavoz::dtmf::event::Event;
use bajavoz::dtmf::fusion;
use bajavoz::dtmf::tone;

const FRAMES: usize = 10_000;
const FRAME_SAMPLES: usize = 160;
const ROUNDS: usize = 15;

/// Ten seconds of tones, as `(hertz, amplitude)`, there for `on` of every 100 ms.
fn audio(tones: &[(f64, f64)], on_ms: usize) -> Vec<i16> {
    let sample = |n: usize| {
        let is_on = n / 8 % 100 < on_ms;
        let sum: f64 =
            tones.iter().map(|(hz, level)| level * (TAU * hz * n as f64 / 8e3).sin()).sum();
        if is_on { sum as i16 } else { 0 }
    };
    (0..80_000).map(sample).collect()
}

/// Nanoseconds a frame in the best round, allocations in all rounds, keys in one.
fn measure(mut feed: impl FnMut(usize) -> bool) -> (f64, u64, usize) {
    let (mut best, mut allocations, mut keys) = (f64::INFINITY, 0, 0);
    for _ in 0..ROUNDS {
        let (allocated, start) = (counting::allocations(), Instant::now());
        keys = (0..FRAMES).filter(|&frame| black_box(feed(frame))).count();
        best = best.min(start.elapsed().as_nanos() as f64 / FRAMES as f64);
        allocations += counting::allocations() - allocated;
    }
    (best, allocations, keys)
}

fn tones(samples: &[i16]) -> (f64, u64, usize) {
    let mut detector = ToneDetector::new(tone::Settings::default());
    let mut fusion = Fusion::new(fusion::Settings::default(), false);
    let now = Instant::now();
    measure(|frame| {
        let at = frame * FRAME_SAMPLES % samples.len();
        let Some(part) = samples.get(at..at + FRAME_SAMPLES) else { return false };
        let heard = detector.push_frame(part, (frame * FRAME_SAMPLES) as u32);
        let now = now + Duration::from_millis(20 * frame as u64);
        heard.and_then(|key| fusion.handle_heard(now, key)).is_some()
    })
}

/// A press of ten packets, again and again.
fn events() -> (f64, u64, usize) {
    let mut detector = EventDetector::new(event::Settings::default(), 8000);
    let mut fusion = Fusion::new(fusion::Settings::default(), true);
    let now = Instant::now();
    let mut sent = 0;
    measure(|_| {
        let (press, packet) = (sent / 10, sent % 10);
        let now = now + Duration::from_millis(20 * u64::from(sent));
        sent += 1;
        let duration_ticks = 160 * (1 + packet.min(7)) as u16;
        let event = Event { code: 9, is_end: packet >= 7, volume: 10, duration_ticks };
        let sequence = (sent + press * 10) as u16;
        let payload = event.write();
        let heard = detector.handle_packet(now, sequence, press * 4000, packet == 0, &payload);
        if let Some(digit) = detector.held() {
            fusion.handle_held(now, Method::Event, digit);
        }
        heard.ok().flatten().and_then(|key| fusion.handle_heard(now, key)).is_some()
    })
}

fn main() {
    let voice: Vec<(f64, f64)> =
        (1..20).map(|n| (173.0 * f64::from(n), 6e3 / f64::from(n))).collect();
    let key = [(852.0, 7e3), (1477.0, 7e3)];
    let rows = [
        ("silence", tones(&audio(&[], 100))),
        ("a voice", tones(&audio(&voice, 100))),
        ("keys of 50 ms, 10 a second", tones(&audio(&key, 50))),
        ("an event packet", events()),
    ];
    println!("{:<28} {:>8} {:>12} {:>8} {:>8}", "20 ms", "ns", "allocations", "ratio", "keys");
    let ground = rows[0].1.0;
    for (name, (nanoseconds, allocations, keys)) in rows {
        let ratio = nanoseconds / ground;
        println!("{name:<28} {nanoseconds:>8.1} {allocations:>12} {ratio:>8.2} {keys:>8}");
        assert_eq!(allocations, 0, "{name}: the key path allocates after call setup");
    }
}
