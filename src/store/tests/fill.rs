//! Filling an index: in answers that are short, by whoever still wants it.

use std::cell::Cell;

use super::*;
use crate::store::backend::Backend;
use crate::store::backend::Change;
use crate::store::backend::Value;
use crate::store::backend::Visit;
use crate::store::site::database_path;
use crate::store::sqlite::Sqlite;
use crate::suppression::NumberStorage;

/// Rows that one answer may have here: fewer than there are reasons.
const ROWS_MAX: usize = 10;

/// A database that finds no answer of more rows in time.
#[derive(Debug)]
struct Short(Sqlite);

impl Backend for Short {
    fn select(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        let mut rows = 0;
        self.0.select(sql, values, &mut |row| {
            rows += 1;
            assert!(rows <= ROWS_MAX, "a long answer: {sql}");
            visit(row)
        })
    }

    fn change(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.0.change(changes)
    }

    fn wait(&mut self, limit: std::time::Duration) {
        self.0.wait(limit);
    }

    fn is_shared(&self) -> bool {
        false
    }
}

#[test]
fn an_index_is_filled_in_short_answers_and_left_alone_when_nobody_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    // Three streams, so that pages end within one and between two.
    for stream in 0..3 {
        let (store, _recovered, acks) = open(dir.path());
        for n in 0..20 {
            // Half of them for numbers that are known.
            let fact = Fact::OptOut(Box::new(optout(stream * 10 + n)));
            store.submit(n, fact).unwrap();
            acks.recv().unwrap().result.unwrap();
        }
        store.close().unwrap();
    }
    let database = Short(Sqlite::open_read_only(&database_path(dir.path())).unwrap());
    let reader = Reader::new(database, dir.path(), "the database".to_owned(), NumberStorage::Plain);
    let index = Index::default();
    assert_eq!(reader.fill(&index).unwrap(), (120, 0), "two lists each");
    assert_eq!(index.len(), 40);
    let lists = index.mask([&ListName::from("acme")]).unwrap();
    for n in 0..40 {
        assert!(index.check(number(n), lists, &"any".into(), &"any".into()).is_some(), "{n}");
    }
    let asked = Cell::new(0);
    for wanted in [0, 1, 12] {
        asked.set(0);
        let is_over = || {
            asked.set(asked.get() + 1);
            asked.get() > wanted
        };
        let cut = reader.fill_unless(&Index::default(), &is_over);
        assert!(matches!(cut, Err(StoreError::Closed)), "after {wanted} pages");
        assert_eq!(asked.get(), wanted + 1);
    }
}

#[test]
fn a_page_of_a_stream_ends_with_so_many_octets_and_the_next_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    const COUNT: u64 = 150;
    for n in 0..COUNT {
        let campaign = Some("because ".repeat(100).as_str().into());
        let optout = OptOut { campaign, ..optout(n) };
        store.submit(n, Fact::OptOut(Box::new(optout))).unwrap();
        acks.recv().unwrap().result.unwrap();
    }
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    let (writer, head) = reader.heads().unwrap()[0];
    let (mut pages, mut read) = (0, Vec::new());
    loop {
        let after = read.last().copied().unwrap_or_default();
        let page = reader.page(writer, after, 1_000).unwrap();
        read.extend(page.records.iter().map(|(record, _fact)| record.seq));
        pages += 1;
        if page.is_last {
            break;
        }
    }
    assert_eq!(read, (1..=head).collect::<Vec<_>>(), "each once");
    // A thousand, halved until they fit: 31 at a time.
    assert_eq!(pages, head.div_ceil(31), "of {COUNT} kB");
}
