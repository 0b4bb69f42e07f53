//! Any datagram: read as RTP, judged, decoded, counted and relayed; read as RTCP.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use bajavoz::media::g711;
use bajavoz::media::quality::Quality;
use bajavoz::media::relay::Mapped;
use bajavoz::media::relay::Relay;
use bajavoz::media::rtcp;
use bajavoz::media::rtcp::RtcpPacket;
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
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let source = SocketAddr::from(([192, 0, 2, 7], 4000));
    let mut receive = PayloadMap::default();
    receive.insert(0, PayloadKind::Audio(Codec::Pcmu));
    receive.insert(101, PayloadKind::Event);
    let mut policy = SourcePolicy::new(now, Settings::default(), source, source.ip(), receive);
    let mut sender = RtpSender::new(now, &mut TokenSource::new(Seed(1, 2)));
    let (mut quality, mut relay) = (Quality::new(), Relay::new());
    let (mut samples, mut out) = ([0; 160], [0; PACKET_LEN_MAX]);
    // The input is a series of datagrams, each behind an octet of length.
    let mut rest = data;
    while let Some((&len, tail)) = rest.split_first() {
        let (datagram, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        now += Duration::from_millis(20);
        if let Ok(packets) = rtcp::parse(datagram) {
            for packet in packets {
                if let RtcpPacket::SenderReport { blocks, .. }
                | RtcpPacket::ReceiverReport { blocks, .. } = packet
                {
                    blocks.for_each(drop);
                }
            }
        }
        let Ok(packet) = RtpPacket::parse(datagram) else { continue };
        policy.judge(now, source, &packet);
        g711::decode(Codec::Pcma, packet.payload(), &mut samples);
        quality.handle_packet(now, &packet, true);
        quality.report();
        let mapped = Mapped { kind: PayloadKind::Event, payload_type: 101 };
        relay.forward(now, &mut sender, &packet, mapped, &mut out);
    }
});
