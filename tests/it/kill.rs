//! `kill -9` at any moment: whoever heard a confirmation begin, or was hung up on for an opt-out,
//! is in the export afterwards, and nobody who did not press.
//!
//! Rounds go on one store, each with numbers of its own. While people call and press, the engine
//! is killed; then it starts again on the same store. The campaign has no greeting and its prompt
//! for failures is silence, so that the first sound from the engine is a confirmation.
//!
//! The same with PostgreSQL under the store, where every other blow hits the server too, and rounds
//! take turns at when an opt-out counts as recorded (`store.ack`). What was promised with `store` is
//! in the server's tables before anybody forwards anything; all else is there after the journal was.
//!
//! `BAJAVOZ_KILL_ROUNDS=200` plays more rounds than the gate, `BAJAVOZ_KILL_SEED=7` those of that
//! seed again.

use std::collections::HashSet;
use std::io;
use std::io::Write;
use std::time::Duration;

use bajavoz::cli::phones::PhoneReport;
use bajavoz::cli::phones::PressMethod;
use bajavoz::cli::phones::Script;

use crate::cluster::Cluster;
use crate::cluster::TestDatabase;
use crate::harness::dice::Dice;
use crate::harness::machine;
use crate::harness::number_from;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::phones::Phones;
use crate::harness::site::Engine;
use crate::harness::site::Site;
use crate::harness::site::Wishes;

/// Rounds in the gate, on SQLite and on PostgreSQL.
const ROUNDS: u64 = 20;
const SERVER_ROUNDS: u64 = 3;

/// Whose word an answer waits for, round by round.
const ACKS: [&str; 3] = ["both", "store", "journal"];

/// Calls of a round.
const CALLS: u64 = 40;

/// Calls of a round begin within this time, and keys are pressed as long after the answer.
const SPREAD: Duration = Duration::from_millis(1_000);

/// The blow comes between these times from the round's begin: before the first key, and after
/// the last confirmation.
const BLOW: std::ops::Range<u64> = 100..3_500;

/// How long phones still read what the engine sent before it died.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// One call in so many presses another key than the code, and one presses none.
const OTHERS: u64 = 8;

/// What was promised and what was wished, over all rounds.
#[derive(Debug, Default)]
struct Ledger {
    /// Heard a confirmation, or was told by BYE that the opt-out is made.
    promised: HashSet<String>,
    /// Pressed the code, whether or not anybody heard it.
    pressed: HashSet<String>,
}

impl Ledger {
    fn note(&mut self, number: &str, report: &PhoneReport) {
        let told = report.outcome.as_deref().is_some_and(|told| told.starts_with("opt-out"));
        if told || report.heard.loud_frames > 0 {
            self.promised.insert(number.to_owned());
        }
    }
}

fn number(round: u64, call: u64) -> String {
    format!("+34611{round:03}{call:03}")
}

/// What the person of a call does; whether that is the code.
fn script(dice: &mut Dice, call: u64) -> (Script, bool) {
    let at = Duration::from_millis(100) + dice.moment(SPREAD);
    let methods = [PressMethod::Event, PressMethod::Tone, PressMethod::Info];
    let method = methods[dice.roll(3) as usize];
    match call % OTHERS {
        0 => (Script::default(), false),
        1 => (Script::pressing('5', at, method), false),
        _ => (Script::pressing('9', at, method), true),
    }
}

/// The server under a store.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) cluster: Cluster,
    database: TestDatabase,
    /// Promised while the server's own word was waited for.
    in_it: HashSet<String>,
}

impl Server {
    /// The numbers in its tables, each of which is there once and was pressed.
    fn numbers(&self, pressed: &HashSet<String>, again: &str) -> HashSet<String> {
        let mut found = HashSet::new();
        for digits in self.database.psql("SELECT number FROM optout").lines() {
            let number = format!("+{digits}");
            assert!(pressed.contains(&number), "{again}: {number} never pressed 9");
            assert!(found.insert(number), "{again}: +{digits} twice in the server's tables");
        }
        found
    }
}

/// Rounds on one store, each of which an engine does not survive.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) site: Site,
    /// Where the store's database is on a server.
    pub(crate) server: Option<Server>,
    pub(crate) dice: Dice,
    ledger: Ledger,
    rounds: u64,
    /// How to play the same again.
    again: String,
}

impl Trial {
    /// The same on a server.
    pub(crate) fn on(cluster: Cluster, name: &str, rounds: u64) -> Self {
        let trial = Self::new(name, rounds);
        let database = cluster.database();
        std::fs::write(trial.site.config().join("url"), database.url()).expect("our folder");
        let here = "path = \"../data\"\n";
        let there = "database = \"postgres\"\nurl = { file = \"url\" }\nack = \"journal\"\n";
        trial.site.rewrite(here, &format!("{here}{there}"));
        let server = Some(Server { cluster, database, in_it: HashSet::new() });
        Self { server, ..trial }
    }

    /// What the server under the store answers to `sql`.
    pub(crate) fn ask_server(&self, sql: &str) -> String {
        self.server.as_ref().expect("it is on a server").database.psql(sql)
    }

    /// `rounds` of them, or as many as `BAJAVOZ_{name}_ROUNDS` says.
    pub(crate) fn new(name: &str, rounds: u64) -> Self {
        let (rounds_name, seed_name) =
            (format!("BAJAVOZ_{name}_ROUNDS"), format!("BAJAVOZ_{name}_SEED"));
        let rounds = number_from(&rounds_name).unwrap_or(rounds);
        let seed = number_from(&seed_name).unwrap_or_else(|| std::process::id().into());
        let wishes = Wishes { greeting: "[]", is_failure_silent: true, ..Wishes::default() };
        Self {
            site: Site::with(wishes),
            server: None,
            dice: Dice::new(seed),
            ledger: Ledger::default(),
            rounds,
            again: format!("{seed_name}={seed} {rounds_name}={rounds}"),
        }
    }

    /// Plays all rounds, each of which `blow` ends; what is on record is looked at after each, and
    /// an engine that starts afterwards refuses whoever was promised it.
    pub(crate) fn run(&mut self, mut blow: impl FnMut(&mut Self, Engine)) {
        let mut kept = 0;
        for number in 0..self.rounds {
            self.round(number, &mut blow);
            self.check_server(number);
            // The export by itself opens the store as the engine left it.
            kept = self.check(number);
        }
        let Self { ledger, again, .. } = &*self;
        let told = format!(
            "{again}: {} promised, {kept} on record, {} pressed\n",
            ledger.promised.len(),
            ledger.pressed.len(),
        );
        io::stderr().write_all(told.as_bytes()).expect("standard error takes text");
        let enough = self.rounds * CALLS / 10;
        assert!(ledger.promised.len() as u64 >= enough, "too few to prove anything: {told}");
        self.refused_again();
    }

    /// One round: calls, the blow, and what the phones had seen by then.
    fn round(&mut self, round: u64, blow: &mut impl FnMut(&mut Self, Engine)) {
        if self.server.is_some() {
            let ack = |round: u64| format!("ack = \"{}\"", ACKS[(round % 3) as usize]);
            self.site.rewrite(&ack(round + 2), &ack(round)); // The one before, and this one.
        }
        let engine = self.site.start();
        // Late and early by turns: a few rounds that all end early would prove nothing.
        let half = (BLOW.end - BLOW.start) / 2;
        let blow_after = BLOW.end - half * (round % 2 + 1) + self.dice.roll(half);
        let reports = phones::runtime().block_on(async {
            let mut phones = Phones::new();
            for call in 0..CALLS {
                let (script, is_code) = script(&mut self.dice, call);
                if is_code {
                    self.ledger.pressed.insert(number(round, call));
                }
                let call = Call::new(&number(round, call), "promo", script);
                phones.place(self.site.sip, call, self.dice.moment(SPREAD));
            }
            tokio::time::sleep(Duration::from_millis(blow_after)).await;
            blow(self, engine);
            tokio::time::sleep(LAST_WORDS).await;
            phones.stop().await
        });
        for (number, report) in reports {
            self.ledger.note(&number, &report);
        }
    }

    /// What the server has by itself, before anybody reads the journal: everything that rounds
    /// before this one promised, and this one if it waited for the server's word.
    fn check_server(&mut self, round: u64) {
        let Self { server: Some(server), ledger, .. } = self else { return };
        let again = format!("{}, round {round}", self.again);
        if ACKS[(round % 3) as usize] == "store" {
            server.in_it.clone_from(&ledger.promised);
        }
        let found = server.numbers(&ledger.pressed, &again);
        let lost: Vec<_> = server.in_it.difference(&found).collect();
        assert!(lost.is_empty(), "{again}: promised, and not in the server's tables: {lost:?}");
    }

    /// The export must hold whoever was promised it, and nobody else than who pressed.
    fn check(&mut self, round: u64) -> usize {
        let again = format!("{}, round {round}", self.again);
        let mut found = HashSet::new();
        for entry in &self.site.export() {
            let number = entry.optout.number.reveal().to_string();
            assert_eq!(entry.optout.digits.to_string(), "9", "{again}: {number}");
            assert!(self.ledger.pressed.contains(&number), "{again}: {number} never pressed 9");
            assert!(found.insert(number.clone()), "{again}: {number} twice");
        }
        let lost: Vec<_> = self.ledger.promised.difference(&found).collect();
        assert!(lost.is_empty(), "{again}: promised, and not in the export: {lost:?}");
        if let Some(server) = &mut self.server {
            assert_eq!(server.numbers(&self.ledger.pressed, &again), found, "{again}: it forwards");
            server.in_it.clone_from(&found);
        }
        found.len()
    }

    /// The engine that starts last refuses everybody who was promised it.
    fn refused_again(&self) {
        let engine = self.site.start();
        for number in self.ledger.promised.iter().take(20) {
            let report = phones::call(self.site.sip, Call::new(number, "promo", Script::default()));
            assert_eq!(report.status, Some(603), "{}: {number} was called again", self.again);
        }
        assert!(engine.stop().success());
    }
}

#[test]
fn a_killed_engine_has_kept_every_promise() {
    let _machine = machine();
    Trial::new("KILL", ROUNDS).run(|_trial, engine| engine.kill());
}

#[test]
fn an_engine_killed_on_a_server_that_falls_with_it_has_kept_every_promise() {
    let _machine = machine();
    let mut trial = Trial::on(Cluster::start(), "KILL", SERVER_ROUNDS);
    trial.run(|trial, engine| {
        let Trial { server: Some(server), dice, .. } = trial else { return };
        // The engine first, the server first, or the engine alone.
        let order = dice.roll(4);
        if order == 1 {
            server.cluster.crash();
        }
        engine.kill();
        if order < 2 {
            server.cluster.crash();
            server.cluster.start_again();
        }
    });
}
