//! Files that are imported: what comes again, what fails in between, and what that takes off.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use super::*;
use crate::engine::desk::Addition;
use crate::engine::desk::NOTE_LEN_MAX;
use crate::engine::desk::Reversing;
use crate::engine::desk::Withdrawing;
use crate::engine::desk::repeated;
use crate::engine::desk::stand::desk;
use crate::engine::desk::stand::desk_that_is_pending;
use crate::engine::desk::stand::desk_whose_database_is_late;
use crate::model::Number;
use crate::model::NumberReader;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::net::clock;
use crate::store::import;
use crate::suppression::Authority;
use crate::suppression::import::Settings;
use crate::suppression::import::Shape;

/// A desk whose store answers as it should, in a folder that goes with the first of the two.
fn sound_desk() -> (TempDir, Desk) {
    let dir = tempfile::tempdir().unwrap();
    let desk = desk(dir.path(), &Arc::default(), &Arc::default());
    (dir, desk)
}

/// The claim of a file with `text`, its segment written into the store of `desk`.
fn claim(desk: &Desk, text: &str, as_of: Option<UnixMicros>) -> Claim {
    claim_by(desk, text, as_of, |settings| settings)
}

/// The same of a file of the United States' registry.
fn claim_of(desk: &Desk, shape: Shape, text: &str, as_of: Option<UnixMicros>) -> Claim {
    claim_by(desk, text, as_of, |settings| Settings { shape: Some(shape), ..settings })
}

/// The same, read as `how` says.
fn claim_by(
    desk: &Desk,
    text: &str,
    as_of: Option<UnixMicros>,
    how: impl FnOnce(Settings) -> Settings,
) -> Claim {
    let place = desk.import_place(Some(&"robinson".into()), None).unwrap();
    let file = place.store.join("numbers");
    std::fs::write(&file, text).unwrap();
    let numbers = NumberReader::new("ES").unwrap();
    let order = import::Order {
        is_one_list: true,
        ..import::Order::new(file, how(Settings::new(numbers)))
    };
    let mut prepared = import::prepare(&order, &mut |_progress| {}).unwrap();
    let list: ListName = "robinson".into();
    let (shape, tally) = (prepared.shape, prepared.tally.clone());
    let file_sha256 = prepared.file_sha256;
    let (source, listed, taken_off) = (String::new(), None, None);
    let (account, campaign, topic, said, actor) = (None, None, None, None, None);
    #[rustfmt::skip]
    let mut claim = Claim {
        list, account, campaign, topic, said, source, as_of, shape, tally, file_sha256, listed,
        taken_off, actor, may_shrink: false,
    };
    let (claims, tell) = (std::slice::from_mut(&mut claim), &mut |_progress| {});
    let earlier = vec![desk.weigh(&claims[0]).unwrap()];
    let same = repeated(claims, earlier, &mut prepared, &place.store, tell).unwrap();
    if same == [None] {
        let (list, source) = (claim.list.clone(), String::new());
        let title = import::Title { list, source, as_of };
        let written = import::write(&mut prepared, &title, &place.store, tell);
        (claim.listed, claim.taken_off) = written.unwrap();
    }
    claim
}

/// Imports `claim` alone.
fn import_one(desk: &Desk, claim: &Claim) -> Result<ImportDone, DeskError> {
    let done = desk.import(vec![claim.clone()], &mut |_done, _of| {});
    done.map(|mut done| done.remove(0))
}

fn refused(desk: &Desk, number: &str) -> Vec<Option<RecordId>> {
    let hits = desk.index.explain(Number::from_e164(number).unwrap()).into_iter();
    hits.map(|hit| hit.record).collect()
}

#[test]
fn the_same_file_is_the_same_import_unless_it_is_of_a_later_day() {
    let now = clock::unix_now();
    let day = |day: i64| UnixMicros(now.0 + (day - 100) * 86_400_000_000);
    let (_dir, desk) = sound_desk();
    let import = |as_of, shape| {
        let claim = Claim { shape, ..claim(&desk, "+34600123456\n", as_of) };
        import_one(&desk, &claim).unwrap().is_earlier
    };
    #[rustfmt::skip]
    let steps = [
        ("a first time",                     Some(10), Shape::Txt, false),
        ("the same day",                     Some(10), Shape::Txt, true),
        ("a day before",                     Some(9),  Shape::Txt, true),
        ("without a day",                    None,     Shape::Txt, true),
        ("a later day",                      Some(20), Shape::Txt, false),
        ("that once more",                   Some(20), Shape::Txt, true),
        ("read in another way",              Some(20), Shape::Csv, false),
    ];
    for (name, as_of, shape, is_earlier) in steps {
        assert_eq!(import(as_of.map(day), shape), is_earlier, "{name}");
    }
    let registry =
        crate::suppression::registry::Registry { list: "robinson".into(), max_age_days: None };
    let age = desk.index.age(&registry, None, clock::unix_now());
    assert_eq!(age.days, Some(80), "the later day counts");
}

#[test]
fn of_several_ranges_of_one_import_the_closest_is_told() {
    let (_dir, desk) = sound_desk();
    let claim = claim(&desk, "+34803*\n+3480312*\n+34803200000-+34803299999\n600123456\n", None);
    import_one(&desk, &claim).unwrap();
    for (number, want) in [
        ("+34803123456", Some("+3480312*")),
        ("+34803200000", Some("+34803200000-+34803299999")),
        ("+34600123456", None),
    ] {
        let told = desk.explain(number, &"promo-otono".into()).unwrap();
        let look = told.lists.iter().find(|look| look.list == "robinson".into()).unwrap();
        let range = look.entries[0].cause.range.as_deref();
        assert_eq!((look.entries.len(), range), (1, want), "{number}");
    }
}

#[test]
fn whoever_changes_something_hears_that_other_engines_do_not_know_it_yet() {
    let dir = tempfile::tempdir().unwrap();
    let desk = desk_that_is_pending(dir.path());
    let number = "600123456".to_owned();
    let lists = vec!["robinson".into()];
    let addition = Addition { number: number.clone(), lists, ..Addition::default() };
    assert!(desk.add(addition).unwrap().is_pending, "an opt-out");
    let claim = claim(&desk, "600123457\n", None);
    let done = import_one(&desk, &claim).unwrap();
    assert!(done.is_pending && !done.is_earlier, "an import");
    let again = import_one(&desk, &claim).unwrap();
    assert!(!again.is_pending && again.is_earlier, "nothing was done");
    let reason = "signed a form".to_owned();
    let reversing =
        Reversing { number, is_all: true, reason: reason.clone(), ..Reversing::default() };
    let authority = Authority::LocalOperator;
    assert!(desk.reverse(authority, &reversing).unwrap().is_pending, "a reversal");
    let rehearsal =
        Withdrawing { record: done.record, reason, is_rehearsal: true, ..Withdrawing::default() };
    let withdraw = |what: &Withdrawing| {
        desk.withdraw(authority, what, &mut |_done, _of| {}).unwrap().is_pending
    };
    assert!(!withdraw(&rehearsal), "a rehearsal");
    assert!(withdraw(&Withdrawing { is_rehearsal: false, ..rehearsal }), "taken back");
}

#[test]
fn what_was_submitted_is_refused_whatever_the_answer_and_named_when_it_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let (is_failing, seen) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let desk = desk(dir.path(), &is_failing, &seen);
    let claim = claim(&desk, "600123456\n+34803*\n", None);
    let import = || desk.import(vec![claim.clone()], &mut |_done, _of| {});
    let error = import().unwrap_err();
    assert!(matches!(error, DeskError::Ledger(LedgerError::Closed)), "{error}");
    for number in ["+34600123456", "+34803123456"] {
        assert_eq!(refused(&desk, number).len(), 1, "{number}: it may be on the disk");
    }
    is_failing.store(false, Ordering::Relaxed);
    // The disk had it all the same, as after an answer that was lost.
    let again = import().unwrap();
    assert!(again[0].is_earlier, "{again:?}");
    let record = again[0].record.parse().ok();
    for number in ["+34600123456", "+34803123456"] {
        assert_eq!(refused(&desk, number), [record], "{number}: and by its name");
    }
    desk.index.mount(Base::default());
    desk.index.take_imports(&[]);
    assert!(refused(&desk, "+34600123456").is_empty());
    assert!(import().unwrap()[0].is_earlier);
    assert_eq!(refused(&desk, "+34600123456"), [record], "what is missing is refused again");
    let unwritten = Claim { listed: None, file_sha256: [7; 32], ..claim.clone() };
    let error = import_one(&desk, &unwritten).unwrap_err();
    assert!(matches!(error, DeskError::Unwritten), "{error}");
}

#[test]
fn what_was_submitted_is_refused_even_where_its_segment_cannot_be_read_again() {
    let (first, second) = ("+12015550100", "+12015550199");
    let others = [("refuses more", "201,5550199,A\n", 1), ("takes off", "201,5550100,D\n", 0)];
    for (name, other, want) in others {
        let (dir, desk) = sound_desk();
        let imported = |seq: u64, shape, text: &str, of: &[Imported]| {
            let claim = claim_of(&desk, shape, text, None);
            desk.index.mask([&claim.list]).unwrap();
            on_record(&desk, claim, of, RecordId { writer: WriterId(9), seq })
        };
        let full = imported(1, Shape::FtcFull, "201,5550100\n", &[]);
        let other = imported(2, Shape::FtcChange, other, std::slice::from_ref(&full));
        let new = vec![full, other];
        let reader = desk.reader().unwrap();
        let base = reader.build_base(&new, &mut |_done, _of| {}).unwrap();
        std::fs::remove_dir_all(dir.path().join("data/segments")).unwrap();
        let mut imports = Vec::new();
        desk.refuse_submitted(&reader, &mut imports, new, 1, base, &mut |_done, _of| {});
        assert_eq!(imports.len(), 1, "{name}");
        let found = [first, second].map(|number| refused(&desk, number).len());
        assert_eq!(found, [want, want], "{name}: nobody is taken off for want of a file");
    }
}

/// The day that is so many days after one that is long gone.
const fn day(day: i64) -> Option<UnixMicros> {
    Some(UnixMicros((20_000 + day) * 86_400_000_000))
}

#[test]
fn a_change_list_that_is_not_known_to_be_on_disk_takes_nobody_off() {
    let dir = tempfile::tempdir().unwrap();
    let (is_failing, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let desk = desk(dir.path(), &is_failing, &seen);
    let full = claim_of(&desk, Shape::FtcFull, "201,5550100\n201,5550101\n", None);
    import_one(&desk, &full).unwrap();
    is_failing.store(true, Ordering::Relaxed);
    let changes = [
        ("with others", "201,5550100,D\n201,5550199,A\n", "+12015550100"),
        ("alone", "201,5550101,D\n", "+12015550101"),
    ];
    let claims = changes.map(|(name, text, gone)| {
        let claim = claim_of(&desk, Shape::FtcChange, text, None);
        import_one(&desk, &claim).unwrap_err();
        assert_eq!(refused(&desk, gone).len(), 1, "{name}: whoever is called must be off for sure");
        claim
    });
    assert_eq!(refused(&desk, "+12015550199").len(), 1, "it may be on the disk");
    is_failing.store(false, Ordering::Relaxed);
    // The disk had them all the same.
    let again = claims.map(|claim| import_one(&desk, &claim).unwrap());
    assert!(again.iter().all(|done| done.is_earlier), "{again:?}");
    for (name, _text, gone) in changes {
        assert_eq!(refused(&desk, gone), [], "{name}: now it is known");
    }
    assert_eq!(refused(&desk, "+12015550199"), [again[0].record.parse().ok()], "once");
}

#[test]
fn a_change_list_takes_off_what_is_of_its_day_or_before() {
    let (_dir, desk) = sound_desk();
    let noon = day(10).map(|day| UnixMicros(day.0 + 43_200_000_000));
    let full: String = (100..110).map(|n| format!("201,5550{n}\n")).collect();
    #[rustfmt::skip]
    let files = [
        (Shape::FtcFull,   full.as_str(),        noon),
        (Shape::FtcChange, "201,5550100,D\n",    day(5)),
        (Shape::FtcChange, "201,5550101,D\n",    day(10)),
        (Shape::FtcChange, "201,5550102,D\n",    day(11)),
        // As they come in any order: the eighth day's, then the fifth's.
        (Shape::FtcChange, "201,5550200,A\n",    day(8)),
        (Shape::FtcChange, "201,5550200,D\n",    day(5)),
        (Shape::FtcChange, "201,5550201,A\n",    day(8)),
        (Shape::FtcChange, "201,5550201,D\n",    day(8)),
    ];
    let imported = files.map(|(shape, text, as_of)| {
        import_one(&desk, &claim_of(&desk, shape, text, as_of)).unwrap().later
    });
    assert_eq!(imported, [0, 1, 0, 0, 0, 2, 0, 1], "what is kept is told");
    #[rustfmt::skip]
    let cases = [
        ("listed again since",          "+12015550100", 1),
        ("deleted on the same day",     "+12015550101", 0),
        ("deleted later",               "+12015550102", 0),
        ("added after it was deleted",  "+12015550200", 1),
        ("added and deleted in a day",  "+12015550201", 0),
        ("in the full list",            "+12015550103", 1),
    ];
    for (name, number, want) in cases {
        assert_eq!(refused(&desk, number).len(), want, "{name}");
    }
}

/// The import of `claim`, beside `others`, as if it had `record`.
fn on_record(desk: &Desk, claim: Claim, others: &[Imported], record: RecordId) -> Imported {
    let (import, _later) = import_of(&desk.checked.load(), claim, others).unwrap();
    Imported { record, written_at: import.imported_at, import }
}

/// Has the index of `desk` say what `imports` do, and nothing else.
fn know_all(desk: &Desk, imports: &[Imported]) {
    let reader = desk.reader().unwrap();
    desk.index.mount(reader.build_base(imports, &mut |_done, _of| {}).unwrap());
    desk.index.take_imports(imports);
}

/// Has `desk` know `claim` as an import that the database lacks, under the name `record`.
fn know_alone(desk: &Desk, claim: Claim, record: RecordId) {
    let mut all = desk.index.with_known(desk.reader().unwrap().imports().unwrap());
    all.push(on_record(desk, claim, &[], record));
    know_all(desk, &all);
}

fn take_back(desk: &Desk, record: &str) -> Result<super::super::Withdrawn, DeskError> {
    let (record, reason) = (record.to_owned(), "the wrong file".to_owned());
    let what = Withdrawing { record, reason, ..Withdrawing::default() };
    desk.withdraw(Authority::LocalOperator, &what, &mut |_done, _of| {})
}

#[test]
fn taking_an_import_back_leaves_in_force_what_only_this_node_knows() {
    let (_dir, desk) = sound_desk();
    let wrong = import_one(&desk, &claim(&desk, "600123456\n", None)).unwrap().record;
    let record = RecordId { writer: WriterId(9), seq: 1 };
    know_alone(&desk, claim(&desk, "600123457\n+34803*\n", None), record);
    take_back(&desk, &wrong).unwrap();
    for (number, want) in [
        ("+34600123456", vec![]),
        ("+34600123457", vec![Some(record)]),
        ("+34803123456", vec![Some(record)]),
    ] {
        assert_eq!(refused(&desk, number), want, "{number}");
    }
}

#[test]
fn an_import_that_is_taken_back_with_an_answer_that_fails_refuses_whom_either_outcome_refuses() {
    let (gone, added) = ("+12015550100", "+12015550199");
    for is_late in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let is_failing = Arc::new(AtomicBool::new(false));
        let desk = match is_late {
            true => desk_whose_database_is_late(dir.path(), &is_failing),
            false => desk(dir.path(), &is_failing, &Arc::default()),
        };
        let full = claim_of(&desk, Shape::FtcFull, "201,5550100\n201,5550101\n", None);
        import_one(&desk, &full).unwrap();
        let wrong = "201,5550100,D\n201,5550199,A\n";
        let wrong = claim_of(&desk, Shape::FtcChange, wrong, None);
        let wrong = import_one(&desk, &wrong).unwrap().record;
        assert_eq!((refused(&desk, gone).len(), refused(&desk, added).len()), (0, 1));
        is_failing.store(true, Ordering::Relaxed);
        let error = take_back(&desk, &wrong).unwrap_err();
        assert!(matches!(error, DeskError::Ledger(_)), "{error}");
        assert_eq!(refused(&desk, gone).len(), 1, "late: {is_late}: it may be on the disk");
        // Where the journal is known to have it, it holds.
        assert_eq!(refused(&desk, added).len(), usize::from(!is_late), "late: {is_late}");
        is_failing.store(false, Ordering::Relaxed);
        let error = take_back(&desk, &wrong).unwrap_err();
        assert!(matches!(error, DeskError::Withdrawn { .. }), "{error}");
        assert_eq!((refused(&desk, gone).len(), refused(&desk, added).len()), (1, 0));
    }
}

#[test]
fn what_refuses_more_than_the_records_is_not_kept_for_the_next_start() {
    let (dir, desk) = sound_desk();
    let kept = || std::fs::read(dir.path().join("data/base.snapshot")).unwrap();
    let import =
        |shape, text: &str| import_one(&desk, &claim_of(&desk, shape, text, None)).unwrap();
    import(Shape::FtcFull, "201,5550100\n201,5550101\n");
    let wrong = import(Shape::FtcChange, "201,5550100,D\n").record;
    let before = kept();
    // As a withdrawal of it leaves the index whose record the disk has refused.
    let mut either = desk.reader().unwrap().imports().unwrap();
    let of = either.iter_mut().find(|it| it.record.to_string() == wrong).unwrap();
    of.import.taken_off = None;
    know_all(&desk, &either);
    let gone = "+12015550100";
    assert_eq!(refused(&desk, gone).len(), 1);
    import(Shape::FtcChange, "201,5550102,A\n");
    assert_eq!((refused(&desk, gone).len(), refused(&desk, "+12015550102").len()), (1, 1));
    assert!(kept() == before, "the next start takes off whom the records do");
    take_back(&desk, &wrong).unwrap();
    assert_eq!(refused(&desk, gone).len(), 1);
    assert!(kept() != before, "what is on record and in force is one again");
}

#[test]
fn an_import_without_a_name_keeps_its_place_beside_one_that_gets_one() {
    let (_dir, desk) = sound_desk();
    know_alone(&desk, claim(&desk, "600123456\n", None), UNNAMED);
    let done = import_one(&desk, &claim(&desk, "600123457\n", None)).unwrap();
    assert_eq!(refused(&desk, "+34600123457"), [done.record.parse().ok()]);
    assert_eq!(refused(&desk, "+34600123456"), [Some(UNNAMED)], "no other's name");
}

#[test]
fn the_same_file_read_another_way_is_another_import() {
    let (_dir, desk) = sound_desk();
    // As many good rows in each column, so that no count tells them apart.
    let text = "phone,mobile\n600123456,600123457\n600123458,600123459\n";
    let import = |column: &str, as_of| {
        let column = Some(column.to_owned());
        let claim = claim_by(&desk, text, as_of, |settings| Settings { column, ..settings });
        import_one(&desk, &claim).unwrap()
    };
    let phone = import("phone", day(7));
    assert_eq!(refused(&desk, "+34600123457"), []);
    let mobile = import("mobile", day(7));
    assert!(!mobile.is_earlier, "other numbers");
    assert_eq!(refused(&desk, "+34600123457"), [mobile.record.parse().ok()]);
    for (column, was) in [("phone", &phone), ("mobile", &mobile), ("1", &phone), ("2", &mobile)] {
        for as_of in [day(7), day(6), None] {
            let again = import(column, as_of);
            assert_eq!((again.is_earlier, &again.record), (true, &was.record), "{column}");
        }
    }
    assert_eq!(refused(&desk, "+34600123456"), [phone.record.parse().ok()], "nothing twice");
}

#[test]
fn of_many_imports_of_one_file_the_newest_are_told_in_one_line() {
    let (_dir, desk) = sound_desk();
    let days = EARLIER_MAX as i64 + 4;
    // As a registry that does not change: each of a later day.
    let done = (0..days).map(|at| {
        let claim = claim(&desk, "600123456\n", day(at));
        import_one(&desk, &claim).unwrap()
    });
    let done: Vec<ImportDone> = done.collect();
    assert!(done.iter().all(|done| !done.is_earlier));
    let again = claim(&desk, "600123456\n", None);
    let earlier = desk.weigh(&again).unwrap();
    assert_eq!(earlier.len(), EARLIER_MAX);
    let last = &done[done.len() - 1].record;
    assert_eq!(&earlier[0].record, last, "the newest first");
    let longest = Earlier { source: "\"".repeat(NOTE_LEN_MAX), ..earlier[0].clone() };
    let line = serde_json::to_vec(&vec![longest; EARLIER_MAX]).unwrap();
    assert!(line.len() < crate::net::LINE_BYTES_MAX, "{}", line.len());
    let again = import_one(&desk, &again).unwrap();
    assert_eq!((again.is_earlier, &again.record), (true, last));
}

#[test]
fn what_may_never_have_reached_the_disk_is_imported_when_it_comes_again() {
    let (_dir, desk) = sound_desk();
    let claim = claim(&desk, "600123456\n", None);
    know_alone(&desk, claim.clone(), UNNAMED);
    assert_eq!(refused(&desk, "+34600123456"), [Some(UNNAMED)]);
    let done = import_one(&desk, &claim).unwrap();
    assert!(!done.is_earlier, "no record says so");
    assert_eq!(refused(&desk, "+34600123456"), [done.record.parse().ok()], "once");
}
