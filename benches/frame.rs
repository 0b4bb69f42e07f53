//! What does one 20 ms frame cost on its way in, stage by stage, in time and in allocations?
//!
//! Each line adds one stage to the line before it, over the same packets: reading the RTP header,
//! judging the source, decoding G.711, counting loss and jitter, relaying to the other leg. The
//! allocation count is exact; times are the best of several rounds and depend on the machine, so
//! the last column gives the ratio to the first line. Run it by `cargo bench --bench frame`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[expect(dead_code, reason = "`tests/bounded.rs` asks for the rest")]
mod counting;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use bajavoz::media::g711;
use bajavoz::media::g711::FRAME_SAMPLES;
use bajavoz::media::quality::Quality;
use bajavoz::media::relay::Mapped;
use bajavoz::media::relay::Relay;
use bajavoz::media::rtp::RtpPacket;
use bajavoz::media::sender::PACKET_LEN_MAX;
use bajavoz::media::sender::RtpSender;
use bajavoz::media::source::Settings;
use bajavoz::media::source::SourcePolicy;
use bajavoz::model::Codec;
use bajavoz::model::PayloadKind;
use bajavoz::model::PayloadMap;
use bajavoz::model::token::Seed;
use bajavoz::model::token::TokenSource;

const PACKETS: usize = 20_000;
const ROUNDS: usize = 25;
const FRAME: Duration = Duration::from_millis(20);

/// How many of the stages a round runs.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Depth {
    Parse,
    Judge,
    Decode,
    Count,
    Relay,
}

/// One leg as it stands after call setup.
struct Leg {
    source: SocketAddr,
    policy: SourcePolicy,
    quality: Quality,
    relay: Relay,
    sender: RtpSender,
    samples: [i16; FRAME_SAMPLES],
    out: [u8; PACKET_LEN_MAX],
}

impl Leg {
    fn new(now: Instant) -> Self {
        let source = SocketAddr::from(([192, 0, 2, 7], 4000));
        let mut receive = PayloadMap::default();
        receive.insert(0, PayloadKind::Audio(Codec::Pcmu));
        receive.insert(101, PayloadKind::Event);
        Self {
            source,
            policy: SourcePolicy::new(now, Settings::default(), source, source.ip(), receive),
            quality: Quality::new(),
            relay: Relay::new(),
            sender: RtpSender::new(now, &mut TokenSource::new(Seed(1, 2))),
            samples: [0; FRAME_SAMPLES],
            out: [0; PACKET_LEN_MAX],
        }
    }

    fn handle(&mut self, now: Instant, datagram: &[u8], depth: Depth) -> Option<()> {
        let packet = black_box(RtpPacket::parse(datagram).ok()?);
        if depth >= Depth::Judge && !self.policy.judge(now, self.source, &packet).is_believed() {
            return None;
        }
        if depth >= Depth::Decode {
            g711::decode(Codec::Pcmu, packet.payload(), &mut self.samples);
            black_box(&self.samples);
        }
        if depth >= Depth::Count {
            self.quality.handle_packet(now, &packet, true);
        }
        if depth >= Depth::Relay {
            let mapped = Mapped { kind: PayloadKind::Audio(Codec::Pcmu), payload_type: 0 };
            self.relay.forward(now, &mut self.sender, &packet, mapped, &mut self.out)?;
            black_box(&self.out);
        }
        Some(())
    }
}

fn packets() -> Vec<Vec<u8>> {
    let packet = |sequence: usize| {
        let mut packet = vec![0x80, 0];
        packet.extend((sequence as u16).to_be_bytes());
        packet.extend((sequence as u32 * 160).to_be_bytes());
        packet.extend([0, 0, 0, 7]);
        packet.extend((0..FRAME_SAMPLES).map(|sample| (sample * 7 + sequence) as u8));
        packet
    };
    (0..PACKETS).map(packet).collect()
}

/// Nanoseconds a packet in the best round, and allocations in all of them.
fn measure(packets: &[Vec<u8>], depth: Depth) -> (f64, u64) {
    let (mut best, mut allocations) = (f64::INFINITY, 0);
    for _ in 0..ROUNDS {
        let mut now = Instant::now();
        let mut leg = Leg::new(now);
        let (allocated, start) = (counting::allocations(), Instant::now());
        for packet in packets {
            now += FRAME;
            let handled = leg.handle(now, packet, depth);
            assert!(handled.is_some(), "every packet is good");
        }
        let elapsed = start.elapsed();
        allocations += counting::allocations() - allocated;
        best = best.min(elapsed.as_nanos() as f64 / packets.len() as f64);
    }
    (best, allocations)
}

fn main() {
    let packets = packets();
    let stages = [
        ("RTP header read", Depth::Parse),
        ("+ source judged", Depth::Judge),
        ("+ G.711 decoded", Depth::Decode),
        ("+ loss and jitter counted", Depth::Count),
        ("+ relayed to the other leg", Depth::Relay),
    ];
    println!(
        "{:<28} {:>10} {:>12} {:>8}",
        "20 ms frame of PCMU", "ns/frame", "allocations", "ratio"
    );
    let mut first = None;
    for (name, depth) in stages {
        let (nanoseconds, allocations) = measure(&packets, depth);
        let ratio = nanoseconds / *first.get_or_insert(nanoseconds);
        println!("{name:<28} {nanoseconds:>10.1} {allocations:>12} {ratio:>8.1}");
        assert_eq!(allocations, 0, "{name}: the RTP path allocates after call setup");
    }
}
