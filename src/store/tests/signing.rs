//! Checkpoints: each stream is signed as it grows and when it ends, and names the ends of those
//! before it, however they ended.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::model::RecordId;
use crate::store::archive::journal_dir;
use crate::store::journal::streams;
use crate::suppression::import::TakenOff;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::Record;
use crate::suppression::proof::bundle;
use crate::suppression::proof::bundle::SegmentPlace;
use crate::suppression::segment::Content;

/// The records of every stream in the journal, by writer.
pub(super) fn journal(dir: &Path) -> Vec<Vec<Record>> {
    let streams = streams(&journal_dir(dir)).expect("the journal can be listed");
    let read = |stream: journal::Stream| {
        let mut records = Vec::new();
        let visit = |record| {
            records.push(record);
            Ok::<_, journal::JournalError>(())
        };
        stream.read(0, visit).expect("the journal is whole");
        records
    };
    streams.into_iter().map(read).collect()
}

/// `o` for an opt-out, `c` for a checkpoint of the stream itself, `l` for one of another; each
/// checkpoint must be signed, and be true of the stream that it names.
fn shape(streams: &[Vec<Record>], records: &[Record], key: PublicKey) -> String {
    let letter = |record: &Record| {
        let Some(checkpoint) = record.checkpoint() else { return 'o' };
        assert!(checkpoint.is_signed_by(key), "{checkpoint:?}");
        let named = streams.iter().flatten().find(|named| named.id == checkpoint.record());
        assert_eq!(named.map(Record::hash), Some(checkpoint.hash), "{checkpoint:?}");
        if checkpoint.writer != record.id.writer {
            return 'l';
        }
        assert_eq!((checkpoint.seq + 1, checkpoint.hash), (record.id.seq, record.prev_hash));
        'c'
    };
    records.iter().map(letter).collect()
}

/// The shapes of all streams, by the time of their first records.
pub(super) fn shapes(dir: &Path, key: PublicKey) -> Vec<String> {
    let mut streams = journal(dir);
    streams.sort_by_key(|records| records.first().map(|record| record.written_at));
    streams.iter().map(|records| shape(&streams, records, key)).collect()
}

fn add(store: &Store, acks: &Receiver<Ack>, n: u64) -> RecordId {
    store.submit(n, Fact::OptOut(Box::new(optout(n)))).expect("the queue has room");
    acks.recv().expect("every fact is answered").result.expect("the disk works").record
}

fn open_with(dir: &Path, settle: impl FnOnce(&mut Settings)) -> (Store, Receiver<Ack>) {
    let (acks, received) = channel();
    let mut settings = settings(dir);
    settle(&mut settings);
    let on_ack = move |ack| acks.send(ack).expect("the test listens until the store is closed");
    (Store::open(settings, on_ack).expect("the store opens").0, received)
}

#[test]
fn each_node_proves_its_own_records_and_names_those_of_the_others() {
    let stands = [Stand::postgres()];
    let stands = [&stands[0], &stands[0].another_node()];
    let nodes = stands.map(|stand| stand.open());
    let add = |at: usize, n| add(&nodes[at].0, &nodes[at].2, n);
    let (here, there, theirs) = (add(0, 1), add(1, 1), add(1, 2));
    for (store, ..) in &nodes {
        store.flush().unwrap();
    }
    let prove = |at: usize, n| nodes[at].0.prove(number(n), "madrid-1".into(), UnixMicros(9));
    for (at, own, other) in [(0, here, there), (1, there, here)] {
        let key = nodes[at].0.proof_key();
        let text = prove(at, 1).unwrap().expect("it is on record");
        let verified = bundle::verify(&text, Some(key)).unwrap();
        let records: Vec<RecordId> = verified.records.iter().map(|record| record.id).collect();
        assert_eq!((records, verified.elsewhere), (vec![own], vec![other]), "node {at}");
        let touched =
            String::from_utf8(text).unwrap().replace(&other.to_string(), &own.to_string());
        assert!(bundle::verify(touched.as_bytes(), Some(key)).is_err(), "it is signed too");
    }
    let error = prove(0, 2).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { record } if record == theirs), "{error}");
}

#[test]
fn a_stream_is_signed_when_it_ends_and_the_next_one_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let open = || {
        let kept = Arc::clone(&clock);
        open_with(dir.path(), |settings| settings.clock = kept)
    };
    let (store, acks) = open();
    let key = store.proof_key();
    add(&store, &acks, 0);
    add(&store, &acks, 1);
    store.close().unwrap();
    assert_eq!(shapes(dir.path(), key), ["ooc"]);

    let (store, acks) = open();
    assert_eq!(store.proof_key(), key, "for ever");
    store.checkpoint().unwrap();
    assert_eq!(journal(dir.path()).iter().flatten().count(), 3, "nothing is left to sign");
    add(&store, &acks, 2);
    store.close().unwrap();
    let (store, _acks) = open();
    store.close().unwrap();
    let (store, acks) = open();
    add(&store, &acks, 3);
    store.close().unwrap();
    assert_eq!(shapes(dir.path(), key), ["ooc", "loc", "loc"]);
}

#[test]
fn a_stream_is_signed_after_so_many_records_and_so_much_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, acks) = open_with(dir.path(), |settings| settings.checkpoint_records_max = 3);
    let key = store.proof_key();
    let seqs: Vec<u64> = (0..7).map(|n| add(&store, &acks, n).seq).collect();
    assert_eq!(seqs, [1, 2, 3, 5, 6, 7, 9], "checkpoints take places of their own");
    assert_eq!(shapes(dir.path(), key), ["ooocoooco"]);
    store.close().unwrap();
    assert_eq!(shapes(dir.path(), key), ["ooocooococ"]);

    let dir = tempfile::tempdir().unwrap();
    let (store, acks) =
        open_with(dir.path(), |settings| settings.checkpoint_every = Duration::ZERO);
    let key = store.proof_key();
    add(&store, &acks, 0);
    while shapes(dir.path(), key) != ["oc"] {
        store.flush().unwrap();
    }
    store.checkpoint().unwrap();
    assert_eq!(shapes(dir.path(), key), ["oc"], "what is signed is not signed again");
}

#[test]
fn what_a_crash_left_unsigned_is_signed_by_the_next_stream() {
    let dir = tempfile::tempdir().unwrap();
    let (store, acks) = open_with(dir.path(), |_settings| {});
    let key = store.proof_key();
    add(&store, &acks, 0);
    add(&store, &acks, 1);
    store.flush().unwrap();
    let copy = tempfile::tempdir().unwrap();
    history::copy_store(dir.path(), copy.path());
    assert_eq!(shapes(copy.path(), key), ["oo"]);
    let late = || UnixMicros(1_900_000_000_000_000);
    let (next, _acks) = open_with(copy.path(), |settings| settings.clock = Arc::new(late));
    next.checkpoint().unwrap();
    assert_eq!(shapes(copy.path(), key), ["oo", "lc"], "at once, when it is asked for");
    next.close().unwrap();
    assert_eq!(shapes(copy.path(), key), ["oo", "lc"]);
}

#[test]
fn what_is_on_record_is_proved_across_streams_and_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, acks) = open_with(dir.path(), |settings| settings.checkpoint_records_max = 4);
    for n in [1, 2, 3, 1, 2, 3, 2] {
        add(&store, &acks, n);
    }
    store.flush().unwrap();
    let copy = tempfile::tempdir().unwrap();
    history::copy_store(dir.path(), copy.path());
    let (store, acks) = open_with(copy.path(), |_settings| {});
    let record = add(&store, &acks, 1);
    let confirmation = Confirmation {
        record,
        durable_at: UnixMicros(1),
        at: UnixMicros(2),
        outcome: Outcome::Played,
    };
    store.submit(9, Fact::Confirmed(confirmation)).unwrap();
    acks.recv().unwrap().result.unwrap();
    let made_at = UnixMicros(1_900_000_000_000_000);
    let prove = |n| store.prove(number(n), "madrid-1".into(), made_at).unwrap();
    assert_eq!(prove(99), None, "nothing is on record of them");
    for (n, records, others) in [(1, 4, 4), (3, 2, 7)] {
        let bundle = prove(n).unwrap();
        let verified = bundle::verify(&bundle, Some(store.proof_key()));
        let verified = verified.unwrap_or_else(|faults| panic!("{faults:#?}"));
        assert_eq!((verified.records.len(), verified.others), (records, others), "number {n}");
        let text = String::from_utf8(bundle).unwrap();
        assert!(text.contains(&number(n).reveal()));
        assert!(!text.contains(&number(2).reveal()), "a stranger's number leaves");
    }
}

#[test]
fn a_number_of_an_import_is_proved_by_its_place_in_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (store, acks) = open_with(dir.path(), |_settings| {});
    let submit = |fact| {
        store.submit(0, fact).unwrap();
        acks.recv().unwrap().result.unwrap().record
    };
    let listed = imports::segment(dir.path(), Content::Listed, &[1, 2, 5]);
    let first = submit(imports::import(Some(listed), None));
    add(&store, &acks, 2);
    let off = imports::segment(dir.path(), Content::TakenOff, &[0, 5]);
    let from = vec![first];
    submit(imports::import(None, Some(TakenOff { part: off, from })));
    let prove = |n| store.prove(number(n), "madrid-1".into(), UnixMicros(1));
    let verified = |n| {
        let bundle = prove(n).unwrap().expect("something is on record of the number");
        let text = String::from_utf8(bundle.clone()).unwrap();
        assert!((0..9).all(|other| other == n || !text.contains(&number(other).reveal())));
        bundle::verify(&bundle, Some(store.proof_key())).unwrap_or_else(|it| panic!("{it:#?}"))
    };
    let places = |n| -> Vec<SegmentPlace> {
        verified(n).records.iter().flat_map(|record| record.places.clone()).collect()
    };
    let on = |place| SegmentPlace { content: Content::Listed, segment: listed.segment, place };
    let off_at = |place| SegmentPlace { content: Content::TakenOff, segment: off.segment, place };
    assert_eq!(places(1), [on(0)]);
    assert_eq!((places(2), verified(2).records.len()), (vec![on(1)], 2), "an opt-out besides");
    assert_eq!(places(5), [on(2), off_at(1)], "what was taken off is told with what it was on");
    assert_eq!(prove(7).unwrap(), None);
    // Nothing is signed of a segment that is not what its name says.
    let path = dir.path().join("segments").join(format!("{}.seg", listed.segment));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(prove(1), Err(StoreError::Segment { .. })));
}
