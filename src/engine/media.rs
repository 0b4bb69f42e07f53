//! A media thread: the sockets and the 1 ms tick under the calls' media.
//!
//! ```text
//! each beat: commands of the shard -> drain every socket -> the slots' voices say their 20 ms
//!            -> what was heard is told to the shard, in one go
//! ```
//!
//! A beat is a tick of `media.tick` while any call passes audio on, since that waits for it. With
//! prompts alone nobody hears the difference, and a beat is [`RELAXED_BEAT`]: a fifth of the
//! wake-ups, each with the packets of five slots.
//!
//! Twenty slots of a millisecond make the wheel: a call sits in one of them, so that the prompts
//! and time-outs of many calls are spread evenly. At 1,000 calls that is 100,000 packets a second
//! both ways in bursts of about 100; a packet costs two system calls and no wake-up of its own.
//! What the voices send waits in an outbox until the sockets are drained, and leaves in one go.

use std::collections::HashMap;
use std::collections::HashSet;
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
use super::outbox::Out;
use super::outbox::Outbox;
use super::outbox::key_of;
use super::vital::Vital;
use crate::call::Voice;
use crate::call::VoiceCommand;
use crate::call::VoiceEvent;
use crate::call::VoiceId;
use crate::call::VoiceOut;
use crate::call::VoiceReport;
use crate::call::VoiceSettings;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::net::Beat;
use crate::net::Channel;
use crate::net::MediaIo;
use crate::net::MediaPair;
use crate::net::MediaSockets;
use crate::net::Tick;
use crate::net::clock;
use crate::suppression::Leg;

/// Slots of the wheel: a frame of 20 ms in steps of 1 ms.
const SLOTS: usize = 20;

/// The step of the wheel.
const SLOT_TIME: Duration = Duration::from_millis(1);

/// Most packets taken in one tick before the voices get their turn.
const PACKETS_PER_TICK_MAX: usize = 4_096;

/// Most commands that wait for a media thread; the shard waits for the next tick beyond it.
const COMMANDS_LEN_MAX: usize = 65_536;

/// The beat while no call passes audio on. A key is heard at most so much later, a quarter of the
/// 20 ms that its packets are apart; a prompt keeps its pace, since each slot has its turn once a
/// round.
const RELAXED_BEAT: Duration = Duration::from_millis(5);

/// Most that waits for the shard while its inbox is full; beyond it the sockets are left to the
/// kernel until the shard has caught up. A packet brings at most a key and a command two events.
const BACKLOG_LEN_MAX: usize = 65_536;

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
    /// Panic outside of any call's step.
    #[cfg(test)]
    Panic,
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
    /// Beats at which nothing was heard, since the shard did not take what had been heard before.
    pub(super) beats_deaf: AtomicU64,
}

/// The shard's end of a media thread.
pub(super) struct MediaHandle {
    commands: mpsc::SyncSender<ToMedia>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// What the thread counts.
    pub(super) figures: Arc<MediaFigures>,
}

impl MediaHandle {
    /// Starts a media thread for at most `pairs_max` legs; `vital` hears of its death.
    pub(super) fn start(
        settings: VoiceSettings,
        tick: Duration,
        pairs_max: usize,
        inbox: InboxSender,
        vital: Vital,
    ) -> Result<Self, crate::net::NetError> {
        let (sender, receiver) = mpsc::sync_channel(COMMANDS_LEN_MAX);
        let figures = Arc::new(MediaFigures::default());
        let sockets = MediaSockets::new(pairs_max)?;
        let thread =
            MediaThread::new(settings, tick, receiver, inbox, sockets, Arc::clone(&figures));
        let thread = std::thread::Builder::new()
            .name("media".to_owned())
            .spawn(move || {
                let _watch = vital.watch("media");
                thread.run();
            })
            .map_err(crate::net::NetError::Media)?;
        Ok(Self { commands: sender, thread: Some(thread), figures })
    }

    /// Tells the thread; waits for at most a tick when very much is waiting already.
    pub(super) fn tell(&self, command: ToMedia) {
        // A thread that is gone has told so by its death, and the engine ends.
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
    /// Calls that pass audio on, for which the thread keeps the short beat.
    relaying: HashSet<u64>,
    wheel: [Vec<u64>; SLOTS],
    slot: usize,
    /// Time that passed and whose slots had no turn yet.
    unserved: Duration,
    outbox: Outbox,
    figures: Arc<MediaFigures>,
}

impl MediaThread {
    fn new(
        settings: VoiceSettings,
        tick: Duration,
        commands: mpsc::Receiver<ToMedia>,
        inbox: InboxSender,
        sockets: MediaSockets,
        figures: Arc<MediaFigures>,
    ) -> Self {
        Self {
            settings,
            tick,
            commands,
            inbox,
            backlog: VecDeque::new(),
            sockets,
            addresses: HashMap::new(),
            voices: HashMap::new(),
            relaying: HashSet::new(),
            wheel: std::array::from_fn(|_| Vec::new()),
            slot: 0,
            unserved: Duration::ZERO,
            outbox: Outbox::new(2 * PACKETS_PER_TICK_MAX),
            figures,
        }
    }

    fn run(mut self) {
        loop {
            if self.voices.is_empty() {
                self.inbox.send_what_fits(&mut self.backlog);
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
        while !self.voices.is_empty() {
            let beat = tick.wait(self.beats(tick.period()));
            if !self.take_beat(beat, tick.period()) {
                return false;
            }
        }
        true
    }

    /// How many ticks the next beat is away.
    fn beats(&self, tick: Duration) -> u64 {
        if self.relaying.is_empty() {
            (RELAXED_BEAT.as_nanos() / tick.as_nanos().max(1)) as u64
        } else {
            1
        }
    }

    /// Does what is due at `beat`; false when the thread is to end.
    fn take_beat(&mut self, beat: Beat, tick: Duration) -> bool {
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
        if self.backlog.len() < BACKLOG_LEN_MAX {
            self.drain(beat.now);
        } else {
            self.figures.beats_deaf.fetch_add(1, Ordering::Relaxed);
        }
        self.unserved += tick.saturating_mul(u32::try_from(beat.passed).unwrap_or(u32::MAX));
        self.turn_wheel(beat.now);
        self.inbox.send_what_fits(&mut self.backlog);
        true
    }

    /// Serves the slots whose time has come; a pause longer than a round serves each once.
    fn turn_wheel(&mut self, now: Instant) {
        let mut served = 0;
        while self.unserved >= SLOT_TIME {
            self.unserved -= SLOT_TIME;
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
        let Self { sockets, voices, backlog, figures, outbox, .. } = self;
        let received = sockets.drain(PACKETS_PER_TICK_MAX, &mut |key, channel, source, packet| {
            let leg = if key & 1 == 0 { Leg::A } else { Leg::B };
            let mut out = Out { id: VoiceId(key >> 1), backlog, outbox };
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
            let bytes = self.outbox.bytes.get(packet.bytes).unwrap_or_default();
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
                if let VoiceCommand::Relay { on } = command {
                    self.note_relaying(voice.0, on);
                }
                self.step(voice.0, |voice, out| voice.handle_command(now, command, out));
            }
            ToMedia::Stop => return false,
            #[cfg(test)]
            ToMedia::Panic => panic!("the test has the media thread panic"),
        }
        true
    }

    fn note_relaying(&mut self, key: u64, on: bool) {
        if on && self.voices.contains_key(&key) {
            self.relaying.insert(key);
        } else {
            self.relaying.remove(&key);
        }
    }

    fn open(&mut self, now: Instant, voice: VoiceId, pairs: Vec<MediaPair>, seed: Seed) {
        let legs_count = pairs.len();
        for (leg, pair) in pairs.into_iter().enumerate() {
            let (key, address) = (key_of(voice, leg), pair.rtp_address());
            if self.sockets.insert(key, pair).is_ok() {
                self.addresses.insert(key, address);
            } else {
                self.backlog.push_back(ShardInput::PortClosed(address));
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
        self.relaying.remove(&key);
        self.wheel[slot_of(key)].retain(|&other| other != key);
        for leg in 0..2 {
            let key = key_of(VoiceId(key), leg);
            self.sockets.remove(key);
            self.backlog.extend(self.addresses.remove(&key).map(ShardInput::PortClosed));
        }
    }

    fn step(&mut self, key: u64, act: impl FnOnce(&mut Voice, &mut Out<'_>)) {
        let Self { voices, backlog, figures, outbox, .. } = self;
        let mut out = Out { id: VoiceId(key), backlog, outbox };
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

fn slot_of(key: u64) -> usize {
    (key % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests;
