//! The store as a whole, on real files: what is acknowledged is found again, once.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;

use super::*;
use crate::model::ListName;
use crate::model::Number;
use crate::suppression::Ack;
use crate::suppression::Confirmation;
use crate::suppression::Fact;
use crate::suppression::FactLedger;
use crate::suppression::Index;
use crate::suppression::OptOut;
use crate::suppression::Origin;
use crate::suppression::Outcome;
use crate::suppression::export::Filter;

/// A clock that goes on by a millisecond at each reading.
fn clock() -> Clock {
    let now = Mutex::new(1_795_293_016_000_000);
    Arc::new(move || {
        let mut now = now.lock().expect("no reader of the clock panics");
        *now += 1_000;
        UnixMicros(*now)
    })
}

fn settings(dir: &std::path::Path) -> Settings {
    Settings { segment_bytes: 16 * 1024, ..Settings::new(dir, clock()) }
}

fn number(n: u64) -> Number {
    Number::from_e164_digits(34_600_000_000 + n).expect("the number is E.164")
}

fn optout(n: u64) -> OptOut {
    OptOut {
        number: number(n),
        lists: vec!["global".into(), "acme".into()],
        account: Some("acme".into()),
        campaign: Some("spring".into()),
        dialer: Some("vicidial".into()),
        trunk: None,
        digits: "9".parse().expect("9 is a key"),
        method: None,
        origin: Origin::DialledCode,
        sip_call_id: Some(format!("call-{n}@host")),
        leg: None,
        node: "madrid-1".into(),
        call: None,
        prompt_sha256: Some([7; 32]),
        key_events: Vec::new(),
        actor: None,
        reason: None,
        pressed_at: UnixMicros(1_795_000_000_000_000 + n.cast_signed()),
    }
}

fn open(dir: &std::path::Path) -> (Store, Recovered, Receiver<Ack>) {
    let (acks, received) = channel();
    let (store, recovered) = Store::open(settings(dir), move |ack| {
        acks.send(ack).expect("the test listens until the store is closed");
    })
    .expect("the store opens");
    (store, recovered, received)
}

#[test]
fn what_is_acknowledged_is_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, recovered, acks) = open(dir.path());
    assert_eq!(recovered, Recovered::default());
    for n in 0..100 {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
    }
    let mut records = Vec::new();
    for n in 0..100 {
        let ack = acks.recv().unwrap();
        assert_eq!(ack.token, n, "answers come in the order of the questions");
        records.push(ack.result.unwrap());
    }
    let confirmation = Confirmation {
        record: records[3].record,
        durable_at: records[3].durable_at,
        at: UnixMicros(1_795_293_999_000_000),
        outcome: Outcome::Played,
    };
    store.submit(100, Fact::Confirmed(confirmation)).unwrap();
    store.flush().unwrap();
    let entries = store.reader().unwrap().show(number(3)).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].optout, optout(3));
    assert_eq!(entries[0].confirmed_at, Some(confirmation.at));
    assert_eq!(entries[0].durable_at, Some(records[3].durable_at));
    store.close().unwrap();

    let (store, recovered, _acks) = open(dir.path());
    assert_eq!(recovered, Recovered::default(), "the database had it all");
    let reader = store.reader().unwrap();
    assert_eq!(reader.count(&Filter::default()).unwrap(), 100);
    let index = Index::default();
    assert_eq!(reader.fill(&index).unwrap(), (200, 0));
    let lists = index.mask([&ListName::from("acme")]).unwrap();
    let hit = index.check(number(42), lists, &"any".into(), &"any".into()).unwrap();
    assert_eq!(hit.record, Some(records[42].record));
}

#[test]
fn the_database_is_rebuilt_from_the_journal_when_it_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    for n in 0..50 {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
    }
    acks.iter().take(50).for_each(|ack| assert!(ack.result.is_ok()));
    store.close().unwrap();
    for name in ["bajavoz.sqlite", "bajavoz.sqlite-wal", "bajavoz.sqlite-shm"] {
        let path = dir.path().join(name);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let (archive, recovered) = Archive::open_exclusive(dir.path()).unwrap();
    assert_eq!((recovered.facts, recovered.rebuilt), (50, true));
    let entries = archive.reader().unwrap().show(number(49)).unwrap();
    assert_eq!(entries[0].optout, optout(49));
}

#[test]
fn two_processes_never_share_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path());
    let error = Archive::open_exclusive(dir.path()).unwrap_err().to_string();
    let held = format!("is held by process {}", std::process::id());
    assert!(error.ends_with(&held), "{error}");
    store.close().unwrap();
    assert!(Archive::open_exclusive(dir.path()).is_ok());
}
