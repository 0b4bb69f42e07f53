//! Two endpoints over a network that loses, doubles, delays and reorders: however a call goes,
//! it ends once on each side, is answered at most once, no key is told twice, and nothing is
//! left in any table. Every choice follows from the seed that a failure prints.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use super::*;

/// Seeds times calls a seed: 2,400 calls.
const SEEDS: u64 = 300;
const CALLS: u64 = 8;

const ADDRESSES: [&str; 2] = ["192.0.2.1:5060", "198.51.100.1:5060"];
const DIALER: usize = 0;
const CALLED: usize = 1;

/// Loss and doubling in percent, and the longest delay in milliseconds.
const NETWORKS: [(u64, u64, u64); 5] =
    [(0, 0, 2), (0, 30, 300), (5, 5, 60), (20, 20, 200), (40, 10, 100)];

#[derive(Debug)]
enum Step {
    Deliver(usize, Arc<[u8]>),
    Call,
    Order(usize, Order),
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Ring(SessionId),
    Answer(SessionId),
    Reject(SessionId),
    Cancel(SessionId),
    Bye(SessionId),
    Info(SessionId),
    Respond(TransactionId),
}

/// What became of one session.
#[derive(Debug, Default)]
struct Fate {
    answered: u32,
    ended: u32,
}

struct Sim {
    seed: u64,
    chance: TokenSource,
    network: (u64, u64, u64),
    ends: [Endpoint; 2],
    start: Instant,
    at_us: u64,
    steps: BTreeMap<(u64, u64), Step>,
    steps_made: u64,
    fates: [HashMap<SessionId, Fate>; 2],
    keys_sent: u64,
    keys_told: HashSet<Vec<u8>>,
}

#[test]
fn every_call_ends_once_on_both_sides() {
    let (mut answered, mut keys) = (0, 0);
    for seed in 0..SEEDS {
        let sim = Sim::run(seed);
        answered += sim.fates[DIALER].values().filter(|fate| fate.answered == 1).count();
        keys += sim.keys_told.len();
    }
    // Whatever the network does to single calls, most of what was wanted happens.
    assert!(answered > 600, "{answered} of {} calls were answered", SEEDS * CALLS);
    assert!(keys > 600, "{keys} keys were told");
}

impl Sim {
    fn run(seed: u64) -> Self {
        let mut sim = Self {
            seed,
            chance: TokenSource::new(Seed(seed, 99)),
            network: NETWORKS[seed as usize % NETWORKS.len()],
            ends: [0, 1].map(|side| endpoint(ADDRESSES[side], seed << 1 | side as u64)),
            start: zero(),
            at_us: 0,
            steps: BTreeMap::new(),
            steps_made: 0,
            fates: Default::default(),
            keys_sent: 0,
            keys_told: HashSet::new(),
        };
        for _ in 0..CALLS {
            let at_ms = sim.below(3_000);
            sim.plan(at_ms, Step::Call);
        }
        while sim.step() {}
        sim.check();
        sim
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.chance.next_u64() % limit
    }

    fn plan(&mut self, in_ms: u64, step: Step) {
        let jitter_us = self.below(1_000);
        self.steps_made += 1;
        self.steps.insert((self.at_us + in_ms * 1_000 + jitter_us, self.steps_made), step);
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.at_us)
    }

    /// Moves to the next thing that happens; false when nothing ever will.
    fn step(&mut self) -> bool {
        let timer = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
        let timer_us = timer.map(|at| at.saturating_duration_since(self.start).as_micros() as u64);
        let planned = self.steps.first_key_value().map(|(key, _)| key.0);
        let Some(next) = timer_us.into_iter().chain(planned).min() else { return false };
        assert!(next < 400_000_000, "seed {}: still going at {next} us", self.seed);
        // Timers keep nanoseconds; a microsecond more reaches them.
        self.at_us = self.at_us.max(next + u64::from(Some(next) != planned));
        let now = self.now();
        if planned == Some(next) {
            if let Some((_, step)) = self.steps.pop_first() {
                self.make(now, step);
            }
        } else {
            self.ends.iter_mut().for_each(|end| end.handle_timeout(now));
        }
        for side in [DIALER, CALLED] {
            while let Some(output) = self.ends[side].poll() {
                match output {
                    Output::Transmit(transmit) => self.transmit(side, &transmit),
                    Output::Event(event) => self.note(side, event),
                }
            }
        }
        true
    }

    fn transmit(&mut self, from: usize, transmit: &Transmit) {
        let (loss, double, delay_ms) = self.network;
        describe(&transmit.bytes);
        assert_eq!(transmit.to.to_string(), ADDRESSES[1 - from], "seed {}", self.seed);
        let copies = 1 + u64::from(self.below(100) < double);
        for _ in 0..copies {
            if self.below(100) >= loss {
                let in_ms = self.below(delay_ms);
                self.plan(in_ms, Step::Deliver(1 - from, Arc::clone(&transmit.bytes)));
            }
        }
    }

    fn make(&mut self, now: Instant, step: Step) {
        match step {
            Step::Deliver(to, bytes) => {
                let source = ADDRESSES[1 - to].parse().unwrap();
                self.ends[to].handle_datagram(now, ListenerId(0), source, &bytes);
            }
            Step::Call => self.call(now),
            Step::Order(side, order) => self.order(now, side, order),
        }
    }

    fn call(&mut self, now: Instant) {
        let ring_max_ms = 3_000 + self.below(60_000);
        let to = ADDRESSES[CALLED].parse().unwrap();
        let session = self.ends[DIALER].invite(now, invite(to, ring_max_ms)).unwrap();
        self.fates[DIALER].insert(session, Fate::default());
        if self.below(4) == 0 {
            let in_ms = self.below(6_000);
            self.plan(in_ms, Step::Order(DIALER, Order::Cancel(session)));
        }
    }

    fn order(&mut self, now: Instant, side: usize, order: Order) {
        let end = &mut self.ends[side];
        match order {
            Order::Ring(session) => end.ring(now, session, 180, Headers::new(), None),
            Order::Answer(session) => end.answer(now, session, Headers::new(), None),
            Order::Reject(session) => {
                end.reject(now, session, 486, "", Headers::new());
                // Gone now, whether by this or by what crossed it.
                if let Some(fate) = self.fates[side].get_mut(&session) {
                    fate.ended = fate.ended.max(1);
                }
            }
            Order::Cancel(session) => end.cancel(now, session, Headers::new()),
            Order::Bye(session) => end.bye(now, session, Headers::new()),
            Order::Info(session) => {
                self.keys_sent += 1;
                let bytes = self.keys_sent.to_string().into_bytes();
                end.info(now, session, Body { content_type: "text/plain".into(), bytes });
            }
            Order::Respond(transaction) => {
                end.respond(now, transaction, 200, Headers::new(), None);
            }
        }
    }

    fn note(&mut self, side: usize, event: Event) {
        match event {
            Event::Invited { session, .. } => self.invited(session),
            Event::Answered { session, .. } => {
                self.fate(side, session).answered += 1;
                self.live(side, session);
            }
            Event::Acknowledged { session, .. } => self.live(side, session),
            Event::Info { transaction, request, .. } => {
                let is_new = self.keys_told.insert(request.view().body().to_vec());
                assert!(is_new, "seed {}: a key was told twice", self.seed);
                let in_ms = self.below(40);
                self.plan(in_ms, Step::Order(side, Order::Respond(transaction)));
            }
            Event::LateInfo { request, .. } => {
                let is_new = self.keys_told.insert(request.view().body().to_vec());
                assert!(is_new, "seed {}: a key was told twice", self.seed);
            }
            Event::Progress { session, .. } => {
                assert_eq!(self.fate(side, session).answered, 0, "progress after the answer");
            }
            Event::Cancelled { session, .. }
            | Event::Refused { session, .. }
            | Event::HungUp { session, .. }
            | Event::Ended { session, .. } => self.fate(side, session).ended += 1,
            Event::Reoffered { .. } => panic!("seed {}: nobody offers anew", self.seed),
        }
    }

    /// The called side's plan for a call: ring, then answer or refuse.
    fn invited(&mut self, session: SessionId) {
        let known = self.fates[CALLED].insert(session, Fate::default());
        assert!(known.is_none(), "seed {}: told twice", self.seed);
        let ring_ms = self.below(300);
        self.plan(ring_ms, Step::Order(CALLED, Order::Ring(session)));
        let final_ms = 100 + self.below(8_000);
        let order =
            if self.below(5) == 0 { Order::Reject(session) } else { Order::Answer(session) };
        self.plan(final_ms, Step::Order(CALLED, order));
        if self.below(6) == 0 {
            self.plan(final_ms, Step::Order(CALLED, Order::Bye(session)));
        }
    }

    /// What a side does with a call that stands: some keys, then a BYE. The called side mostly
    /// leaves that to the dialer, so that a call which only the called side believes in shows.
    fn live(&mut self, side: usize, session: SessionId) {
        for _ in 0..self.below(4) {
            let in_ms = self.below(4_000);
            self.plan(in_ms, Step::Order(side, Order::Info(session)));
        }
        if side == DIALER || self.below(4) == 0 {
            let in_ms = self.below(5_000);
            self.plan(in_ms, Step::Order(side, Order::Bye(session)));
        }
    }

    fn fate(&mut self, side: usize, session: SessionId) -> &mut Fate {
        let fate = self.fates[side].get_mut(&session);
        fate.unwrap_or_else(|| panic!("seed {}: {session:?} never began", self.seed))
    }

    fn check(&self) {
        let seed = self.seed;
        assert!(self.fates[CALLED].len() <= CALLS as usize, "seed {seed}: a call came twice");
        for (side, fates) in self.fates.iter().enumerate() {
            for (session, fate) in fates {
                assert_eq!(fate.ended, 1, "seed {seed}: side {side} {session:?} {fate:?}");
                assert!(fate.answered <= 1, "seed {seed}: side {side} {session:?} {fate:?}");
            }
            let end = &self.ends[side];
            let left = (end.sessions_len(), end.transactions_len());
            assert_eq!(left, (0, 0), "seed {seed}: side {side}");
            assert!(end.by_key.is_empty() && end.by_request.is_empty(), "seed {seed}");
            let counters = end.counters();
            let refused = counters.headers_refused + counters.transmits_dropped;
            assert_eq!(refused + counters.unreadable, 0, "seed {seed}: {counters:?}");
        }
    }
}
