//! Erasure where numbers are hashed: what was readable of a number is gone, here and at every other
//! node, and it is refused all the same.

use std::fs;

use super::privacy::filled;
use super::privacy::keyed_number;
use super::privacy::refused;
use super::privacy::telling;
use super::privacy::traces;
use super::*;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::Readable;
use crate::suppression::Authority;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::export::Entry;
use crate::suppression::proof::Hash;
use crate::suppression::proof::bundle;

on_both! {
    an_erased_number_is_told_by_nothing_and_refused_by_its_hash,
    an_erasure_that_a_crash_cut_short_is_done_at_the_next_start,
    audio_that_several_had_whose_erasures_were_cut_short_goes_unless_somebody_still_has_it,
    what_is_sealed_is_told_of_the_number_that_is_asked_about_until_it_is_erased,
}

const MADE_AT: UnixMicros = UnixMicros(1_900_000_000_000_000);

/// Takes down that what is readable of the number is erased, and says what.
fn erasure(store: &Store, acks: &Receiver<Ack>, n: u64) -> Erasure {
    let Readable { slots, audio, .. } = store.readable(number(n)).unwrap();
    let fact = erasure_of(store.stored(number(n)), slots, audio);
    store.submit(7, fact.clone()).unwrap();
    acks.recv().unwrap().result.unwrap();
    let Fact::Erasure(erasure) = fact else { panic!("it is one") };
    *erasure
}

/// The record of an erasure.
pub(super) fn erasure_of(number: Number, slots: Vec<u32>, audio: Vec<Hash>) -> Fact {
    Fact::Erasure(Box::new(Erasure {
        number,
        slots,
        audio,
        records: Vec::new(),
        cause: ErasureCause::Request,
        authority: Authority::LocalOperator,
        actor: Some("ana".to_owned()),
        reason: None,
        node: "madrid-1".into(),
        erased_at: UnixMicros(1_795_300_000_000_000),
        answers: None,
    }))
}

/// Adds an opt-out of the number with audio, of which others may have the same.
fn with_audio(store: &Store, acks: &Receiver<Ack>, n: u64, wav: &[u8]) -> Hash {
    store.submit(0, Fact::OptOut(Box::new(telling(n)))).unwrap();
    let record = acks.recv().unwrap().result.unwrap().record;
    let sha256 = store.keep_audio(wav).unwrap();
    store.submit(0, audio::kept(record, sha256, wav.len() as u64)).unwrap();
    acks.recv().unwrap().result.unwrap();
    sha256
}

fn an_erased_number_is_told_by_nothing_and_refused_by_its_hash(stand: &Stand) {
    let stand = &stand.anew().keyed();
    filled(stand);
    let (store, _recovered, acks) = stand.open();
    let own = with_audio(&store, &acks, 1, b"the voice of one");
    let shared = with_audio(&store, &acks, 1, b"silence");
    assert_eq!(with_audio(&store, &acks, 3, b"silence"), shared);
    let wav = |sha256: Hash| stand.path().join("audio").join(format!("{sha256}.wav"));
    let readable = store.readable(number(1)).unwrap();
    assert_eq!((readable.records.len(), readable.slots.len()), (3, 1));
    assert_eq!(readable.audio, [own], "the silence is another's evidence too");
    let erasure = erasure(&store, &acks, 1);
    store.destroy(&erasure).unwrap();
    assert!(store.readable(number(1)).unwrap().is_nothing());
    assert!(!wav(own).exists() && wav(shared).exists());
    let before = store.readable(number(3)).unwrap();
    assert_eq!(
        (before.records.len(), &before.audio[..]),
        (2, &[shared][..]),
        "others are untouched"
    );

    let prove = |n| store.prove(number(n), "madrid-1".into(), MADE_AT).unwrap().unwrap();
    let told = bundle::verify(&prove(1), Some(store.proof_key())).unwrap();
    let erased = told.records.iter().filter(|record| record.fact.is_none()).count();
    assert_eq!(erased, 3, "its opt-outs say nothing any more: {told:#?}");
    let is_erasure =
        |record: &&bundle::VerifiedRecord| matches!(record.fact, Some(Fact::Erasure(_)));
    assert_eq!(told.records.iter().filter(is_erasure).count(), 1);
    let other = bundle::verify(&prove(3), Some(store.proof_key())).unwrap();
    let is_opened = |record: &&bundle::VerifiedRecord| matches!(&record.fact, Some(Fact::OptOut(optout)) if optout.number == number(3));
    assert_eq!(other.records.iter().filter(is_opened).count(), 2);

    // Opting out again is a wish of its own, under a key of its own.
    store.submit(0, Fact::OptOut(Box::new(telling(1)))).unwrap();
    acks.recv().unwrap().result.unwrap();
    let again = store.readable(number(1)).unwrap();
    assert_eq!(again.records.len(), 1);
    assert_ne!(again.slots, erasure.slots);
    store.flush().unwrap();
    store.close().unwrap();

    let backup_dir = tempfile::tempdir().unwrap();
    let copy = backup_dir.path().join("copy");
    assert_eq!(backup(stand.path(), &copy, MADE_AT).unwrap().erased, 3);
    let all = [1, 3, 4, 5, 6, 7, 8, 9];
    for is_lost in [false, true] {
        if is_lost {
            stand.lose_database();
        }
        assert_eq!(refused(stand), all);
        let dirs = [stand.path(), copy.as_path()];
        assert_eq!(traces(stand, &dirs, number(1)), Vec::<String>::new());
        let examined = stand.examined();
        assert_eq!(examined.erased, 3);
        // A server that was lost gets the pieces of segments from an engine, once one runs.
        let is_piece = |fault: &StoreFault| matches!(fault.place, Place::Pieces(_));
        let pieces = examined.faults.iter().filter(|fault| is_piece(fault)).count();
        assert_eq!(pieces, usize::from(is_lost && stand.server.is_some()));
        assert_eq!(examined.faults.len(), pieces, "{:#?}", examined.faults);
    }
    let restored = backup_dir.path().join("restored");
    restore(&copy, &restored, Calls::LeaveOut).unwrap();
    let mut restored_keys = fs::read(restored.join("keys")).unwrap();
    let copy_mark = restored_keys.get_mut(160..168).unwrap();
    assert_ne!(copy_mark, [0; 8], "it says that it is a copy");
    copy_mark.fill(0);
    assert!(restored_keys == fs::read(stand.path().join("keys")).unwrap(), "and all else is alike");
    assert!(restored.join("number-key").exists(), "without it nobody is refused");
}

fn what_is_sealed_is_told_of_the_number_that_is_asked_about_until_it_is_erased(stand: &Stand) {
    let stand = &stand.anew().keyed();
    filled(stand);
    let show = |stand: &Stand| {
        let (archive, _recovered) = stand.archive();
        archive.reader().unwrap().show(number(2)).unwrap()
    };
    let shown = show(stand).remove(0);
    let want = telling(2);
    assert_eq!(shown.optout.number, keyed_number(stand, 2), "the number as it is kept");
    let of = |optout: &OptOut| {
        let OptOut { sip_call_id, key_events, actor, reason, .. } = optout.clone();
        (sip_call_id, key_events, actor, reason)
    };
    assert_eq!(of(&shown.optout), of(&want));
    let digits = number(2).digits();
    for undone in &shown.reversed {
        let told = (undone.actor.clone(), undone.reason.clone());
        assert_eq!(told, (Some(format!("for +{digits}")), format!("+{digits} signed")));
    }
    let exported = |stand: &Stand| {
        let (archive, _recovered) = stand.archive();
        let mut all = Vec::new();
        let visit = |entry: Entry| {
            all.push(entry);
            ControlFlow::Continue(())
        };
        archive.reader().unwrap().export(&Filter::default(), visit).unwrap();
        all
    };
    assert!(exported(stand).iter().all(|entry| entry.optout.reason.is_none()), "in no export");
    let outline = |entry: &Entry| {
        assert_eq!(of(&entry.optout), (None, Vec::new(), None, None));
        assert!(entry.reversed.iter().all(|it| it.actor.is_none() && it.reason.is_empty()));
        entry.reversed.len()
    };
    if stand.server.is_some() {
        let key = Some(stand.path().join("number-key"));
        let other = Stand { numbers: NumberChoice::Keyed { key }, ..stand.another_node() };
        filled(&other);
        let entries = show(&other);
        assert_eq!(entries.len(), 2);
        assert_eq!(outline(entries.iter().find(|it| it.record == shown.record).unwrap()), 2);
        let own = entries.iter().find(|it| it.record != shown.record).unwrap();
        assert_eq!(of(&own.optout), of(&want), "each node opens its own");
    }
    let (store, _recovered, acks) = stand.open();
    let erasure = erasure(&store, &acks, 2);
    store.destroy(&erasure).unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    let entries = show(stand);
    let erased = entries.iter().find(|it| it.record == shown.record).unwrap();
    assert_eq!(outline(erased), 2, "what is erased is told no more");
}

fn an_erasure_that_a_crash_cut_short_is_done_at_the_next_start(stand: &Stand) {
    let stand = &stand.anew().keyed();
    let (store, _recovered, acks) = stand.open();
    let own = with_audio(&store, &acks, 1, b"the voice of one");
    let cut = erasure(&store, &acks, 1);
    // Here the power goes, before a key is destroyed or a file removed.
    store.close().unwrap();
    let path = stand.path().join("audio").join(format!("{own}.wav"));
    assert!(path.exists());
    let (store, _recovered, acks) = stand.open();
    assert!(!path.exists() && store.readable(number(1)).unwrap().is_nothing());
    assert_eq!(store.reader().unwrap().erasures(Some(number(1))).unwrap().len(), 1);

    // What is kept later is not taken for what was erased then.
    let again = with_audio(&store, &acks, 1, b"the voice of one");
    store.close().unwrap();
    let (store, _recovered, acks) = stand.open();
    assert!(path.exists() && again == own);
    let readable = store.readable(number(1)).unwrap();
    assert_eq!((readable.records.len(), readable.audio.len()), (1, 1));
    assert_ne!(readable.slots, cut.slots);

    // Between the files and the keys.
    let cut = erasure(&store, &acks, 1);
    fs::remove_file(&path).unwrap();
    store.close().unwrap();
    let (store, ..) = stand.open();
    assert!(store.readable(number(1)).unwrap().is_nothing());
    assert!(!cut.slots.is_empty());
    store.close().unwrap();
    assert_eq!(refused(stand), [1]);

    // In several records, as of more audio than one names, of which the first has no key.
    let (store, _recovered, acks) = stand.open();
    let voice = with_audio(&store, &acks, 2, b"the voice of two");
    let Readable { slots, audio, .. } = store.readable(number(2)).unwrap();
    assert_eq!(audio, [voice]);
    for (slots, audio) in [(Vec::new(), audio), (slots, Vec::new())] {
        store.submit(7, erasure_of(store.stored(number(2)), slots, audio)).unwrap();
        acks.recv().unwrap().result.unwrap();
    }
    store.close().unwrap();
    let path = stand.path().join("audio").join(format!("{voice}.wav"));
    assert!(path.exists());
    let (store, ..) = stand.open();
    assert!(!path.exists() && store.readable(number(2)).unwrap().is_nothing());
}

fn audio_that_several_had_whose_erasures_were_cut_short_goes_unless_somebody_still_has_it(
    stand: &Stand,
) {
    let stand = &stand.anew().keyed();
    let (store, _recovered, acks) = stand.open();
    let wav = |sha256: Hash| stand.path().join("audio").join(format!("{sha256}.wav"));
    let silence = with_audio(&store, &acks, 1, b"silence");
    let noise = with_audio(&store, &acks, 3, b"noise");
    assert_eq!(erasure(&store, &acks, 1).audio, [silence]);
    assert_eq!(erasure(&store, &acks, 3).audio, [noise]);
    // Since then, and by the first one's record the file is not for the second to remove.
    with_audio(&store, &acks, 4, b"silence");
    assert_eq!(erasure(&store, &acks, 4).audio, []);
    with_audio(&store, &acks, 5, b"noise");
    store.close().unwrap();
    let (store, ..) = stand.open();
    for n in [1, 3, 4] {
        assert!(store.readable(number(n)).unwrap().is_nothing(), "{n}");
    }
    assert!(!wav(silence).exists(), "nobody's key is left");
    assert!(wav(noise).exists());
    assert_eq!(store.readable(number(5)).unwrap().audio, [noise]);
}

#[test]
fn what_one_node_erases_the_others_erase_when_they_hear_of_it_or_start() {
    let first_stand = Stand::postgres().keyed();
    filled(&first_stand);
    let key = Some(first_stand.path().join("number-key"));
    let second_stand = Stand { numbers: NumberChoice::Keyed { key }, ..first_stand.another_node() };
    let second = follow::Node::open(&second_stand);
    let own = with_audio(&second.store, &second.acks, 1, b"heard by the second");
    with_audio(&second.store, &second.acks, 4, b"heard by the second, too");
    second.store.flush().unwrap();
    let path = second_stand.path().join("audio").join(format!("{own}.wav"));
    let (first, _recovered, acks) = first_stand.open();
    let erase = |n| {
        let erasure = erasure(&first, &acks, n);
        first.destroy(&erasure).unwrap();
        first.flush().unwrap();
    };
    erase(1);
    server::wait_for("the second has heard of it", || {
        second.store.readable(number(1)).unwrap().is_nothing()
    });
    assert!(!path.exists());
    assert_eq!(
        second.store.readable(number(4)).unwrap().records.len(),
        1,
        "of others it says nothing"
    );
    drop(second);
    erase(4);
    let second = follow::Node::open(&second_stand);
    server::wait_for("the second hears of it at its start", || {
        second.store.readable(number(4)).unwrap().is_nothing()
    });
    for n in [1, 4] {
        server::wait_for("the second refuses it", || second.refuses(n));
    }
    for stand in [&first_stand, &second_stand] {
        let examined = stand.examined();
        assert_eq!(examined.faults, [], "both are at work");
        assert_eq!(examined.other_keys.len(), 1);
    }
}

#[test]
fn what_another_nodes_erasure_destroys_here_is_on_record_here_and_is_destroyed_once() {
    let first_stand = Stand::postgres().keyed();
    filled(&first_stand);
    let key = Some(first_stand.path().join("number-key"));
    let second_stand = Stand { numbers: NumberChoice::Keyed { key }, ..first_stand.another_node() };
    let mut second = follow::Node::open(&second_stand);
    with_audio(&second.store, &second.acks, 1, b"heard by the second");
    second.store.flush().unwrap();
    let (first, _recovered, acks) = first_stand.open();
    let erase = |n| {
        let erasure = erasure(&first, &acks, n);
        first.destroy(&erasure).unwrap();
        first.flush().unwrap();
        erasure
    };
    let erased = erase(1);
    // What the first one's erasure names it by is no matter here.
    let is_deleted = || {
        let shown = first.reader().unwrap().show(number(1)).unwrap();
        shown.iter().filter(|it| it.evidence_deleted.is_some()).count() == 1
    };
    server::wait_for("the second's record says that it is deleted", || {
        second.store.readable(number(1)).unwrap().is_nothing() && is_deleted()
    });
    // Later, though its clock is two hours behind the first one's: a wish of its own.
    with_audio(&second.store, &second.acks, 1, b"heard by the second, later");
    second.store.flush().unwrap();
    let before = second.store.readable(number(1)).unwrap();
    assert!(before.written.unwrap().1 < erased.erased_at && before.records.len() == 1);
    let told = |store: &Store| store.reader().unwrap().erasures(Some(number(1))).unwrap().len();
    for _start in 0..2 {
        drop(second);
        second = follow::Node::open(&second_stand);
        // What it hears of after its start it does after what it found at its start.
        with_audio(&second.store, &second.acks, 4, b"another");
        erase(4);
        server::wait_for("the second has done all that it knows of", || {
            second.store.readable(number(4)).unwrap().is_nothing()
        });
        assert_eq!(second.store.readable(number(1)).unwrap(), before);
    }
    assert_eq!(told(&first), 2, "one by each");
}

#[test]
fn what_is_left_of_anothers_erasure_takes_no_audio_that_somebody_has_had_since() {
    let first_stand = Stand::postgres().keyed();
    filled(&first_stand);
    let key = Some(first_stand.path().join("number-key"));
    let second_stand = Stand { numbers: NumberChoice::Keyed { key }, ..first_stand.another_node() };
    let second = follow::Node::open(&second_stand);
    let [own, shared] = [&b"the voice of one"[..], b"silence"]
        .map(|wav| with_audio(&second.store, &second.acks, 1, wav));
    // An answer after which the disk would not remove a file, nor destroy a key.
    let Readable { slots, audio, .. } = second.store.readable(number(1)).unwrap();
    assert_eq!(audio.len(), 2);
    let Fact::Erasure(cut) = erasure_of(second.store.stored(number(1)), slots, audio) else {
        panic!("it is one")
    };
    let answers = Some(RecordId { writer: WriterId(9), seq: 1 });
    second.store.submit(7, Fact::Erasure(Box::new(Erasure { answers, ..*cut }))).unwrap();
    second.acks.recv().unwrap().result.unwrap();
    assert_eq!(with_audio(&second.store, &second.acks, 4, b"silence"), shared);
    second.store.flush().unwrap();
    let (first, _recovered, acks) = first_stand.open();
    let erasure = erasure(&first, &acks, 1);
    first.destroy(&erasure).unwrap();
    first.flush().unwrap();
    server::wait_for("the second has done both", || {
        second.store.readable(number(1)).unwrap().is_nothing()
    });
    let wav = |sha256: Hash| second_stand.path().join("audio").join(format!("{sha256}.wav"));
    assert!(!wav(own).exists() && wav(shared).exists());
    assert_eq!(second.store.readable(number(4)).unwrap().audio, [shared]);
}

#[test]
fn where_numbers_are_kept_as_they_are_nothing_is_erased() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path());
    let told = store.readable(number(1)).unwrap_err().to_string();
    assert!(told.contains("number-storage = \"hmac\""), "{told}");
}
