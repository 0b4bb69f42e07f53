//! Random histories against a model: opt-outs, confirmations, closing, opening again, copies
//! taken of a running store as a crash would leave it, and a database that is lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::model::RecordId;
use crate::model::token::Seed;
use crate::model::token::TokenSource;

/// What must be on record: each opt-out by record, and whether it was confirmed.
type Model = BTreeMap<RecordId, (Number, bool)>;

struct Run {
    stand: Stand,
    open: Option<(Store, Receiver<Ack>)>,
    model: Model,
    next: u64,
}

impl Run {
    fn store(&mut self) -> &(Store, Receiver<Ack>) {
        self.open.get_or_insert_with(|| {
            let (store, _recovered, acks) = self.stand.open();
            (store, acks)
        })
    }

    fn add(&mut self, n: u64) {
        let token = self.next;
        self.next += 1;
        let fact = Fact::OptOut(Box::new(optout(n)));
        let (store, acks) = self.store();
        store.submit(token, fact).expect("the queue has room");
        let durable = acks.recv().expect("every fact is answered").result.expect("the disk works");
        self.model.insert(durable.record, (number(n), false));
    }

    fn confirm(&mut self, n: u64) {
        let Some((record, _)) = self.model.iter().nth(n as usize % self.model.len().max(1)) else {
            return;
        };
        let record = *record;
        let confirmation = Confirmation {
            record,
            durable_at: UnixMicros(1),
            at: UnixMicros(2),
            outcome: Outcome::Played,
        };
        let (store, acks) = self.store();
        store.submit(0, Fact::Confirmed(confirmation)).expect("the queue has room");
        acks.recv().expect("every fact is answered").result.expect("the disk works");
        self.model.entry(record).and_modify(|entry| entry.1 = true);
    }

    fn close(&mut self) {
        if let Some((store, _acks)) = self.open.take() {
            store.close().expect("both threads end well");
        }
    }

    /// What a crash leaves: the journal and the keys, with the database or without.
    fn crash_copy(&self, with_database: bool) -> Stand {
        if let Some((store, _acks)) = &self.open
            && with_database
        {
            // A database that is being written cannot be copied file by file.
            store.flush().expect("the threads live");
        }
        let copy = if with_database { self.stand.another_node() } else { self.stand.anew() };
        copy_files(self.stand.path(), copy.path(), with_database);
        copy_journal(self.stand.path(), copy.path());
        copy
    }
}

/// A copy of the whole store in `from`, as a crash would leave it.
pub(super) fn copy_store(from: &Path, to: &Path) {
    copy_files(from, to, true);
    copy_journal(from, to);
}

fn copy_journal(from: &Path, to: &Path) {
    let journal = from.join("journal");
    if journal.exists() {
        fs::create_dir(to.join("journal")).expect("the copy is new");
        copy_files(&journal, &to.join("journal"), true);
    }
}

fn copy_files(from: &Path, to: &Path, with_database: bool) {
    for entry in fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("it can be listed");
        let name = entry.file_name();
        let name = name.to_str().expect("our names are text");
        let is_wanted = with_database || !name.starts_with("bajavoz.sqlite");
        if entry.path().is_file() && !name.starts_with("spare") && is_wanted {
            fs::copy(entry.path(), to.join(name)).expect("it can be copied");
        }
    }
}

fn on_record(stand: &Stand) -> Model {
    let (archive, _recovered) = stand.archive();
    let mut model = Model::new();
    let reader = archive.reader().expect("the database can be read");
    reader
        .export(&Filter::default(), |entry| {
            let is_confirmed = entry.outcome == Some(Outcome::Played);
            let known = model.insert(entry.record, (entry.optout.number, is_confirmed));
            assert_eq!(known, None, "a record is there twice");
            ControlFlow::Continue(())
        })
        .expect("the rows are opt-outs");
    model
}

fn play(seed: Seed, stand: Stand) {
    let mut tokens = TokenSource::new(seed);
    let mut run = Run { stand, open: None, model: Model::new(), next: 0 };
    for step in 0..40 {
        let n = tokens.next_u64() % 50;
        match tokens.next_u64() % 16 {
            0..=8 => run.add(n),
            9..=11 => run.confirm(n),
            12 => run.close(),
            13 => {
                let copy = run.crash_copy(tokens.next_u64().is_multiple_of(2));
                assert_eq!(on_record(&copy), run.model, "{seed:?}, step {step}: crash");
            }
            14 => {
                run.close();
                run.stand.lose_database();
            }
            _ => {
                run.close();
                assert_eq!(on_record(&run.stand), run.model, "{seed:?}, step {step}: opened");
            }
        }
    }
    run.close();
    assert_eq!(on_record(&run.stand), run.model, "{seed:?}: the end");
}

fn any_history_leaves_exactly_what_was_acknowledged(stand: &Stand) {
    for seed in 0..8 {
        play(Seed(2026, seed), stand.anew());
    }
}

on_both! { any_history_leaves_exactly_what_was_acknowledged }
