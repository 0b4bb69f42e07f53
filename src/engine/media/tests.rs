//! The media thread's work, beat by beat, over real sockets on loopback and without its thread.

use std::net::IpAddr;

use super::*;
use crate::engine::inbox::Inbox;
use crate::engine::inbox::inbox;
use crate::media::sender::PACKET_LEN_MAX;
use crate::media::sender::RtpSender;
use crate::net::MediaCounters;
use crate::net::PortPool;
use crate::sdp::LocalMedia;
use crate::sdp::Negotiated;
use crate::sdp::Offer;

const TICK: Duration = Duration::from_millis(1);

/// A media thread that does what it is told to, and what it tells and is told by.
struct Bench {
    thread: MediaThread,
    commands: mpsc::SyncSender<ToMedia>,
    inbox: Inbox,
}

/// A peer of a leg: a socket of its own, and its stream.
struct Peer {
    sockets: MediaSockets,
    address: SocketAddr,
    sender: RtpSender,
    sent: u16,
}

impl Bench {
    fn new() -> Self {
        let (commands, receiver) = mpsc::sync_channel(64);
        let (sender, inbox) = inbox();
        let settings = VoiceSettings {
            symmetric: true,
            idle_max: Duration::from_secs(60),
            tones: false,
            tone: crate::dtmf::tone::Settings::default(),
        };
        let sockets = MediaSockets::new(8).unwrap();
        let figures = Arc::new(MediaFigures::default());
        let thread = MediaThread::new(settings, TICK, receiver, sender, sockets, figures);
        Self { thread, commands, inbox }
    }

    /// Opens the media of a call; where its legs are reached.
    fn open(&mut self, voice: VoiceId, legs_count: usize) -> Vec<SocketAddr> {
        let pairs: Vec<MediaPair> = (0..legs_count).map(|_| pair()).collect();
        let addresses = pairs.iter().map(MediaPair::rtp_address).collect();
        self.tell(ToMedia::Open(voice, pairs, Seed(voice.0, 7)));
        addresses
    }

    fn tell(&mut self, command: ToMedia) {
        self.commands.send(command).unwrap();
        self.beat();
    }

    fn settle(&mut self, voice: VoiceId, leg: Leg, peer: &Peer) {
        let media = negotiated(peer.address);
        let signalling = peer.address.ip();
        let settle = VoiceCommand::Settle { leg, media, signalling };
        self.tell(ToMedia::Command(voice, settle));
    }

    fn beat(&mut self) {
        assert!(self.thread.take_beat(Beat { now: clock::now(), passed: 1, missed: 0 }, TICK));
    }

    fn counters(&self) -> MediaCounters {
        *self.thread.sockets.counters()
    }

    /// Beats until `count` packets were handed on in all.
    fn hear(&mut self, count: u64) {
        let deadline = clock::now() + Duration::from_secs(10);
        while self.counters().received < count && clock::now() < deadline {
            self.beat();
        }
        assert_eq!(self.counters().received, count);
    }

    fn told(&self) -> Vec<ShardInput> {
        std::iter::from_fn(|| self.inbox.next()).collect()
    }
}

impl Peer {
    fn new() -> Self {
        let pair = pair();
        let address = pair.rtp_address();
        let mut sockets = MediaSockets::new(1).unwrap();
        sockets.insert(0, pair).unwrap();
        let mut tokens = TokenSource::new(Seed(3, u64::from(address.port())));
        Self { sockets, address, sender: RtpSender::new(clock::now(), &mut tokens), sent: 0 }
    }

    fn send(&mut self, to: SocketAddr) {
        let mut packet = [0; PACKET_LEN_MAX];
        let begins = self.sent == 0;
        let frame = [0xff; 160];
        let len = self.sender.write_frame(clock::now(), &mut packet, 0, begins, &frame).unwrap();
        self.sent += 1;
        assert!(self.sockets.send(0, Channel::Rtp, to, &packet[..len]));
    }
}

fn pair() -> MediaPair {
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    let mut pool = PortPool::new(address, 0, 0, Seed(1, 2)).unwrap();
    pool.open(clock::now()).unwrap()
}

/// What a peer at `remote` and we have agreed on: PCMU.
fn negotiated(remote: SocketAddr) -> Negotiated {
    let (ip, port) = (remote.ip(), remote.port());
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    );
    let offer = Offer::parse(sdp.as_bytes()).unwrap();
    offer.answer(&LocalMedia::new("127.0.0.1:20000".parse().unwrap(), 1)).unwrap().0
}

#[test]
fn a_peer_that_is_negotiated_elsewhere_is_heard_from_there() {
    let mut bench = Bench::new();
    let voice = VoiceId(20);
    let to = bench.open(voice, 1)[0];
    let (mut first, mut second) = (Peer::new(), Peer::new());
    bench.settle(voice, Leg::A, &first);
    bench.tell(ToMedia::Command(voice, VoiceCommand::Listen { leg: Leg::A }));
    for heard in 1..=6 {
        first.send(to);
        bench.hear(heard);
    }
    // Settled: the kernel now hears nobody else.
    second.send(to);
    first.send(to);
    bench.hear(7);
    bench.settle(voice, Leg::A, &second);
    second.send(to);
    bench.hear(8);
}

#[test]
fn the_beat_is_short_only_while_audio_is_passed_on() {
    let mut bench = Bench::new();
    let (plain, bridged) = (VoiceId(1), VoiceId(2));
    bench.open(plain, 1);
    bench.open(bridged, 2);
    let relaxed = bench.thread.beats(TICK);
    assert_eq!(relaxed, 5, "{RELAXED_BEAT:?} in ticks");
    let relay = |on| VoiceCommand::Relay { on };
    bench.tell(ToMedia::Command(bridged, relay(true)));
    assert_eq!(bench.thread.beats(TICK), 1);
    bench.tell(ToMedia::Command(plain, VoiceCommand::Close));
    assert_eq!(bench.thread.beats(TICK), 1, "another call has ended");
    bench.tell(ToMedia::Command(bridged, relay(false)));
    assert_eq!(bench.thread.beats(TICK), relaxed, "it passes nothing on any more");
    bench.tell(ToMedia::Command(bridged, relay(true)));
    bench.tell(ToMedia::Command(bridged, VoiceCommand::Close));
    assert_eq!(bench.thread.beats(TICK), relaxed, "it has ended");
    bench.tell(ToMedia::Command(bridged, relay(true)));
    assert_eq!(bench.thread.beats(TICK), relaxed, "it is gone");
    assert_eq!(bench.thread.beats(Duration::from_millis(5)), 1);
}

#[test]
fn every_call_has_its_turn_once_in_20_ms_however_long_the_beats_are() {
    let mut bench = Bench::new();
    let voice = VoiceId(9);
    bench.open(voice, 1);
    let peer = Peer::new();
    bench.settle(voice, Leg::A, &peer);
    let wav = include_bytes!("../../../audio/en/welcome.wav");
    let prompts = vec![Arc::new(crate::media::prompt::Prompt::from_wav("welcome", wav).unwrap())];
    bench.tell(ToMedia::Command(voice, VoiceCommand::Play { leg: Leg::A, token: 1, prompts }));
    let said = |bench: &mut Bench, passed| {
        let before = bench.counters().sent;
        assert!(bench.thread.take_beat(Beat { now: clock::now(), passed, missed: 0 }, TICK));
        bench.counters().sent - before
    };
    said(&mut bench, 20); // Among them the report that begins a stream.
    let rounds: u64 = (0..8).map(|_| said(&mut bench, 5)).sum();
    assert_eq!(rounds, 2, "eight beats of 5 ms");
    let ticks: u64 = (0..40).map(|_| said(&mut bench, 1)).sum();
    assert_eq!(ticks, 2, "forty beats of 1 ms");
    assert_eq!(said(&mut bench, 60), 1, "a pause is not made up for");
}

#[test]
fn a_shard_that_takes_nothing_leaves_packets_to_the_kernel_and_loses_no_event() {
    let mut bench = Bench::new();
    let voice = VoiceId(4);
    let to = bench.open(voice, 1)[0];
    let mut peer = Peer::new();
    bench.settle(voice, Leg::A, &peer);
    bench.told();
    let waiting = BACKLOG_LEN_MAX + 20_000;
    let silent = || ShardInput::Voice(voice, VoiceEvent::Silent { leg: Leg::A });
    bench.thread.backlog.extend((0..waiting).map(|_| silent()));
    bench.beat();
    peer.send(to);
    bench.beat();
    assert_eq!(bench.counters().received, 0);
    assert!(bench.thread.figures.beats_deaf.load(Ordering::Relaxed) > 0);
    let mut told = 0;
    while !bench.thread.backlog.is_empty() {
        told += bench.told().len();
        bench.beat();
    }
    told += bench.told().len();
    assert_eq!(told, waiting);
    bench.hear(1);
}

#[test]
fn media_that_panics_gives_its_ports_back_and_leaves_the_others_alone() {
    let mut bench = Bench::new();
    let (lost, other) = (VoiceId(6), VoiceId(7));
    let lost_at = bench.open(lost, 2);
    let other_at = bench.open(other, 1)[0];
    let mut peer = Peer::new();
    bench.settle(other, Leg::A, &peer);
    bench.told();
    bench.thread.step(lost.0, |_, _| panic!("a step of this call"));
    bench.beat();
    let told = bench.told();
    let ports: Vec<SocketAddr> = told
        .iter()
        .filter_map(|input| match input {
            ShardInput::PortClosed(address) => Some(*address),
            _ => None,
        })
        .collect();
    assert_eq!(ports, lost_at);
    let closed = |input: &ShardInput| matches!(input, ShardInput::Voice(voice, VoiceEvent::Closed { .. }) if *voice == lost);
    assert_eq!(told.iter().filter(|input| closed(input)).count(), 1, "{told:?}");
    assert_eq!(bench.thread.figures.voices_lost.load(Ordering::Relaxed), 1);
    peer.send(other_at);
    bench.hear(1);
}
