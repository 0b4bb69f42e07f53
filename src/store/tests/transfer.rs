//! From a file to a server and back: everything is there, once, and nothing else is taken for it.

use super::cluster::TestDatabase;
use super::*;
use crate::store::postgres;
use crate::store::site::database_path;

/// A store with some of everything, closed; and what it says of the numbers 0 to 4.
fn filled(stand: &Stand) -> Vec<String> {
    let (store, _records) = reversals::fill(stand.path(), stand.open());
    for n in 0..5 {
        store.record_call(call(n));
    }
    store.flush().unwrap();
    let said = said(&store.reader().unwrap());
    store.close().unwrap();
    said
}

/// All that is answered about the numbers 0 to 4 and the calls.
fn said(reader: &Reader) -> Vec<String> {
    let mut said: Vec<String> =
        (0..5).map(|n| format!("{:?}", reader.show(number(n)).unwrap())).collect();
    reader
        .calls(&CallFilter::default(), |call| {
            said.push(format!("{call:?}"));
            ControlFlow::Continue(())
        })
        .unwrap();
    said
}

fn server(database: &TestDatabase) -> postgres::Settings {
    postgres::Settings::new(&database.url(), None).unwrap()
}

fn rows(copied: &Copied) -> Vec<(&'static str, u64, u64)> {
    copied.tables.iter().map(|table| (table.name, table.rows, table.copied)).collect()
}

#[test]
fn a_copy_that_goes_the_wrong_way_says_how_much_the_source_lacks() {
    let stand = Stand::sqlite();
    let before = filled(&stand);
    let database = cluster::Cluster::shared().database();
    let settings = server(&database);
    let wrong = copy(stand.path(), &settings, false, &clock()).unwrap();
    assert!(wrong.only_there > 0 && wrong.tables.iter().all(|table| table.rows == 0), "{wrong:?}");
    let there = copy(stand.path(), &settings, true, &clock()).unwrap();
    let facts = there.tables.iter().find(|table| table.name == "fact").map(|table| table.rows);
    assert_eq!((there.only_there, facts), (0, Some(wrong.only_there)));
    let back = copy(stand.path(), &settings, false, &clock()).unwrap();
    assert_eq!(back.only_there, 0, "now both have the same");
    let (store, _recovered, _acks) = stand.open();
    assert_eq!(said(&store.reader().unwrap()), before, "and nothing was lost by it");
}

/// The same folder with its server in place of its file.
fn moved(stand: Stand, database: &TestDatabase) -> Stand {
    let target = Target::Postgres(Box::new(server(database)));
    Stand { target, server: Some(database.clone()), ..stand }
}

#[test]
fn a_store_that_is_copied_to_a_server_goes_on_there_and_comes_back() {
    let stand = Stand::sqlite();
    let before = filled(&stand);
    let database = cluster::Cluster::shared().database();
    let settings = server(&database);
    let copied = copy(stand.path(), &settings, true, &clock()).unwrap();
    let facts: u64 = database.psql("SELECT COUNT(*) FROM fact").parse().unwrap();
    #[rustfmt::skip]
    let want = [
        ("fact", facts, facts), ("optout", 3, 3), ("suppressed", 6, 6), ("confirmation", 0, 0),
        ("imports", 1, 1), ("reversal", 4, 4), ("reversed", 5, 5), ("audio", 0, 0), ("erasure", 0, 0),
        ("evidence", 7, 7), ("erased", 0, 0), ("call_record", 5, 5),
    ];
    assert_eq!(rows(&copied), want);
    for (name, count, _new) in want {
        assert_eq!(database.psql(&format!("SELECT COUNT(*) FROM {name}")), count.to_string());
    }
    assert_eq!((copied.streams, copied.segments), (1, 1));

    // A copy that was cut off, and one that was done already.
    database.psql("DELETE FROM optout WHERE number % 2 = 0; DELETE FROM suppressed");
    let again = copy(stand.path(), &settings, true, &clock()).unwrap();
    let new: Vec<u64> = again.tables.iter().map(|table| table.copied).collect();
    assert_eq!(new, [0, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let hashes = |copied: &Copied| -> Vec<String> {
        copied.tables.iter().map(|table| table.sha256.clone()).collect()
    };
    assert_eq!(hashes(&again), hashes(&copied));

    let stand = moved(stand, &database);
    let (store, recovered, acks) = stand.open();
    assert_eq!(recovered, Recovered::default(), "the server has it all");
    assert_eq!(said(&store.reader().unwrap()), before);
    store.submit(9, Fact::OptOut(Box::new(optout(4)))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.record_call(call(77));
    store.flush().unwrap();
    let after = said(&store.reader().unwrap());
    store.close().unwrap();

    let back = copy(stand.path(), &settings, false, &clock()).unwrap();
    let calls = back.tables.last().map(|table| (table.rows, table.copied));
    assert_eq!(calls, Some((6, 1)), "all else had come from the journal");
    let (archive, recovered) = Archive::open_exclusive(stand.path()).unwrap();
    assert_eq!(recovered, Recovered::default());
    assert_eq!(said(&archive.reader().unwrap()), after);
}

#[test]
fn a_row_that_is_another_one_there_is_named_and_others_are_not_left_behind() {
    let stand = Stand::sqlite();
    let database = cluster::Cluster::shared().database();
    let settings = server(&database);
    let error = copy(stand.path(), &settings, true, &clock()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(!database_path(stand.path()).exists(), "and none is made");
    filled(&stand);
    copy(stand.path(), &settings, true, &clock()).unwrap();
    database.psql("UPDATE optout SET campaign = 'winter' WHERE writer_seq = 2");
    let error = copy(stand.path(), &settings, true, &clock()).unwrap_err();
    assert!(matches!(error, StoreError::CopyDiffers { table: "optout" }), "{error}");
    database.psql("UPDATE optout SET campaign = 'spring' WHERE writer_seq = 2");

    let stand = moved(stand, &database);
    let other = stand.another_node();
    filled(&other);
    let error = copy(stand.path(), &settings, false, &clock()).unwrap_err();
    assert!(matches!(error, StoreError::Others { streams: 1 }), "{error}");
    let error = copy(other.path(), &settings, false, &clock()).unwrap_err();
    assert!(matches!(error, StoreError::Others { .. }), "{error}");
    assert!(!database_path(other.path()).exists(), "no file is left that looks like a database");
    let (_held, _recovered) = stand.archive();
    let error = copy(stand.path(), &settings, true, &clock()).unwrap_err();
    assert!(error.is_held(), "{error}");
}
