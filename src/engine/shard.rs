//! A signalling shard: the sockets, the clock and the inbox around [`Calls`].
//!
//! One thread, one loop: take what came, let the calls decide, carry out what they say, send. A
//! batch of datagrams is taken by one system call and answered by another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::oneshot;

use super::admin::Status;
use super::control::Command;
use super::evidence::Evidence;
use super::figures::Figures;
use super::figures::ShardTotals;
use super::inbox::Inbox;
use super::inbox::ShardInput;
use super::live::LiveCalls;
use super::media::MediaHandle;
use super::media::ToMedia;
use crate::call::Acknowledgement;
use crate::call::Calls;
use crate::call::Measure;
use crate::call::OpenedVoice;
use crate::call::Output;
use crate::call::VoiceCommand;
use crate::call::VoiceEvent;
use crate::call::VoiceId;
use crate::model::token::TokenSource;
use crate::net::Batch;
use crate::net::MediaPair;
use crate::net::PortPool;
use crate::net::SendQueue;
use crate::net::SignallingSocket;
use crate::net::clock;
use crate::sip::ListenerId;
use crate::store::Store;
use crate::suppression::FactLedger;
use crate::telemetry::ActiveCall;
use crate::telemetry::Side;
use crate::telemetry::Snapshot;

/// How often the wall clock is read anew.
const WALL_EVERY: Duration = Duration::from_secs(1);

/// Deadlines are served in steps of this. A busy shard has thousands of them a second, most of
/// which only forget something; a wake-up for each would cost more than the calls do. No timer of
/// RFC 3261 or of a person's fingers is shorter than fifty of it.
const TIMER_STEP: Duration = Duration::from_millis(10);

/// Most batches taken from one socket before the others get their turn.
const BATCHES_PER_TURN_MAX: usize = 8;

/// A socket with what waits to leave by it.
pub(super) struct Line {
    pub(super) socket: SignallingSocket,
    pub(super) queue: SendQueue,
    /// Which of the shard's port pools serves the media of calls over this socket.
    pub(super) pool: usize,
    /// The address that peers are told for it.
    pub(super) media_advertised: IpAddr,
}

/// A signalling shard.
pub(super) struct Shard {
    pub(super) calls: Calls,
    pub(super) lines: Vec<Line>,
    /// The line that was read last.
    pub(super) turn: usize,
    pub(super) inbox: Inbox,
    pub(super) media: Vec<MediaHandle>,
    /// One pool an address; lines on one address share it.
    pub(super) pools: Vec<(IpAddr, PortPool)>,
    pub(super) store: Arc<Store>,
    pub(super) evidence: Evidence,
    pub(super) tokens: TokenSource,
    pub(super) figures: Arc<Figures>,
    pub(super) totals: ShardTotals,
    pub(super) active: HashMap<VoiceId, ActiveCall>,
    pub(super) live: Arc<LiveCalls>,
    pub(super) draining: Option<Draining>,
}

/// A drain in progress.
pub(super) struct Draining {
    /// When running calls are hung up.
    hang_up_at: Instant,
    hung_up: bool,
    done: Vec<oneshot::Sender<()>>,
}

/// Why the loop woke.
enum Woken {
    Bell,
    Datagrams(usize),
    Timeout,
    Writable,
}

impl Shard {
    /// Runs until a drain has ended or a stop was told.
    pub(super) async fn run(mut self) {
        let mut batch = Batch::new();
        let mut wall_at = clock::now();
        let started = wall_at;
        loop {
            let now = clock::now();
            if now >= wall_at {
                wall_at = now + WALL_EVERY;
                self.calls.set_wall(clock::wall_anchor());
                self.publish();
            }
            let timeout = self.poll_timeout().map_or(wall_at, |at| at.min(wall_at));
            let timeout = started + round_up(timeout.saturating_duration_since(started));
            match self.wait(timeout).await {
                Woken::Datagrams(line) => {
                    self.turn = line;
                    self.receive(line, &mut batch);
                }
                Woken::Bell | Woken::Timeout | Woken::Writable => {}
            }
            let now = clock::now();
            if !self.read_inbox(now) {
                self.calls.leave_all(now);
                self.obey(now);
                break;
            }
            self.calls.handle_timeout(now);
            self.obey(now);
            self.flush();
            if self.is_drained(now) {
                break;
            }
        }
        self.flush();
        for media in &mut self.media {
            media.stop();
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let drain = self.draining.as_ref().filter(|drain| !drain.hung_up);
        [self.calls.poll_timeout(), drain.map(|drain| drain.hang_up_at)].into_iter().flatten().min()
    }

    async fn wait(&self, timeout: Instant) -> Woken {
        let (lines, turn) = (&self.lines, self.turn);
        let readable = std::future::poll_fn(|context| {
            // Behind the last one served, so that a flood at one socket starves no other.
            let order = (0..lines.len()).map(|step| (turn + 1 + step) % lines.len());
            for at in order {
                let Some(line) = lines.get(at) else { continue };
                if line.socket.poll_readable(context).is_ready() {
                    return std::task::Poll::Ready(at);
                }
            }
            std::task::Poll::Pending
        });
        let writable = std::future::poll_fn(|context| {
            let waiting = lines.iter().filter(|line| !line.queue.is_empty());
            for line in waiting {
                if line.socket.poll_writable(context).is_ready() {
                    return std::task::Poll::Ready(());
                }
            }
            std::task::Poll::Pending
        });
        tokio::select! {
            biased;
            at = readable => Woken::Datagrams(at),
            () = self.inbox.ring() => Woken::Bell,
            () = writable => Woken::Writable,
            () = tokio::time::sleep_until(timeout.into()) => Woken::Timeout,
        }
    }

    fn receive(&mut self, at: usize, batch: &mut Batch) {
        let listener = ListenerId(u8::try_from(at).unwrap_or(u8::MAX));
        for _ in 0..BATCHES_PER_TURN_MAX {
            let Some(line) = self.lines.get_mut(at) else { return };
            match line.socket.recv_batch(batch) {
                Ok(0) | Err(_) => return, // Errors are counted by the socket.
                Ok(_) => {}
            }
            let now = clock::now();
            for (source, datagram) in batch.datagrams() {
                self.totals.note_sip(Side::In, datagram);
                self.calls.handle_datagram(now, listener, source, datagram);
            }
            self.obey(now);
        }
    }

    /// Takes every message that waits; false when the shard is to end at once.
    fn read_inbox(&mut self, now: Instant) -> bool {
        while let Some(input) = self.inbox.next() {
            match input {
                ShardInput::Voice(voice, event) => {
                    if let VoiceEvent::Closed { report } = &event {
                        self.totals.note_voice(report);
                        // It may have closed by itself, without having been told to.
                        self.leave(voice);
                    }
                    self.calls.handle_voice(now, voice, event);
                }
                ShardInput::PortClosed(address) => self.give_back(now, address),
                ShardInput::Acknowledgement(ack) => {
                    if ack.durable.is_some() {
                        self.figures.note_durable();
                    }
                    self.calls.handle_acknowledgement(now, &ack);
                }
                ShardInput::WrittenLate(record) => self.calls.handle_written_late(record),
                ShardInput::Command(Command::Stop) => return false,
                ShardInput::Command(command) => self.command(now, command),
            }
        }
        true
    }

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Reload(rules) => self.calls.reload(rules),
            Command::Drain { patience, done } => {
                self.calls.set_open(false);
                let draining = self.draining.get_or_insert_with(|| Draining {
                    hang_up_at: now + patience,
                    hung_up: false,
                    done: Vec::new(),
                });
                draining.hang_up_at = draining.hang_up_at.min(now + patience);
                draining.done.push(done);
            }
            Command::OptedOut(number) => self.calls.handle_opted_out(now, number),
            Command::Status(reply) => {
                // Who asked and went away needs no answer.
                let _ = reply.send(self.status());
            }
            Command::Stop => {}
            #[cfg(test)]
            Command::Panic { thread: "media" } => self.media[0].tell(ToMedia::Panic),
            #[cfg(test)]
            Command::Panic { thread } => panic!("the test has the {thread} thread panic"),
        }
    }

    fn status(&self) -> Status {
        Status {
            calls: self.calls.len(),
            ports_in_use: self.ports_in_use(),
            ports_size: self.pools.iter().map(|(_, pool)| pool.size()).sum(),
            is_draining: self.draining.is_some(),
            is_database_away: self.figures.is_database_down() || self.store.is_behind(),
        }
    }

    fn is_drained(&mut self, now: Instant) -> bool {
        let Some(draining) = &mut self.draining else { return false };
        if draining.hang_up_at <= now && !draining.hung_up {
            draining.hung_up = true;
            self.calls.hang_up_all(now);
            self.obey(now);
            self.flush();
        }
        let Some(draining) = &mut self.draining else { return false };
        if !self.calls.is_empty() || self.calls.endpoint().sessions_len() > 0 && !draining.hung_up {
            return false;
        }
        for done in draining.done.drain(..) {
            // Who asked and went away needs no answer.
            let _ = done.send(());
        }
        true
    }

    /// Carries out what the calls say, until they are silent.
    fn obey(&mut self, now: Instant) {
        while let Some(output) = self.calls.poll() {
            match output {
                Output::Transmit(transmit) => {
                    self.totals.note_sip(Side::Out, &transmit.bytes);
                    if let Some(line) = self.lines.get_mut(usize::from(transmit.listener.0)) {
                        line.queue.push(transmit.to, transmit.bytes);
                    }
                }
                Output::OpenVoice { voice, call, legs_count, listeners } => {
                    self.active.insert(voice, self.figures.metrics.call_begins(&call.campaign));
                    self.live.begins(voice, *call);
                    self.open_voice(now, voice, listeners, legs_count);
                }
                Output::Voice { voice, command } => {
                    if matches!(command, VoiceCommand::Close) {
                        self.leave(voice);
                    }
                    self.media_of(voice).tell(ToMedia::Command(voice, command));
                }
                Output::Submit { token, fact } => {
                    if self.store.submit(token, *fact).is_err() {
                        let ack = Acknowledgement { token, durable: None };
                        self.calls.handle_acknowledgement(now, &ack);
                    }
                }
                Output::KeepAudio { record, clip } => self.evidence.keep(record, clip),
                Output::Record(cdr) => {
                    self.figures.note_call(&cdr);
                    self.store.record_call(*cdr);
                }
                Output::Measure(measure) => self.measure(now, &measure),
            }
        }
    }

    /// A call's media is no more, or never was: the call is in progress no longer.
    fn leave(&mut self, voice: VoiceId) {
        self.active.remove(&voice);
        self.live.ends(voice);
    }

    fn measure(&mut self, now: Instant, measure: &Measure) {
        match measure {
            Measure::Committed { pressed_at, origin, lists, campaign, digits } => {
                let metrics = &self.figures.metrics;
                metrics.optout_committed(now.saturating_duration_since(*pressed_at));
                for list in lists {
                    metrics.opted_out(origin.as_str(), list, Some(campaign), Some(digits));
                }
            }
            Measure::NotRecorded => self.figures.note_not_recorded(),
            Measure::Stranger => self.totals.strangers += 1,
            Measure::WrongCode => self.totals.wrong_code += 1,
            Measure::CallLost => self.totals.calls_lost += 1,
        }
    }

    /// Shows the metrics page how this shard stands.
    fn publish(&self) {
        let mut snapshot = self.totals.snapshot(self.calls.endpoint().counters());
        snapshot.ports_in_use(self.ports_in_use() as u64);
        snapshot.refused("inbox_full", self.inbox.full());
        snapshot.refused("audio_lost", self.evidence.lost());
        self.figures.metrics.publish("shard-0", snapshot);
        for (at, media) in self.media.iter().enumerate() {
            let mut snapshot = Snapshot::default();
            let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            snapshot.rtp_packets("received", total(&media.figures.received));
            snapshot.rtp_packets("sent", total(&media.figures.sent));
            snapshot.refused("media_tick_missed", total(&media.figures.ticks_missed));
            snapshot.refused("media_beat_deaf", total(&media.figures.beats_deaf));
            snapshot.refused("media_voice_lost", total(&media.figures.voices_lost));
            self.figures.metrics.publish(&format!("media-{at}"), snapshot);
        }
    }

    fn media_of(&self, voice: VoiceId) -> &MediaHandle {
        let at = usize::try_from(voice.0).unwrap_or_default() % self.media.len();
        &self.media[at]
    }

    /// Opens the ports of a call and hands them to its media thread.
    fn open_voice(
        &mut self,
        now: Instant,
        voice: VoiceId,
        listeners: [ListenerId; 2],
        legs_count: u8,
    ) {
        let mut pairs: Vec<MediaPair> = Vec::with_capacity(2);
        let mut addresses = Vec::with_capacity(2);
        for listener in listeners.iter().take(usize::from(legs_count)) {
            match self.open_pair(now, *listener) {
                Some((pair, advertised)) => {
                    pairs.push(pair);
                    addresses.push(advertised);
                }
                None => {
                    for pair in pairs {
                        self.give_back(now, pair.rtp_address());
                    }
                    self.leave(voice);
                    return self.calls.handle_voice_opened(now, voice, None);
                }
            }
        }
        let seed = self.tokens.next_seed();
        self.media_of(voice).tell(ToMedia::Open(voice, pairs, seed));
        let opened = match *addresses {
            [a, b] => Some(OpenedVoice { addresses: [a, b] }),
            [a] => Some(OpenedVoice { addresses: [a, a] }),
            _ => None,
        };
        self.calls.handle_voice_opened(now, voice, opened);
    }

    fn open_pair(&mut self, now: Instant, listener: ListenerId) -> Option<(MediaPair, SocketAddr)> {
        let line = self.lines.get(usize::from(listener.0))?;
        let (_, pool) = self.pools.get_mut(line.pool)?;
        let pair = pool.open(now).ok()?; // The pool counts why not.
        let mut advertised = pair.rtp_address();
        advertised.set_ip(line.media_advertised);
        Some((pair, advertised))
    }

    fn give_back(&mut self, now: Instant, address: SocketAddr) {
        if let Some((_, pool)) = self.pools.iter_mut().find(|(ip, _)| *ip == address.ip()) {
            pool.give_back(now, address.port());
        }
    }

    fn ports_in_use(&self) -> usize {
        self.pools.iter().map(|(_, pool)| pool.in_use()).sum()
    }

    fn flush(&mut self) {
        for line in &mut self.lines {
            line.socket.send_batch(&mut line.queue);
        }
    }
}

/// The next whole number of timer steps.
fn round_up(duration: Duration) -> Duration {
    let step = TIMER_STEP.as_nanos();
    let nanos = duration.as_nanos().div_ceil(step).saturating_mul(step);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
