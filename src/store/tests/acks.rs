//! When a fact counts as durable, where the database is to have it too.

use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::store::site::database_path;
use crate::suppression::Durable;
use crate::suppression::LedgerError;

/// A store whose answers wait as `ack` says, by the real clock.
fn open_by(dir: &std::path::Path, ack: AckPolicy) -> (Store, Receiver<Ack>) {
    let (acks, received) = channel();
    let clock: Clock = Arc::new(stand::wall_clock);
    let settings = Settings { ack, clock, ..settings(dir) };
    let on_ack = move |ack| acks.send(ack).expect("the test listens until the store is closed");
    (Store::open(settings, on_ack).expect("the store opens").0, received)
}

/// Somebody else's transaction, which keeps ours out until it is dropped.
fn lock(dir: &std::path::Path) -> Connection {
    let connection = Connection::open(database_path(dir)).expect("the database opens");
    connection.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes now");
    connection
}

fn submit(store: &Store, acks: &Receiver<Ack>, n: u64) -> Result<Durable, LedgerError> {
    store.submit(n, Fact::OptOut(Box::new(optout(n)))).expect("the queue has room");
    let ack = acks.recv_timeout(Duration::from_secs(20)).expect("every fact is answered");
    assert_eq!(ack.token, n);
    ack.result
}

/// Whether another connection sees the opt-out; nothing is waited for.
fn is_in_database(dir: &std::path::Path, n: u64) -> bool {
    let connection = Connection::open(database_path(dir)).expect("the database opens");
    let sql = "SELECT count(*) FROM optout WHERE number = ?1";
    let number = number(n).digits().cast_signed();
    connection.query_row(sql, [number], |row| row.get::<_, i64>(0)).expect("a count") > 0
}

#[test]
fn an_answer_says_whether_the_database_has_the_fact() {
    for policy in [AckPolicy::Both, AckPolicy::Store] {
        let dir = tempfile::tempdir().unwrap();
        let (store, acks) = open_by(dir.path(), policy);
        let durable = submit(&store, &acks, 1).expect("both work");
        assert!(!durable.is_pending && is_in_database(dir.path(), 1), "{policy:?}");
        assert!(!store.is_behind());

        let locked = lock(dir.path());
        let result = submit(&store, &acks, 2);
        match policy {
            AckPolicy::Both => assert!(result.is_ok_and(|durable| durable.is_pending)),
            _ => {
                let error = result.unwrap_err();
                assert!(
                    matches!(error, LedgerError::Unstored { record } if record.seq > 1),
                    "{error}"
                );
            }
        }
        assert!(store.is_behind() && !is_in_database(dir.path(), 2), "{policy:?}");
        assert_eq!(store.counters().acks_pending, 1);

        drop(locked);
        store.flush().expect("the database is written again");
        assert!(!store.is_behind() && is_in_database(dir.path(), 2), "{policy:?}");
        assert!(!submit(&store, &acks, 3).expect("both work").is_pending);
        store.close().unwrap();
    }
}

#[test]
fn a_store_that_is_closed_leaves_nobody_without_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (store, acks) = open_by(dir.path(), AckPolicy::Store);
    let locked = lock(dir.path());
    store.submit(1, Fact::OptOut(Box::new(optout(1)))).unwrap();
    store.close().unwrap();
    let answer = acks.recv().unwrap().result;
    assert!(matches!(answer, Err(LedgerError::Unstored { .. })), "{answer:?}");
    drop(locked);
    let (store, _acks) = open_by(dir.path(), AckPolicy::Journal);
    assert!(is_in_database(dir.path(), 1), "it is recovered from the journal");
    store.close().unwrap();
}
