//! Stores that somebody has made anew of the records of another, who knows the format and can write
//! every file, but has not the signing key.

use super::*;
use crate::model::WriterId;
use crate::store::archive::open_record;
use crate::store::database::Cursor;
use crate::store::database::Database;
use crate::store::database::Projected;
use crate::store::journal::Journal;
use crate::store::journal::RealDisk;
use crate::store::keys::KeyFile;
use crate::store::segments::Segments;
use crate::store::sqlite::Sqlite;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Entropy;
use crate::suppression::proof::Hash;
use crate::suppression::proof::NumberKey;
use crate::suppression::proof::Place as RecordPlace;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::Signer;

const SEGMENT_BYTES: u64 = 16 * 1024;

/// A store with exactly these records, in journal and database, each frame and row as it should be.
fn forged(kept: &Kept, streams: &[Vec<Record>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::create_dir(path.join("journal")).unwrap();
    for folder in ["audio", "segments"] {
        fs::create_dir(path.join(folder)).unwrap();
        for entry in fs::read_dir(kept.path().join(folder)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), path.join(folder).join(entry.file_name())).unwrap();
        }
    }
    fs::copy(kept.path().join("keys"), path.join("keys")).unwrap();
    let keys = KeyFile::open_read_only(&path.join("keys")).unwrap();
    let mut database =
        Database::new(Sqlite::open(&database_path(path)).unwrap(), Segments::of(path));
    for records in streams.iter().filter(|records| !records.is_empty()) {
        let (writer, last) = (writer_of(records), records.last().unwrap());
        let disk = Box::new(RealDisk::new(journal_dir(path), SEGMENT_BYTES));
        let mut journal = Journal::create(disk, SEGMENT_BYTES, writer).unwrap();
        let mut prev = Hash::NONE;
        for pair in records.chunks(2) {
            for record in pair {
                let mut stored = Vec::new();
                record.write(&mut stored);
                assert!(journal.push(&stored));
            }
            journal.commit(prev).unwrap();
            prev = pair.last().unwrap().hash();
        }
        journal.finish().unwrap();
        let projected = |record: &Record| {
            let fact = open_record(&keys, record).ok().flatten();
            Projected::new(record.clone(), fact).unwrap()
        };
        let projected: Vec<Projected> = records.iter().map(projected).collect();
        let cursor = Cursor { writer, seq: last.id.seq, hash: last.hash(), is_closed: true };
        database.take_in(None, &projected, &[]).unwrap();
        database.copy_cursor(cursor, None).unwrap();
    }
    dir
}

/// Whose stream it is: most of its records say so.
fn writer_of(records: &[Record]) -> WriterId {
    let count = |record: &&Record| {
        records.iter().filter(|other| other.id.writer == record.id.writer).count()
    };
    records.iter().max_by_key(count).unwrap().id.writer
}

/// Names each record's hash in the next one, and counts them anew.
fn chained(mut records: Vec<Record>) -> Vec<Record> {
    let mut prev = Hash::NONE;
    for (index, record) in records.iter_mut().enumerate() {
        record.id.seq = index as u64 + 1;
        record.prev_hash = prev;
        prev = record.hash();
    }
    records
}

/// Where the streams end now, as `proof --heads` says.
fn heads(streams: &[Vec<Record>]) -> Vec<(RecordId, Hash)> {
    let head = |records: &Vec<Record>| {
        let last = records.last().expect("the stream has records");
        (last.id, last.hash())
    };
    streams.iter().map(head).collect()
}

fn faults_of(kept: &Kept, streams: &[Vec<Record>], heads: &[(RecordId, Hash)]) -> Vec<StoreFault> {
    let dir = forged(kept, streams);
    examine(dir.path(), Some(key(kept)), heads).unwrap().faults
}

fn key(kept: &Kept) -> PublicKey {
    let keys = KeyFile::open_read_only(&kept.path().join("keys")).unwrap();
    keys.signer_there().unwrap().unwrap().public()
}

#[test]
fn a_store_made_anew_of_the_same_records_is_whole() {
    let kept = Kept::new();
    let streams = kept.streams();
    assert_eq!(faults_of(&kept, &streams, &heads(&streams)), []);
}

#[test]
fn each_record_dropped_everywhere_is_named() {
    let kept = Kept::new();
    let streams = kept.streams();
    let heads = heads(&streams);
    for (stream, records) in streams.iter().enumerate() {
        for (index, record) in records.iter().enumerate() {
            let mut less = streams.clone();
            less[stream].remove(index);
            let faults = faults_of(&kept, &less, &heads);
            assert!(names(&faults, record.id), "{}: {faults:#?}", record.id);
            let is_end = stream + 1 == streams.len() && index + 1 == records.len();
            let faults = faults_of(&kept, &less, &[]);
            assert_eq!(faults.is_empty(), is_end, "only heads tell the newest end: {faults:#?}");
            // Counted and chained anew, the next signature does not fit any more; where none is
            // left, only the heads tell.
            less[stream] = chained(std::mem::take(&mut less[stream]));
            assert_ne!(faults_of(&kept, &less, &heads), [], "{} and chained", record.id);
            let faults = faults_of(&kept, &less, &[]);
            assert_eq!(faults.is_empty(), is_end, "{} and chained: {faults:#?}", record.id);
        }
    }
}

#[test]
fn each_pair_of_records_swapped_everywhere_is_named() {
    let kept = Kept::new();
    let streams = kept.streams();
    let ids: Vec<(usize, usize)> = (0..streams.len())
        .flat_map(|stream| (0..streams[stream].len()).map(move |index| (stream, index)))
        .collect();
    for (nth, &(stream, index)) in ids.iter().enumerate() {
        for &(other_stream, other) in &ids[nth + 1..] {
            let mut swapped = streams.clone();
            let (one, two) = (&streams[stream][index], &streams[other_stream][other]);
            swapped[stream][index] = two.clone();
            swapped[other_stream][other] = one.clone();
            let faults = faults_of(&kept, &swapped, &[]);
            for id in [one.id, two.id] {
                // Of two neighbours one is out of its place, and is told with the other.
                let is_told = |fault: &StoreFault| fault.to_string().contains(&id.to_string());
                assert!(faults.iter().any(is_told), "{} and {}: {faults:#?}", one.id, two.id);
            }
        }
    }
}

#[test]
fn each_record_touched_everywhere_is_named() {
    let kept = Kept::new();
    let streams = kept.streams();
    for (stream, records) in streams.iter().enumerate() {
        for (index, record) in records.iter().enumerate() {
            let mut touched = streams.clone();
            touched[stream][index].written_at.0 ^= 1;
            let faults = faults_of(&kept, &touched, &heads(&streams));
            assert!(names(&faults, record.id), "{}: {faults:#?}", record.id);
            touched[stream] = chained(std::mem::take(&mut touched[stream]));
            let faults = faults_of(&kept, &touched, &[]);
            let is_end = stream + 1 == streams.len() && index + 1 == records.len();
            assert_eq!(faults.is_empty(), is_end, "{} and chained: {faults:#?}", record.id);
        }
    }
}

#[test]
fn each_cut_end_and_each_stream_taken_away_is_named() {
    let kept = Kept::new();
    let streams = kept.streams();
    let heads = heads(&streams);
    for (stream, records) in streams.iter().enumerate() {
        for len in 0..records.len() {
            let mut cut = streams.clone();
            cut[stream].truncate(len);
            // Where nothing is left, the end itself is what is missing.
            let missing = if len == 0 { records.last().unwrap().id } else { records[len].id };
            let faults = faults_of(&kept, &cut, &heads);
            assert!(names(&faults, missing), "{missing}: {faults:#?}");
            let faults = faults_of(&kept, &cut, &[]);
            let is_newest = stream + 1 == streams.len();
            assert!(is_newest || names(&faults, missing), "{missing}: {faults:#?}");
            assert_eq!(faults.is_empty(), is_newest, "only heads tell the newest end: {faults:#?}");
        }
    }
}

#[test]
fn a_checkpoint_by_another_key_is_named_and_so_is_a_store_that_is_all_another_s() {
    let kept = Kept::new();
    let streams = kept.streams();
    let other = Signer::new(&[9; 32]);
    let signed = |record: &Record| {
        let named = record.checkpoint()?;
        let fact = Checkpoint::sign(&other, named.record(), named.hash, named.at);
        let (id, prev_hash, written_at) = (record.id, record.prev_hash, record.written_at);
        let place = RecordPlace { id, prev_hash, written_at };
        let entropy = Entropy::new([0; Entropy::LEN]);
        Record::seal(&Fact::Checkpoint(fact), place, None, &entropy).ok()
    };
    for (stream, records) in streams.iter().enumerate() {
        for (index, record) in records.iter().enumerate() {
            let Some(by_other) = signed(record) else { continue };
            let mut touched = streams.clone();
            touched[stream][index] = by_other;
            let faults = faults_of(&kept, &touched, &[]);
            assert!(names(&faults, record.id), "{}: {faults:#?}", record.id);
        }
    }
    // Sealed and signed anew from end to end, by somebody with the numbers' keys and a key of their
    // own: who knows the store's is not taken in.
    let keys = KeyFile::open_read_only(&kept.path().join("keys")).unwrap();
    let mut all: Vec<Vec<Record>> = Vec::new();
    for records in &streams {
        let mut anew: Vec<Record> = Vec::new();
        for record in records {
            let fact = open_record(&keys, record).unwrap().unwrap();
            let fact = match fact {
                Fact::Checkpoint(named) => {
                    let end = all.iter().flatten().chain(&anew).find(|it| it.id == named.record());
                    let hash = end.unwrap().hash();
                    Fact::Checkpoint(Checkpoint::sign(&other, named.record(), hash, named.at))
                }
                other => other,
            };
            let key = record.key_slot().map(|(tag, slot)| {
                let key = keys.key_in(slot).unwrap().unwrap();
                NumberKey { tag, slot, keyed: None, key }
            });
            let prev_hash = anew.last().map_or(Hash::NONE, Record::hash);
            let place = RecordPlace { id: record.id, prev_hash, written_at: record.written_at };
            let entropy = Entropy::new([1; Entropy::LEN]);
            anew.push(Record::seal(&fact, place, key.as_ref(), &entropy).unwrap());
        }
        all.push(anew);
    }
    let dir = forged(&kept, &all);
    let whole = examine(dir.path(), Some(other.public()), &[]).unwrap();
    assert_eq!(whole.faults, [], "whole, of whoever made it");
    let faults = examine(dir.path(), Some(key(&kept)), &[]).unwrap().faults;
    assert_eq!(faults.len(), 3, "each checkpoint is by another key: {faults:#?}");
}
