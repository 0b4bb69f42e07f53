//! A copied store is played through flipped bits of its journal, of its rows and of the segments of
//! its imports, through each dropped and swapped record and row, and through whatever somebody can
//! make of it who knows the format and has not the key: the examination names each. What it cannot
//! name is asserted too.

mod closed;
mod flips;
mod forged;
mod shared;

use std::fs;
use std::path::Path;

use super::*;
use crate::model::RecordId;
use crate::store::archive::journal_dir;
use crate::store::site::database_path;
use crate::suppression::proof::Record;
use crate::suppression::proof::Signer;
use crate::suppression::segment::Content;

/// A store of two streams: opt-outs, a confirmation, imports of the same segment,
/// audio of the same content, reversals, erasures, and checkpoints.
struct Kept {
    dir: tempfile::TempDir,
    segments: Vec<PathBuf>,
}

/// Puts some of everything on record.
fn fill(store: &Store, acks: &Receiver<Ack>, dir: &Path, round: u64) {
    let add = |fact| {
        store.submit(0, fact).expect("the queue has room");
        acks.recv().expect("it is answered").result.expect("the disk works").record
    };
    let record = add(Fact::OptOut(Box::new(optout(round))));
    add(Fact::OptOut(Box::new(optout(7))));
    let (durable_at, at) = (UnixMicros(1), UnixMicros(2));
    add(Fact::Confirmed(Confirmation { record, durable_at, at, outcome: Outcome::Played }));
    let part = imports::segment(dir, Content::Listed, &[3, 5, 8]);
    add(imports::publish(store, imports::import(Some(part), None)));
    let sha256 = store.keep_audio(&[7; 64]).expect("the disk works");
    add(audio::kept(record, sha256, 64));
    add(audio::lost(record));
    add(reversals::reversal(round, vec![reversals::cancelled(record, "acme")]));
    let Fact::Erasure(mut erasure) =
        erasure::erasure_of(Number::keyed(round), Vec::new(), Vec::new())
    else {
        panic!("it is one")
    };
    erasure.records.push(record);
    add(Fact::Erasure(erasure));
    store.record_call(call(round));
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
            fill(&store, &received, dir.path(), round);
            store.close().expect("both threads end well");
        }
        // As the next start leaves it: both streams closed.
        drop(Archive::open_exclusive(dir.path()).expect("the store is whole"));
        let shell = rusqlite::Connection::open(database_path(dir.path())).expect("it opens");
        // One file, so that a change costs no sync.
        shell.pragma_update(None, "journal_mode", "DELETE").expect("nobody else has it");
        let listed = fs::read_dir(journal_dir(dir.path())).expect("the journal can be listed");
        let paths = listed.map(|entry| entry.expect("it can be listed").path());
        let segments = paths.filter(|path| path.extension().is_some()).collect();
        Self { dir, segments }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The streams, the older one first.
    fn streams(&self) -> Vec<Vec<Record>> {
        let mut streams = signing::journal(self.path());
        streams.sort_by_key(Vec::len);
        streams
    }

    /// Every record in the journal with its stored form, by stream.
    fn records(&self) -> Vec<Vec<(RecordId, Vec<u8>)>> {
        let stored = |record: &Record| {
            let mut stored = Vec::new();
            record.write(&mut stored);
            (record.id, stored)
        };
        self.streams().iter().map(|records| records.iter().map(stored).collect()).collect()
    }

    fn faults(&self) -> Vec<StoreFault> {
        examine(self.path(), None, &[]).expect("nobody holds it").faults
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

#[test]
fn a_whole_store_is_found_whole_and_left_as_it_was() {
    let kept = Kept::new();
    let before = history_of(kept.path());
    let examined = examine(kept.path(), None, &[]).unwrap();
    assert_eq!(examined.faults, []);
    assert_eq!((examined.streams, examined.records, examined.opt_outs), (2, 19, 4));
    assert_eq!((examined.imports, examined.audio), (2, 2));
    assert_eq!((examined.checkpoints, examined.unsigned, examined.waiting), (3, 0, 0));
    assert_eq!(history_of(kept.path()), before);
    let other = Signer::new(&[1; 32]).public();
    let faults = examine(kept.path(), Some(other), &[]).unwrap().faults;
    assert_eq!(faults.len(), 3, "each checkpoint is by another key: {faults:#?}");

    let (store, ..) = open(kept.path());
    assert!(matches!(examine(kept.path(), None, &[]), Err(StoreError::Held { .. })));
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
fn what_the_other_tables_say_must_be_what_the_records_say() {
    let kept = Kept::new();
    let records = kept.records();
    let streams: Vec<i64> = records.iter().map(|it| it[0].0.writer.0.cast_signed()).collect();
    // The stream that begins with a link has its opt-outs from record 2 on.
    let first = records.iter().position(|stream| stream.len() == 9).unwrap();
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
        ("no reversal", format!("DELETE FROM reversal WHERE writer_id = {writer}"), RecordId { seq: 7, ..second }),
        ("another is reversed", format!("UPDATE reversed SET list = 'global' WHERE writer_id = {writer}"), RecordId { seq: 7, ..second }),
        ("no audio", format!("DELETE FROM audio WHERE lost IS NULL AND writer_id = {writer}"), RecordId { seq: 5, ..second }),
        ("audio of another", format!("UPDATE audio SET ref_seq = 9 WHERE lost IS NULL AND writer_id = {writer}"), RecordId { seq: 5, ..second }),
        ("no erasure", format!("DELETE FROM erasure WHERE writer_id = {writer}"), RecordId { seq: 8, ..second }),
        ("another is erased", format!("UPDATE erasure SET number = number + 1 WHERE writer_id = {writer}"), RecordId { seq: 8, ..second }),
        ("evidence that no erasure has deleted", format!("DELETE FROM evidence WHERE writer_seq = 2 AND writer_id = {writer}"), second),
        ("other evidence", format!("UPDATE evidence SET body = '{{}}' WHERE writer_seq = 2 AND writer_id = {writer}"), second),
        ("evidence of another", format!("INSERT INTO evidence SELECT writer_id, 1, body FROM evidence WHERE writer_seq = 2 AND writer_id = {writer}"), RecordId { seq: 1, ..second }),
        ("evidence of nothing", format!("INSERT INTO evidence SELECT writer_id, 99, body FROM evidence WHERE writer_seq = 2 AND writer_id = {writer}"), RecordId { seq: 99, ..second }),
        ("another's evidence is gone", format!("UPDATE erased SET ref_seq = 2 WHERE writer_id = {writer}"), RecordId { seq: 8, ..second }),
        ("an opt-out of nobody", format!("INSERT INTO optout SELECT writer_id, 99, number, 0, 0, NULL, NULL, NULL, NULL, '', NULL, '', '', '' FROM optout WHERE {of}"), RecordId { seq: 99, ..second }),
        ("another end", format!("UPDATE writer SET last_hash = '00' WHERE writer_id = {writer}"), RecordId { seq: 9, ..second }),
        ("an end too late", format!("UPDATE writer SET last_seq = 10 WHERE writer_id = {writer}"), RecordId { seq: 10, ..second }),
    ];
    for (name, sql, want) in cases {
        let faults = kept.faults_after(&sql);
        assert!(names(&faults, want), "{name}: {faults:#?}");
    }
}

#[test]
fn a_record_whose_key_is_gone_is_named_and_its_chain_is_still_watched() {
    let kept = Kept::new();
    let keys = fs::OpenOptions::new().write(true).open(kept.path().join("keys")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&keys, &[0; 32], 4096).unwrap();
    let found = kept.faults();
    // The opt-out, and the reversal of it.
    let want = StoreFound::Unkept { slot: 0 };
    assert_eq!(found.iter().filter(|it| it.found == want).count(), 2, "{found:#?}");
    assert_eq!(found.len(), 2, "{found:#?}");
    // The first opt-out of all has the first key.
    let first = kept.records().into_iter().find(|stream| stream.len() == 9);
    let (id, stored) = first.and_then(|stream| stream.into_iter().next()).unwrap();
    let mut touched = stored;
    touched[70] ^= 1;
    let hex: String = touched.iter().map(|octet| format!("{octet:02x}")).collect();
    let (writer, seq) = (id.writer.0.cast_signed(), id.seq);
    let sql = format!(
        "UPDATE fact SET record = x'{hex}' WHERE writer_id = {writer} AND writer_seq = {seq}"
    );
    let told = kept.faults_after(&sql);
    assert!(told.iter().any(|it| it.record == Some(id) && it.found != want), "{told:#?}");
}

#[test]
fn a_touched_or_missing_segment_of_an_import_is_named() {
    let kept = Kept::new();
    let records = kept.records();
    let import = |stream: &Vec<(RecordId, Vec<u8>)>| stream[stream.len() - 6].0;
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

#[test]
fn a_journal_without_a_database_is_checked_by_itself() {
    let kept = Kept::new();
    let records = kept.records();
    fs::remove_file(database_path(kept.path())).unwrap();
    let examined = examine(kept.path(), None, &[]).unwrap();
    assert_eq!(
        (examined.faults.len(), examined.has_database),
        (0, false),
        "{:#?}",
        examined.faults
    );
    let last = records[0].last().unwrap().0;
    let of_first = |path: &&PathBuf| path.to_string_lossy().contains(&last.writer.to_string());
    fs::remove_file(kept.segments.iter().find(of_first).unwrap()).unwrap();
    assert!(names(&kept.faults(), last), "the next stream names it: {:#?}", kept.faults());
}
