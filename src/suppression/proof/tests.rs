//! The stored form holds what it promises: every touched bit is named, and erasure harms nothing
//! but the erased. A stream of three opt-outs of two numbers and two confirmations is played
//! through every single-bit change and every dropped, doubled and swapped record.

use super::*;
use crate::model::Digit;
use crate::model::Number;
use crate::suppression::Authority;
use crate::suppression::Cancelled;
use crate::suppression::Confirmation;
use crate::suppression::KeyEvidence;
use crate::suppression::KeyMethod;
use crate::suppression::Leg;
use crate::suppression::OptOut;
use crate::suppression::Origin;
use crate::suppression::Outcome;
use crate::suppression::Reversal;
use crate::suppression::import::Import;
use crate::suppression::import::Part;
use crate::suppression::import::Shape;
use crate::suppression::import::TakenOff;
use crate::suppression::import::Tally;
use crate::suppression::segment::SegmentName;

const WRITER: WriterId = WriterId(0x0123_4567_89ab_cdef);

fn optout(digits: u64) -> Fact {
    Fact::OptOut(Box::new(OptOut {
        account: Some("acme".into()),
        campaign: Some("spring".into()),
        trunk: Some("carrier".into()),
        digits: "*9".parse().expect("these are keys"),
        method: Some(KeyMethod::Event),
        sip_call_id: Some("abc@host".to_owned()),
        leg: Some(Leg::B),
        prompt_sha256: Some([9; 32]),
        key_events: vec![KeyEvidence {
            digit: Digit::from_char('9').expect("9 is a key"),
            method: KeyMethod::Event,
            at: UnixMicros(5),
            rtp_timestamp: Some(u32::MAX),
            rtp_sequence: Some(7),
            duration_ms: Some(100),
            volume_dbm0: Some(-10),
            low_dbm0: None,
            high_dbm0: None,
            confidence: 100,
        }],
        reason: Some("asked twice".to_owned()),
        ..OptOut::new(
            Number::from_e164_digits(digits).expect("the number is E.164"),
            vec!["global".into()],
            Origin::DialledCode,
            "madrid-1".into(),
            UnixMicros(1_795_293_016_000_000),
        )
    }))
}

fn confirmed(seq: u64) -> Fact {
    Fact::Confirmed(Confirmation {
        record: RecordId { writer: WRITER, seq },
        durable_at: UnixMicros(10),
        at: UnixMicros(20),
        outcome: Outcome::Played,
    })
}

fn import() -> Fact {
    let part = |octet| Part { segment: SegmentName([octet; 32]), count: 250_000_000 };
    let rejected = [("invalid".to_owned(), 3)].into();
    Fact::Import(Box::new(Import {
        list: "ftc".into(),
        account: None,
        campaign: None,
        topic: None,
        said: None,
        source: "the registry".to_owned(),
        as_of: Some(UnixMicros(1_795_305_600_000_000)),
        shape: Shape::FtcChange,
        tally: Tally { read: 9, listed: 4, taken_off: 2, ranges: Vec::new(), rejected },
        file_sha256: [3; 32],
        listed: Some(part(1)),
        taken_off: Some(TakenOff {
            part: part(2),
            from: vec![RecordId { writer: WRITER, seq: 1 }],
        }),
        withdraws: None,
        node: "madrid-1".into(),
        actor: Some("ana".to_owned()),
        imported_at: UnixMicros(7),
    }))
}

#[test]
fn an_import_needs_no_key_and_a_later_kind_is_refused_by_its_number() {
    let place = Place {
        id: RecordId { writer: WRITER, seq: 1 },
        prev_hash: Hash::NONE,
        written_at: UnixMicros(5),
    };
    let record = Record::seal(&import(), place, None, &Entropy::new([1; _])).unwrap();
    let mut stored = Vec::new();
    record.write(&mut stored);
    let read = Record::parse(&stored).unwrap();
    assert_eq!((read.kind, read.key_slot()), (Kind::Import, None));
    assert_eq!(read.open(None).unwrap(), import());
    // The kind stands behind version, writer, number, hash and time.
    let at = 1 + 8 + 8 + 32 + 8;
    assert_eq!(stored[at..at + 2], [0, 3]);
    stored[at + 1] = 99;
    assert_eq!(Record::parse(&stored), Err(RecordError::Kind { found: 99 }));
}

fn reversal() -> Fact {
    let cancelled = |seq, list: &str| Cancelled {
        record: RecordId { writer: WRITER, seq },
        lists: vec![list.into()],
    };
    Fact::Reversal(Box::new(Reversal {
        number: Number::from_e164_digits(34_600_000_001).expect("the number is E.164"),
        cancels: vec![cancelled(1, "global"), cancelled(4, "ftc")],
        authority: Authority::LocalOperator,
        actor: Some("luis".to_owned()),
        reason: "signed a form".to_owned(),
        node: "madrid-1".into(),
        reversed_at: UnixMicros(8),
    }))
}

#[test]
fn a_reversal_seals_number_actor_and_reason_and_says_openly_what_it_cancels() {
    let place = Place {
        id: RecordId { writer: WRITER, seq: 1 },
        prev_hash: Hash::NONE,
        written_at: UnixMicros(5),
    };
    let entropy = Entropy::new([1; _]);
    let unsealed = Record::seal(&reversal(), place, None, &entropy).unwrap_err();
    assert_eq!(unsealed, RecordError::Seal(SealError::KeyMissing));
    let record = Record::seal(&reversal(), place, Some(&key(0)), &entropy).unwrap();
    let mut stored = Vec::new();
    record.write(&mut stored);
    let read = Record::parse(&stored).unwrap();
    assert_eq!((read.kind, read.commitments.len()), (Kind::Reversal, 3));
    assert_eq!(read.open(key_in(0).as_ref()).unwrap(), reversal());
    let text = String::from_utf8_lossy(&stored);
    for personal in ["34600000001", "luis", "signed a form"] {
        assert!(!text.contains(personal), "{personal} stands in the clear");
    }
    assert!(text.contains("\"ftc\"") && text.contains("\"seq\":4"), "{text}");
}

fn facts() -> Vec<Fact> {
    vec![
        optout(34_600_000_001),
        optout(34_600_000_002),
        confirmed(1),
        optout(34_600_000_001),
        confirmed(4),
    ]
}

fn key(slot: u32) -> NumberKey {
    NumberKey { tag: KeyTag([slot as u8; 16]), slot, keyed: None, key: [slot as u8 + 1; 32] }
}

fn key_in(slot: u32) -> Option<[u8; 32]> {
    Some(key(slot).key)
}

/// The stream's stored records and its head.
fn stream() -> (Vec<Vec<u8>>, ChainHead) {
    let mut head = ChainHead { len: 0, hash: Hash::NONE };
    let mut stored = Vec::new();
    for fact in facts() {
        let seq = head.len + 1;
        let place = Place {
            id: RecordId { writer: WRITER, seq },
            prev_hash: head.hash,
            written_at: UnixMicros(seq.cast_signed()),
        };
        let slot = u32::from(seq == 2);
        let entropy = Entropy::new([seq as u8; Entropy::LEN]);
        let record = Record::seal(&fact, place, Some(&key(slot)), &entropy)
            .unwrap_or_else(|error| panic!("{error}"));
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        stored.push(bytes);
        head = ChainHead { len: seq, hash: record.hash() };
    }
    (stored, head)
}

fn verify(stored: &[Vec<u8>], head: Option<ChainHead>) -> Result<ChainHead, ChainError> {
    verify_chain(WRITER, stored.iter().map(Vec::as_slice), head, key_in)
}

#[test]
fn what_was_sealed_opens_again_and_verifies() {
    let (stored, head) = stream();
    for (bytes, fact) in stored.iter().zip(facts()) {
        let record = Record::parse(bytes).unwrap();
        let slot = record.key_slot().map(|(_tag, slot)| slot);
        let opened = record.open(slot.and_then(key_in).as_ref()).unwrap();
        assert_eq!(opened, fact);
        let mut again = Vec::new();
        record.write(&mut again);
        assert_eq!(&again, bytes, "parsing loses nothing");
    }
    assert_eq!(verify(&stored, None), Ok(head));
    assert_eq!(verify(&stored, Some(head)), Ok(head));
    assert_eq!(verify(&[], None), Ok(ChainHead { len: 0, hash: Hash::NONE }));
}

#[test]
fn the_format_is_that_of_yesterday() {
    // Whoever changes this hash has changed the format: then the version must change as well,
    // and this stream must go on to be read and verified under version 1.
    let (stored, head) = stream();
    assert_eq!(
        head.hash.to_string(),
        "b629ebecc97324ae714bed96b373432483f59727cf81a13242825fa825a294f0"
    );
    assert_eq!(stored.iter().map(Vec::len).collect::<Vec<_>>(), [814, 814, 155, 814, 155]);
}

#[test]
fn any_flipped_bit_names_its_record() {
    let (stored, head) = stream();
    for index in 0..stored.len() {
        for bit in 0..stored[index].len() * 8 {
            let mut touched = stored.clone();
            touched[index][bit / 8] ^= 1 << (bit % 8);
            let error = verify(&touched, Some(head)).unwrap_err();
            let want = RecordId { writer: WRITER, seq: index as u64 + 1 };
            assert_eq!(error.record, want, "bit {bit} of record {}: {error}", index + 1);
        }
    }
}

#[test]
fn records_dropped_doubled_or_swapped_are_named() {
    let (stored, head) = stream();
    let name = |seq| RecordId { writer: WRITER, seq };
    for index in 0..stored.len() {
        let seq = index as u64 + 1;
        let mut dropped = stored.clone();
        dropped.remove(index);
        let error = verify(&dropped, Some(head)).unwrap_err();
        let finding = match index + 1 == stored.len() {
            true => Finding::MissingEnd,
            false => Finding::Missing { found: name(seq + 1) },
        };
        assert_eq!(error, ChainError { record: name(seq), finding }, "dropped");

        let mut doubled = stored.clone();
        doubled.insert(index, stored[index].clone());
        let error = verify(&doubled, Some(head)).unwrap_err();
        let finding = Finding::Missing { found: name(seq) };
        assert_eq!(error, ChainError { record: name(seq + 1), finding }, "doubled");

        for other in index + 1..stored.len() {
            let mut swapped = stored.clone();
            swapped.swap(index, other);
            let error = verify(&swapped, Some(head)).unwrap_err();
            let finding = Finding::Missing { found: name(other as u64 + 1) };
            assert_eq!(error, ChainError { record: name(seq), finding }, "swapped");
        }
    }
}

#[test]
fn a_destroyed_key_hides_the_person_and_leaves_the_chain_whole() {
    let (stored, head) = stream();
    let without = |slot: u32| if slot == 0 { None } else { key_in(slot) };
    let records = stored.iter().map(Vec::as_slice);
    assert_eq!(verify_chain(WRITER, records, Some(head), without), Ok(head));
    let record = Record::parse(&stored[0]).unwrap();
    assert_eq!(record.open(None), Err(RecordError::Seal(SealError::KeyMissing)));
    assert_eq!(record.open(Some(&[0; 32])), Err(RecordError::Seal(SealError::Unopened)));
    let text = String::from_utf8_lossy(&stored[0]);
    for personal in ["34600000001", "abc@host", "asked twice", "4294967295"] {
        assert!(!text.contains(personal), "{personal} stands in the clear");
    }
    assert!(text.contains("spring"), "what names nobody can be read");
}

#[test]
fn equal_values_have_unequal_commitments() {
    let (stored, _head) = stream();
    let commitments =
        |index: usize| Record::parse(&stored[index]).map(|record| record.commitments).unwrap();
    assert_eq!(commitments(0).len(), 4);
    for (one, other) in commitments(0).iter().zip(commitments(3)) {
        assert_ne!(*one, other, "the same number twice must not show");
    }
}

#[test]
fn other_versions_kinds_and_broken_forms_are_refused() {
    let (stored, _head) = stream();
    let good = &stored[0];
    let with = |at: usize, octet: u8| {
        let mut bytes = good.clone();
        bytes[at] = octet;
        Record::parse(&bytes).unwrap_err()
    };
    assert_eq!(with(0, 2), RecordError::Version { found: 2 });
    assert_eq!(with(58, 77), RecordError::Kind { found: 77 });
    for len in 0..good.len() {
        assert!(Record::parse(&good[..len]).is_err(), "cut to {len} octets");
    }
    let longer = [&good[..], b"x"].concat();
    assert_eq!(Record::parse(&longer), Err(RecordError::Malformed { part: "end" }));
}

#[test]
fn tags_are_a_keyed_hash() {
    // HMAC-SHA-256 under 32 zero octets of 00000000 0000 0001, by Python's hmac module.
    let number = Number::from_e164_digits(1).unwrap();
    let tag = TagKey([0; 32]).tag(number);
    let text: String = tag.0.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(text, "a4a11ce5fbe8f96bf3028035286c2c92");
    assert_ne!(TagKey([1; 32]).tag(number), tag);
}
