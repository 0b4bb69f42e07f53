//! A copied store is played through each flipped bit of its journal's records, each dropped and
//! swapped record and row, and streams taken away whole: the examination names each.

use std::fs;
use std::path::Path;

use super::*;
use crate::model::RecordId;
use crate::store::archive::journal_dir;
use crate::store::site::database_path;
use crate::suppression::segment::Content;

/// A store of two streams: opt-outs, a confirmation, imports of the same segment, and checkpoints.
struct Kept {
    dir: tempfile::TempDir,
    segments: Vec<PathBuf>,
}

impl Kept {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let late = || UnixMicros(1_900_000_000_000_000);
        for round in 0..2 {
            let (acks, received) = channel();
            let mut settings = settings(dir.path());
            if round == 1 {
                settings.clock = Arc::new(late);
            }
            let on_ack = move |ack: Ack| acks.send(ack).expect("the test listens");
            let (store, _recovered) = Store::open(settings, on_ack).expect("the store opens");
            let add = |fact| {
                store.submit(0, fact).expect("the queue has room");
                received.recv().expect("it is answered").result.expect("the disk works").record
            };
            let record = add(Fact::OptOut(Box::new(optout(round))));
            add(Fact::OptOut(Box::new(optout(7))));
            let (durable_at, at) = (UnixMicros(1), UnixMicros(2));
            add(Fact::Confirmed(Confirmation { record, durable_at, at, outcome: Outcome::Played }));
            let part = imports::segment(dir.path(), Content::Listed, &[3, 5, 8]);
            add(imports::import(Some(part), None));
            store.close().expect("both threads end well");
        }
        // As the next start leaves it: both streams closed.
        drop(Archive::open_exclusive(dir.path()).expect("the store is whole"));
        let listed = fs::read_dir(journal_dir(dir.path())).expect("the journal can be listed");
        let paths = listed.map(|entry| entry.expect("it can be listed").path());
        let segments = paths.filter(|path| path.extension().is_some()).collect();
        Self { dir, segments }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Every record in the journal with its stored form, by stream.
    fn records(&self) -> Vec<Vec<(RecordId, Vec<u8>)>> {
        let stored = |record: &crate::suppression::proof::Record| {
            let mut stored = Vec::new();
            record.write(&mut stored);
            (record.id, stored)
        };
        let streams = signing::journal(self.path());
        streams.iter().map(|records| records.iter().map(stored).collect()).collect()
    }

    fn faults(&self) -> Vec<StoreFault> {
        examine(self.path(), None).expect("nobody holds it").faults
    }

    /// The faults after `sql`, which is undone.
    fn faults_after(&self, sql: &str) -> Vec<StoreFault> {
        let path = database_path(self.path());
        let whole = fs::read(&path).expect("the database is there");
        let shell = rusqlite::Connection::open(&path).expect("it opens");
        shell.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        shell.close().expect("it closes");
        let faults = self.faults();
        fs::write(&path, whole).expect("it can be written");
        faults
    }

    /// The faults with `bytes` in a segment, which is undone.
    fn faults_with(&self, segment: &Path, bytes: &[u8]) -> Vec<StoreFault> {
        let whole = fs::read(segment).expect("the segment is there");
        fs::write(segment, bytes).expect("it can be written");
        let faults = self.faults();
        fs::write(segment, whole).expect("it can be written");
        faults
    }
}

fn names(faults: &[StoreFault], record: RecordId) -> bool {
    faults.iter().any(|fault| fault.record == Some(record))
}

/// Where `part` stands in `whole`.
fn position(whole: &[u8], part: &[u8]) -> Option<usize> {
    whole.windows(part.len()).position(|octets| octets == part)
}

#[test]
fn a_whole_store_is_found_whole_and_left_as_it_was() {
    let kept = Kept::new();
    let before = history_of(kept.path());
    let examined = examine(kept.path(), None).unwrap();
    assert_eq!(examined.faults, []);
    assert_eq!((examined.streams, examined.records, examined.opt_outs), (2, 11, 4));
    assert_eq!(examined.imports, 2);
    assert_eq!((examined.checkpoints, examined.unsigned, examined.waiting), (3, 0, 0));
    assert_eq!(history_of(kept.path()), before);
    let other = crate::suppression::proof::Signer::new(&[1; 32]).public();
    let faults = examine(kept.path(), Some(other)).unwrap().faults;
    assert_eq!(faults.len(), 3, "each checkpoint is by another key: {faults:#?}");

    let (store, ..) = open(kept.path());
    assert!(matches!(examine(kept.path(), None), Err(StoreError::Held { .. })));
    store.close().unwrap();
}

/// Names and contents of a store's files, save the lock.
fn history_of(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for dir in [dir, &journal_dir(dir)] {
        for entry in fs::read_dir(dir).expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            if path.is_file() {
                files.push((path.clone(), fs::read(path).expect("it can be read")));
            }
        }
    }
    files.sort_unstable();
    files
}

#[test]
fn any_flipped_bit_of_a_record_in_the_journal_is_named() {
    let kept = Kept::new();
    // One record of each kind: the stream of the second start begins with a link.
    let is_first = |stream: &[(RecordId, Vec<u8>)]| stream.len() == 5;
    let some = |stream: Vec<_>| {
        let len = if is_first(&stream) { 5 } else { 1 };
        stream.into_iter().take(len)
    };
    for (id, stored) in kept.records().into_iter().flat_map(some) {
        let holder = kept.segments.iter().find_map(|segment| {
            let bytes = fs::read(segment).expect("the segment is there");
            let at = position(&bytes, &stored)?;
            Some((segment, bytes, at))
        });
        let (segment, bytes, at) = holder.expect("the record is in the journal");
        // Each octet, and of it a bit after the other.
        for octet in 0..stored.len() {
            let mut touched = bytes.clone();
            touched[at + octet] ^= 1 << (octet % 8);
            let faults = kept.faults_with(segment, &touched);
            assert!(names(&faults, id), "octet {octet} of record {id}: {faults:#?}");
            let others = faults.iter().filter(|fault| fault.record != Some(id)).count();
            assert_eq!(others, 0, "octet {octet} of record {id}: {faults:#?}");
        }
    }
}

#[test]
fn any_touched_octet_of_a_segment_is_named() {
    let kept = Kept::new();
    let segment = &kept.segments[0];
    let bytes = fs::read(segment).unwrap();
    for octet in (0..bytes.len()).filter(|octet| *octet < 80 || octet % 7 == 0) {
        let mut touched = bytes.clone();
        touched[octet] ^= 0x10;
        assert_ne!(kept.faults_with(segment, &touched), [], "octet {octet}");
    }
    for len in (0..bytes.len()).step_by(97) {
        assert_ne!(kept.faults_with(segment, &bytes[..len]), [], "cut to {len} octets");
    }
}

#[test]
fn a_touched_missing_or_swapped_row_is_named() {
    let kept = Kept::new();
    let records = kept.records();
    let ids: Vec<RecordId> = records.iter().flatten().map(|(id, _stored)| *id).collect();
    let at = |id: &RecordId| {
        format!("writer_id = {} AND writer_seq = {}", id.writer.0.cast_signed(), id.seq)
    };
    for (id, stored) in records.iter().flatten() {
        let place = at(id);
        for octet in (0..stored.len()).step_by(3) {
            let mut touched = stored.clone();
            touched[octet] ^= 1 << (octet % 8);
            let hex: String = touched.iter().map(|octet| format!("{octet:02x}")).collect();
            let faults =
                kept.faults_after(&format!("UPDATE fact SET record = x'{hex}' WHERE {place}"));
            assert!(names(&faults, *id), "octet {octet} of record {id}: {faults:#?}");
        }
        let faults = kept.faults_after(&format!("DELETE FROM fact WHERE {place}"));
        assert!(names(&faults, *id), "record {id} dropped: {faults:#?}");
    }
    for pair in ids.windows(2) {
        let (one, other) = (at(&pair[0]), at(&pair[1]));
        let faults = kept.faults_after(&format!(
            "CREATE TEMP TABLE kept AS SELECT record FROM fact WHERE {one};
             UPDATE fact SET record = (SELECT record FROM fact WHERE {other}) WHERE {one};
             UPDATE fact SET record = (SELECT record FROM kept) WHERE {other}"
        ));
        assert!(names(&faults, pair[0]) && names(&faults, pair[1]), "swapped: {faults:#?}");
    }
}

#[test]
fn what_the_other_tables_say_must_be_what_the_records_say() {
    let kept = Kept::new();
    let records = kept.records();
    let streams: Vec<i64> = records.iter().map(|it| it[0].0.writer.0.cast_signed()).collect();
    // The stream that begins with a link has its opt-outs from record 2 on.
    let first = records.iter().position(|stream| stream.len() == 5).unwrap();
    let (writer, of) =
        (streams[first], format!("writer_id = {} AND writer_seq = 2", streams[first]));
    let second = RecordId { writer: records[first][0].0.writer, seq: 2 };
    let (third, fourth) = (RecordId { seq: 3, ..second }, RecordId { seq: 4, ..second });
    #[rustfmt::skip]
    let cases = [
        ("another number", format!("UPDATE optout SET number = number + 1 WHERE {of}"), second),
        ("another time", format!("UPDATE optout SET pressed_us = 0 WHERE {of}"), second),
        ("another campaign", format!("UPDATE optout SET campaign = NULL WHERE {of}"), second),
        ("another body", format!("UPDATE optout SET body = '{{}}' WHERE {of}"), second),
        ("no opt-out", format!("DELETE FROM optout WHERE {of}"), second),
        ("a list less", format!("DELETE FROM suppressed WHERE list = 'acme' AND {of}"), second),
        ("a list more", format!("INSERT INTO suppressed SELECT number, 'more', writer_id, writer_seq FROM optout WHERE {of}"), second),
        ("a stranger on a list", format!("INSERT INTO suppressed VALUES (34699999999, 'acme', {writer}, 2)"), second),
        ("no key", "DELETE FROM number_key".to_owned(), second),
        ("no confirmation", format!("DELETE FROM confirmation WHERE writer_id = {writer}"), third),
        ("another outcome", format!("UPDATE confirmation SET outcome = 'not_played' WHERE writer_id = {writer}"), third),
        ("no import", format!("DELETE FROM imports WHERE writer_id = {writer}"), fourth),
        ("another list", format!("UPDATE imports SET list = 'acme' WHERE writer_id = {writer}"), fourth),
        ("an import of nobody", format!("UPDATE imports SET writer_seq = 98 WHERE writer_id = {writer}"), RecordId { seq: 98, ..second }),
        ("an opt-out of nobody", format!("INSERT INTO optout SELECT writer_id, 99, number, 0, 0, NULL, NULL, NULL, NULL, '', NULL, '', '', '' FROM optout WHERE {of}"), RecordId { seq: 99, ..second }),
        ("another end", format!("UPDATE writer SET last_hash = '00' WHERE writer_id = {writer}"), RecordId { seq: 5, ..second }),
        ("an end too late", format!("UPDATE writer SET last_seq = 9 WHERE writer_id = {writer}"), RecordId { seq: 6, ..second }),
    ];
    for (name, sql, want) in cases {
        let faults = kept.faults_after(&sql);
        assert!(names(&faults, want), "{name}: {faults:#?}");
    }
}

#[test]
fn a_stream_that_is_taken_away_whole_is_missed_by_the_next() {
    let kept = Kept::new();
    let records = kept.records();
    let first = records.iter().position(|stream| stream.len() == 5).unwrap();
    let last = records[first][4].0;
    let segment = kept
        .segments
        .iter()
        .find(|segment| segment.to_string_lossy().contains(&last.writer.to_string()));
    fs::remove_file(segment.unwrap()).unwrap();
    let writer = last.writer.0.cast_signed();
    let tables = ["writer", "fact", "optout", "suppressed", "confirmation", "imports"];
    let sql: String = tables
        .iter()
        .map(|table| format!("DELETE FROM {table} WHERE writer_id = {writer};"))
        .collect();
    let faults = kept.faults_after(&sql);
    assert!(names(&faults, last), "{faults:#?}");
}

#[test]
fn an_erased_record_still_verifies_and_its_chain_is_still_watched() {
    let kept = Kept::new();
    let keys = fs::OpenOptions::new().write(true).open(kept.path().join("keys")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&keys, &[0; 32], 4096).unwrap();
    let examined = examine(kept.path(), None).unwrap();
    assert_eq!((examined.faults.len(), examined.erased), (0, 1), "{:#?}", examined.faults);
    // The first opt-out of all has the first key.
    let first = kept.records().into_iter().find(|stream| stream.len() == 5);
    let (id, stored) = first.and_then(|stream| stream.into_iter().next()).unwrap();
    let mut touched = stored;
    touched[70] ^= 1;
    let hex: String = touched.iter().map(|octet| format!("{octet:02x}")).collect();
    let (writer, seq) = (id.writer.0.cast_signed(), id.seq);
    let sql = format!(
        "UPDATE fact SET record = x'{hex}' WHERE writer_id = {writer} AND writer_seq = {seq}"
    );
    assert!(names(&kept.faults_after(&sql), id));
}

#[test]
fn a_touched_or_missing_segment_of_an_import_is_named() {
    let kept = Kept::new();
    let records = kept.records();
    let import = |stream: &Vec<(RecordId, Vec<u8>)>| stream[stream.len() - 2].0;
    let [one, other] = [import(&records[0]), import(&records[1])];
    let folder = fs::read_dir(kept.path().join("segments")).unwrap();
    let segment = folder.map(|entry| entry.unwrap().path()).next().unwrap();
    let bytes = fs::read(&segment).unwrap();
    for bit in 0..8 * bytes.len() {
        let mut touched = bytes.clone();
        touched[bit / 8] ^= 1 << (bit % 8);
        let faults = kept.faults_with(&segment, &touched);
        assert!(names(&faults, one) && names(&faults, other), "bit {bit}: {faults:#?}");
    }
    fs::remove_file(&segment).unwrap();
    let faults = kept.faults();
    assert!(names(&faults, one) && names(&faults, other), "missing: {faults:#?}");
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    assert!(faults[0].to_string().contains(&name), "{}", faults[0]);
}
