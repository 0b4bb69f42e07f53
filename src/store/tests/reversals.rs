//! Reversals in the store: what they name no longer refuses, in whatever order the records came,
//! after a restart, a rebuild and a restore; and nothing is taken out.

use std::fs;

use super::*;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::suppression::Authority;
use crate::suppression::Cancelled;
use crate::suppression::Reversal;
use crate::suppression::export::Entry;

pub(super) fn cancelled(record: RecordId, list: &str) -> Cancelled {
    Cancelled { record, lists: vec![list.into()] }
}

pub(super) fn reversal(n: u64, cancels: Vec<Cancelled>) -> Fact {
    Fact::Reversal(Box::new(Reversal {
        number: number(n),
        cancels,
        authority: Authority::LocalOperator,
        actor: Some("luis".to_owned()),
        reason: "signed a form".to_owned(),
        node: "madrid-1".into(),
        reversed_at: UnixMicros(7),
    }))
}

/// Which of the numbers 0 to 4 are refused on which list, by an index filled from `reader`.
fn refused(reader: &Reader) -> String {
    let index = Index::default();
    reader.fill(&index).unwrap();
    let mut refused = String::new();
    for list in ["acme", "ftc", "global"] {
        let mask = index.mask([&ListName::from(list)]).unwrap();
        let (account, campaign) = ("acme".into(), "spring".into());
        let is_on = |n: &u64| index.check(number(*n), mask, &account, &campaign).is_some();
        let on: Vec<String> = (0..5).filter(is_on).map(|n| n.to_string()).collect();
        refused.push_str(&format!("{list} {}; ", on.join(" ")));
    }
    refused
}

fn entries(reader: &Reader, filter: &Filter) -> Vec<Entry> {
    let mut entries = Vec::new();
    reader
        .export(filter, |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })
        .unwrap();
    entries
}

/// A store with opt-outs of 0, 1 and 0 again, an import of 1, 2 and 3 on `ftc`, and reversals of
/// some of it; and the records, in that order.
fn filled(dir: &std::path::Path) -> (Store, Vec<RecordId>) {
    fill(dir, open(dir))
}

pub(super) fn fill(
    dir: &std::path::Path,
    (store, _recovered, acks): (Store, Recovered, Receiver<Ack>),
) -> (Store, Vec<RecordId>) {
    let submit = |fact| {
        store.submit(0, fact).unwrap();
        acks.recv().unwrap().result.unwrap().record
    };
    let part = imports::segment(dir, imports::Content::Listed, &[1, 2, 3]);
    let mut records: Vec<RecordId> =
        [0, 1, 0].map(|n| submit(Fact::OptOut(Box::new(optout(n))))).into();
    records.push(submit(imports::import(Some(part), None)));
    let unknown = RecordId { writer: WriterId(5), seq: 1 };
    records.push(submit(reversal(0, vec![cancelled(records[0], "acme"), cancelled(unknown, "x")])));
    records.push(submit(reversal(1, vec![cancelled(records[1], "global")])));
    records.push(submit(reversal(2, vec![cancelled(records[3], "ftc")])));
    // Of another number than the record is of: it cancels nothing.
    records.push(submit(reversal(4, vec![cancelled(records[1], "acme")])));
    store.flush().unwrap();
    (store, records)
}

/// 0 stays on acme by its second opt-out; 1 is off global and on all else; 2 is off ftc.
const WANT: &str = "acme 0 1; ftc 1 3; global 0; ";

#[test]
fn what_a_reversal_names_refuses_no_more_and_all_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let (store, records) = filled(&from);
    assert_eq!(refused(&store.reader().unwrap()), WANT);
    store.close().unwrap();
    let (archive, _recovered) = Archive::open_exclusive(&from).unwrap();
    assert_eq!(refused(&archive.reader().unwrap()), WANT, "after a restart");
    let copy = dir.path().join("backup");
    drop(archive);
    backup(&from, &copy, UnixMicros(1)).unwrap();
    for name in ["bajavoz.sqlite", "bajavoz.sqlite-wal", "bajavoz.sqlite-shm"] {
        // Those that are there; the journal makes the database anew.
        let _ = fs::remove_file(from.join(name));
    }
    let (archive, recovered) = Archive::open_exclusive(&from).unwrap();
    assert!(recovered.rebuilt);
    assert_eq!(refused(&archive.reader().unwrap()), WANT, "made anew from the journal");
    let again = dir.path().join("again");
    restore(&copy, &again, Calls::Keep).unwrap();
    let (archive, _recovered) = Archive::open_exclusive(&again).unwrap();
    let reader = archive.reader().unwrap();
    assert_eq!(refused(&reader), WANT, "restored");

    let shown = reader.show(number(0)).unwrap();
    let undone: Vec<_> = shown.iter().flat_map(|entry| &entry.reversed).collect();
    assert_eq!(undone.len(), 1, "beside what it cancels, and nowhere else");
    assert_eq!((shown[0].record, undone[0].record), (records[0], records[4]));
    assert_eq!((undone[0].list.as_str(), undone[0].reason.as_str()), ("acme", "signed a form"));
    assert_eq!((undone[0].actor.as_deref(), undone[0].reversed_at), (Some("luis"), UnixMicros(7)));
    let standing: Vec<&str> = shown[0].standing().map(ListName::as_str).collect();
    assert_eq!(standing, ["global"]);
}

on_both! { an_export_has_one_row_a_fact_and_leaves_out_what_no_longer_refuses_where_asked }

fn an_export_has_one_row_a_fact_and_leaves_out_what_no_longer_refuses_where_asked(stand: &Stand) {
    let (store, records) = fill(stand.path(), stand.open());
    let reader = store.reader().unwrap();
    assert_eq!(refused(&reader), WANT);
    let list = |name: &str| Some(name.into());
    let all = Filter::default;
    #[rustfmt::skip]
    let cases = [
        ("all that people said",      all(),                                                      vec![(0, 0), (2, 0), (1, 1)]),
        ("all of it stands somewhere", Filter { is_standing: true, ..all() },                     vec![(0, 0), (2, 0), (1, 1)]),
        ("on a list, reversed or not", Filter { list: list("acme"), ..all() },                    vec![(0, 0), (2, 0), (1, 1)]),
        ("standing on that list",     Filter { list: list("acme"), is_standing: true, ..all() },  vec![(2, 0), (1, 1)]),
        ("an import's numbers",       Filter { list: list("ftc"), ..all() },                      vec![(3, 1), (3, 2), (3, 3)]),
        ("those that stand",          Filter { list: list("ftc"), is_standing: true, ..all() },   vec![(3, 1), (3, 3)]),
    ];
    for (name, filter, want) in cases {
        let found = entries(&reader, &filter);
        let found: Vec<_> = found.iter().map(|entry| (entry.record, entry.optout.number)).collect();
        let want: Vec<_> = want.into_iter().map(|(at, n)| (records[at], number(n))).collect();
        assert_eq!(found, want, "{name}");
    }
    let of_import = entries(&reader, &Filter { number: Some(number(2)), ..all() });
    assert_eq!(of_import[0].reversed[0].record, records[6], "for that number alone");
}

#[test]
fn a_row_that_says_more_than_its_reversal_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (store, records) = filled(dir.path());
    store.close().unwrap();
    let path = dir.path().join("bajavoz.sqlite");
    let whole = fs::read(&path).unwrap();
    let target = records[2].seq;
    #[rustfmt::skip]
    let cases = [
        ("another list",        "UPDATE reversed SET list = 'global' WHERE list = 'acme'".to_owned()),
        ("another record",      format!("UPDATE reversed SET ref_seq = {target} WHERE list = 'acme'")),
        ("another number",      "UPDATE reversed SET number = number + 1 WHERE list = 'ftc'".to_owned()),
        ("no reversal",         "DELETE FROM reversal".to_owned()),
        ("an unread reversal",  "UPDATE reversal SET body = '{}'".to_owned()),
    ];
    for (name, sql) in cases {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(&sql).unwrap();
        connection.close().unwrap();
        let (archive, _recovered) = Archive::open_exclusive(dir.path()).unwrap();
        let error = archive.reader().unwrap().fill(&Index::default()).unwrap_err();
        assert!(matches!(error, StoreError::OptOutRow { .. }), "{name}: {error}");
        drop(archive);
        for suffix in ["-wal", "-shm"] {
            // Those that are there, of the database that is put back.
            let _ = fs::remove_file(dir.path().join(format!("bajavoz.sqlite{suffix}")));
        }
        fs::write(&path, &whole).unwrap();
    }
}
