//! Evidence that was kept long enough is nowhere to be read any more, and its number is refused all
//! the same; evidence that was not is never touched.
//!
//! What is looked for is what only evidence says, in every file of the store's folder and every row
//! of every table. The same search finds it before, where it stands in the clear.

mod clock;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::privacy::files;
use super::privacy::told_by;
use super::stand::back_to;
use super::stand::keep;
use super::*;
use crate::model::RecordId;
use crate::store::database::tables;
use crate::store::keys::KeyFile;
use crate::suppression::Authority;
use crate::suppression::Cancelled;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::Retention;
use crate::suppression::Reversal;
use crate::suppression::proof::Hash;
use crate::suppression::proof::bundle;

on_both! {
    what_was_kept_long_enough_is_gone_and_refused_and_what_was_not_is_there,
    a_deletion_that_a_crash_cut_short_is_done_at_the_next_start,
    who_opts_out_again_keeps_the_evidence_of_it,
    call_records_go_by_their_ends_and_by_their_node,
    audio_that_somebody_has_again_meanwhile_stays,
}

const DAY: i64 = 86_400_000_000;
/// Any day.
const START: i64 = 1_600_000_000_000_000;
const YEARS_5: i64 = 5 * 366 * DAY;
/// When proofs and backups are made.
const MADE_AT: UnixMicros = UnixMicros(1_900_000_000_000_000);

/// A clock that goes on by a millisecond at each reading, and is set by the test.
fn set_clock(day: i64) -> (Clock, Arc<AtomicI64>) {
    let now = Arc::new(AtomicI64::new(START + day * DAY));
    let read = Arc::clone(&now);
    (Arc::new(move || UnixMicros(read.fetch_add(1_000, Ordering::SeqCst))), now)
}

fn open_at(stand: &Stand, day: i64) -> (Store, Receiver<Ack>, Arc<AtomicI64>) {
    let (clock, now) = set_clock(day);
    let (store, _recovered, acks) = open_with(Settings { clock, ..stand.settings() });
    (store, acks, now)
}

pub(super) fn add(store: &Store, acks: &Receiver<Ack>, fact: Fact) -> RecordId {
    store.submit(0, fact).unwrap();
    acks.recv().unwrap().result.unwrap().record
}

/// What only the evidence of number `n` says.
fn words(n: u64) -> [String; 3] {
    [format!("dialog-{n}-of@pbx"), format!("clerk-{n}-of-many"), format!("letter-{n}-in-a-box")]
}

pub(super) fn telling(n: u64) -> Fact {
    let [sip_call_id, actor, reason] = words(n).map(Some);
    Fact::OptOut(Box::new(OptOut { sip_call_id, actor, reason, ..optout(n) }))
}

fn reversal(n: u64, record: RecordId) -> Fact {
    let [_sip_call_id, actor, reason] = words(n);
    let lists = vec!["global".into(), "acme".into()];
    Fact::Reversal(Box::new(Reversal {
        number: number(n),
        cancels: vec![Cancelled { record, lists }],
        authority: Authority::LocalOperator,
        actor: Some(actor),
        reason,
        node: "madrid-1".into(),
        reversed_at: UnixMicros(7),
    }))
}

/// Where evidence of number `n` is to be read.
fn traces(stand: &Stand, dirs: &[&Path], n: u64) -> Vec<String> {
    let holds =
        |text: &[u8], word: &String| text.windows(word.len()).any(|it| it == word.as_bytes());
    let mut found = Vec::new();
    for path in dirs.iter().flat_map(|dir| files(dir)) {
        let text = fs::read(&path).unwrap();
        let told = words(n).into_iter().filter(|word| holds(&text, word));
        found.extend(told.map(|word| format!("{word} in {}", path.display())));
    }
    for table in stand.server.iter().flat_map(|_server| tables::ALL) {
        let sql = format!("SELECT t::text FROM {} t", table.name);
        let (text, octets) = told_by(&stand.server.as_ref().unwrap().psql(&sql));
        for word in words(n) {
            if holds(text.as_bytes(), &word) || holds(&octets, &word) {
                found.push(format!("{word} in the table {}", table.name));
            }
        }
    }
    found
}

/// What a step does, on day `day`, with evidence that is kept for five years; how many numbers' it
/// was.
pub(super) fn expire(store: &Store, acks: &Receiver<Ack>, day: i64) -> usize {
    let erasures = record_expired(store, acks, day);
    store.flush().unwrap();
    erasures.iter().for_each(|erasure| store.destroy(erasure).unwrap());
    store.forget_calls(&"madrid-1".into(), None).unwrap();
    erasures.len()
}

/// The first half of it.
pub(super) fn record_expired(store: &Store, acks: &Receiver<Ack>, day: i64) -> Vec<Erasure> {
    let (limit, at) = (UnixMicros(START + day * DAY - YEARS_5), UnixMicros(START + day * DAY));
    let ages = store.ages().unwrap();
    let expired = store.past(&ages, limit).unwrap().expired;
    let node = "madrid-1".into();
    let erasures: Vec<Erasure> =
        expired.iter().flat_map(|expired| expired.erasures(&node, at)).collect();
    for erasure in &erasures {
        add(store, acks, Fact::Erasure(Box::new(erasure.clone())));
    }
    erasures
}

/// Those of the numbers 1 to 9 that are refused.
fn refused(stand: &Stand) -> Vec<u64> {
    let (archive, _recovered) = stand.archive();
    let index = Index::default();
    archive.reader().unwrap().fill(&index).unwrap();
    refused_by(&index)
}

fn refused_by(index: &Index) -> Vec<u64> {
    let lists = index.mask(&["global".into(), "acme".into()]).unwrap();
    let is_on = |n: &u64| index.check(number(*n), lists, &"acme".into(), &"any".into()).is_some();
    (1..=9).filter(is_on).collect()
}

/// The audio of `record`.
pub(super) fn heard(store: &Store, acks: &Receiver<Ack>, record: RecordId, wav: &[u8]) -> Hash {
    let sha256 = store.keep_audio(wav).unwrap();
    add(store, acks, audio::kept(record, sha256, wav.len() as u64));
    sha256
}

/// Numbers 1 and 2 (reversed) of day 0, 3 of day 0 and of day 1700, and 4 of day 1700.
pub(super) fn filled(stand: &Stand) -> (Store, Receiver<Ack>, [Hash; 2]) {
    let (store, acks, _now) = open_at(stand, 0);
    let one = add(&store, &acks, telling(1));
    let own = heard(&store, &acks, one, b"the voice of one");
    let two = add(&store, &acks, telling(2));
    heard(&store, &acks, two, b"silence");
    add(&store, &acks, reversal(2, two));
    add(&store, &acks, telling(3));
    store.close().unwrap();
    let (store, acks, _now) = open_at(stand, 1_700);
    add(&store, &acks, telling(3));
    let four = add(&store, &acks, telling(4));
    let shared = heard(&store, &acks, four, b"silence");
    store.flush().unwrap();
    (store, acks, [own, shared])
}

/// What is asked after numbers 1 to 4 once the evidence of 1 and 2 is gone.
fn check_shown(store: &Store, is_plain: bool) {
    let reader = store.reader().unwrap();
    let one = reader.show(number(1)).unwrap();
    let (record, deleted) = (&one[0].optout, one[0].evidence_deleted.unwrap());
    assert_eq!((deleted.cause, one.len()), (ErasureCause::Retention, 1));
    assert_eq!(deleted.at, UnixMicros(START + 1_831 * DAY));
    assert_eq!(record.digits, optout(1).digits, "what names nobody stays");
    assert_eq!((&record.sip_call_id, &record.actor, &record.reason), (&None, &None, &None));
    let two = reader.show(number(2)).unwrap();
    assert_eq!((two.len(), two[0].reversed.len()), (1, 2), "{two:#?}");
    assert_eq!((&two[0].reversed[0].actor, &*two[0].reversed[0].reason), (&None, ""));
    for (n, count) in [(3, 2), (4, 1)] {
        let shown = reader.show(number(n)).unwrap();
        assert_eq!(shown.len(), count);
        assert!(shown.iter().all(|entry| entry.evidence_deleted.is_none()));
        if is_plain {
            assert_eq!(shown[0].optout.reason.as_ref(), Some(&words(n)[2]));
        }
    }
}

/// What is proved of them then.
fn check_proofs(store: &Store) {
    let prove = |n| store.prove(number(n), "madrid-1".into(), MADE_AT).unwrap().unwrap();
    let told = bundle::verify(&prove(1), Some(store.proof_key())).unwrap();
    let deleted = told.records.iter().filter(|record| record.fact.is_none());
    let deleted: Vec<RecordId> = deleted.map(|record| record.id).collect();
    assert_eq!(deleted.len(), 1, "{told:#?}");
    let erasure = told.records.iter().find_map(|record| match &record.fact {
        Some(Fact::Erasure(erasure)) => Some(erasure.clone()),
        _ => None,
    });
    assert_eq!(erasure.unwrap().records, deleted, "it is told of which");
    let told = bundle::verify(&prove(4), Some(store.proof_key())).unwrap();
    assert!(told.records.iter().all(|record| record.fact.is_some()), "{told:#?}");
}

/// What is in the files then, with the database and without it, and in a backup of them.
fn check_files(stand: &Stand, is_plain: bool) {
    let kept = tempfile::tempdir().unwrap();
    let copy = kept.path().join("copy");
    backup(stand.path(), &copy, MADE_AT).unwrap();
    for is_lost in [false, true] {
        if is_lost {
            stand.lose_database();
        }
        assert_eq!(refused(stand), [1, 3, 4], "lost: {is_lost}");
        for n in [1, 2] {
            let dirs = [stand.path(), copy.as_path()];
            assert_eq!(traces(stand, &dirs, n), Vec::<String>::new(), "lost: {is_lost}");
        }
        let is_there = !traces(stand, &[stand.path()], 4).is_empty();
        assert_eq!(is_there, is_plain, "lost: {is_lost}");
        let examined = stand.examined();
        assert_eq!((examined.faults.len(), examined.erased), (0, 3), "{examined:#?}");
        assert_eq!(examined.expired, 3);
        let (store, _acks, _now) = open_at(stand, 1_832);
        check_shown(&store, is_plain);
        store.close().unwrap();
    }
    if is_plain {
        let restored = kept.path().join("restored");
        restore(&copy, &restored, Calls::LeaveOut).unwrap();
        let (archive, _recovered) = Archive::open_exclusive(&restored).unwrap();
        let index = Index::default();
        archive.reader().unwrap().fill(&index).unwrap();
        assert_eq!(refused_by(&index), [1, 3, 4], "restored");
    }
}

fn what_was_kept_long_enough_is_gone_and_refused_and_what_was_not_is_there(stand: &Stand) {
    for stand in [stand.anew(), stand.anew().keyed()] {
        let is_plain = stand.numbers == NumberChoice::Plain;
        let (store, acks, [own, shared]) = filled(&stand);
        for n in 1..=4 {
            let is_there = !traces(&stand, &[stand.path()], n).is_empty();
            assert_eq!(is_there, is_plain, "{n}, before");
        }
        let policy = Retention {
            evidence: Some(Duration::from_micros(YEARS_5.unsigned_abs())),
            calls: None,
        };
        let today = UnixMicros(START + 1_831 * DAY);
        let ageing = store.reader().unwrap().ageing(&policy, today, &"madrid-1".into()).unwrap();
        assert_eq!((ageing.numbers, ageing.numbers_past(), ageing.calls), (4, 2, 0));
        assert_eq!(ageing.past[0].month, "2020-09");
        assert_eq!((ageing.past[0].records, ageing.past.len()), (3, 1));
        assert_eq!(expire(&store, &acks, 1_829), 0, "a day too early");
        assert_eq!(expire(&store, &acks, 1_831), 2);
        assert_eq!(expire(&store, &acks, 1_831), 0, "it is done once");
        let is_there =
            |sha256: Hash| stand.path().join("audio").join(format!("{sha256}.wav")).exists();
        assert_eq!([own, shared].map(is_there), [false, true], "the silence is another's too");
        check_shown(&store, is_plain);
        let index = Index::default();
        store.fill_from_journal(&index).unwrap();
        assert_eq!(refused_by(&index), [1, 3, 4], "by the journal alone");
        check_proofs(&store);
        store.close().unwrap();
        check_files(&stand, is_plain);
    }
}

fn a_deletion_that_a_crash_cut_short_is_done_at_the_next_start(stand: &Stand) {
    for stand in [stand.anew(), stand.anew().keyed()] {
        let (store, acks, [own, _shared]) = filled(&stand);
        assert_eq!(record_expired(&store, &acks, 1_831).len(), 2);
        // Here the power goes, before a key is destroyed or a file removed.
        store.close().unwrap();
        let wav = stand.path().join("audio").join(format!("{own}.wav"));
        assert!(wav.exists());
        let examined = stand.examined();
        assert_eq!((examined.faults.len(), examined.erased), (0, 0), "{examined:#?}");
        if stand.server.is_none() {
            // What was taken in with the database is lost with it.
            stand.lose_database();
        }
        let (store, acks, _now) = open_at(&stand, 1_832);
        assert!(!wav.exists());
        assert_eq!(expire(&store, &acks, 1_832), 0, "nothing is left to be done");
        store.close().unwrap();
        for n in [1, 2] {
            assert_eq!(traces(&stand, &[stand.path()], n), Vec::<String>::new());
        }
        assert_eq!(refused(&stand), [1, 3, 4]);
        let examined = stand.examined();
        assert_eq!((examined.faults.len(), examined.erased), (0, 3), "{examined:#?}");
    }
}

fn who_opts_out_again_keeps_the_evidence_of_it(stand: &Stand) {
    for stand in [stand.anew(), stand.anew().keyed()] {
        let (store, acks, _shared) = filled(&stand);
        let limit = UnixMicros(START + 1_831 * DAY - YEARS_5);
        // Between the first look and the second.
        let ages = store.ages().unwrap();
        add(&store, &acks, telling(2));
        let numbers = |store: &Store, ages: &Ages| -> Vec<Number> {
            let expired = store.past(ages, limit).unwrap().expired;
            expired.into_iter().map(|expired| expired.number).collect()
        };
        assert_eq!(numbers(&store, &ages), [store.stored(number(1))]);
        // Behind the second: sealed under another key.
        add(&store, &acks, telling(1));
        assert_eq!(expire(&store, &acks, 1_831), 1);
        let shown = store.reader().unwrap().show(number(1)).unwrap();
        let gone = shown.iter().filter(|it| it.evidence_deleted.is_some()).count();
        assert_eq!((gone, shown.len()), (1, 2));
        // And what says of whom the first one was goes with the second one's key, in time.
        assert_eq!(expire(&store, &acks, 1_700 + 1_831), 4);
        check_told_when(&store, &[1_831, 1_700 + 1_831]);
        store.close().unwrap();
        drop(stand.archive());
        let path = stand.path().join("keys");
        let whole = fs::read(&path).unwrap();
        // What was left of the first key is told by an erasure that is itself told by what is left.
        KeyFile::destroy(&path, &[0], Some(number(7))).unwrap();
        assert_ne!(stand.examined().faults, []);
        fs::write(&path, whole).unwrap();
        for is_lost in [false, true] {
            if is_lost {
                stand.lose_database();
            }
            let (store, _acks, _now) = open_at(&stand, 3_600);
            let reader = store.reader().unwrap();
            let shown = reader.show(number(1)).unwrap();
            assert!(shown.len() == 2 && shown.iter().all(|it| it.evidence_deleted.is_some()));
            assert_eq!(reader.erasures(Some(number(1))).unwrap().len(), 2);
            drop(reader);
            store.close().unwrap();
            assert_eq!(refused(&stand), [1, 2, 3, 4]);
            for n in 1..=4 {
                assert_eq!(traces(&stand, &[stand.path()], n), Vec::<String>::new(), "{n}");
            }
            assert_eq!(stand.examined().faults, [], "lost: {is_lost}");
        }
    }
}

/// A proof says on which days the evidence of number 1's opt-outs went, though what said so of the first
/// went too.
fn check_told_when(store: &Store, days: &[i64]) {
    let text = store.prove(number(1), "madrid-1".into(), MADE_AT).unwrap().unwrap();
    let told = bundle::verify(&text, Some(store.proof_key())).unwrap();
    let deleted = |of: RecordId| {
        told.records.iter().find_map(|it| match it.said() {
            Some(Fact::Erasure(erasure)) => erasure.deleted(it.id, of),
            _ => None,
        })
    };
    let digits = optout(1).digits;
    let of_optout = |record: &&bundle::VerifiedRecord| matches!(&record.outline, Some(Fact::OptOut(left)) if left.digits == digits);
    let optouts = told.records.iter().filter(of_optout);
    let mut found: Vec<_> = optouts.map(|record| deleted(record.id).map(|it| it.at)).collect();
    found.sort_unstable();
    let want: Vec<_> = days.iter().map(|day| Some(UnixMicros(START + day * DAY))).collect();
    assert_eq!(found, want, "{told:#?}");
}

fn call_records_go_by_their_ends_and_by_their_node(stand: &Stand) {
    let (store, ..) = stand.open();
    for n in 0..20_u64 {
        let node = if n % 2 == 0 { "madrid-1" } else { "lima-1" };
        let ended_at = UnixMicros(10_000 + n.cast_signed());
        store.record_call(Cdr { node: node.into(), ended_at, ..call(n) });
    }
    store.flush().unwrap();
    let left = || {
        let (mut left, reader) = (Vec::new(), store.reader().unwrap());
        let visit = |call: Cdr| {
            left.push(call.ended_at.0 - 10_000);
            ControlFlow::Continue(())
        };
        reader.calls(&CallFilter::default(), visit).unwrap();
        left
    };
    let forget = |limit: Option<i64>| {
        store.forget_calls(&"madrid-1".into(), limit.map(|it| UnixMicros(10_000 + it))).unwrap()
    };
    assert_eq!(forget(None), (0, false));
    assert_eq!(forget(Some(0)), (0, false), "one that ends then is kept");
    let reader = store.reader().unwrap();
    let retention = Retention { evidence: None, calls: Some(Duration::ZERO) };
    let counted = |today| {
        let ageing = reader.ageing(&retention, UnixMicros(today), &"madrid-1".into());
        ageing.unwrap().calls
    };
    // A file of its own is all one node's, whatever the node was called.
    let (few, want): (u64, Vec<i64>) = match stand.server {
        None => (10, (10..20).collect()),
        Some(_) => (5, (0..20).filter(|n| *n >= 10 || n % 2 == 1).collect()),
    };
    assert_eq!(counted(10_010), few);
    assert_eq!(forget(Some(10)), (few, false));
    assert_eq!(left(), want);
    assert_eq!(counted(10_010), 0);
}

fn audio_that_somebody_has_again_meanwhile_stays(stand: &Stand) {
    for stand in [stand.anew(), stand.anew().keyed()] {
        let (store, acks, [own, shared]) = filled(&stand);
        let wav = |sha256: Hash| stand.path().join("audio").join(format!("{sha256}.wav"));
        // Between the first look and the second somebody new has the same silence as number 1.
        let ages = store.ages().unwrap();
        let five = add(&store, &acks, telling(5));
        assert_eq!(heard(&store, &acks, five, b"the voice of one"), own);
        let limit = UnixMicros(START + 1_831 * DAY - YEARS_5);
        let found = store.past(&ages, limit).unwrap();
        assert_eq!(found.expired.len(), 2);
        assert!(found.expired.iter().all(|expired| expired.audio.is_empty()), "{found:#?}");
        assert!(wav(own).exists() && wav(shared).exists());

        // Between the second look and the end.
        let stand = Stand { numbers: stand.numbers.clone(), ..stand.anew() };
        let (store, acks, [own, _shared]) = filled(&stand);
        let wav = |sha256: Hash| stand.path().join("audio").join(format!("{sha256}.wav"));
        let look = store.look();
        let erasures = record_expired(&store, &acks, 1_831);
        assert!(erasures.iter().any(|erasure| erasure.audio == [own]));
        let five = add(&store, &acks, telling(5));
        heard(&store, &acks, five, b"the voice of one");
        erasures.iter().for_each(|erasure| store.destroy(erasure).unwrap());
        drop(look);
        assert!(wav(own).exists());
        // It goes with whoever has it, when nobody looks any more.
        assert_eq!(expire(&store, &acks, 1_700 + 1_831), 3);
        assert!(!wav(own).exists());

        // Where a crash comes between, the next start leaves it too.
        let stand = Stand { numbers: stand.numbers.clone(), ..stand.anew() };
        let (store, acks, [own, _shared]) = filled(&stand);
        record_expired(&store, &acks, 1_831);
        let five = add(&store, &acks, telling(5));
        heard(&store, &acks, five, b"the voice of one");
        store.close().unwrap();
        let (store, ..) = open_at(&stand, 1_832);
        let path = stand.path().join("audio").join(format!("{own}.wav"));
        assert!(path.exists());
        assert!(store.ages().unwrap().oldest() > Some(UnixMicros(START + 1_000 * DAY)));
    }
}

#[test]
fn more_records_of_a_number_than_one_erasure_names_are_deleted_whole() {
    let stand = Stand::sqlite();
    let (clock, _now) = set_clock(0);
    let segment_bytes = 1024 * 1024;
    let settings = Settings { clock, segment_bytes, ..stand.settings() };
    let (store, _recovered, acks) = open_with(settings);
    for _ in 0..1_500 {
        store.submit(0, telling(1)).unwrap();
    }
    acks.iter().take(1_500).for_each(|ack| assert!(ack.result.is_ok()));
    store.flush().unwrap();
    assert_eq!(expire(&store, &acks, 1_831), 2, "in two acts");
    store.close().unwrap();
    assert_eq!(traces(&stand, &[stand.path()], 1), Vec::<String>::new());
    assert_eq!(refused(&stand), [1]);
}

/// Makes its database one from before evidence had a table of its own.
fn set_back(stand: &Stand) {
    let shell = rusqlite::Connection::open(stand.path().join("bajavoz.sqlite")).unwrap();
    let Fact::OptOut(whole) = telling(1) else { panic!("it is one") };
    let whole = serde_json::to_string(&whole).unwrap();
    shell
        .execute_batch(&format!(
            "PRAGMA secure_delete = ON; DROP TABLE evidence; DROP TABLE erased;
             DELETE FROM refinery_schema_history WHERE version > 7;
             UPDATE optout SET body = '{whole}'"
        ))
        .unwrap();
}

#[test]
fn a_database_from_before_says_what_the_journal_has_lost_before_it_is_emptied() {
    let stand = Stand::sqlite();
    for n in 1..=2 {
        let (store, acks, _now) = open_at(&stand, 0);
        add(&store, &acks, telling(n));
        store.close().unwrap();
    }
    drop(stand.archive());
    set_back(&stand);
    let kept = tempfile::tempdir().unwrap();
    let lacks = |what: &str| match Archive::open_exclusive(stand.path()).map(drop) {
        Err(StoreError::JournalBehind { journal, database, .. }) => (journal, database),
        opened => panic!("{what}: {opened:?}"),
    };
    let mut streams = files(&stand.path().join("journal"));
    // One that is ready for the next stream may be there, or not yet.
    streams.retain(|path| !path.ends_with("spare"));
    assert_eq!(streams.len(), 2);
    for path in streams {
        let away = kept.path().join(path.file_name().unwrap());
        fs::rename(&path, &away).unwrap();
        assert_eq!(lacks("a stream is gone").0, 0);
        let whole = fs::read(&away).unwrap();
        fs::write(&path, &whole[..whole.len() - 16]).unwrap();
        let (journal, database) = lacks("a batch is cut off");
        assert!((1..database).contains(&journal), "{journal} of {database}");
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(refused(&stand), [1, 2]);
    assert_eq!(examine(stand.path(), None, &[]).unwrap().faults, []);
}

#[test]
fn rows_from_before_evidence_had_a_table_of_its_own_are_made_anew() {
    let stand = Stand::sqlite();
    let (store, acks, _now) = open_at(&stand, 0);
    let record = add(&store, &acks, telling(1));
    add(&store, &acks, reversal(1, record));
    store.record_call(call(1));
    store.close().unwrap();
    set_back(&stand);
    assert_ne!(traces(&stand, &[stand.path()], 1), Vec::<String>::new());
    drop(stand.archive());
    assert_eq!(examine(stand.path(), None, &[]).unwrap().faults, []);
    let (store, acks, _now) = open_at(&stand, 1);
    assert_eq!(store.reader().unwrap().show(number(1)).unwrap()[0].reversed.len(), 2);
    let count = store.reader().unwrap().count_calls_before(UnixMicros(i64::MAX), &"n".into());
    assert_eq!(count.unwrap(), 1, "call records are in no journal");
    assert_eq!(expire(&store, &acks, 1_831), 1);
    assert_eq!(traces(&stand, &[stand.path()], 1), Vec::<String>::new());
    store.close().unwrap();
    assert_eq!(examine(stand.path(), None, &[]).unwrap().faults, []);
}

#[test]
fn a_node_destroys_what_it_wrote_and_nothing_of_another() {
    let stand = Stand::postgres();
    let (first, acks, _shared) = filled(&stand);
    let other = stand.another_node();
    let (second, second_acks, _now) = open_at(&other, 0);
    add(&second, &second_acks, telling(1));
    second.flush().unwrap();
    assert_eq!(expire(&first, &acks, 1_831), 2);
    let shown = first.reader().unwrap().show(number(1)).unwrap();
    let gone = shown.iter().filter(|it| it.evidence_deleted.is_some()).count();
    assert_eq!((shown.len(), gone), (2, 1), "the other's is the other's");
    second.close().unwrap();
    let second = follow::Node::open(&other);
    server::wait_for("it has heard of the first", || second.refuses(4));
    assert!(second.refuses(1), "what the first has deleted refuses here too");
    let keys = KeyFile::open_read_only(&other.path().join("keys")).unwrap();
    assert!(keys.key_in(0).unwrap().is_some(), "its key is still there");
}

#[test]
fn numbers_that_share_a_key_keep_their_evidence_and_their_refusals() {
    for stand in [Stand::sqlite(), Stand::sqlite().keyed()] {
        let (store, acks, _now) = open_at(&stand, 0);
        add(&store, &acks, telling(1));
        store.close().unwrap();
        let kept = tempfile::tempdir().unwrap();
        let before = kept.path().join("keys");
        fs::copy(stand.path().join("keys"), &before).unwrap();
        // One is given a slot, and all that says so is lost; then another is given the same.
        let journal = stand.path().join("journal");
        let lost = |n: u64| {
            let (store, acks, _now) = open_at(&stand, 0);
            add(&store, &acks, telling(n));
            store.close().unwrap();
            files(&journal)
        };
        let known = files(&journal);
        let newer: Vec<_> = lost(2).into_iter().filter(|path| !known.contains(path)).collect();
        for path in &newer {
            fs::rename(path, kept.path().join(path.file_name().unwrap())).unwrap();
        }
        stand.lose_database();
        lost(3);
        for path in &newer {
            fs::rename(kept.path().join(path.file_name().unwrap()), path).unwrap();
        }
        stand.lose_database();
        assert_eq!(fs::read(&before).unwrap(), fs::read(stand.path().join("keys")).unwrap());
        let (store, acks, _now) = open_at(&stand, 1_831);
        assert_eq!(expire(&store, &acks, 1_831), 1, "that of the first alone");
        let reader = store.reader().unwrap();
        for n in [2, 3] {
            let shown = reader.show(number(n)).unwrap();
            assert!(shown.len() == 1 && shown[0].evidence_deleted.is_none(), "{n}: {shown:#?}");
        }
        drop(reader);
        store.close().unwrap();
        stand.lose_database();
        assert_eq!(refused(&stand), [1, 2, 3]);
    }
}

#[test]
fn evidence_of_which_a_server_has_not_heard_that_it_is_gone_is_no_fault_there() {
    let stand = Stand::postgres();
    let server = stand.server.clone().unwrap();
    let (store, acks, _audio) = filled(&stand);
    keep(&server, "before");
    assert_eq!(expire(&store, &acks, 1_831), 2);
    store.close().unwrap();
    drop(stand.archive());
    assert_eq!((stand.examined().faults, stand.examined().expired), (Vec::new(), 3));

    // As its own backup brings it back.
    keep(&server, "after");
    server.psql(&back_to("before"));
    let examined = stand.examined();
    assert_eq!(examined.faults, []);
    assert!(examined.waiting >= 2 && examined.erased == 3, "{examined:#?}");

    // Here it has heard of it, and somebody brings it back all the same.
    server.psql(&back_to("after"));
    server.psql("INSERT INTO evidence TABLE before.evidence ON CONFLICT DO NOTHING");
    let faults = stand.examined().faults;
    assert_eq!(faults.len(), 3, "{faults:#?}");
    assert!(faults.iter().all(|fault| fault.place == Place::Table("evidence")), "{faults:#?}");
}
