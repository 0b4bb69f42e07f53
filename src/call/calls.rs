//! All calls of one shard: the table, the gate in front of it, and the clock of each call.
//!
//! The driver feeds datagrams, voice events and acknowledgements, and carries out what
//! [`Calls::poll`] says. Each call's step is isolated: a panic in it loses that call only.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Instant;

use super::commit::Acknowledgement;
use super::gate;
use super::gate::Admitted;
use super::gate::Refused;
use super::machine::Call;
use super::machine::LegState;
use super::machine::Media;
use super::machine::Step;
use super::occupancy::Occupancy;
use super::output::LiveCall;
use super::output::Measure;
use super::output::Output;
use super::rules::Rules;
use super::voice::OpenedVoice;
use super::voice::VoiceCommand;
use super::voice::VoiceEvent;
use super::voice::VoiceId;
use crate::campaign::Mode;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::keyed::KeyedMap;
use crate::model::time::WallAnchor;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::record::Disposition;
use crate::sip::Endpoint;
use crate::sip::Event;
use crate::sip::Headers;
use crate::sip::ListenerId;
use crate::sip::OwnedMessage;
use crate::sip::SessionId;
use crate::suppression::Fact;
use crate::suppression::Index;
use crate::suppression::Leg;

/// The calls of one shard, with the SIP endpoint under them.
pub struct Calls {
    rules: Arc<Rules>,
    index: Arc<Index>,
    endpoint: Endpoint,
    wall: WallAnchor,
    tokens: TokenSource,
    /// Boxed: each step takes its call out of the table and puts it back.
    calls: KeyedMap<u64, Box<Call>>,
    by_session: KeyedMap<SessionId, (u64, Leg)>,
    by_token: KeyedMap<u64, u64>,
    /// One entry a call at most: its next deadline, also noted in the call.
    deadlines: BTreeSet<(Instant, u64)>,
    occupancy: Occupancy,
    /// Calls whose person's side rings, under each number that would forbid them.
    ringing: BTreeSet<(Number, u64)>,
    next_key: u64,
    open: bool,
    out: VecDeque<Output>,
}

impl Calls {
    /// No call yet.
    pub fn new(
        rules: Arc<Rules>,
        index: Arc<Index>,
        endpoint: Endpoint,
        wall: WallAnchor,
        seed: Seed,
    ) -> Self {
        let mut tokens = TokenSource::new(seed);
        Self {
            rules,
            index,
            endpoint,
            wall,
            calls: KeyedMap::with_hasher(tokens.next_keyed_hash()),
            by_session: KeyedMap::with_hasher(tokens.next_keyed_hash()),
            by_token: KeyedMap::with_hasher(tokens.next_keyed_hash()),
            tokens,
            deadlines: BTreeSet::new(),
            occupancy: Occupancy::default(),
            ringing: BTreeSet::new(),
            next_key: 0,
            open: true,
            out: VecDeque::new(),
        }
    }

    /// From now on calls begin under these rules; running ones keep theirs.
    pub fn reload(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    /// A newer reading of both clocks.
    pub fn set_wall(&mut self, wall: WallAnchor) {
        self.wall = wall;
    }

    /// False: no new call is taken, running ones go on.
    pub fn set_open(&mut self, open: bool) {
        self.open = open;
        self.endpoint.set_open(open);
    }

    /// Hangs up every call, as at the end of a drain; what was typed still counts.
    pub fn hang_up_all(&mut self, now: Instant) {
        let keys: Vec<u64> = self.calls.keys().copied().collect();
        for key in keys {
            self.step(now, key, |call, step| call.hang_up_by_us(step));
        }
        self.drain_endpoint(now);
    }

    /// Hangs up every leg, whatever its call still waits for: the caller stops behind this.
    pub fn leave_all(&mut self, now: Instant) {
        let keys: Vec<u64> = self.calls.keys().copied().collect();
        for key in keys {
            self.step(now, key, |call, step| call.leave_now(step));
        }
        self.drain_endpoint(now);
    }

    /// A datagram came in on a signalling socket.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        listener: ListenerId,
        source: SocketAddr,
        bytes: &[u8],
    ) {
        self.endpoint.handle_datagram(now, listener, source, bytes);
        self.drain_endpoint(now);
    }

    /// The RTP ports of a call are open, or could not be opened.
    pub fn handle_voice_opened(
        &mut self,
        now: Instant,
        voice: VoiceId,
        opened: Option<OpenedVoice>,
    ) {
        if opened.is_some() && !self.calls.contains_key(&voice.0) {
            // The caller gave up, and the ports took longer than the call.
            self.out.push_back(Output::Voice { voice, command: VoiceCommand::Close });
            return;
        }
        self.step(now, voice.0, |call, step| call.voice_opened(step, opened));
        self.drain_endpoint(now);
    }

    /// The media of a call has something to say.
    pub fn handle_voice(&mut self, now: Instant, voice: VoiceId, event: VoiceEvent) {
        self.step(now, voice.0, |call, step| call.voice_event(step, event));
        self.drain_endpoint(now);
    }

    /// The ledger answered a submission.
    pub fn handle_acknowledgement(&mut self, now: Instant, ack: &Acknowledgement) {
        if let Some(key) = self.by_token.remove(&ack.token) {
            self.step(now, key, |call, step| call.acknowledge(step, ack));
            self.drain_endpoint(now);
        }
    }

    /// `number` was opted out elsewhere (in another call, by hand, on another node), and the index
    /// knows it by now. A call of this shard that rings for it, and that the index now forbids,
    /// is refused like a new one: its INVITE to the carrier is cancelled, and the dialer gets what
    /// the gate would say. Calls that are up go on: the person has taken them.
    pub fn handle_opted_out(&mut self, now: Instant, number: Number) {
        let number = self.index.stored(number);
        let ringing = self.ringing.range((number, 0)..=(number, u64::MAX));
        let keys: Vec<u64> = ringing.map(|&(_, key)| key).collect();
        for key in keys {
            self.step(now, key, |call, step| call.opted_out_elsewhere(step));
        }
        self.drain_endpoint(now);
    }

    /// The opt-out of `record` is durable by now, of which its call had been told that it is not. Its
    /// audio was let go of then: where it was wanted, it is put on record that there is none.
    pub fn handle_written_late(&mut self, record: RecordId) {
        if self.rules.audio.is_some() {
            self.out.push_back(Output::KeepAudio { record, clip: None });
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.drain_endpoint(now);
        while let Some(&(at, key)) = self.deadlines.first() {
            if at > now {
                break;
            }
            self.step(now, key, |call, step| call.handle_timeout(step));
            self.drain_endpoint(now);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let call = self.deadlines.first().map(|&(at, _)| at);
        [call, self.endpoint.poll_timeout()].into_iter().flatten().min()
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// How many calls there are, those that only wait for their record among them.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The SIP endpoint's counters.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Carries out what the endpoint has to say, until it is silent.
    fn drain_endpoint(&mut self, now: Instant) {
        while let Some(output) = self.endpoint.poll() {
            match output {
                crate::sip::Output::Transmit(transmit) => {
                    self.out.push_back(Output::Transmit(transmit));
                }
                crate::sip::Output::Event(event) => self.handle_event(now, event),
            }
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event) {
        if let Event::Invited { session, listener, source, request } = event {
            return self.invited(now, session, listener, source, &request);
        }
        let Some(&(key, leg)) = self.by_session.get(&event.session()) else { return };
        self.step(now, key, |call, step| call.sip_event(step, leg, event));
    }

    fn invited(
        &mut self,
        now: Instant,
        session: SessionId,
        listener: ListenerId,
        source: SocketAddr,
        request: &OwnedMessage,
    ) {
        let message = request.view();
        let (rules, index) = (&self.rules, &self.index);
        let admitted = gate::admit(now, self.wall.wall_at(now), rules, index, source, &message)
            .and_then(|admitted| self.occupancy.fits(self.calls.len(), admitted));
        match admitted {
            Ok(admitted) => self.begin(now, (session, listener), source, &message, *admitted),
            Err(refused) => self.refuse(now, session, &message, *refused),
        }
    }

    fn begin(
        &mut self,
        now: Instant,
        (session, listener): (SessionId, ListenerId),
        source: SocketAddr,
        message: &crate::sip::Message<'_>,
        admitted: Admitted,
    ) {
        let trunk = Call::choose_trunk(&admitted.rules, &admitted.campaign.route, |name| {
            self.occupancy.on_trunk(name)
        })
        .map(Arc::clone);
        let is_bridge = admitted.campaign.mode == Mode::Bridge;
        if is_bridge && trunk.is_none() {
            let refused = Refused::full("trunks-full", &admitted);
            return self.refuse(now, session, message, refused);
        }
        let key = self.next_key;
        self.next_key += 1;
        let listener_b = trunk.as_ref().map_or(listener, |trunk| trunk.listener);
        self.occupancy.enter(&admitted, trunk.as_deref());
        let wall = self.wall.wall_at(now);
        let id = crate::model::CallId::new(wall, self.tokens.next_u64(), self.tokens.next_u64());
        let live = LiveCall {
            call: id,
            dialer: admitted.dialer.name.clone(),
            campaign: admitted.campaign.name.clone(),
            mode: admitted.campaign.mode,
            sip_call_id: admitted.sip_call_id.clone(),
            began_at: wall,
        };
        let call = Call::new(now, id, VoiceId(key), session, source, admitted, trunk);
        self.calls.insert(key, Box::new(call));
        self.by_session.insert(session, (key, Leg::A));
        self.out.push_back(Output::OpenVoice {
            voice: VoiceId(key),
            call: Box::new(live),
            legs_count: if is_bridge { 2 } else { 1 },
            listeners: [listener, listener_b],
        });
        self.arm(key);
    }

    fn refuse(
        &mut self,
        now: Instant,
        session: SessionId,
        message: &crate::sip::Message<'_>,
        refused: Refused,
    ) {
        let wall = self.wall.wall_at(now);
        let id = crate::model::CallId::new(wall, self.tokens.next_u64(), self.tokens.next_u64());
        let cdr = super::cdr::of_refusal(&self.rules, id, wall, message, &refused);
        tracing::debug!(
            call = %id, dialer = cdr.dialer.as_ref().map(tracing::field::display),
            status = refused.status, outcome = cdr.reason, "refused"
        );
        let Refused { status, phrase, headers, dialer, .. } = refused;
        if dialer.is_some() {
            self.endpoint.reject(now, session, status, &phrase, headers);
            self.out.push_back(Output::Record(Box::new(cdr)));
        } else {
            // A stranger costs no memory and no disk, and a forged source gets the refusal once.
            self.endpoint.dismiss(now, session, status, &phrase, headers);
            self.out.push_back(Output::Measure(Measure::Stranger));
        }
    }

    /// One step of one call, on its own: what panics loses this call and no other.
    fn step(&mut self, now: Instant, key: u64, act: impl FnOnce(&mut Call, &mut Step<'_>)) {
        let Some(mut call) = self.calls.remove(&key) else { return };
        let before = self.out.len();
        let span = call.span.clone();
        let _entered = span.enter();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut step = Step {
                now,
                wall: self.wall,
                endpoint: &mut self.endpoint,
                index: &self.index,
                tokens: &mut self.tokens,
                out: &mut self.out,
            };
            act(&mut call, &mut step);
        }));
        if result.is_err() {
            tracing::error!("a step of this call panicked; the call is lost");
            self.out.push_back(Output::Measure(Measure::CallLost));
            self.forget(now, key, call);
            return;
        }
        let mut opted_out = None;
        for output in self.out.iter().skip(before) {
            if let Output::Submit { token, fact } = output {
                self.by_token.insert(*token, key);
                if let Fact::OptOut(opt_out) = &**fact {
                    opted_out = Some(opt_out.number);
                }
            }
        }
        if let Some(b) = &call.b {
            self.by_session.insert(b.session, (key, Leg::B));
        }
        self.note_ringing(key, &mut call);
        if call.is_done() {
            self.finish(now, key, &call);
        } else {
            self.calls.insert(key, call);
            self.arm(key);
        }
        if let Some(number) = opted_out {
            self.handle_opted_out(now, number);
        }
    }

    /// Finds a call by its numbers for as long as it rings.
    fn note_ringing(&mut self, key: u64, call: &mut Call) {
        let rings = call.is_ringing();
        if rings == call.noted_ringing {
            return;
        }
        call.noted_ringing = rings;
        for number in call.admitted.numbers() {
            // Another node tells of it as the store keeps it.
            let number = self.index.stored(number);
            if rings {
                self.ringing.insert((number, key));
            } else {
                self.ringing.remove(&(number, key));
            }
        }
    }

    /// Notes when the call wants its next step.
    fn arm(&mut self, key: u64) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let at = call.poll_timeout();
        if at != call.armed_at {
            if let Some(before) = call.armed_at {
                self.deadlines.remove(&(before, key));
            }
            call.armed_at = at;
            self.deadlines.extend(at.map(|at| (at, key)));
        }
    }

    fn finish(&mut self, now: Instant, key: u64, call: &Call) {
        let cdr = super::cdr::of_call(call, self.wall, now);
        call.span.in_scope(|| {
            tracing::debug!(
                disposition = cdr.disposition.as_str(),
                status = cdr.sip_status,
                outcome = cdr.reason,
                "call ended"
            );
        });
        self.out.push_back(Output::Record(Box::new(cdr)));
        self.release(key, call);
    }

    /// Takes leave of a call that cannot go on.
    fn forget(&mut self, now: Instant, key: u64, mut call: Box<Call>) {
        for leg in [Leg::A, Leg::B] {
            let Some(target) = call.leg_mut(leg) else { continue };
            if target.state != LegState::Gone {
                target.state = LegState::Gone;
                self.endpoint.bye(now, target.session, Headers::new());
            }
        }
        if call.media == Media::Open {
            self.out.push_back(Output::Voice { voice: call.voice, command: VoiceCommand::Close });
        }
        call.disposition = Some(Disposition::Failed);
        self.note_ringing(key, &mut call);
        self.finish(now, key, &call);
    }

    fn release(&mut self, key: u64, call: &Call) {
        if let Some(at) = call.armed_at {
            self.deadlines.remove(&(at, key));
        }
        self.occupancy.leave(&call.admitted, call.trunk.as_deref());
        self.by_session.remove(&call.a.session);
        if let Some(b) = &call.b {
            self.by_session.remove(&b.session);
        }
        for token in &call.unacknowledged {
            self.by_token.remove(token);
        }
        debug_assert!(!self.calls.contains_key(&key), "a released call is out of the table");
    }
}
