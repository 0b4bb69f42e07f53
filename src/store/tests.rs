//! The store as a whole, on real files: what is acknowledged is found again, once.

mod acks;
mod audio;
mod backup;
pub(crate) mod cluster;
mod erasure;
mod exam;
mod faults;
mod fill;
mod follow;
mod history;
mod imports;
mod kill;
pub(crate) mod portable;
mod privacy;
mod proxy;
mod retention;
mod reversals;
mod round_trip;
mod sample;
pub(crate) mod server;
mod signing;
pub(crate) mod stand;
mod transfer;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;

use super::*;
use crate::model;
use crate::model::CallId;
use crate::model::ListName;
use crate::model::Number;
use crate::record::CallMode;
use crate::record::Cdr;
use crate::record::Disposition;
use crate::record::KeyCounts;
use crate::record::LegRecord;
use crate::suppression;
use crate::suppression::Ack;
use crate::suppression::Confirmation;
use crate::suppression::Fact;
use crate::suppression::FactLedger;
use crate::suppression::Index;
use crate::suppression::List;
use crate::suppression::OptOut;
use crate::suppression::Origin;
use crate::suppression::Outcome;
use crate::suppression::Scope;
use crate::suppression::export::Entry;
use crate::suppression::export::Filter;
use sample::number;
pub(super) use sample::optout;
use stand::Stand;
use stand::on_both;
use stand::open_with;

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

fn open(dir: &std::path::Path) -> (Store, Recovered, Receiver<Ack>) {
    open_with(settings(dir))
}

on_both! {
    what_is_acknowledged_is_found_after_a_restart,
    the_topic_of_an_opt_out_is_read_back,
    whose_key_is_lost_is_missed_and_not_called,
    two_processes_never_share_a_store,
    calls_are_kept_and_found_by_what_they_were,
    opt_outs_are_found_by_every_condition,
    a_list_beyond_the_64th_is_left_out_since_nobody_can_ask_for_it,
}

fn what_is_acknowledged_is_found_after_a_restart(stand: &Stand) {
    let (store, recovered, acks) = stand.open();
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

    let (store, recovered, _acks) = stand.open();
    assert_eq!(recovered, Recovered::default(), "the database had it all");
    let reader = store.reader().unwrap();
    assert_eq!(reader.count(&Filter::default()).unwrap(), 100);
    let index = Index::default();
    assert_eq!(reader.fill(&index).unwrap(), (200, 0));
    let lists = index.mask([&ListName::from("acme")]).unwrap();
    let hit = index.check(number(42), lists, &"any".into(), &"any".into()).unwrap();
    assert_eq!(hit.record, Some(records[42].record));
}

fn the_topic_of_an_opt_out_is_read_back(stand: &Stand) {
    let (store, _recovered, acks) = stand.open();
    let topic = Some("energy".into());
    let optout = OptOut { lists: vec!["themes".into()], topic, ..optout(1) };
    store.submit(1, Fact::OptOut(Box::new(optout.clone()))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.flush().unwrap();
    let read = || {
        let themes = List { name: "themes".into(), title: String::new(), scope: Scope::Topic };
        let index = Index::new(&[themes]).unwrap();
        let topics = [("spring", "gas"), ("autumn", "energy"), ("winter", "water")];
        let topics = topics.map(|(name, topic)| (name.into(), Some(topic.into())));
        index.set_topics(topics.into());
        index
    };
    let refused = |index: &Index| {
        let lists = index.mask([&ListName::from("themes")]).unwrap();
        ["spring", "autumn", "winter"].map(|campaign| {
            index.check(number(1), lists, &"acme".into(), &campaign.into()).is_some()
        })
    };
    let index = read();
    store.reader().unwrap().fill(&index).unwrap();
    assert_eq!(refused(&index), [true, true, false], "by its record and by its campaign");
    let index = read();
    store.fill_from_journal(&index).unwrap();
    assert_eq!(refused(&index), [true, true, false], "by the journal");
    assert_eq!(store.reader().unwrap().show(number(1)).unwrap()[0].optout, optout);
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
fn a_first_start_that_was_cut_short_within_its_database_is_done_again() {
    let (stand, kept) = (Stand::sqlite(), tempfile::tempdir().unwrap());
    let names = ["bajavoz.sqlite", "bajavoz.sqlite-journal"];
    let shell = rusqlite::Connection::open(kept.path().join(names[0])).unwrap();
    shell.execute_batch("CREATE TABLE half (body); PRAGMA cache_size = 2; BEGIN").unwrap();
    // More than it keeps in memory, so that it writes before it has committed.
    for _page in 0..200 {
        shell.execute("INSERT INTO half VALUES (zeroblob(4096))", []).unwrap();
    }
    let of = |dir: &std::path::Path| names.map(|name| dir.join(name));
    for (from, to) in of(kept.path()).iter().zip(of(stand.path())) {
        std::fs::copy(from, to).unwrap();
    }
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = rusqlite::Connection::open_with_flags(stand.path().join(names[0]), flags).unwrap();
    assert!(
        reader.execute_batch("SELECT * FROM half").is_err(),
        "nothing is left to be rolled back"
    );
    drop(reader);
    let (store, _recovered, acks) = open(stand.path());
    store.submit(1, Fact::OptOut(Box::new(optout(1)))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.close().unwrap();
}

fn whose_key_is_lost_is_missed_and_not_called(stand: &Stand) {
    let (store, _recovered, acks) = stand.open();
    let mut records = Vec::new();
    for n in 0..3 {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        records.push(acks.recv().unwrap().result.unwrap().record);
    }
    store.close().unwrap();
    let path = stand.path().join("keys");
    let whole = std::fs::read(&path).unwrap();
    let touch = |slot: &[u8]| {
        let mut keys = whole.clone();
        keys[4096 + 32..4096 + 64].copy_from_slice(slot);
        std::fs::write(&path, keys).unwrap();
    };
    // Of the slot before it the number is kept, as retention leaves it.
    keys::KeyFile::destroy(&path, &[0], Some(number(0))).unwrap();
    let kept = std::fs::read(&path).unwrap()[4096..4096 + 32].to_vec();
    for (name, slot) in [("zeros", &[0; 32][..]), ("another's number", &kept)] {
        touch(slot);
        stand.lose_database();
        let opened = Archive::open(stand.path(), &stand.target, &stand.numbers, &clock());
        let told = opened.map(drop).expect_err(name).to_string();
        let want = format!("record 2 of writer {} does not say", records[1].writer);
        assert!(told.contains(&want) && told.contains("slot 1 of the file"), "{name}: {told}");
        let own = fill_from_journal_of(stand).map(drop).expect_err(name).to_string();
        assert!(own.contains(&want), "{name}, by the journal alone: {own}");
    }
    std::fs::write(&path, &whole).unwrap();
    stand.lose_database();
    let (archive, recovered) = stand.archive();
    assert_eq!(
        (recovered.erased, archive.reader().unwrap().count(&Filter::default()).unwrap()),
        (0, 3)
    );
}

/// What the journal of a closed store says by itself.
fn fill_from_journal_of(stand: &Stand) -> Result<(u64, u64), StoreError> {
    let site = site::Site::embedded(stand.path());
    archive::fill_from_journal(&site, &Index::default(), &BTreeMap::new())
}

fn two_processes_never_share_a_store(stand: &Stand) {
    let (store, ..) = stand.open();
    let error = Archive::open(stand.path(), &stand.target, &stand.numbers, &clock())
        .unwrap_err()
        .to_string();
    let held = format!("is held by process {}", std::process::id());
    assert!(error.ends_with(&held), "{error}");
    store.close().unwrap();
    assert!(Archive::open(stand.path(), &stand.target, &stand.numbers, &clock()).is_ok());
}

#[test]
fn a_locked_database_delays_no_opt_out_and_is_caught_up_with() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    store.submit(0, Fact::OptOut(Box::new(optout(0)))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.flush().unwrap();

    let shell = rusqlite::Connection::open(dir.path().join("bajavoz.sqlite")).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 1..40 {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        acks.recv().unwrap().result.unwrap();
    }
    store.record_call(call(7));
    assert!(matches!(store.flush(), Err(StoreError::Behind)));
    assert_eq!(store.reader().unwrap().count(&Filter::default()).unwrap(), 1);

    shell.execute_batch("ROLLBACK").unwrap();
    store.flush().unwrap();
    assert_eq!(store.reader().unwrap().count(&Filter::default()).unwrap(), 40);
    let counters = store.counters();
    assert!(counters.projection_failed > 0, "{counters:?}");
    store.close().unwrap();
    let (archive, recovered) = Archive::open_exclusive(dir.path()).unwrap();
    assert_eq!(recovered.facts, 0, "the cursor is at the end");
    assert_eq!(archive.reader().unwrap().count(&Filter::default()).unwrap(), 40);
}

#[test]
fn a_lost_key_keeps_nothing_from_the_database_that_was_pressed_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    store.flush().unwrap();
    let shell = rusqlite::Connection::open(dir.path().join("bajavoz.sqlite")).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 0..5 {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        acks.recv().unwrap().result.unwrap();
    }
    assert!(matches!(store.flush(), Err(StoreError::Behind)));
    let path = dir.path().join("keys");
    let whole = std::fs::read(&path).unwrap();
    keys::KeyFile::destroy(&path, &[3], None).unwrap();
    shell.execute_batch("ROLLBACK").unwrap();
    // It alone is missed, and tried again until somebody puts the file back.
    assert!(matches!(store.flush(), Err(StoreError::Behind)));
    assert_eq!(store.reader().unwrap().count(&Filter::default()).unwrap(), 3);
    let (file, at) = (std::fs::OpenOptions::new().write(true).open(&path).unwrap(), 4096 + 3 * 32);
    std::os::unix::fs::FileExt::write_all_at(&file, &whole[at..at + 32], at as u64).unwrap();
    store.flush().unwrap();
    assert_eq!(store.reader().unwrap().count(&Filter::default()).unwrap(), 5);
    store.close().unwrap();
}

#[test]
fn a_stalled_database_delays_no_opt_out_and_takes_no_more_memory_than_its_queue() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    let shell = rusqlite::Connection::open(dir.path().join("bajavoz.sqlite")).unwrap();
    shell.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut submitted = 0;
    for n in 0..20 {
        // A call record is lost only when the queue is full: so full it is, unless the thread has
        // just given up on a transaction.
        let lost = store.counters().calls_lost;
        while store.counters().calls_lost == lost {
            store.record_call(call(n));
        }
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        assert!(acks.recv().unwrap().result.is_ok(), "while the database stands still");
        submitted += 1;
        assert!(matches!(store.flush(), Err(StoreError::Behind)));
        if n > 2 && store.counters().projection_overflowed > 0 {
            break;
        }
    }
    let counters = store.counters();
    assert!(counters.projection_overflowed > 0, "{counters:?}");
    assert_eq!((counters.facts, counters.failed, counters.refused), (submitted, 0, 0));

    shell.execute_batch("ROLLBACK").unwrap();
    while let Err(error) = store.flush() {
        assert!(matches!(error, StoreError::Behind), "{error}");
    }
    assert_eq!(store.reader().unwrap().count(&Filter::default()).unwrap(), submitted);
    store.close().unwrap();
}

fn call(n: u64) -> Cdr {
    Cdr {
        call: CallId(uuid::Uuid::from_u128(n.into())),
        node: "madrid-1".into(),
        dialer: Some("vicidial".into()),
        campaign: Some("spring".into()),
        account: Some("acme".into()),
        trunk: None,
        mode: Some(CallMode::Ivr),
        number: Some(number(n)),
        disposition: Disposition::Suppressed,
        list: Some("global".into()),
        record: None,
        sip_status: Some(603),
        reason: Some("Q.850;cause=21".to_owned()),
        started_at: UnixMicros(1_000 + n.cast_signed()),
        answered_at: None,
        ended_at: UnixMicros(2_000),
        a: LegRecord { sip_call_id: format!("a-{n}"), ..LegRecord::default() },
        b: None,
        keys: KeyCounts::default(),
    }
}

fn calls_are_kept_and_found_by_what_they_were(stand: &Stand) {
    let (store, ..) = stand.open();
    for n in 0..20 {
        store.record_call(call(n));
    }
    store.flush().unwrap();
    let found = |filter: CallFilter| {
        let mut calls = Vec::new();
        let reader = store.reader().unwrap();
        let visit = |call| {
            calls.push(call);
            ControlFlow::Continue(())
        };
        reader.calls(&filter, visit).unwrap();
        calls
    };
    assert_eq!(found(CallFilter::default()), (0..20).map(call).collect::<Vec<_>>());
    let of_one = CallFilter { number: Some(number(3)), ..CallFilter::default() };
    assert_eq!(found(of_one), [call(3)]);
    let some = CallFilter {
        from: Some(UnixMicros(1_005)),
        to: Some(UnixMicros(1_007)),
        campaign: Some("spring".into()),
        number: None,
    };
    assert_eq!(found(some), [call(5), call(6)]);
    let other = CallFilter { campaign: Some("autumn".into()), ..CallFilter::default() };
    assert_eq!(found(other), []);
}

fn opt_outs_are_found_by_every_condition(stand: &Stand) {
    let (store, _recovered, acks) = stand.open();
    let mut facts: Vec<OptOut> = (0..6).map(optout).collect();
    facts[1].campaign = Some("autumn".into());
    facts[2].origin = Origin::ManualWeb;
    facts[3].lists = vec!["acme".into()];
    facts[4].number = number(0);
    facts[5].pressed_at = UnixMicros(5);
    for (token, fact) in facts.iter().enumerate() {
        store.submit(token as u64, Fact::OptOut(Box::new(fact.clone()))).unwrap();
    }
    acks.iter().take(facts.len()).for_each(|ack| assert!(ack.result.is_ok()));
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    let t = |n: i64| Some(UnixMicros(1_795_000_000_000_000 + n));
    let all = Filter::default;
    #[rustfmt::skip]
    let cases: [(&str, Filter, &[usize]); 9] = [
        ("all, by time of the press", all(), &[5, 0, 1, 2, 3, 4]),
        ("from a time on", Filter { from: t(2), ..all() }, &[2, 3, 4]),
        ("before a time", Filter { to: t(1), ..all() }, &[5, 0]),
        ("of a campaign", Filter { campaign: Some("autumn".into()), ..all() }, &[1]),
        ("of an origin", Filter { origin: Some(Origin::ManualWeb), ..all() }, &[2]),
        ("on a list", Filter { list: Some("global".into()), ..all() }, &[5, 0, 1, 2, 4]),
        ("of a number", Filter { number: Some(number(0)), ..all() }, &[0, 4]),
        ("of a number on a list from a time on", Filter { number: Some(number(0)), list: Some("acme".into()), from: t(1), ..all() }, &[4]),
        ("a quote in a name is a name", Filter { campaign: Some("x' OR 1=1 --".into()), ..all() }, &[]),
    ];
    for (name, filter, want) in cases {
        let mut found = Vec::new();
        let visit = |entry: Entry| {
            found.push(entry.optout);
            ControlFlow::Continue(())
        };
        reader.export(&filter, visit).unwrap();
        let want: Vec<OptOut> = want.iter().map(|&index| facts[index].clone()).collect();
        assert_eq!(found, want, "{name}");
        assert_eq!(reader.count(&filter).unwrap(), want.len() as u64, "{name}");
    }
    let mut first = 0;
    let visit = |_entry| {
        first += 1;
        ControlFlow::Break(())
    };
    reader.export(&all(), visit).unwrap();
    assert_eq!(first, 1, "it stops when it is told to");
}

#[test]
fn a_database_that_knows_more_than_the_journal_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    for n in 0..3 {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        acks.recv().unwrap().result.unwrap();
    }
    store.flush().unwrap();
    // As a crash leaves it, since a stream that was closed is not looked at again.
    let copy = tempfile::tempdir().unwrap();
    history::copy_store(dir.path(), copy.path());
    let journal = copy.path().join("journal");
    let segment = std::fs::read_dir(&journal).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..4096]).unwrap();
    let error = Archive::open_exclusive(copy.path()).unwrap_err();
    let StoreError::JournalBehind { journal: 0, database: 3, .. } = error else {
        panic!("{error}");
    };
    std::fs::remove_file(&segment).unwrap();
    let error = Archive::open_exclusive(copy.path()).unwrap_err();
    assert!(matches!(error, StoreError::JournalBehind { .. }), "{error}");
}

#[test]
fn an_opt_out_that_cannot_be_read_back_stops_the_start_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    for n in 0..3 {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
    }
    let second = acks.iter().nth(1).unwrap().result.unwrap().record;
    store.close().unwrap();
    let database = dir.path().join("bajavoz.sqlite");
    let whole = std::fs::read(&database).unwrap();
    let named = format!("of record {second}");
    #[rustfmt::skip]
    let cases = [
        ("no number", "UPDATE suppressed SET number = 0 WHERE writer_seq = 2", &*named),
        ("a number of too many digits", "UPDATE suppressed SET number = 1000000000000000 WHERE writer_seq = 2", &named),
        ("text for a number", "UPDATE suppressed SET number = 'x' WHERE writer_seq = 2", &named),
        ("another number", "UPDATE suppressed SET number = number + 1 WHERE writer_seq = 2", &named),
        ("bytes for a list", "UPDATE suppressed SET list = x'ff' WHERE writer_seq = 2 AND list = 'acme'", &named),
        ("bytes for an account", "UPDATE optout SET account = x'ff' WHERE writer_seq = 2", &named),
        ("bytes for a campaign", "UPDATE optout SET campaign = x'ff' WHERE writer_seq = 2", &named),
        ("a record of no writer", "UPDATE suppressed SET writer_id = 'x' WHERE writer_seq = 2", &named),
        ("an opt-out that is gone", "DELETE FROM optout WHERE writer_seq = 2", &named),
        ("lists that are gone", "DELETE FROM suppressed WHERE writer_seq = 2", &named),
        ("lists that are gone and an opt-out that says nothing", "DELETE FROM suppressed WHERE writer_seq = 2; UPDATE optout SET body = '' WHERE writer_seq = 2", &named),
        ("a sequence number that is text", "UPDATE suppressed SET writer_seq = 'x' WHERE writer_seq = 2; DELETE FROM optout WHERE writer_seq = 2", "without a record"),
    ];
    for (name, sql, place) in cases {
        std::fs::write(&database, &whole).unwrap();
        rusqlite::Connection::open(&database).unwrap().execute_batch(sql).unwrap();
        let (archive, _recovered) = Archive::open_exclusive(dir.path()).unwrap();
        let error = archive.reader().unwrap().fill(&Index::default()).unwrap_err();
        assert!(matches!(error, StoreError::OptOutRow { .. }), "{name}: {error}");
        assert!(error.to_string().contains(place), "{name}: {error}");
    }
    std::fs::remove_file(&database).unwrap();
    let (archive, _recovered) = Archive::open_exclusive(dir.path()).unwrap();
    assert_eq!(archive.reader().unwrap().fill(&Index::default()).unwrap(), (6, 0));
}

fn a_list_beyond_the_64th_is_left_out_since_nobody_can_ask_for_it(stand: &Stand) {
    let (store, _recovered, acks) = stand.open();
    let lists = (0..65).map(|n| ListName::from(format!("list-{n:02}").as_str())).collect();
    let optout = OptOut { lists, ..optout(1) };
    store.submit(0, Fact::OptOut(Box::new(optout))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.flush().unwrap();
    let index = Index::default();
    assert_eq!(store.reader().unwrap().fill(&index).unwrap(), (64, 1));
    assert!(index.mask([&ListName::from("list-64")]).is_err());
}

#[test]
fn a_damaged_database_says_how_to_make_it_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    store.submit(0, Fact::OptOut(Box::new(optout(0)))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.close().unwrap();
    let path = dir.path().join("bajavoz.sqlite");
    std::fs::write(&path, [0x5a; 8192]).unwrap();
    let error = Archive::open_exclusive(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::DatabaseDamaged { .. }), "{error}");
    std::fs::rename(&path, dir.path().join("away")).unwrap();
    let (_archive, recovered) = Archive::open_exclusive(dir.path()).unwrap();
    assert_eq!((recovered.facts, recovered.rebuilt), (1, true));
}
