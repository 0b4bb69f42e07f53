//! After a call's set-up no RTP packet allocates: shown by an allocator that counts.
//!
//! One thread, so that what is counted is what the media did: a bridged call with both legs
//! settled is fed audio, keys by event and by tone, duplicates, reordered packets, strangers and
//! rubbish, and its wheel turns; then the same while prompts play.

#[path = "../benches/counting/mod.rs"]
#[expect(dead_code, reason = "`tests/bounded.rs` asks for the rest")]
mod counting;

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bajavoz::call::Voice;
use bajavoz::call::VoiceCommand;
use bajavoz::call::VoiceEvent;
use bajavoz::call::VoiceOut;
use bajavoz::call::VoiceSettings;
use bajavoz::dtmf::Method;
use bajavoz::media::clip::Clip;
use bajavoz::media::prompt::Prompt;
use bajavoz::model::Digit;
use bajavoz::model::UnixMicros;
use bajavoz::model::time::WallAnchor;
use bajavoz::model::token::Seed;
use bajavoz::model::token::TokenSource;
use bajavoz::sdp::LocalMedia;
use bajavoz::sdp::Negotiated;
use bajavoz::sdp::Offer;
use bajavoz::suppression::Leg;

/// How much audio is captured before and behind a press.
const CLIP_SIDE: Duration = Duration::from_secs(1);

/// What leaves the media, counted in place.
#[derive(Debug, Default, PartialEq, Eq)]
struct Out {
    rtp: [u32; 2],
    rtcp: u32,
    settled: u32,
    /// Keys by event, tone and INFO.
    keys: [u32; 3],
    played: u32,
    kept: u32,
    other: u32,
}

impl VoiceOut for Out {
    fn send_rtp(&mut self, leg: Leg, _to: SocketAddr, _packet: &[u8]) {
        self.rtp[usize::from(leg == Leg::B)] += 1;
    }

    fn send_rtcp(&mut self, _leg: Leg, _to: SocketAddr, _packet: &[u8]) {
        self.rtcp += 1;
    }

    fn unsettled(&mut self, _leg: Leg) {}

    fn settled(&mut self, _leg: Leg, _source: SocketAddr) {
        self.settled += 1;
    }

    fn tell(&mut self, event: VoiceEvent) {
        match event {
            VoiceEvent::Key { press, .. } => {
                let at = match press.method {
                    Method::Event => 0,
                    Method::Tone => 1,
                    Method::Info => 2,
                };
                self.keys[at] += 1;
            }
            VoiceEvent::Played { .. } => self.played += 1,
            VoiceEvent::Kept { clip, .. } => {
                assert_eq!(clip.duration(), CLIP_SIDE * 2, "the clip is whole");
                self.kept += 1;
            }
            VoiceEvent::Silent { .. } | VoiceEvent::Closed { .. } => self.other += 1,
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("it is an address")
}

/// What a peer at `remote` and we have agreed on: PCMU, and events under 101.
fn negotiated(remote: SocketAddr) -> Negotiated {
    let (ip, port) = (remote.ip(), remote.port());
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    );
    let local = LocalMedia::new(address("192.0.2.1:20000"), 1);
    let offer = Offer::parse(sdp.as_bytes()).expect("it is a description");
    offer.answer(&local).expect("we have a codec in common").0
}

/// A second of a tone that is no key, loud.
fn prompt() -> Prompt {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("memory takes a header");
    for n in 0..8000 {
        let sample = if n / 10 % 2 == 0 { 5000_i16 } else { -5000 };
        writer.write_sample(sample).expect("memory takes a sample");
    }
    writer.finalize().expect("memory takes the lengths");
    Prompt::from_wav("long", file.get_ref()).expect("it is what we take")
}

/// One leg's stream of packets, each written into the same buffer.
struct Stream {
    from: SocketAddr,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    buf: [u8; 172],
}

impl Stream {
    fn new(from: SocketAddr, ssrc: u32) -> Self {
        Self { from, ssrc, sequence: 65_000, timestamp: u32::MAX - 4000, buf: [0; 172] }
    }

    fn header(&mut self, payload_type: u8, timestamp: u32) {
        self.sequence = self.sequence.wrapping_add(1);
        self.buf[0] = 0x80;
        self.buf[1] = payload_type;
        self.buf[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        self.buf[4..8].copy_from_slice(&timestamp.to_be_bytes());
        self.buf[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }

    /// 20 ms of audio: the tones of key 5 or a quiet noise.
    fn audio(&mut self, is_key: bool) -> &[u8] {
        self.header(0, self.timestamp);
        for n in 0..160_u32 {
            let t =
                f64::from(self.timestamp.wrapping_add(n) % 80_000) / 8000.0 * std::f64::consts::TAU;
            let tone = 6000.0 * ((t * 770.0).sin() + (t * 1336.0).sin());
            let octet = if is_key { ulaw(tone as i16) } else { 0x7e | (n as u8 & 0x80) };
            self.buf[12 + n as usize] = octet;
        }
        self.timestamp = self.timestamp.wrapping_add(160);
        &self.buf
    }

    /// The `n`th packet of a key press by event.
    fn event(&mut self, digit: Digit, n: u16, is_end: bool) -> &[u8] {
        self.header(101, self.timestamp);
        let [high, low] = (160 * (n + 1)).to_be_bytes();
        let end = if is_end { 0x8a } else { 0x0a };
        self.buf[12..16].copy_from_slice(&[digit.event_code(), end, high, low]);
        &self.buf[..16]
    }
}

fn ulaw(sample: i16) -> u8 {
    let magnitude = i32::from(sample).abs().min(32_635) + 0x84;
    let exponent = (31 - (magnitude as u32).leading_zeros()).saturating_sub(7).min(7);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

struct Rig {
    now: Instant,
    voice: Voice,
    out: Out,
    a: Stream,
    b: Stream,
}

impl Rig {
    /// A bridged call that is up, with nothing heard yet.
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test's own zero of time")]
        let now = Instant::now();
        let wall = WallAnchor { at: now, wall: UnixMicros(0) };
        let settings = VoiceSettings {
            symmetric: true,
            idle_max: Duration::from_secs(30),
            tones: true,
            tone: Default::default(),
        };
        let mut tokens = TokenSource::new(Seed(1, 2));
        let voice = Voice::new(now, wall, settings, 2, &mut tokens);
        let (a, b) = (address("198.51.100.1:4000"), address("203.0.113.1:4000"));
        let (a, b) = (Stream::new(a, 0xa), Stream::new(b, 0xb));
        let mut rig = Self { now, voice, out: Out::default(), a, b };
        for (leg, remote) in [(Leg::A, rig.a.from), (Leg::B, rig.b.from)] {
            let media = negotiated(remote);
            rig.command(VoiceCommand::Settle { leg, media, signalling: remote.ip() });
            rig.command(VoiceCommand::Listen { leg });
        }
        rig.command(VoiceCommand::Relay { on: true });
        rig
    }

    fn command(&mut self, command: VoiceCommand) {
        self.voice.handle_command(self.now, command, &mut self.out);
    }

    /// 20 ms of both legs: whatever may come in such a time, and the wheel's turn.
    fn frame(&mut self, n: u32) {
        let Self { now, voice, out, a, b } = self;
        *now += Duration::from_millis(20);
        let stranger = address_of_stranger();
        voice.handle_rtp(*now, Leg::A, a.from, a.audio(false), out);
        voice.handle_rtp(*now, Leg::A, a.from, &a.buf, out); // The same once more.
        voice.handle_rtp(*now, Leg::A, stranger, &a.buf, out);
        voice.handle_rtp(*now, Leg::B, stranger, b"no RTP at all", out);
        // A press by event every second, one by tone half a second later.
        match n % 50 {
            0..5 => {
                let digit = Digit::from_event_code(9).expect("it is a key");
                let step = (n % 50) as u16;
                voice.handle_rtp(*now, Leg::B, b.from, b.event(digit, step, step == 4), out);
            }
            5 => b.timestamp = b.timestamp.wrapping_add(5 * 160),
            7 => b.sequence = b.sequence.wrapping_add(3), // Three packets are lost.
            25..31 => voice.handle_rtp(*now, Leg::B, b.from, b.audio(true), out),
            _ => voice.handle_rtp(*now, Leg::B, b.from, b.audio(false), out),
        }
        voice.handle_rtcp(*now, Leg::A, a.from, &a.buf);
        voice.handle_tick(*now, out);
    }
}

fn address_of_stranger() -> SocketAddr {
    SocketAddr::new(std::net::Ipv4Addr::new(192, 0, 2, 99).into(), 9)
}

/// Runs `act`; how often this thread allocated in it.
fn allocations(act: impl FnOnce()) -> u64 {
    let before = counting::allocations();
    act();
    counting::allocations() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_bridged_call_relays_and_hears_keys_without_allocating() {
    let mut rig = Rig::new();
    let clip = Box::new(Clip::new(CLIP_SIDE, CLIP_SIDE));
    rig.command(VoiceCommand::Capture { leg: Leg::B, clip });
    // From the very first packet: the call's set-up is over.
    let count = allocations(|| {
        for n in 0..5000 {
            rig.frame(n);
            if n == 1000 {
                rig.command(VoiceCommand::Keep { leg: Leg::B });
            }
        }
    });
    assert_eq!(rig.out.kept, 1, "the audio around a press was handed over");
    assert_eq!(count, 0, "allocations in 100 s of a call: {:?}", rig.out);
    assert_eq!(rig.out.keys, [100, 100, 0], "each press was heard: {:?}", rig.out);
    assert!(rig.out.rtp[0] > 4500 && rig.out.rtp[1] == 5000, "and relayed: {:?}", rig.out);
    assert!(rig.out.rtcp > 10, "with reports: {:?}", rig.out);
}

#[test]
fn a_prompt_plays_without_allocating() {
    let mut rig = Rig::new();
    rig.command(VoiceCommand::Relay { on: false });
    let prompts = (0..3).map(|_| Arc::new(prompt())).collect::<Vec<_>>();
    rig.command(VoiceCommand::Play { leg: Leg::B, token: 1, prompts });
    let count = allocations(|| (0..500).for_each(|n| rig.frame(n)));
    assert_eq!(count, 0, "allocations in 10 s of a call: {:?}", rig.out);
    assert_eq!((rig.out.rtp, rig.out.played), ([0, 150], 1), "three seconds: {:?}", rig.out);
    assert_eq!(rig.out.keys, [10, 10, 0], "keys are heard through it: {:?}", rig.out);
}
