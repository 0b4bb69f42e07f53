//! No bit of a bundle is free, and each touched, dropped, doubled or moved line is named. Two
//! streams are played: one of two people that ends in a checkpoint, and one that crashed and is
//! signed by the beginning of a third.

use super::*;
use crate::model::Digit;
use crate::model::WriterId;
use crate::suppression::Authority;
use crate::suppression::Confirmation;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::Fact;
use crate::suppression::KeyEvidence;
use crate::suppression::KeyMethod;
use crate::suppression::OptOut;
use crate::suppression::Origin;
use crate::suppression::Outcome;
use crate::suppression::import::Part;
use crate::suppression::import::Shape;
use crate::suppression::import::Tally;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Entropy;
use crate::suppression::proof::KeyTag;
use crate::suppression::proof::NumberKey;
use crate::suppression::proof::Place;

const OURS: u64 = 34_600_000_001;
const STRANGER: u64 = 34_600_000_002;

fn signer() -> Signer {
    Signer::new(&[3; 32])
}

fn optout(digits: u64) -> Fact {
    Fact::OptOut(Box::new(OptOut {
        campaign: Some("spring".into()),
        digits: "9".parse().expect("9 is a key"),
        method: Some(KeyMethod::Event),
        sip_call_id: Some(format!("call-of-{digits}@host")),
        key_events: vec![KeyEvidence {
            digit: Digit::from_char('9').expect("9 is a key"),
            method: KeyMethod::Event,
            at: UnixMicros(5),
            rtp_timestamp: Some(1_000),
            rtp_sequence: Some(7),
            duration_ms: Some(100),
            volume_dbm0: Some(-10),
            low_dbm0: None,
            high_dbm0: None,
            confidence: 100,
        }],
        ..OptOut::new(
            Number::from_e164_digits(digits).expect("the number is E.164"),
            vec!["global".into()],
            Origin::DialledCode,
            "madrid-1".into(),
            UnixMicros(1_795_293_016_000_000),
        )
    }))
}

fn confirmed(record: RecordId) -> Fact {
    let (durable_at, at) = (UnixMicros(10), UnixMicros(20));
    Fact::Confirmed(Confirmation { record, durable_at, at, outcome: Outcome::Played })
}

/// An import of three numbers, of which [`OURS`] is the second.
fn import() -> Fact {
    Fact::Import(Box::new(Import {
        list: "robinson".into(),
        account: None,
        campaign: None,
        topic: None,
        said: None,
        source: "a registry".to_owned(),
        as_of: None,
        shape: Shape::FtcFull,
        tally: Tally::default(),
        file_sha256: [5; 32],
        listed: Some(Part { segment: SegmentName([6; 32]), count: 3 }),
        taken_off: None,
        withdraws: None,
        node: "madrid-1".into(),
        actor: None,
        imported_at: UnixMicros(9),
    }))
}

fn place() -> SegmentPlace {
    SegmentPlace { content: Content::Listed, segment: SegmentName([6; 32]), place: 1 }
}

/// A stream in the making.
struct Stream {
    writer: WriterId,
    records: Vec<Record>,
    /// As the number is kept where it is hashed.
    kept: Option<Number>,
}

impl Stream {
    fn new(writer: u64) -> Self {
        Self { writer: WriterId(writer), records: Vec::new(), kept: None }
    }

    fn hashed(writer: u64, kept: Number) -> Self {
        Self { kept: Some(kept), ..Self::new(writer) }
    }

    fn push(mut self, fact: &Fact) -> Self {
        let seq = self.records.len() as u64 + 1;
        let place = Place {
            id: RecordId { writer: self.writer, seq },
            prev_hash: self.records.last().map_or(Hash::NONE, Record::hash),
            written_at: UnixMicros(seq.cast_signed()),
        };
        let key = NumberKey { tag: KeyTag([1; 16]), slot: 0, keyed: self.kept, key: [9; 32] };
        let entropy = Entropy::new([seq as u8; Entropy::LEN]);
        let record = Record::seal(fact, place, Some(&key), &entropy);
        self.records.push(record.unwrap_or_else(|error| panic!("{error}")));
        self
    }

    /// A checkpoint of `other`, or of the stream itself.
    fn sign(self, other: Option<&Self>) -> Self {
        let end = other.unwrap_or(&self).records.last().expect("the stream has a record");
        let fact = Checkpoint::sign(&signer(), end.id, end.hash(), UnixMicros(77));
        self.push(&Fact::Checkpoint(fact))
    }
}

fn id(writer: u64, seq: u64) -> RecordId {
    RecordId { writer: WriterId(writer), seq }
}

/// The runs of the bundle in order of their lines: streams 1, 2 and 3.
fn streams() -> [Stream; 3] {
    let one = Stream::new(1)
        .push(&optout(OURS))
        .push(&optout(STRANGER))
        .push(&confirmed(id(1, 1)))
        .push(&import())
        .sign(None);
    let two = Stream::new(2).push(&optout(OURS)).push(&optout(STRANGER));
    let three = Stream::new(3).sign(Some(&two)).sign(None);
    [one, two, three]
}

fn bundle() -> Bundle {
    let records = vec![id(1, 1), id(1, 3), id(1, 4), id(2, 1)];
    let entry = |record: Record| {
        let is_theirs = records.contains(&record.id);
        match is_theirs {
            true if record.kind == Kind::Import => Entry::imported(record, vec![place()]),
            true => Entry::opened(record, Some(&[9; 32])).expect("the key is right"),
            false => Entry::closed(record),
        }
    };
    let run = |stream: Stream| stream.records.into_iter().map(entry).collect();
    Bundle {
        number: Number::from_e164_digits(OURS).expect("the number is E.164"),
        node: "madrid-1".into(),
        made_at: UnixMicros(1_795_293_999_000_000),
        runs: streams().map(run).into(),
        records: records.clone(),
        elsewhere: vec![id(7, 1)],
    }
}

fn text_of(bundle: &Bundle, signer: &Signer) -> Vec<u8> {
    let mut text = Vec::new();
    bundle.write(signer, &mut text).expect("memory takes it");
    text
}

fn text() -> Vec<u8> {
    text_of(&bundle(), &signer())
}

/// The record in each line from the second on.
fn ids() -> Vec<RecordId> {
    streams().iter().flat_map(|stream| &stream.records).map(|record| record.id).collect()
}

#[test]
fn a_bundle_says_all_of_the_number_and_nothing_of_anybody_else() {
    let text = text();
    for key in [None, Some(signer().public())] {
        let verified = verify(&text, key).unwrap_or_else(|faults| panic!("{faults:?}"));
        let facts: Vec<_> = verified.records.iter().filter_map(|it| it.fact.clone()).collect();
        assert_eq!(facts, [optout(OURS), confirmed(id(1, 1)), import(), optout(OURS)]);
        assert_eq!(verified.records[2].places, [place()]);
        assert_eq!((verified.others, verified.checkpoints), (5, 3));
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("call-of-34600000001@host"));
    assert!(!text.contains("34600000002"), "a stranger's number leaves");
}

#[test]
fn any_flipped_bit_names_its_line() {
    // Each third bit of a small bundle, and some of one with all that there can be.
    let small = Stream::new(1).push(&optout(OURS)).sign(None);
    let mut bundle = bundle();
    bundle.records = vec![id(1, 1)];
    bundle.runs.truncate(1);
    bundle.runs[0].truncate(1);
    bundle.runs[0].extend(small.records.last().cloned().map(Entry::closed));
    let text_of_small = text_of(&bundle, &signer());
    assert!(verify(&text_of_small, None).is_ok());
    for bit in (0..text_of_small.len() * 8).step_by(3) {
        check_bit(&text_of_small, bit, &[id(1, 1), id(1, 2)]);
    }
    let (text, ids) = (text(), ids());
    // By default one bit in 61, each of an octet in its turn; `tests/long.sh flips` tries them all.
    let step = std::env::var("BAJAVOZ_FLIP_STEP").ok();
    let step = step.map_or(61, |step| step.parse().expect("BAJAVOZ_FLIP_STEP is a number"));
    for bit in (0..text.len() * 8).step_by(step) {
        check_bit(&text, bit, &ids);
    }
}

/// Flips one bit of `text`, whose lines from the second on are of `ids`.
fn check_bit(text: &[u8], bit: usize, ids: &[RecordId]) {
    let mut touched = text.to_vec();
    touched[bit / 8] ^= 1 << (bit % 8);
    let line = 1 + text[..bit / 8].iter().filter(|&&octet| octet == b'\n').count();
    // Who knows the key finds what the others find.
    let key = bit.is_multiple_of(31).then(|| signer().public());
    let faults = verify(&touched, key).expect_err("no bit is free");
    let told = || format!("octet {}, bit {}: {faults:#?}", bit / 8, bit % 8);
    assert_eq!(faults[0].line, line, "{}", told());
    if let Some(&record) = line.checked_sub(2).and_then(|index| ids.get(index)) {
        assert!(faults.iter().any(|fault| fault.record == Some(record)), "{}", told());
    }
}

/// A bundle's text as lines without their ends.
fn lines() -> Vec<Vec<u8>> {
    let text = text();
    let mut lines: Vec<Vec<u8>> = text.split(|&octet| octet == b'\n').map(<[u8]>::to_vec).collect();
    lines.pop();
    lines
}

fn faults_of(lines: &[Vec<u8>]) -> Vec<Fault> {
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    verify(&text, None).expect_err("the lines are not those that were written")
}

#[test]
fn lines_dropped_doubled_or_swapped_are_named() {
    let (lines, ids) = (lines(), ids());
    for (index, id) in ids.iter().enumerate() {
        let at = index + 1;
        let mut dropped = lines.clone();
        dropped.remove(at);
        let found = ids.get(index + 1).copied();
        let want = Fault { line: at + 1, record: Some(*id), found: Found::Missing { found } };
        assert_eq!(faults_of(&dropped)[0], want, "dropped");

        let mut doubled = lines.clone();
        doubled.insert(at, lines[at].clone());
        let want = Found::Doubled { expected: ids.get(index + 1).copied() };
        assert_eq!(faults_of(&doubled)[0], Fault { line: at + 2, record: Some(*id), found: want });

        for (other, moved) in ids.iter().enumerate().skip(index + 1) {
            let mut swapped = lines.clone();
            swapped.swap(at, other + 1);
            let want = Found::Order { found: Some(*moved) };
            let faults = faults_of(&swapped);
            assert_eq!(faults[0], Fault { line: at + 1, record: Some(*id), found: want });
            assert!(faults.iter().any(|fault| fault.record == Some(*moved)), "{faults:#?}");
        }
    }
    assert!(!faults_of(&lines[1..]).is_empty(), "the first line dropped");
    let (_seal, others) = lines.split_last().expect("there are lines");
    let want = Fault { line: lines.len(), record: None, found: Found::NoSeal };
    assert_eq!(faults_of(others), [want], "the last line dropped");
    let without_end = &text()[..text().len() - 1];
    assert_eq!(verify(without_end, None).unwrap_err()[0].found, Found::NoSeal);
    for len in 0..text().len() {
        assert!(verify(&text()[..len], None).is_err(), "cut to {len} octets");
    }
}

#[test]
fn a_forger_without_the_key_is_found_by_the_key_and_by_the_checkpoints() {
    let forger = Signer::new(&[4; 32]);
    let forged = text_of(&bundle(), &forger);
    // The checkpoints are the store's, and name its key.
    let faults = verify(&forged, None).unwrap_err();
    assert!(faults.iter().any(|fault| fault.record == Some(id(1, 5))), "{faults:#?}");
    let faults = verify(&forged, Some(signer().public())).unwrap_err();
    let (expected, found) = (signer().public(), forger.public());
    assert_eq!(faults[0], Fault { line: 1, record: None, found: Found::Key { expected, found } });
    // A whole history of the forger's own is whole; who knows the key is not taken in.
    assert!(verify(&text(), Some(forger.public())).is_err());
}

/// A bundle that somebody with the key has made of other records than those of the streams.
fn check_signed(name: &str, change: impl FnOnce(&mut Bundle), want: RecordId) {
    let mut bundle = bundle();
    change(&mut bundle);
    let faults = verify(&text_of(&bundle, &signer()), None).expect_err(name);
    assert_eq!(faults[0].record, Some(want), "{name}: {faults:#?}");
}

#[test]
fn what_is_signed_must_also_be_chained_and_committed_to() {
    check_signed("another list", |it| swap_text(it, 0, 0, "global", "locals"), id(1, 1));
    check_signed("a stranger's list", |it| swap_text(it, 0, 1, "global", "locals"), id(1, 2));
    check_signed("another outcome", |it| swap_text(it, 0, 2, "played", "PLAYED"), id(1, 3));
    check_signed("another time", |it| it.runs[1][0].record.written_at.0 += 1, id(2, 1));
    check_signed("no checkpoint", |it| drop(it.runs[0].pop()), id(1, 4));
    check_signed("no checkpoint by a later stream", |it| drop(it.runs.pop()), id(2, 2));
    check_signed("another salt", |it| it.runs[0][0].opened[0].salt[0] ^= 1, id(1, 1));
    check_signed("a field too few", |it| drop(it.runs[0][0].opened.pop()), id(1, 1));
    check_signed("a record that is not there", |it| it.records.push(id(7, 7)), id(7, 7));
    check_signed("a record of nobody", |it| it.records.retain(|it| *it != id(1, 1)), id(1, 1));
    check_signed("no place", |it| it.runs[0][3].places.clear(), id(1, 4));
    check_signed("a place behind the last", |it| it.runs[0][3].places[0].place = 3, id(1, 4));
    check_signed("another segment", |it| it.runs[0][3].places[0].segment.0[0] ^= 1, id(1, 4));
    let off = |it: &mut Bundle| it.runs[0][3].places[0].content = Content::TakenOff;
    check_signed("taken off by none", off, id(1, 4));
    check_signed("a place by no import", |it| it.runs[0][0].places.push(place()), id(1, 1));
    check_signed("a stranger's place", |it| it.runs[0][1].places.push(place()), id(1, 2));
    check_signed("a checkpoint as a record", |it| it.records.push(id(3, 2)), id(3, 2));
}

fn swap_text(bundle: &mut Bundle, run: usize, index: usize, from: &str, to: &str) {
    let record = &mut bundle.runs[run][index].record;
    let plain = String::from_utf8(record.plain.to_vec()).expect("plain fields are text");
    assert!(plain.contains(from), "{plain}");
    record.plain = plain.replace(from, to).into_bytes().into();
}

fn erasure(number: Number, records: Vec<RecordId>) -> Fact {
    Fact::Erasure(Box::new(Erasure {
        number,
        slots: vec![0],
        audio: Vec::new(),
        records,
        cause: ErasureCause::Retention,
        authority: Authority::LocalOperator,
        actor: None,
        reason: None,
        node: "madrid-1".into(),
        erased_at: UnixMicros(30),
        answers: None,
    }))
}

/// One that answers another node's, and has found nothing.
fn answer(number: Number) -> Fact {
    let Fact::Erasure(mut erasure) = erasure(number, Vec::new()) else { panic!("it is one") };
    erasure.answers = Some(id(9, 9));
    Fact::Erasure(erasure)
}

/// What is found of a bundle about `number` in which all of `stream` is the number's and the records
/// `closed` say nothing.
fn found_of(number: Number, stream: Stream, closed: &[u64]) -> Result<Verified, Vec<Fault>> {
    let stream = stream.sign(None);
    let theirs: Vec<RecordId> = stream.records.iter().map(|record| record.id).collect();
    let (_checkpoint, theirs) = theirs.split_last().expect("there is a checkpoint");
    let entry = |record: Record| {
        let key = Some(&[9; 32]).filter(|_key| !closed.contains(&record.id.seq));
        let is_checkpoint = record.kind == Kind::Checkpoint;
        if is_checkpoint {
            Entry::closed(record)
        } else {
            Entry::opened(record, key).expect("the key is right")
        }
    };
    let run = stream.records.into_iter().map(entry).collect();
    let bundle = Bundle {
        number,
        records: theirs.to_vec(),
        elsewhere: Vec::new(),
        runs: vec![run],
        ..bundle()
    };
    verify(&text_of(&bundle, &signer()), None)
}

#[test]
fn a_record_says_nothing_only_where_an_erasure_of_the_number_names_it() {
    let ours = Number::from_e164_digits(OURS).expect("the number is E.164");
    let kept = Number::keyed(77);
    let opted = || Stream::new(1).push(&optout(OURS)).push(&confirmed(id(1, 1)));
    let hashed = || Stream::hashed(1, kept).push(&optout(OURS)).push(&confirmed(id(1, 1)));
    let all = || vec![id(1, 1)];
    #[rustfmt::skip]
    let cases = [
        ("by no erasure",                    ours, opted(), &[1][..], Some(1)),
        ("by an erasure that names it",      ours, opted().push(&erasure(ours, all())), &[1], None),
        ("by one that names another",        ours, opted().push(&erasure(ours, vec![id(1, 2)])), &[1], Some(1)),
        ("by one that names none",           ours, opted().push(&erasure(ours, Vec::new())), &[1], Some(1)),
        ("by one that says nothing itself",  ours, opted().push(&erasure(ours, all())), &[1, 3], Some(1)),
        ("by one that a later one names",    ours, opted().push(&erasure(ours, all())).push(&erasure(ours, vec![id(1, 3)])), &[1, 3], None),
        ("where it is nowhere hashed",       kept, Stream::new(1).push(&optout(OURS)), &[1], Some(1)),
        ("hashed, by no erasure",            ours, hashed(), &[1], Some(1)),
        ("hashed, asked for as it is kept",  kept, hashed(), &[1], None),
        ("hashed, asked for as another",     Number::keyed(78), hashed(), &[1], Some(1)),
        ("hashed, another says both",        ours, hashed().push(&optout(OURS)), &[1], None),
        ("hashed, by one that names it",     ours, hashed().push(&erasure(kept, all())), &[1], None),
        ("hashed, by one of another number", ours, hashed().push(&erasure(Number::keyed(78), all())), &[1], Some(1)),
        ("hashed, by one that found none",   ours, hashed().push(&answer(kept)), &[1], Some(1)),
        ("hashed, by one from before",       ours, hashed().push(&erasure(kept, Vec::new())), &[1], None),
    ];
    for (name, number, stream, closed, fault) in cases {
        match (found_of(number, stream, closed), fault) {
            (Err(faults), Some(seq)) => {
                let found = (faults[0].record, &faults[0].found);
                assert_eq!(found, (Some(id(1, seq)), &Found::Closed), "{name}: {faults:#?}");
            }
            (Ok(verified), None) => {
                let first = &verified.records[0];
                assert_eq!((first.id, &first.fact), (id(1, 1), &None), "{name}");
                let Some(Fact::OptOut(left)) = &first.outline else { panic!("{name}: {first:?}") };
                let Fact::OptOut(whole) = optout(OURS) else { panic!("it is one") };
                assert_eq!(left.lists, whole.lists, "{name}");
                assert_eq!(
                    (left.digits, left.pressed_at),
                    (whole.digits, whole.pressed_at),
                    "{name}"
                );
                assert_eq!((&left.sip_call_id, left.key_events.len()), (&None, 0), "{name}");
            }
            (found, _) => panic!("{name}: {found:#?}"),
        }
    }
}

#[test]
fn what_is_no_bundle_is_said_to_be_none() {
    let later = String::from_utf8(text()).unwrap().replacen("\"version\":1", "\"version\":2", 1);
    let cases: [(&str, &[u8]); 5] = [
        ("nothing", b""),
        ("words", b"hello\nworld\n"),
        ("another table", b"\"number\",\"list\"\n\"+34600000001\",\"global\"\n"),
        ("octets", &[0xff, 0xfe, 10, 0]),
        ("a later version", later.as_bytes()),
    ];
    for (name, text) in cases {
        let faults = verify(text, None).expect_err(name);
        assert!(faults[0].line == 1 && faults[0].found.is_unreadable(), "{name}: {faults:#?}");
    }
    let endless =
        String::from_utf8(text()).unwrap().replacen("-5\"}", "-18446744073709551615\"}", 1);
    assert_eq!(verify(endless.as_bytes(), None).unwrap_err()[0].found, Found::Runs);
}
