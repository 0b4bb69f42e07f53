//! A media thread: the sockets and the 1 ms tick under the calls' media.
//!
//! ```text
//! each tick: commands of the shard -> drain every socket -> the slot's voices say their 20 ms
//! ```
//!
//! Twenty slots of a millisecond make the wheel: a call sits in one of them, so that the prompts
//! and time-outs of many calls are spread evenly. At 1,000 calls that is 100,000 packets a second
//! both ways in bursts of about 100; a packet costs two system calls and no wake-up of its own.
//! What the voices send waits in an outbox until the sockets are drained, and leaves in one go.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use super::inbox::InboxSender;
use super::inbox::ShardInput;
use crate::call::Voice;
use crate::call::VoiceCommand;
use crate::call::VoiceEvent;
use crate::call::VoiceId;
use crate::call::VoiceOut;
use crate::call::VoiceReport;
use crate::call::VoiceSettings;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::net::Channel;
use crate::net::MediaIo;
use crate::net::MediaPair;
use crate::net::MediaSockets;
use crate::net::Tick;
use crate::net::clock;
use crate::suppression::Leg;

/// Slots of the wheel: a frame of 20 ms in steps of 1 ms.
const SLOTS: usize = 20;

/// Most packets taken in one tick before the voices get their turn.
const PACKETS_PER_TICK_MAX: usize = 4_096;

/// Most commands that wait for a media thread; the shard waits for the next tick beyond it.
const COMMANDS_LEN_MAX: usize = 65_536;

/// How long an idle thread sleeps for its next command.
const IDLE_WAIT: Duration = Duration::from_millis(200);

/// What a shard tells a media thread.
pub(super) enum ToMedia {
    /// A new call, with the sockets of its legs, A first.
    Open(VoiceId, Vec<MediaPair>, Seed),
    /// Something for a call's media.
    Command(VoiceId, VoiceCommand),
    /// Close everything and end.
    Stop,
}

/// What a media thread counts, readable from elsewhere.
#[derive(Debug, Default)]
pub(super) struct MediaFigures {
    /// RTP and RTCP packets received.
    pub(super) received: AtomicU64,
    /// Packets sent.
    pub(super) sent: AtomicU64,
    /// Ticks that came too late to be served.
    pub(super) ticks_missed: AtomicU64,
    /// Calls whose media panicked.
    pub(super) voices_lost: AtomicU64,
}

/// The shard's end of a media thread.
pub(super) struct MediaHandle {
    commands: mpsc::SyncSender<ToMedia>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// What the thread counts.
    pub(super) figures: Arc<MediaFigures>,
}

impl MediaHandle {
    /// Starts a media thread for at most `pairs_max` legs.
    pub(super) fn start(
        settings: VoiceSettings,
        tick: Duration,
        pairs_max: usize,
        inbox: InboxSender,
    ) -> Result<Self, crate::net::NetError> {
        let (sender, receiver) = mpsc::sync_channel(COMMANDS_LEN_MAX);
        let figures = Arc::new(MediaFigures::default());
        let thread = MediaThread {
            settings,
            tick,
            commands: receiver,
            inbox,
            backlog: VecDeque::new(),
            sockets: MediaSockets::new(pairs_max)?,
            addresses: HashMap::new(),
            voices: HashMap::new(),
            wheel: std::array::from_fn(|_| Vec::new()),
            slot: 0,
            outbox: Outbox::new(),
            figures: Arc::clone(&figures),
        };
        let thread = std::thread::Builder::new()
            .name("media".to_owned())
            .spawn(move || thread.run())
            .map_err(crate::net::NetError::Media)?;
        Ok(Self { commands: sender, thread: Some(thread), figures })
    }

    /// Tells the thread; waits for at most a tick when very much is waiting already.
    pub(super) fn tell(&self, command: ToMedia) {
        // A thread that is gone has lost its calls' media already; the calls end by their limits.
        let _ = self.commands.send(command);
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&mut self) {
        self.tell(ToMedia::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was its own; its calls have ended.
            let _ = thread.join();
        }
    }
}

struct MediaThread {
    settings: VoiceSettings,
    tick: Duration,
    commands: mpsc::Receiver<ToMedia>,
    inbox: InboxSender,
    backlog: VecDeque<ShardInput>,
    sockets: MediaSockets,
    /// Where each leg's RTP socket is bound, for the pool that the port goes back to.
    addresses: HashMap<u64, SocketAddr>,
    voices: HashMap<u64, Voice>,
    wheel: [Vec<u64>; SLOTS],
    slot: usize,
    outbox: Outbox,
    figures: Arc<MediaFigures>,
}

impl MediaThread {
    fn run(mut self) {
        loop {
            if self.voices.is_empty() {
                match self.commands.recv_timeout(IDLE_WAIT) {
                    Ok(command) => {
                        if !self.obey(clock::now(), command) {
                            return;
                        }
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => continue,
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
            }
            if !self.serve() {
                return;
            }
        }
    }

    /// Ticks as long as there are calls; false when the thread is to end.
    fn serve(&mut self) -> bool {
        let mut tick = Tick::new(self.tick);
        let mut unserved = Duration::ZERO;
        while !self.voices.is_empty() {
            let beat = tick.wait();
            self.figures.ticks_missed.fetch_add(beat.missed, Ordering::Relaxed);
            loop {
                match self.commands.try_recv() {
                    Ok(command) => {
                        if !self.obey(beat.now, command) {
                            return false;
                        }
                    }
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return false,
                }
            }
            self.drain(beat.now);
            let beats = u32::try_from(beat.missed.saturating_add(1)).unwrap_or(u32::MAX);
            unserved += self.tick.saturating_mul(beats);
            self.turn_wheel(beat.now, &mut unserved);
            self.inbox.send_or_keep(&mut self.backlog, None);
        }
        true
    }

    /// Serves the slots whose time has come; a pause longer than a round serves each once.
    fn turn_wheel(&mut self, now: Instant, unserved: &mut Duration) {
        let slot_time = Duration::from_millis(1);
        let mut served = 0;
        while *unserved >= slot_time {
            *unserved -= slot_time;
            self.slot = (self.slot + 1) % SLOTS;
            if served < SLOTS {
                self.serve_slot(now);
                served += 1;
            }
        }
    }

    fn serve_slot(&mut self, now: Instant) {
        let slot = std::mem::take(&mut self.wheel[self.slot]);
        for &key in &slot {
            self.step(key, |voice, out| voice.handle_tick(now, out));
        }
        self.wheel[self.slot] = slot;
        self.send_outbox();
    }

    fn drain(&mut self, now: Instant) {
        let Self { sockets, voices, inbox, backlog, figures, outbox, .. } = self;
        let received = sockets.drain(PACKETS_PER_TICK_MAX, &mut |key, channel, source, packet| {
            let leg = if key & 1 == 0 { Leg::A } else { Leg::B };
            let mut out = Out { id: VoiceId(key >> 1), inbox, backlog, outbox };
            step(voices, figures, &mut out, |voice, out| match channel {
                Channel::Rtp => voice.handle_rtp(now, leg, source, packet, out),
                Channel::Rtcp => voice.handle_rtcp(now, leg, source, packet),
            });
        });
        // Errors of single sockets are counted by the sockets.
        let received = received.unwrap_or(0);
        self.figures.received.fetch_add(received as u64, Ordering::Relaxed);
        self.send_outbox();
    }

    fn send_outbox(&mut self) {
        let mut sent = 0;
        for (key, to) in self.outbox.settled.drain(..) {
            // Unconnected it works as well, only dearer; the sockets count the error. A leg that
            // could not be opened again hears nobody new, and ends by its silence.
            let _ = match to {
                Some(to) => self.sockets.connect(key, Channel::Rtp, to),
                None => self.sockets.disconnect(key, Channel::Rtp),
            };
        }
        for packet in self.outbox.packets.drain(..) {
            let bytes = self.outbox.bytes.get(packet.start..packet.end).unwrap_or_default();
            sent += u64::from(self.sockets.send(packet.key, packet.channel, packet.to, bytes));
        }
        self.outbox.bytes.clear();
        for key in std::mem::take(&mut self.outbox.lost) {
            self.remove(key);
        }
        self.figures.sent.fetch_add(sent, Ordering::Relaxed);
    }

    /// Carries out a command; false when the thread is to end.
    fn obey(&mut self, now: Instant, command: ToMedia) -> bool {
        match command {
            ToMedia::Open(voice, pairs, seed) => self.open(now, voice, pairs, seed),
            ToMedia::Command(voice, VoiceCommand::Close) => self.close(now, voice),
            ToMedia::Command(voice, command) => {
                self.step(voice.0, |voice, out| voice.handle_command(now, command, out));
            }
            ToMedia::Stop => return false,
        }
        true
    }

    fn open(&mut self, now: Instant, voice: VoiceId, pairs: Vec<MediaPair>, seed: Seed) {
        let legs_count = pairs.len();
        for (leg, pair) in pairs.into_iter().enumerate() {
            let (key, address) = (key_of(voice, leg), pair.rtp_address());
            if self.sockets.insert(key, pair).is_ok() {
                self.addresses.insert(key, address);
            } else {
                let closed = ShardInput::PortClosed(address);
                self.inbox.send_or_keep(&mut self.backlog, Some(closed));
            }
        }
        let mut tokens = TokenSource::new(seed);
        self.voices.insert(
            voice.0,
            Voice::new(now, clock::wall_anchor(), self.settings, legs_count, &mut tokens),
        );
        self.wheel[slot_of(voice.0)].push(voice.0);
    }

    fn close(&mut self, now: Instant, voice: VoiceId) {
        self.step(voice.0, |voice, out| voice.handle_command(now, VoiceCommand::Close, out));
        self.remove(voice.0);
    }

    fn remove(&mut self, key: u64) {
        self.voices.remove(&key);
        self.wheel[slot_of(key)].retain(|&other| other != key);
        for leg in 0..2 {
            let key = key_of(VoiceId(key), leg);
            self.sockets.remove(key);
            let closed = self.addresses.remove(&key).map(ShardInput::PortClosed);
            self.inbox.send_or_keep(&mut self.backlog, closed);
        }
    }

    fn step(&mut self, key: u64, act: impl FnOnce(&mut Voice, &mut Out<'_>)) {
        let Self { voices, inbox, backlog, figures, outbox, .. } = self;
        let mut out = Out { id: VoiceId(key), inbox, backlog, outbox };
        step(voices, figures, &mut out, act);
    }
}

/// One step of one call's media, on its own: what panics loses this call and no other.
fn step(
    voices: &mut HashMap<u64, Voice>,
    figures: &MediaFigures,
    out: &mut Out<'_>,
    act: impl FnOnce(&mut Voice, &mut Out<'_>),
) {
    let key = out.id.0;
    let Some(voice) = voices.get_mut(&key) else { return };
    if catch_unwind(AssertUnwindSafe(|| act(voice, out))).is_err() {
        figures.voices_lost.fetch_add(1, Ordering::Relaxed);
        voices.remove(&key);
        out.outbox.lost.push(key);
        out.tell(VoiceEvent::Closed { report: VoiceReport::default() });
    }
}

fn key_of(voice: VoiceId, leg: usize) -> u64 {
    voice.0 << 1 | leg as u64
}

fn slot_of(key: u64) -> usize {
    (key % SLOTS as u64) as usize
}

/// Packets that wait until the sockets are drained; its memory is kept from tick to tick.
#[derive(Default)]
struct Outbox {
    packets: Vec<Outgoing>,
    bytes: Vec<u8>,
    /// Legs whose socket is to be narrowed to one peer, or opened to everybody again.
    settled: Vec<(u64, Option<SocketAddr>)>,
    /// Calls whose media panicked: their sockets are closed with the next batch.
    lost: Vec<u64>,
}

struct Outgoing {
    key: u64,
    channel: Channel,
    to: SocketAddr,
    start: usize,
    end: usize,
}

impl Outbox {
    fn new() -> Self {
        Self {
            packets: Vec::with_capacity(2 * PACKETS_PER_TICK_MAX),
            bytes: Vec::with_capacity(2 * PACKETS_PER_TICK_MAX * 172),
            settled: Vec::with_capacity(64),
            lost: Vec::new(),
        }
    }
}

/// Where a voice's packets and events go.
struct Out<'a> {
    id: VoiceId,
    inbox: &'a InboxSender,
    backlog: &'a mut VecDeque<ShardInput>,
    outbox: &'a mut Outbox,
}

impl Out<'_> {
    fn push(&mut self, leg: Leg, channel: Channel, to: SocketAddr, packet: &[u8]) {
        let start = self.outbox.bytes.len();
        self.outbox.bytes.extend_from_slice(packet);
        let end = self.outbox.bytes.len();
        let key = key_of(self.id, place(leg));
        self.outbox.packets.push(Outgoing { key, channel, to, start, end });
    }
}

impl VoiceOut for Out<'_> {
    fn send_rtp(&mut self, leg: Leg, to: SocketAddr, packet: &[u8]) {
        self.push(leg, Channel::Rtp, to, packet);
    }

    fn send_rtcp(&mut self, leg: Leg, to: SocketAddr, packet: &[u8]) {
        self.push(leg, Channel::Rtcp, to, packet);
    }

    fn settled(&mut self, leg: Leg, source: SocketAddr) {
        self.outbox.settled.push((key_of(self.id, place(leg)), Some(source)));
    }

    fn unsettled(&mut self, leg: Leg) {
        self.outbox.settled.push((key_of(self.id, place(leg)), None));
    }

    fn tell(&mut self, event: VoiceEvent) {
        let input = ShardInput::Voice(self.id, event);
        self.inbox.send_or_keep(self.backlog, Some(input));
    }
}

const fn place(leg: Leg) -> usize {
    match leg {
        Leg::A => 0,
        Leg::B => 1,
    }
}
