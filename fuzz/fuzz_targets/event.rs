//! Any run of telephone-event packets and INFO bodies, through detector and fusion.
#![no_main]

use std::time::Duration;
use std::time::Instant;

use bajavoz::dtmf::EventDetector;
use bajavoz::dtmf::Fusion;
use bajavoz::dtmf::Method;
use bajavoz::dtmf::event;
use bajavoz::dtmf::fusion;
use bajavoz::dtmf::read_info;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut detector = EventDetector::new(event::Settings::default(), 8000);
    let mut fusion = Fusion::new(fusion::Settings::default(), true);
    let mut packets = 0;
    // The input is a series of packets, each behind what its header would say: milliseconds
    // since the last, sequence number, timestamp, marker with the payload's length.
    let mut rest = data;
    while let [ms, s1, s2, t1, t2, t3, t4, marker, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(usize::from(marker & 0x7f).min(tail.len()));
        rest = tail;
        packets += 1;
        now += Duration::from_millis(u64::from(*ms));
        let sequence = u16::from_be_bytes([*s1, *s2]);
        let timestamp = u32::from_be_bytes([*t1, *t2, *t3, *t4]);
        let heard = detector.handle_packet(now, sequence, timestamp, marker & 0x80 != 0, payload);
        if let Ok(Some(key)) = heard {
            fusion.handle_heard(now, key);
        }
        if let Some(digit) = detector.held() {
            fusion.handle_held(now, Method::Event, digit);
        }
        if let Ok(key) = read_info(b"application/dtmf-relay", payload) {
            fusion.handle_heard(now, key.heard());
            fusion.handle_sent(now, key.digit);
        }
    }
    // A packet is at most one key, and a key at most one press.
    assert!(detector.counters().keys <= packets);
    assert!(fusion.counters().presses <= 2 * packets);
});
