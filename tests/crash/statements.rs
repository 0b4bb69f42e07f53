//! Each kind of statement that SQLite is sent fails once, in the middle of its transaction.
//!
//! A shell on the file has the statement refused once its row was made: the statement alone is
//! undone, or nothing is and the transaction goes on, or all of it is rolled back behind our back.
//! Opt-outs are answered meanwhile; once statements work again the database catches up by itself.

use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;

use bajavoz::model::RecordId;
use bajavoz::model::UnixMicros;
use bajavoz::store::Settings;
use bajavoz::store::Store;
use bajavoz::store::StoreError;
use bajavoz::store::examine;
use bajavoz::suppression::Ack;
use bajavoz::suppression::Audio;
use bajavoz::suppression::AudioLoss;
use bajavoz::suppression::AudioResult;
use bajavoz::suppression::Authority;
use bajavoz::suppression::Cancelled;
use bajavoz::suppression::Confirmation;
use bajavoz::suppression::Fact;
use bajavoz::suppression::FactLedger;
use bajavoz::suppression::Outcome;
use bajavoz::suppression::Reversal;
use rusqlite::Connection;

use crate::facts;
use crate::files;
use crate::image::Disk;
use crate::watch::Watch;
use crate::watch::folder;

/// What is done, and to which table.
const STATEMENTS: [(&str, &str); 11] = [
    ("INSERT", "writer"),
    ("UPDATE", "writer"),
    ("INSERT", "fact"),
    ("INSERT", "optout"),
    ("INSERT", "suppressed"),
    ("INSERT", "number_key"),
    ("INSERT", "confirmation"),
    ("INSERT", "imports"),
    ("INSERT", "audio"),
    ("INSERT", "reversal"),
    ("INSERT", "reversed"),
];

/// How SQLite refuses (`RAISE`).
const WAYS: [&str; 3] = ["ABORT", "FAIL", "ROLLBACK"];

fn submit(store: &Store, acks: &Receiver<Ack>, token: u64, fact: Fact) -> RecordId {
    store.submit(token, fact).expect("the journal is sound");
    let ack = acks.recv().expect("every fact is answered");
    ack.result.expect("the journal is enough").record
}

/// Some of everything that is put on record.
fn submit_all(store: &Store, acks: &Receiver<Ack>, dir: &std::path::Path) {
    let optouts =
        [0, 1, 2].map(|n| submit(store, acks, n, Fact::OptOut(Box::new(facts::optout(n)))));
    let at = UnixMicros(1_795_293_999_000_000);
    let record = optouts[0];
    let confirmation = Confirmation { record, durable_at: at, at, outcome: Outcome::Played };
    submit(store, acks, 3, Fact::Confirmed(confirmation));
    submit(store, acks, 4, files::fact(files::segment(dir, 5)));
    let result = AudioResult::Lost { why: AudioLoss::Disk };
    submit(store, acks, 5, Fact::Audio(Audio { record, at, result }));
    let cancelled = Cancelled { record: optouts[1], lists: vec!["acme".into()] };
    let reversal = Reversal {
        number: facts::number(1),
        cancels: vec![cancelled],
        authority: Authority::LocalOperator,
        reason: "a test".to_owned(),
        actor: None,
        node: "madrid-1".into(),
        reversed_at: at,
    };
    submit(store, acks, 6, Fact::Reversal(Box::new(reversal)));
}

fn fails_once((what, table): (&str, &str), way: &str) {
    let name = format!("{what} {table}, {way}");
    let watch = Watch::of(folder(), Disk::default());
    let dir = watch.path();
    let (to_acks, acks) = channel();
    let opened = Store::open(Settings::new(dir, facts::clock()), move |ack: Ack| {
        // A test that has failed listens no more.
        let _ = to_acks.send(ack);
    });
    let (store, _recovered) = opened.expect("a sound disk");
    let shell = Connection::open(dir.join("bajavoz.sqlite")).expect("the database");
    let refuse = format!(
        "CREATE TRIGGER refuse AFTER {what} ON {table} BEGIN SELECT RAISE({way}, 'refused'); END"
    );
    shell.execute_batch(&refuse).unwrap_or_else(|error| panic!("{name}: {error}"));
    submit_all(&store, &acks, dir);
    let flushed = store.flush();
    assert!(matches!(flushed, Err(StoreError::Behind)), "{name}: it was not met");
    let rows = |table: &str| -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        shell.query_row(&sql, [], |row| row.get(0)).expect("the table can be counted")
    };
    assert!(rows("fact") <= 6, "{name}: all of it is there");
    let is_half = rows("optout") * 2 != rows("suppressed") || rows("optout") > rows("fact");
    assert!(!is_half, "{name}: half of a transaction was made");
    shell.execute_batch("DROP TRIGGER refuse").expect("the trigger goes");
    while let Err(error) = store.flush() {
        assert!(matches!(error, StoreError::Behind), "{name}: {error}");
    }
    store.close().expect("both threads end well");
    let counts =
        ["optout", "suppressed", "confirmation", "imports", "audio", "reversal", "reversed"];
    assert_eq!(counts.map(rows), [3, 6, 1, 1, 1, 1, 1], "{name}");
    drop(shell);
    let mut found = facts::found_in(dir, &name);
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2], "{name}");
    let examined = examine(dir, None, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(examined.faults.is_empty(), "{name}: {:?}", examined.faults);
}

#[test]
fn a_statement_that_is_refused_leaves_nothing_half_done_and_is_caught_up_with() {
    for statement in STATEMENTS {
        for way in WAYS {
            fails_once(statement, way);
        }
    }
}
