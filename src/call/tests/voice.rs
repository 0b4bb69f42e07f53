//! The media of a bridged call: what passes between the legs, what comes back from them, and
//! what a person can have heard.

use std::f64::consts::TAU;

use super::*;
use crate::call::Voice;
use crate::call::VoiceOut;
use crate::call::VoiceSettings;
use crate::media::clip::Clip;
use crate::media::g711;
use crate::model::Codec;
use crate::model::PayloadKind;
use crate::model::PayloadMap;
use crate::model::token::TokenSource;
use crate::sdp::Direction;
use crate::sdp::EventFormat;
use crate::sdp::Negotiated;

/// Both legs, and what left them.
struct Media {
    voice: Voice,
    start: Instant,
    at_ms: u64,
    sequence: u16,
    out: Out,
}

#[derive(Default)]
struct Out {
    sent: Vec<(Leg, Vec<u8>)>,
    /// Each leg with whether its port was narrowed to its peer, or opened to others again.
    narrowed: Vec<(Leg, bool)>,
    told: Vec<VoiceEvent>,
}

impl VoiceOut for Out {
    fn send_rtp(&mut self, leg: Leg, _to: SocketAddr, packet: &[u8]) {
        self.sent.push((leg, packet.to_vec()));
    }

    fn send_rtcp(&mut self, _leg: Leg, _to: SocketAddr, _packet: &[u8]) {}

    fn unsettled(&mut self, leg: Leg) {
        self.narrowed.push((leg, false));
    }

    fn settled(&mut self, leg: Leg, source: SocketAddr) {
        self.narrowed.push((leg, source == peer(leg)));
    }

    fn tell(&mut self, event: VoiceEvent) {
        self.told.push(event);
    }
}

impl Media {
    /// A call that is up with these codecs on its legs, passing audio on.
    fn new(codecs: [Codec; 2]) -> Self {
        let start = zero();
        let wall = WallAnchor { at: start, wall: UnixMicros(1_795_000_000_000_000) };
        let settings = VoiceSettings {
            symmetric: true,
            idle_max: Duration::from_secs(60),
            tones: true,
            tone: Default::default(),
        };
        let voice = Voice::new(start, wall, settings, 2, &mut TokenSource::new(Seed(1, 2)));
        let mut media = Self { voice, start, at_ms: 0, sequence: 0, out: Out::default() };
        for (leg, codec) in [(Leg::A, codecs[0]), (Leg::B, codecs[1])] {
            media.settle(leg, codec, Direction::SendRecv);
            media.command(VoiceCommand::Listen { leg });
        }
        media.command(VoiceCommand::Relay { on: true });
        media
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.at_ms)
    }

    fn command(&mut self, command: VoiceCommand) {
        self.voice.handle_command(self.now(), command, &mut self.out);
    }

    fn settle(&mut self, leg: Leg, codec: Codec, direction: Direction) {
        let mut receive = PayloadMap::default();
        receive.insert(codec.payload_type(), PayloadKind::Audio(codec));
        receive.insert(101, PayloadKind::Event);
        let remote = peer(leg);
        let media = Negotiated {
            remote,
            remote_rtcp: SocketAddr::new(remote.ip(), remote.port() + 1),
            codec,
            payload_type: codec.payload_type(),
            events: Some(EventFormat { payload_type: 101, clock_hz: 8000 }),
            receive,
            ptime_ms: 20,
            direction,
        };
        self.command(VoiceCommand::Settle { leg, media, signalling: remote.ip() });
    }

    /// 20 ms of `leg`'s audio or a packet of its events, and 20 ms later.
    fn hear(&mut self, leg: Leg, payload_type: u8, payload: &[u8]) {
        self.sequence += 1;
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((u32::from(self.sequence) * 160).to_be_bytes());
        packet.extend([0, 0, 0, if leg == Leg::A { 1 } else { 2 }]);
        packet.extend(payload);
        self.voice.handle_rtp(self.now(), leg, peer(leg), &packet, &mut self.out);
        self.at_ms += 20;
    }

    /// The key 9 (852 and 1477 Hz, ITU-T Q.23) as 100 ms of tone and as much silence.
    fn press_9(&mut self, leg: Leg) {
        for frame in 0..10 {
            let sample = |n: usize| {
                let at = (frame * 160 + n) as f64 / 8000.0;
                let level = if frame < 5 { 6000.0 } else { 0.0 };
                (level * ((TAU * 852.0 * at).sin() + (TAU * 1477.0 * at).sin())) as i16
            };
            let octets: Vec<u8> = (0..160).map(|n| g711::encode(Codec::Pcmu, sample(n))).collect();
            self.hear(leg, 0, &octets);
        }
    }

    fn play(&mut self, frames_shown: u32) -> Vec<Played> {
        let prompt = Arc::new(rules::prompt("done"));
        let prompts = vec![Arc::clone(&prompt), prompt];
        self.command(VoiceCommand::Play { leg: Leg::B, token: 1, prompts });
        for _ in 0..frames_shown {
            self.at_ms += 20;
            self.voice.handle_tick(self.now(), &mut self.out);
        }
        self.played()
    }

    fn played(&self) -> Vec<Played> {
        let played = |event: &VoiceEvent| match event {
            VoiceEvent::Played { played, .. } => Some(*played),
            _ => None,
        };
        self.out.told.iter().filter_map(played).collect()
    }

    fn keys(&self) -> Vec<(Leg, char)> {
        let key = |event: &VoiceEvent| match event {
            VoiceEvent::Key { leg, press } => Some((*leg, press.digit.as_char())),
            _ => None,
        };
        self.out.told.iter().filter_map(key).collect()
    }
}

fn peer(leg: Leg) -> SocketAddr {
    let address = if leg == Leg::A { "192.0.2.11:7000" } else { "192.0.2.12:7000" };
    address.parse().unwrap()
}

#[test]
fn a_key_that_we_pass_on_is_not_the_persons() {
    let cases = [
        ("a tone on the person's leg is a key", None, 0, vec![(Leg::B, '9')]),
        (
            "the dialer's INFO is the dialer's key",
            Some(Leg::A),
            5000,
            vec![(Leg::A, '9'), (Leg::B, '9')],
        ),
        ("and comes back as a tone of its own", Some(Leg::A), 100, vec![(Leg::A, '9')]),
        ("the person's INFO and tone are one press", Some(Leg::B), 20, vec![(Leg::B, '9')]),
    ];
    for (name, informer, after_ms, want) in cases {
        let mut media = Media::new([Codec::Pcmu; 2]);
        if let Some(leg) = informer {
            let digit = Digit::from_char('9').unwrap();
            media.command(VoiceCommand::Info { leg, digit, duration_ms: Some(100) });
        }
        media.at_ms += after_ms;
        media.press_9(Leg::B);
        assert_eq!(media.keys(), want, "{name}");
    }
}

#[test]
fn what_nobody_could_hear_is_not_told_as_played() {
    let told = |played: Vec<Played>| -> Vec<(u32, bool)> {
        played.iter().map(|played| (played.frames, played.whole)).collect()
    };
    let mut media = Media::new([Codec::Pcmu; 2]);
    assert_eq!(told(media.play(3)), [(2, true)], "two frames, both sent");

    let mut media = Media::new([Codec::Pcmu; 2]);
    media.settle(Leg::B, Codec::Pcmu, Direction::RecvOnly);
    assert_eq!(told(media.play(3)), [(0, false)], "the person's leg is on hold");

    let mut media = Media::new([Codec::Pcmu; 2]);
    assert_eq!(told(media.play(1)), []);
    media.settle(Leg::B, Codec::Pcmu, Direction::RecvOnly);
    for _ in 0..2 {
        media.at_ms += 20;
        media.voice.handle_tick(media.now(), &mut media.out);
    }
    assert_eq!(told(media.played()), [(1, false)], "put on hold in the middle of it");

    let mut media = Media::new([Codec::Pcmu; 2]);
    assert_eq!(told(media.play(1)), []);
    media.settle(Leg::B, Codec::Pcma, Direction::SendRecv);
    assert_eq!(told(media.played()), [(1, false)], "cut by another codec");
}

#[test]
fn a_leg_that_is_negotiated_anew_hears_others_again() {
    let mut media = Media::new([Codec::Pcmu; 2]);
    media.out.narrowed.clear();
    let silence = [g711::silence(Codec::Pcmu); 160];
    for _ in 0..20 {
        media.hear(Leg::B, 0, &silence);
    }
    assert_eq!(media.out.narrowed, [(Leg::B, true)], "its peer is where it said");
    media.settle(Leg::B, Codec::Pcmu, Direction::SendRecv);
    assert_eq!(media.out.narrowed, [(Leg::B, true), (Leg::B, false)], "it may be elsewhere now");
}

#[test]
fn legs_in_two_codecs_hear_each_other() {
    let octets: Vec<u8> = (0..160).map(|n| (n * 13) as u8).collect();
    let codecs = [[Codec::Pcmu, Codec::Pcma], [Codec::Pcma, Codec::Pcmu], [Codec::Pcma; 2]];
    for [from, into] in codecs {
        let mut media = Media::new([from, into]);
        media.hear(Leg::A, from.payload_type(), &octets);
        media.hear(Leg::A, 101, &[9, 10, 0, 160]);
        let [(Leg::B, audio), (Leg::B, event)] = &media.out.sent[..] else {
            panic!("{from} to {into}: two packets for leg B, found {:?}", media.out.sent)
        };
        assert_eq!(audio[1] & 0x7f, into.payload_type(), "{from} to {into}");
        let linear = |codec, octets: &[u8]| {
            let mut samples = [0; 160];
            g711::decode(codec, octets, &mut samples);
            samples
        };
        let (said, heard) = (linear(from, &octets), linear(into, &audio[12..]));
        for (said, heard) in said.into_iter().zip(heard) {
            // Both laws have steps of a sixteenth at most, of 8 around zero: half of one is lost.
            let (said, heard) = (i32::from(said), i32::from(heard));
            assert!(
                (said - heard).abs() <= 8 + said.abs() / 32,
                "{from} to {into}: {said} {heard}"
            );
        }
        assert_eq!(
            (event[1] & 0x7f, &event[12..]),
            (101, &[9, 10, 0, 160][..]),
            "{from} to {into}"
        );
    }
}

/// How long the clips are that were handed over, and how much of each is before its mark, in ms.
fn clips(media: &Media) -> Vec<(u128, u128)> {
    let clip = |event: &VoiceEvent| match event {
        VoiceEvent::Kept { leg: Leg::B, clip } => {
            Some((clip.duration().as_millis(), clip.before_mark().as_millis()))
        }
        _ => None,
    };
    media.out.told.iter().filter_map(clip).collect()
}

#[test]
fn the_audio_around_a_press_is_handed_over_when_it_is_whole_or_the_media_closes() {
    let capture = |media: &mut Media| {
        let clip = Clip::new(Duration::from_millis(100), Duration::from_millis(60));
        media.command(VoiceCommand::Capture { leg: Leg::B, clip: Box::new(clip) });
    };
    let hear = |media: &mut Media, frames: u32| {
        for _ in 0..frames {
            media.hear(Leg::B, 0, &[0x55; 160]);
            media.voice.handle_tick(media.now(), &mut media.out);
        }
    };
    let keep = VoiceCommand::Keep { leg: Leg::B };

    let mut media = Media::new([Codec::Pcmu; 2]);
    capture(&mut media);
    hear(&mut media, 10);
    media.command(keep.clone());
    hear(&mut media, 2);
    media.command(keep.clone());
    assert_eq!(clips(&media), [], "a second press waits for the first");
    hear(&mut media, 8);
    assert_eq!(clips(&media), [(160, 100)], "as much as there is room for");
    media.command(keep.clone());
    hear(&mut media, 8);
    assert_eq!(clips(&media).len(), 1, "there is no memory for another");
    capture(&mut media);
    hear(&mut media, 1);
    media.command(keep.clone());
    media.command(VoiceCommand::Close);
    assert_eq!(clips(&media)[1..], [(20, 20)], "the media closes");

    let mut media = Media::new([Codec::Pcmu; 2]);
    capture(&mut media);
    hear(&mut media, 10);
    media.command(VoiceCommand::Close);
    assert_eq!(clips(&media), [], "nobody pressed");
}

#[test]
fn a_key_by_tone_brings_its_place_in_the_stream_and_its_levels_as_evidence() {
    let mut media = Media::new([Codec::Pcmu; 2]);
    media.press_9(Leg::B);
    let press = media.out.told.iter().find_map(|event| match event {
        VoiceEvent::Key { press, .. } => Some(*press),
        _ => None,
    });
    let evidence = press.expect("the key was heard").evidence;
    // Ten packets of 160 samples were sent, the first five of them with tones at -11 dBm0 each:
    // 6000 of 32 768 is 14.7 dB below full scale, which is 3.17 dBm0 (ITU-T G.711).
    assert!(evidence.rtp_timestamp.is_some_and(|it| (160..=200).contains(&it)), "{evidence:?}");
    assert!(evidence.rtp_sequence.is_some_and(|it| (2..=5).contains(&it)), "{evidence:?}");
    for level in [evidence.low_dbm0, evidence.high_dbm0] {
        assert!(level.is_some_and(|level| (-13..=-10).contains(&level)), "{evidence:?}");
    }
}
