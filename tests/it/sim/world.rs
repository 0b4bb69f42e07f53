//! The simulated world: virtual time, and everybody who lives in it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::time::Duration;
use std::time::Instant;

use bajavoz::call::Acknowledgement;
use bajavoz::call::OpenedVoice;
use bajavoz::call::Output;
use bajavoz::call::VoiceCommand;
use bajavoz::call::VoiceEvent;
use bajavoz::call::VoiceId;
use bajavoz::cli::phones::Carrier;
use bajavoz::cli::phones::Phone;
use bajavoz::cli::phones::Script;
use bajavoz::suppression::Durable;
use bajavoz::suppression::Fact;

use super::dice::Dice;
use super::ledger::Kept;
use super::ledger::Ledger;
use super::network::CARRIER;
use super::network::Datagram;
use super::network::ENGINE;
use super::network::caller_rtp;
use super::network::caller_sip;
use super::node::Node;
use super::node::Said;
use super::plan::Plan;
use super::witness::Witness;

/// The way between a call and its media: a channel between two threads.
const CHANNEL: Duration = Duration::from_micros(200);

/// When everything must be quiet: the last call begins before 10 s and lasts less than 80 s, and
/// the last transaction is forgotten 64*T1 = 32 s after it, the last session 32 s before that.
const END: Duration = Duration::from_secs(240);

/// Steps after which a campaign turns in circles.
const STEPS_MAX: u64 = 400_000;

/// Something that will happen.
pub(super) enum Happening {
    Arrives(Datagram),
    Opened(u64, VoiceId, Option<usize>),
    Commanded(u64, VoiceId, VoiceCommand),
    Told(u64, VoiceId, VoiceEvent),
    Ticks(u64, VoiceId),
    Written(u64, Box<Kept>),
    Answered(u64, Acknowledgement),
    CallBegins(usize),
    StrangerSends,
    Drains,
    Crashes,
}

/// The world of one campaign.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) zero: Instant,
    pub(super) now: Instant,
    pub(super) dice: Dice,
    agenda: BinaryHeap<Reverse<(Instant, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    next: u64,
    pub(super) life: u64,
    pub(super) node: Node,
    pub(super) ledger: Ledger,
    pub(super) callers: Vec<Option<Phone>>,
    pub(super) carrier: Carrier,
    pub(super) carrier_ports: u16,
    pub(super) witness: Witness,
    pub(super) steps: u64,
    seed: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a simulation's own zero of time")]
        let zero = Instant::now();
        let mut dice = Dice::new(seed);
        let plan = Plan::roll(&mut dice);
        let ledger = Ledger::new(plan.temper);
        let node = Node::start(zero, 0, &plan.style, &ledger, seed);
        let mut world = Self {
            zero,
            now: zero,
            agenda: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next: 0,
            life: 0,
            node,
            ledger,
            callers: plan.calls.iter().map(|_| None).collect(),
            carrier: Carrier::new(CARRIER, Script::default(), seed as u32),
            carrier_ports: 50_000,
            witness: Witness::new(&plan),
            dice,
            plan,
            seed,
            steps: 0,
        };
        world.plan_ahead();
        world
    }

    fn plan_ahead(&mut self) {
        for n in 0..self.plan.calls.len() {
            self.schedule(self.plan.calls[n].start_at, Happening::CallBegins(n));
        }
        if let Some(at) = self.plan.crash_at {
            self.schedule(at, Happening::Crashes);
        }
        if let Some(at) = self.plan.drain_at {
            self.schedule(at, Happening::Drains);
        }
        for n in 0..if self.plan.strangers { 200 } else { 0 } {
            self.schedule(Duration::from_millis(37 * n), Happening::StrangerSends);
        }
    }

    pub(super) fn schedule(&mut self, after: Duration, happening: Happening) {
        self.next += 1;
        self.agenda.push(Reverse((self.now + after, self.next)));
        self.happenings.insert(self.next, happening);
    }

    fn schedule_tick(&mut self, at: Option<Instant>, id: VoiceId) {
        if let Some(at) = at {
            self.schedule(at - self.now, Happening::Ticks(self.life, id));
        }
    }

    /// Lets everything happen, until nothing more does.
    pub(super) fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            let Some(at) = self.next_moment() else { return };
            if at > self.zero + END {
                return self
                    .witness
                    .fault(format!("something still happens at {:?}", at - self.zero));
            }
            self.now = self.now.max(at);
            self.steps += 1;
            self.step();
        }
        self.witness.fault("it turns in circles".to_owned());
    }

    fn next_moment(&self) -> Option<Instant> {
        let planned = self.agenda.peek().map(|Reverse((at, _))| *at);
        let callers = self.callers.iter().flatten().filter_map(Phone::poll_timeout).min();
        let others =
            [planned, callers, self.carrier.poll_timeout(), self.node.calls.poll_timeout()];
        others.into_iter().flatten().min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(&Reverse((at, id))) = self.agenda.peek() {
            if at > now {
                break;
            }
            self.agenda.pop();
            if let Some(happening) = self.happenings.remove(&id) {
                self.happen(happening);
            }
        }
        if self.node.calls.poll_timeout().is_some_and(|at| at <= now) {
            self.node.calls.handle_timeout(now);
            self.pump();
        }
        for n in 0..self.callers.len() {
            let Some(phone) = &mut self.callers[n] else { continue };
            if phone.poll_timeout().is_some_and(|at| at <= now) {
                phone.handle_timeout(now);
                self.pump_caller(n);
            }
        }
        if self.carrier.poll_timeout().is_some_and(|at| at <= now) {
            self.carrier.handle_timeout(now);
            self.pump_carrier();
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(datagram) => self.arrives(&datagram),
            Happening::Opened(life, id, legs) if life == self.life => self.opened(id, legs),
            Happening::Commanded(life, id, command) if life == self.life => {
                self.commanded(id, command);
            }
            Happening::Told(life, id, event) if life == self.life => {
                self.node.calls.handle_voice(self.now, id, event);
                self.pump();
            }
            Happening::Ticks(life, id) if life == self.life => {
                let mut said = Said::default();
                let next = self.node.tick(self.now, id, &mut said);
                self.schedule_tick(next, id);
                self.said(id, said);
            }
            Happening::Written(life, kept) if life == self.life => self.ledger.disk.push(*kept),
            Happening::Answered(life, answer) if life == self.life => {
                self.node.calls.handle_acknowledgement(self.now, &answer);
                self.pump();
            }
            Happening::CallBegins(n) => self.call_begins(n),
            Happening::StrangerSends => self.stranger_sends(),
            Happening::Drains => {
                self.node.calls.hang_up_all(self.now);
                self.pump();
            }
            Happening::Crashes => self.crash(),
            // Of an engine that has crashed meanwhile.
            Happening::Opened(..)
            | Happening::Commanded(..)
            | Happening::Told(..)
            | Happening::Ticks(..)
            | Happening::Written(..)
            | Happening::Answered(..) => {}
        }
    }

    fn call_begins(&mut self, n: usize) {
        let call = self.plan.calls[n].clone();
        let person = call.number.reveal();
        let other = format!("+3491000{n:04}");
        let is_caller = call.campaign.ends_with("calling");
        let (number, caller) = if is_caller { (other, person) } else { (person, other) };
        let phone = Phone::call(
            self.now,
            call.caller,
            caller_sip(n),
            caller_rtp(n),
            ENGINE,
            &number,
            &caller,
            &[("X-Campaign", call.campaign)],
            (self.seed as u32).wrapping_mul(31).wrapping_add(n as u32),
        );
        self.witness.name(phone.call_id(), n);
        self.callers[n] = Some(phone);
        self.pump_caller(n);
    }

    /// Carries out what the engine's calls want.
    pub(super) fn pump(&mut self) {
        while let Some(output) = self.node.calls.poll() {
            match output {
                Output::Transmit(transmit) => {
                    self.witness.leaves_engine(self.now, transmit.to, &transmit.bytes);
                    self.send(Datagram { from: ENGINE, to: transmit.to, bytes: transmit.bytes });
                }
                Output::OpenVoice { voice, legs_count, .. } => {
                    self.witness.opens(self.life, voice);
                    let is_slow = self.dice.chance(20);
                    let after =
                        if is_slow { self.dice.millis(300, 900) } else { self.dice.millis(0, 5) };
                    let legs = (!self.dice.chance(10)).then_some(usize::from(legs_count));
                    self.schedule(after, Happening::Opened(self.life, voice, legs));
                }
                Output::Voice { voice, command } => {
                    let (now, life) = (self.now, self.life);
                    self.witness.commands(now, life, voice, &command, &self.ledger);
                    self.schedule(CHANNEL, Happening::Commanded(life, voice, command));
                }
                Output::Submit { token, fact } => self.submit(token, *fact),
                Output::Record(cdr) => self.witness.records(self.life, &cdr),
                // No disk of ours keeps it, and nobody waits for it.
                Output::KeepAudio { .. } => {}
                Output::Measure(measure) => self.witness.measures(&measure),
            }
        }
    }

    fn submit(&mut self, token: u64, fact: Fact) {
        let (record, fate) = self.ledger.submit(&mut self.dice);
        self.witness.submits(self.now, self.life, record, &fact, fate);
        let life = self.life;
        if let Some(after) = fate.written_after {
            let at = self.now + after;
            self.schedule(after, Happening::Written(life, Box::new(Kept { record, fact, at })));
        }
        if let Some((after, is_success)) = fate.answered_after {
            let durable_at = bajavoz::model::UnixMicros(1);
            let durable = is_success.then_some(Durable { record, durable_at, is_pending: false });
            self.schedule(after, Happening::Answered(life, Acknowledgement { token, durable }));
        }
    }

    fn opened(&mut self, id: VoiceId, legs: Option<usize>) {
        let now = self.now;
        let opened: Option<OpenedVoice> = legs.map(|legs| self.node.open_voice(now, id, legs));
        if opened.is_some() {
            self.schedule(Duration::ZERO, Happening::Ticks(self.life, id));
        }
        self.node.calls.handle_voice_opened(now, id, opened);
        self.pump();
    }

    fn commanded(&mut self, id: VoiceId, command: VoiceCommand) {
        let mut said = Said::default();
        let tick_at = self.node.command(self.now, id, command, &mut said);
        self.schedule_tick(tick_at, id);
        self.said(id, said);
    }

    pub(super) fn said(&mut self, id: VoiceId, said: Said) {
        for datagram in said.rtp {
            self.send(datagram);
        }
        for event in said.events {
            self.schedule(CHANNEL, Happening::Told(self.life, id, event));
        }
    }

    fn crash(&mut self) {
        self.life += 1;
        self.ledger.restart();
        let style = &self.plan.style;
        self.node = Node::start(self.now, self.life, style, &self.ledger, self.seed);
        self.witness.crashes(&self.ledger);
    }
}
