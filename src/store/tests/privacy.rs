//! A store that hashes numbers: none of them is anywhere to be read, in whatever form, and each is
//! refused all the same.
//!
//! What is looked for is a number's digits, with and without its country code, and the octets of
//! its value in either order, in every file of the store's folder and every row of every table. The
//! same search finds all of that where numbers are kept as they are, so that it is known to look.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::*;
use crate::model::RecordId;
use crate::store::database::tables;
use crate::store::postgres;
use crate::suppression::Authority;
use crate::suppression::Cancelled;
use crate::suppression::Reversal;

on_both! {
    a_hashed_number_is_nowhere_to_be_read_and_refused_all_the_same,
    whoever_keeps_numbers_otherwise_is_turned_away,
}

/// How `number` may stand somewhere, beside as text with a plus.
fn forms(number: Number) -> Vec<(&'static str, Vec<u8>)> {
    let digits = number.digits();
    let text = digits.to_string();
    // The test's numbers have 36 bits, so that five octets are all of one that are not zero.
    let octets = digits.to_be_bytes()[3..].to_vec();
    let reversed = octets.iter().rev().copied().collect();
    vec![
        ("the digits", text.clone().into_bytes()),
        ("the national digits", text.as_bytes()[2..].to_vec()),
        ("the octets", octets),
        ("the octets, the lowest first", reversed),
    ]
}

fn holds(text: &[u8], form: &[u8]) -> bool {
    text.windows(form.len()).any(|octets| octets == form)
}

/// Every file under `dir`.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The texts and numbers of rows, and apart from them the octets that stand there as `\\\\x0a1b`: two
/// of those side by side are no digits.
pub(super) fn told_by(rows: &str) -> (String, Vec<u8>) {
    let mut pieces = rows.split("\\\\x");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut octets = Vec::new();
    for piece in pieces {
        let end = piece.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (hex, rest) = piece.split_at(end);
        let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or_default();
        octets.extend((0..end / 2).map(|place| octet(2 * place)));
        text.push_str(rest);
    }
    (text, octets)
}

/// Where `number` is to be read: in which file or table, and how.
pub(super) fn traces(stand: &Stand, dirs: &[&Path], number: Number) -> Vec<String> {
    let mut found = Vec::new();
    for path in dirs.iter().flat_map(|dir| files(dir)) {
        let text = fs::read(&path).unwrap();
        let told = forms(number).into_iter().filter(|(_name, form)| holds(&text, form));
        found.extend(told.map(|(name, _form)| format!("{name} in {}", path.display())));
    }
    for table in stand.server.iter().flat_map(|_server| tables::ALL) {
        let sql = format!("SELECT t::text FROM {} t", table.name);
        let rows = stand.server.as_ref().unwrap().psql(&sql);
        let (text, octets) = told_by(&rows);
        for (name, form) in forms(number) {
            if holds(text.as_bytes(), &form) || holds(&octets, &form) {
                found.push(format!("{name} in the table {}", table.name));
            }
        }
    }
    found
}

/// An opt-out that has its number wherever one may get.
pub(super) fn telling(n: u64) -> OptOut {
    let digits = number(n).digits().to_string();
    OptOut {
        sip_call_id: Some(format!("{digits}@pbx")),
        actor: Some(format!("agent of {digits}")),
        reason: Some(format!("+{digits} wrote a letter")),
        ..optout(n)
    }
}

fn telling_call(n: u64) -> Cdr {
    let digits = number(n).digits().to_string();
    let mut call = call(n);
    call.a.sip_call_id = format!("{digits}@pbx");
    call.reason = Some(format!("SIP;cause=603;text=\"{digits}\""));
    call
}

/// A store with the records of some numbers, one of them reversed, calls, and an import; closed.
pub(super) fn filled(stand: &Stand) -> Vec<RecordId> {
    let (store, _recovered, acks) = stand.open();
    let mut records = Vec::new();
    let submit = |fact| {
        store.submit(0, fact).unwrap();
        acks.recv().unwrap().result.unwrap().record
    };
    for n in 1..=5 {
        records.push(submit(Fact::OptOut(Box::new(telling(n)))));
        store.record_call(telling_call(n));
    }
    let lists = vec!["global".into(), "acme".into()];
    submit(Fact::Reversal(Box::new(Reversal {
        number: number(2),
        cancels: vec![Cancelled { record: records[1], lists }],
        authority: Authority::LocalOperator,
        actor: Some(format!("for +{}", number(2).digits())),
        reason: format!("+{} signed", number(2).digits()),
        node: "madrid-1".into(),
        reversed_at: UnixMicros(7),
    })));
    let listed: Vec<Number> = (6..=9).map(|n| stored(stand, number(n))).collect();
    let part = imports::segment_of(stand.path(), imports::Content::Listed, &listed);
    submit(imports::publish(&store, imports::import(Some(part), None)));
    store.flush().unwrap();
    // Makes the snapshot of the import.
    store.reader().unwrap().fill(&Index::default()).unwrap();
    store.close().unwrap();
    records
}

/// As the store of `stand`, which is closed, keeps it.
fn stored(stand: &Stand, number: Number) -> Number {
    let numbers = stand.numbers.for_import(stand.path()).unwrap();
    numbers.stored(number)
}

/// Those of the numbers 1 to 12 that are refused.
pub(super) fn refused(stand: &Stand) -> Vec<u64> {
    let (archive, _recovered) = stand.archive();
    let index = Index::default();
    archive.reader().unwrap().fill(&index).unwrap();
    let lists = ["global", "ftc"].map(ListName::from);
    let lists = index.mask(&lists).unwrap();
    let is_on = |n: &u64| index.check(number(*n), lists, &"any".into(), &"any".into()).is_some();
    (1..=12).filter(is_on).collect()
}

fn a_hashed_number_is_nowhere_to_be_read_and_refused_all_the_same(stand: &Stand) {
    let keyed = stand.anew().keyed();
    filled(&keyed);
    for n in 1..=9 {
        assert_eq!(traces(&keyed, &[keyed.path()], number(n)), Vec::<String>::new(), "{n}");
    }
    let all = [1, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(refused(&keyed), all);
    let (archive, _recovered) = keyed.archive();
    let reader = archive.reader().unwrap();
    let entries = reader.show(number(2)).unwrap();
    assert_eq!((entries.len(), entries[0].reversed.len()), (1, 2), "asked for as it is dialled");
    assert_eq!(entries[0].optout.number, keyed_number(&keyed, 2));
    assert_eq!(reader.show(keyed_number(&keyed, 2)).unwrap(), entries, "and as it is kept");
    assert_eq!(reader.show(number(7)).unwrap().len(), 1, "an import's too");
    let of_number = CallFilter { number: Some(number(3)), ..CallFilter::default() };
    let mut calls = Vec::new();
    let visit = |call: Cdr| {
        calls.push(call);
        ControlFlow::Continue(())
    };
    reader.calls(&of_number, visit).unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].reason.as_deref(), Some("SIP;cause=603"));
    drop((reader, archive));
    keyed.lose_database();
    assert_eq!(refused(&keyed), all, "made anew from the journal");
    for n in 1..=9 {
        assert_eq!(traces(&keyed, &[keyed.path()], number(n)), Vec::<String>::new(), "{n}");
    }

    // The same search where numbers are kept as they are.
    filled(stand);
    for n in [1, 2, 7] {
        assert_ne!(traces(stand, &[stand.path()], number(n)), Vec::<String>::new(), "{n}");
    }
    assert_eq!(refused(stand), all);
}

pub(super) fn keyed_number(stand: &Stand, n: u64) -> Number {
    let stored = stored(stand, number(n));
    assert!(stored.is_keyed());
    stored
}

fn whoever_keeps_numbers_otherwise_is_turned_away(stand: &Stand) {
    let keyed = stand.anew().keyed();
    filled(&keyed);
    filled(stand);
    let told = |stand: &Stand, numbers: &NumberChoice| {
        let opened = Archive::open(stand.path(), &stand.target, numbers, &clock());
        opened.map(drop).unwrap_err().to_string()
    };
    let other = tempfile::tempdir().unwrap();
    let key = Some(other.path().join("number-key"));
    let other_key = NumberChoice::Keyed { key };
    assert!(told(&keyed, &other_key).contains("is missing"), "{}", told(&keyed, &other_key));
    other_key.resolve(other.path(), None, true).unwrap();
    let cases = [
        (&keyed, &NumberChoice::Plain, "number-storage = \"hmac\""),
        (&keyed, &other_key, "`number-key` must name the file"),
        (stand, &other_key, "number-storage = \"plain\""),
    ];
    for (stand, numbers, want) in cases {
        let told = told(stand, numbers);
        assert!(told.contains(want) && told.contains("the store `"), "{told}");
    }
    if stand.server.is_none() {
        return;
    }
    // Another node of the same database.
    let cases = [
        (&keyed, NumberChoice::Plain, "number-storage = \"hmac\""),
        (&keyed, other_key.clone(), "`number-key` must name the file"),
        (&keyed, NumberChoice::Keyed { key: None }, "is missing"),
        (stand, other_key, "number-storage = \"plain\""),
    ];
    for (stand, numbers, want) in cases {
        let told = told(&stand.another_node(), &numbers);
        assert!(told.contains(want), "{told}");
    }
    let key = Some(keyed.path().join("number-key"));
    let node = Stand { numbers: NumberChoice::Keyed { key }, ..keyed.another_node() };
    assert_eq!(refused(&node), [1, 3, 4, 5, 6, 7, 8, 9], "the same secret");
}

#[test]
fn a_store_that_hashes_numbers_moves_to_a_server_as_it_is_and_back() {
    let stand = Stand::sqlite().keyed();
    filled(&stand);
    // Where whoever moves it cannot read it: nobody is asked about.
    let elsewhere = tempfile::tempdir().unwrap();
    let key = elsewhere.path().join("number-key");
    fs::rename(stand.path().join("number-key"), &key).unwrap();
    let stand = Stand { numbers: NumberChoice::Keyed { key: Some(key) }, ..stand };
    let all = [1, 3, 4, 5, 6, 7, 8, 9];
    let said = |stand: &Stand| -> Vec<String> {
        assert_eq!(refused(stand), all);
        let (archive, _recovered) = stand.archive();
        let reader = archive.reader().unwrap();
        (1..=9).map(|n| format!("{:?}", reader.show(number(n)).unwrap())).collect()
    };
    let before = said(&stand);
    let database = cluster::Cluster::shared().database();
    let settings = postgres::Settings::new(&database.url(), None).unwrap();
    let copied = copy(stand.path(), &settings, true, &clock()).unwrap();
    assert_eq!((copied.streams, copied.segments), (1, 1));
    let target = Target::Postgres(Box::new(settings.clone()));
    let moved = Stand { target, server: Some(database), ..stand };
    assert_eq!(said(&moved), before);
    for n in 1..=9 {
        assert_eq!(traces(&moved, &[moved.path()], number(n)), Vec::<String>::new(), "{n}");
    }
    let plain = moved.another_node();
    let told = Archive::open(plain.path(), &plain.target, &plain.numbers, &clock());
    let told = told.map(drop).unwrap_err().to_string();
    assert!(told.contains("the shared database") && told.contains("\"hmac\""), "{told}");
    copy(moved.path(), &settings, false, &clock()).unwrap();
    let back = Stand { target: Target::Sqlite, server: None, ..moved };
    assert_eq!(said(&back), before);
}
